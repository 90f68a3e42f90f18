"""The commands of the campaign, made tiny, and what they are given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from campaign.client import FIRST_S, Done, Server

TRAINING = """
[environment]
num_envs = 8
knobs = {max_steps = 12}
[trainer]
log_every = 40
save_every = 80
validate_every = 80
validation_episodes = 2
[method]
warm_up = 16
updates_per_step = 0.1
[method.network]
hidden = 16
[method.replay]
capacity = 400
batch_size = 16
"""
TUNING = """
[environment]
num_envs = 4
knobs = {steps = 30}
[trainer]
validation_episodes = 3
validate_every = 100
save_every = 120
log_every = 100
[method]
rollout = 60
minibatch = 30
value_first = 0
network = {hidden = 8}
"""
VARIANT = """
name = "odd"
red = "finite-state"
min_users = 4
max_users = 6
phishing_rate = 0.05
false_alarm_rate = 0.02
red_one_tick = true
"""
CONSTANT = json.dumps({"triage": 2, "hunter": [0.1] * 16, "responder": [0.6] + [0.0] * 11})
FEW_LESSONS = "campaign.cases:few_lessons"
"""Setup of what is fine-tuned from the packaged bundle: its mapper learns from one short episode, not from 16."""


def few_lessons() -> None:
    from evaluation.jobs import finetune

    finetune.LESSON_EPISODES = 1
    finetune.spec.DEFAULT_STEPS = 40


class Case(NamedTuple):
    """A command that writes, and how it goes on after it was stopped."""

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Entries of the store that it is given, in its folder."""
    resume: tuple[str, ...] = ()
    """What is added to go on, where there is something to go on from."""

    def begin(self, store: Path, folder: Path) -> None:
        """Lay out what the command is given."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.needs:
            source = store / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy(source, folder / name)

    def go_on(self, server: Server, folder: Path) -> Done:
        """Run the command to its end after it was stopped: to resume where it takes that, else as before."""
        for extra in (self.resume, ()) if self.resume else ((),):
            done = server.run((*self.argv, *extra), folder)
            if done.code != 2:
                break
        return done


def _evaluate(game: str, policies: str, *more: str) -> tuple[str, ...]:
    fixed = ("--game", game, "--policies", policies, "--episodes", "6", "--envs", "2", "--out", "run")
    return ("evaluate", *fixed, *more)


_TRAIN = ("train", "--config", "tiny.toml", "--seed", "3", "--out", "run")
WRITERS = (
    Case("evaluate", _evaluate("cc4", "no-defense,random,sentinel", "--steps", "40")),
    Case("evaluate soc", _evaluate("soc", "no-defense,adaptive")),
    Case("train", (*_TRAIN, "--steps", "176"), ("tiny.toml",), ("--resume",)),
    Case(
        "finetune",
        ("finetune", "bundle", "--seed", "0", "--out", "run", "--config", "tuning.toml", "--steps", "260"),
        ("tuning.toml", "bundle"),
        ("--resume",),
    ),
    Case("study table3", ("study", "table3", "--smoke", "--seeds", "1", "--steps", "512", "--out", "run")),
    Case("study behaviours", ("study", "behaviours", "--smoke", "--out", "run")),
    Case("study roles", ("study", "roles", "--smoke", "--out", "run")),
    Case("calibrate", ("calibrate", "adaptive", "--out", "made", "--episodes", "2", "--steps", "40")),
    Case(
        "calibrate trained", ("calibrate", "trained", "--out", "made", "--episodes", "2", "--steps", "40"), ("trained",)
    ),
    Case("report", ("report", "evaluated"), ("evaluated",)),
    Case("export", ("export", "--policy", "sentinel", "--out", "submission.zip")),
    Case("export bundle", ("export", "--policy", "bundle:bundle", "--out", "submission.zip"), ("bundle",)),
    Case("doctor", ("doctor", "--no-smoke")),
)
"""Every command that writes. ``report`` writes anew what an evaluation wrote; ``doctor`` tries whether it can write."""
KILLED = (
    "evaluate",
    "evaluate soc",
    "train",
    "finetune",
    "study table3",
    "study behaviours",
    "calibrate",
    "calibrate trained",
)


def writers(names: Sequence[str] | None = None) -> list[Case]:
    return [case for case in WRITERS if names is None or case.name in names]


# ------------------------------------------------------------------------------------------------------- the store
class Made(NamedTuple):
    """An entry of the store that a command makes."""

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...]
    out: str
    setup: tuple[str, ...] = ()


_MADE = (
    Made("trained", (*_TRAIN, "--steps", "200"), ("tiny.toml",), "run"),
    Made(
        "tuned",
        ("finetune", "hmarl-soc", "--seed", "0", "--out", "run", "--config", "tuning.toml", "--steps", "200"),
        ("tuning.toml",),
        "run",
        (FEW_LESSONS,),
    ),
    Made("evaluated", _evaluate("cc4", "no-defense,random", "--steps", "40"), (), "run"),
    Made("other", _evaluate("cc4", "no-defense,sentinel", "--steps", "40", "--seed", "1"), (), "run"),
    Made("evaluated-soc", _evaluate("soc", "no-defense,adaptive"), (), "run"),
    Made("studied", ("study", "table3", "--smoke", "--seeds", "1", "--steps", "512", "--out", "run"), (), "run"),
    Made("behaved", ("study", "behaviours", "--smoke", "--out", "run"), (), "run"),
    Made("submission.zip", ("export", "--policy", "sentinel", "--out", "submission.zip"), (), "submission.zip"),
)


class Store:
    """What commands are given: files written by hand, and what other commands made; made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "tiny.toml": TRAINING,
            "tuning.toml": TUNING,
            "variant.toml": VARIANT,
            "constant.json": CONSTANT,
        }
        for name, text in texts.items():
            (folder / name).write_text(text)

    def provide(self, server: Server, needs: Sequence[str]) -> None:
        """Make what is needed and not there yet.

        Raises:
            RuntimeError: If a command fails that nothing disturbs.
        """
        for name in needs:
            if (self.folder / name).exists():
                continue
            if name == "recorded":
                _recorded(self.folder / name)
                continue
            if name in _DERIVED:
                base, derive = _DERIVED[name]
                self.provide(server, (base,))
                derive(self.folder / base, self.folder / name)
                continue
            made = next(made for made in _MADE if made.name == name)
            self.provide(server, made.needs)
            work = self.folder / f".{name}"
            Case(name, made.argv, made.needs).begin(self.folder, work)
            done = server.run(made.argv, work, setup=made.setup, limit_s=FIRST_S)
            if done.code != 0:
                raise RuntimeError(f"{' '.join(made.argv)} ended with exit code {done.code}: {done.said[-2000:]}")
            (work / made.out).rename(self.folder / name)
            shutil.rmtree(work)


def _bundle(tuned: Path, to: Path) -> None:
    shutil.copytree(tuned / "start", to)


def _unfinished(evaluated: Path, to: Path) -> None:
    """Make of a finished evaluation one that was stopped before its last two episodes."""
    from evaluation.harness.run_folder import ROWS, SPEC, RunFolder

    rows = RunFolder.open(evaluated).read()
    to.mkdir()
    shutil.copy(evaluated / SPEC, to / SPEC)
    folder = RunFolder.open(to)
    folder.append(rows[:-2])
    assert (to / ROWS).exists()


def _recorded(to: Path) -> None:
    """Copy the recorded results of the first seed of a study."""
    from evaluation.studies.recorded import FOLDER

    to.mkdir()
    for file in FOLDER.glob("*-seed-0.json"):
        shutil.copy(file, to / file.name)


_DERIVED: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "bundle": ("tuned", _bundle),
    "unfinished": ("evaluated", _unfinished),
    "unfinished-soc": ("evaluated-soc", _unfinished),
}
"""Entry -> the entry that it comes from, and how."""
