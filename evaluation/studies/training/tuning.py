"""``study tuning``: a random search over the settings of every learned method, with the same budget for each.

A trial is one training run with a seed that no other study uses, judged by its best validation; held-out networks play
no part. The first trial of a method has the settings that were in force before the search, the others of the first
round are drawn. The second round varies the best of the first: each setting is drawn anew with some chance, and how
long the advice lasts, for triage and for the other roles, always. That became a setting after the first round had shown
that methods get better once the advice to triage has ended, and the other roles hardly ever.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from evaluation.studies import recorded as recorded_results
from evaluation.studies.files import read_shipped, shipped_wrong
from evaluation.studies.training.plans import FULL, SMOKE, Arm, Size
from evaluation.studies.training.runs import (
    INTERRUPTED,
    Job,
    drop_checkpoint,
    make_job,
    read_curve,
    read_trained,
    train,
)
from hmarl_soc.config import Draw, Space, one_of
from hmarl_soc.registry import METHODS, config_class
from hmarl_soc.tuned import merge
from native_sim.storage.files import MISFITS

if TYPE_CHECKING:
    from rich.console import Console

NAME: Final = "tuning"
SEED: Final = 1000
"""Training seed of every trial."""
ROUNDS: Final = (9, 7)
"""Trials of the two rounds, per method."""
TRIALS: Final = sum(ROUNDS)
_ANEW: Final = 0.25
"""Chance of a setting to be drawn anew in the second round."""
_TRAINERS: Final[tuple[Mapping[str, Any], ...]] = ({"averaging": 20_000}, {})
"""Settings of the trainer in the two rounds; averaging over longer was found to serve later."""
RECORDED: Final = recorded_results.RECORDED / NAME / "summary.json"
"""The search that the settings in use come from."""

_LENGTHS: Final[Mapping[str, Draw]] = {
    "advice.steps": one_of(100_000, 150_000, 300_000),
    "advice.role_steps.triage": one_of(30_000, 60_000, 100_000, 150_000),
}
_FIRST_LENGTHS: Final = dict.fromkeys(_LENGTHS, 150_000)
_ORDER: Final = ("single-drl", "mappo", "iql", "qmix", "hmarl-soc", "hmarl-soc-ppo")
"""Our methods that are searched. Their places seed the draws: the order never changes, new ones come last."""
SPACES: Final[Mapping[str, Space]] = {name: space for name in _ORDER if (space := config_class(name).search)}
"""Method -> space, of ten settings or less beside the lengths of the advice. Network, discount, scale of rewards and
the gradient steps per environment step of Q-learning are no part of it: they are equal for all."""


def searched(console: Console) -> list[str]:
    """Return the methods that are searched: ours, and those of installed packages that say what to search.

    Args:
        console: Where it is told why one is left out.
    """
    theirs = []
    for name in METHODS.names():
        try:
            if name not in METHODS.ours and config_class(name).search:
                theirs.append(name)
        except ValueError as error:
            console.print(f"{name} is left out: {error}", markup=False, highlight=False, soft_wrap=True)
    return [*SPACES, *theirs]


def _space(method: str) -> Space:
    space = SPACES.get(method) or config_class(method).search
    if space is None:
        raise BadInput(f"method {method!r} does not say what to search; set search of its settings")
    return space


def _place(method: str) -> int:
    """Return what seeds the draws of a method: of another package, its name, whatever else is installed."""
    return _ORDER.index(method) if method in _ORDER else int.from_bytes(method.encode(), "big") + len(_ORDER)


def settings_of(method: str, trial: int, near: int | None = None) -> dict[str, Any]:
    """Return the nested settings of a trial.

    Args:
        method: Name of the method.
        trial: Number of the trial; 0 has the settings that were in force before.
        near: Trial of the first round that is varied; None for a trial of the first round.
    """
    space = _space(method)
    generator = np.random.default_rng([_place(method), trial])
    if near is not None:
        drawn = {
            name: space.draws[name](generator) if generator.random() < _ANEW else value
            for name, value in _drawn_first(method, near).items()
        } | {name: draw(generator) for name, draw in _LENGTHS.items()}
    else:
        drawn = _drawn_first(method, trial) | _FIRST_LENGTHS
    nested: dict[str, Any] = {}
    for path, value in {**space.fixed, **drawn}.items():
        *groups, name = path.split(".")
        one: dict[str, Any] = {name: value}
        for group in reversed(groups):
            one = {group: one}
        nested = merge(nested, one)
    return nested


def _drawn_first(method: str, trial: int) -> dict[str, Any]:
    """Return setting -> value of a trial of the first round."""
    space = _space(method)
    generator = np.random.default_rng([_place(method), trial])
    return {name: draw(generator) for name, draw in space.draws.items()} if trial else dict(space.first)


def study(
    out: Path, workers: int, steps: int | None, smoke: bool, report_only: bool, recorded: bool, console: Console
) -> dict[str, Any]:
    """Run or resume the search and write ``out/tuning/summary.json`` and ``table.md``.

    Args:
        out: Folder of all studies; training runs lie in ``out/runs``.
        workers: Processes; changes no result.
        steps: Environment steps of a trial; None for the default.
        smoke: Two tiny trials per method, one of each round: shows that everything works, in seconds.
        report_only: Train nothing; report what is there.
        recorded: Take trials that ship with the package for done.
        console: Where progress is told.

    Returns:
        The summary: ``methods`` -> ``trials`` (``trial``, ``settings``, ``best_score``, ``curve``), the best one first.

    Raises:
        BadInput: If a number is out of range, or there is nothing to report.
    """
    ranges.check("--workers", workers, ranges.WORKERS)
    ranges.check("--steps", steps, ranges.TRAINING_STEPS)
    size = SMOKE if smoke else FULL
    if steps is not None:
        size = size.shortened(steps)
    shipped = _shipped() if recorded else {}
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in searched(console)}
    numbers = iter(range(TRIALS))
    for count, trainer in zip((1, 1) if smoke else ROUNDS, _TRAINERS, strict=True):
        best = {
            method: max(known, key=lambda trial: trial["best_score"])["trial"] if known else None
            for method, known in found.items()
        }
        # Trial by trial, so that an interrupted search has tried as often for one method as for another.
        jobs: dict[tuple[int, str], Job] = {}
        for trial in itertools.islice(numbers, count):
            for method in found:
                arm = Arm(f"{method}, trial {trial}", method, settings_of(method, trial, best[method]))
                jobs[trial, method] = make_job(arm, SEED, replace(size, trainer=trainer), out)
        if not report_only:
            for job in jobs.values():
                drop_checkpoint(job)  # of a trial that was killed when it had just finished
            left = [job for job in jobs.values() if job.folder.parent.name not in shipped and read_trained(job) is None]
            _train(left, workers, console)
        for (trial, method), job in jobs.items():
            known = shipped.get(job.folder.parent.name) or _read(trial, job)
            if known is not None:
                found[method].append(known)
    return _report(found, size, out / NAME, console)


def record(out: Path) -> Path:
    """Keep the search of a folder as the one that ships with the package; return the file.

    Args:
        out: Folder of the search.

    Raises:
        FileNotFoundError: If nothing was reported there.
    """
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RECORDED, (out / "summary.json").read_text(encoding="utf-8"))
    return RECORDED


def _train(missing: Sequence[Job], workers: int, console: Console) -> None:
    from evaluation.harness.progress import runs_bar
    from evaluation.harness.runner import parallel

    console.print(f"{len(missing)} trials to go", highlight=False)
    with runs_bar(console, len(missing)) as bar:
        for number, (job, end) in enumerate(parallel(train, bar.begin(missing, _name), workers), 1):
            if end == INTERRUPTED:
                raise KeyboardInterrupt
            bar.end(_name(job))
            trained = read_trained(job)
            told = end if trained is None else f"best validation {trained['best_score']:.2f}"
            console.print(f"[{number}/{len(missing)}] {_name(job)}: {told}", markup=False, highlight=False)


def _name(job: Job) -> str:
    return job.arm.label


def _read(trial: int, job: Job) -> dict[str, Any] | None:
    """Return what a trial of this machine came to; None if it is not finished."""
    trained = read_trained(job)
    if trained is None:
        return None
    curve = {name: values.round(4).tolist() for name, values in read_curve(job).items()}
    run = job.folder.parent.name
    return {
        "trial": trial,
        "run": run,
        "settings": job.arm.settings,
        "best_score": trained["best_score"],
        "curve": curve,
    }


def _shipped() -> dict[str, dict[str, Any]]:
    """Return name of the run -> trial, of the recorded search."""
    summary = read_shipped(RECORDED)
    if summary is None:
        return {}
    try:
        return {trial["run"]: trial for method in summary["methods"].values() for trial in method["trials"]}
    except MISFITS as error:
        raise shipped_wrong(RECORDED, error) from error


def _report(found: Mapping[str, list[dict[str, Any]]], size: Size, out: Path, console: Console) -> dict[str, Any]:
    methods = {
        method: {"trials": sorted(trials, key=lambda trial: -trial["best_score"])}
        for method, trials in found.items()
        if trials
    }
    if not methods:
        raise BadInput(f"no trial is finished in {out.parent}; run tuning without --report-only first")
    summary = {
        "study": NAME,
        "steps": size.steps,
        "validation_episodes": size.validation_episodes,
        "seed": SEED,
        "methods": methods,
        **describe_tree(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_atomically(out / "table.md", _markdown(summary))
    console.print(f"Search of settings: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def _markdown(summary: Mapping[str, Any]) -> str:
    """Return the best, the first and the middle trial of every method, and all trials, as Markdown tables."""
    lines = [
        "# Search of settings",
        "",
        f"Trials of {summary['steps']:,} environment steps with training seed {summary['seed']}; best validation on "
        f"{summary['validation_episodes']} episodes of validation networks.",
        "",
        "| method | trials | best | before | median | settings of the best |",
        "|---|---|---|---|---|---|",
    ]
    for method, tried in summary["methods"].items():
        trials = tried["trials"]
        scores = [trial["best_score"] for trial in trials]
        before = next((f"{trial['best_score']:.2f}" for trial in trials if trial["trial"] == 0), "-")
        numbers = f"{scores[0]:.2f} | {before} | {np.median(scores):.2f}"
        lines.append(f"| {method} | {len(trials)} | {numbers} | {_drawn(method, trials[0])} |")
    lines += ["", "| method | trial | best validation | at step | last validation | settings |", "|---" * 6 + "|"]
    for method, tried in summary["methods"].items():
        for trial in tried["trials"]:
            curve = trial["curve"]
            step = int(curve["steps"][int(np.argmax(curve["score"]))])
            numbers = f"{trial['best_score']:.2f} | {step:,} | {curve['score'][-1]:.2f}"
            lines.append(f"| {method} | {trial['trial']} | {numbers} | {_drawn(method, trial)} |")
    return "\n".join(lines) + "\n"


def _drawn(method: str, trial: Mapping[str, Any]) -> str:
    """Return the settings of a trial that were drawn, as text."""
    told = []
    for path in (*_space(method).draws, *_LENGTHS):
        value = trial["settings"]
        for name in path.split("."):
            value = value[name]
        told.append(f"{path} {value}")
    return ", ".join(told)
