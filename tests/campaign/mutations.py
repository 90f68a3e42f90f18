"""Damaged files: one file of what a command loads is damaged, and the command must refuse it or not mind.

"Not mind" is exactly the result of the intact file. A file that a user writes by hand (settings, a variant, a constant
action, a submission) has no check sum, so a damaged one may be another good one: then the command must have recorded
that it used what stands in it now.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from campaign.cases import Store
from campaign.client import FIRST_S, Done, Server
from campaign.damage import damage
from campaign.outcome import REFUSED, SURVIVED, WRONG, Verdict, check_refusal, content, differences, digest, same

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMIT_S = 120.0
Told = Callable[[Path, Path, Path], str | None]
"""Given the folder, that of the intact file, and the file: None if the run tells what it used, else what is wrong."""


class Victim(NamedTuple):
    """A kind of file, and a command that loads it."""

    kind: str
    needs: tuple[str, ...]
    file: str  # pattern
    format: str
    argv: tuple[str, ...]
    told: Told | None = None
    setup: tuple[str, ...] = ()


def told_settings(folder: Path, intact: Path, file: Path) -> str | None:
    """Every setting of the file is one of the checkpoint's."""
    found = json.loads((folder / "run" / "last" / "manifest.json").read_text())["config"]
    return _within(tomllib.loads(file.read_text()), found)


def told_knobs(folder: Path, intact: Path, file: Path) -> str | None:
    """Every knob of the file is one of the run's."""
    found = json.loads((folder / "run" / "spec.json").read_text())["spec"]["variant_knobs"]
    return _within(tomllib.loads(file.read_text()), found)


def told_digest(folder: Path, intact: Path, file: Path) -> str | None:
    """The run says that its policy is not the one of the intact file."""
    now, before = (_policies(where) for where in (folder, intact))
    return None if now != before else "another result, and the digest of the policy is the same"


def told_missing(folder: Path, intact: Path, file: Path) -> str | None:
    """The report is of rows of the intact file alone, and says that the run is not complete."""
    known = set((intact / file.relative_to(folder)).read_bytes().splitlines())
    whole = file.read_bytes().split(b"\n")[:-1]  # a last line that is cut off counts as not played
    summary = json.loads((file.parent / "summary.json").read_text())
    if not set(whole) <= known or len(set(whole)) != len(whole):
        return "another result without a word: a row that is not of the intact file"
    return "the report says that the run is complete" if summary["complete"] else None


def _told_in_the_report(victim: Victim, folder: Path, expected: Reference, wrongs: list[str]) -> bool:
    """Whether nothing but the digest of a policy differs, in the run and the reports that name it."""
    places = ("run/spec.json", "run/report.md", "run/report.html")
    return (
        "run" in victim.argv
        and all(what.startswith(places) for what in wrongs)
        and not told_digest(folder, expected.folder, folder)
    )


def _policies(folder: Path) -> Any:
    return json.loads((folder / "run" / "spec.json").read_text())["provenance"]["policies"]


def _within(given: Any, found: Any, path: str = "") -> str | None:
    if isinstance(given, dict) and isinstance(found, dict):
        parts = (_within(value, found.get(name), f"{path}.{name}") for name, value in given.items())
        return next(filter(None, parts), None)
    return None if same(given, found) else f"{path} is {found!r} in the run and {given!r} in the file"


def _played(game: str, policies: str, *more: str) -> tuple[str, ...]:
    fixed = ("--game", game, "--policies", policies, "--episodes", "2", "--out", "run", "--json")
    return ("evaluate", *fixed, *more)


def _resumed(game: str, policies: str, folder: str, *more: str) -> tuple[str, ...]:
    fixed = ("--game", game, "--policies", policies, "--episodes", "6", "--out", folder, "--json")
    return ("evaluate", *fixed, *more)


_REPORT = ("report", "evaluated", "--json")
_COMPARE = ("compare", "evaluated", "other", "--json")
_CC4 = ("cc4", "no-defense,random")
_SOC = ("soc", "no-defense,adaptive")
_RESUMED = _resumed(*_CC4, "unfinished", "--steps", "40")
_BUNDLE = ("bundle",)
_PLAY_BUNDLE = _played("cc4", "bundle:bundle", "--steps", "20")
_RETRAIN = ("train", "--config", "tiny.toml", "--seed", "3", "--steps", "224", "--out", "trained", "--resume", "--json")
_RETUNE = (
    *("finetune", "bundle", "--seed", "0", "--out", "tuned", "--config", "tuning.toml"),
    *("--steps", "260", "--resume", "--json"),
)
_STUDY = ("study", "table3", "--smoke", "--seeds", "1", "--steps", "512", "--out", "studied", "--json")
_BEHAVE = ("study", "behaviours", "--smoke", "--out", "behaved", "--json")
_EXPORT = ("export", "--policy", "bundle:bundle", "--out", "out.zip")
_PLAY_WEIGHTS = _played("soc", "weights:trained")
_PLAY_CONSTANT = _played("soc", "constant:constant.json")
_TELL = (*_STUDY, "--report-only")
_TRAINING_RUN = "studied/runs/hmarl-soc-*/seed-0"
VICTIMS = (
    Victim("spec.json", ("evaluated",), "evaluated/spec.json", "json", _REPORT),
    Victim("spec.json", ("unfinished",), "unfinished/spec.json", "json", _RESUMED),
    Victim("spec.json", ("evaluated", "other"), "other/spec.json", "json", _COMPARE),
    Victim("episodes.jsonl", ("unfinished",), "unfinished/episodes.jsonl", "jsonl", _RESUMED),
    Victim(
        "episodes.jsonl",
        ("unfinished",),
        "unfinished/episodes.jsonl",
        "jsonl",
        ("report", "unfinished", "--json"),
        told_missing,
    ),
    Victim(
        "episodes.jsonl, soc",
        ("unfinished-soc",),
        "unfinished-soc/episodes.jsonl",
        "jsonl",
        ("report", "unfinished-soc", "--json"),
        told_missing,
    ),
    Victim(
        "episodes.parquet", ("evaluated",), "evaluated/episodes.parquet", "parquet", ("report", "evaluated", "--json")
    ),
    Victim(
        "episodes.parquet",
        ("evaluated-soc",),
        "evaluated-soc/episodes.parquet",
        "parquet",
        _resumed(*_SOC, "evaluated-soc"),
    ),
    Victim(
        "episodes.parquet",
        ("evaluated", "other"),
        "other/episodes.parquet",
        "parquet",
        _COMPARE,
    ),
    Victim("summary.json", ("evaluated",), "evaluated/summary.json", "json", _REPORT),
    Victim(
        "summary.json",
        ("evaluated", "other"),
        "other/summary.json",
        "json",
        _COMPARE,
    ),
    Victim("bundle.json", _BUNDLE, "bundle/bundle.json", "json", _PLAY_BUNDLE),
    Victim(
        "bundle.json",
        _BUNDLE,
        "bundle/bundle.json",
        "json",
        ("export", "--policy", "bundle:bundle", "--out", "out.zip"),
    ),
    Victim("tensors of a bundle", _BUNDLE, "bundle/tensors.safetensors", "safetensors", _PLAY_BUNDLE),
    Victim("weights of a bundle", _BUNDLE, "bundle/policy/arrays-*.safetensors", "safetensors", _PLAY_BUNDLE),
    Victim("manifest.json of a bundle", _BUNDLE, "bundle/policy/manifest.json", "json", _PLAY_BUNDLE),
    Victim("manifest.json", ("trained", "tiny.toml"), "trained/last/manifest.json", "json", _RETRAIN),
    Victim("manifest.json", ("tuned", "bundle", "tuning.toml"), "tuned/last/manifest.json", "json", _RETUNE),
    Victim("manifest.json", ("trained",), "trained/best/manifest.json", "json", _PLAY_WEIGHTS),
    Victim("checkpoint arrays", ("trained", "tiny.toml"), "trained/last/arrays-*.safetensors", "safetensors", _RETRAIN),
    Victim(
        "checkpoint arrays",
        ("trained",),
        "trained/best/arrays-*.safetensors",
        "safetensors",
        _played("soc", "weights:trained"),
    ),
    Victim("log.jsonl", ("trained", "tiny.toml"), "trained/log.jsonl", "jsonl", _RETRAIN),
    Victim("log.jsonl", ("studied",), f"{_TRAINING_RUN}/log.jsonl", "jsonl", _TELL),
    Victim(
        "study: held-out", ("studied",), "studied/runs/*/*/held-out-default.json", "json", (*_STUDY, "--report-only")
    ),
    Victim("study: trained.json", ("studied",), f"{_TRAINING_RUN}/trained.json", "json", _STUDY),
    Victim("study: behaviours", ("behaved",), "behaved/behaviours/logs/*.npz", "bytes", (*_BEHAVE, "--report-only")),
    Victim(
        "settings (TOML)",
        ("tiny.toml",),
        "tiny.toml",
        "toml",
        ("train", "--config", "tiny.toml", "--seed", "3", "--steps", "88", "--out", "run", "--json"),
        told_settings,
    ),
    Victim(
        "variant (TOML)",
        ("variant.toml",),
        "variant.toml",
        "toml",
        _played("cc4", "no-defense", "--variant", "variant.toml", "--steps", "20"),
        told_knobs,
    ),
    Victim(
        "constant (JSON)",
        ("constant.json",),
        "constant.json",
        "json",
        _played("soc", "constant:constant.json"),
        told_digest,
    ),
    Victim(
        "recorded study",
        ("recorded",),
        "recorded/hmarl-soc-*-seed-0.json",
        "json",
        ("study", "table3", "--recorded", "--seeds", "1", "--report-only", "--out", "studies", "--json"),
        setup=("campaign.mutations:recorded_in=recorded",),
    ),
    Victim(
        "submission (zip)",
        ("submission.zip",),
        "submission.zip",
        "zip",
        _played("cyborg", "submission.zip", "--steps", "10"),
        told_digest,
    ),
)


def recorded_in(folder: str) -> None:
    """Have recorded results of training runs looked for in another folder."""
    from evaluation.studies import recorded

    recorded.with_recorded.__defaults__ = (Path(folder),)


class Reference(NamedTuple):
    """The command with the intact file."""

    folder: Path
    content: dict[str, Any]
    answer: Any


def reference(server: Server, victim: Victim, store: Store, folder: Path) -> Reference:
    """Run a command with the intact file.

    Raises:
        RuntimeError: If it fails.
    """
    store.provide(server, victim.needs)
    _lay_out(victim, store, folder)
    done = server.run(victim.argv, folder, setup=victim.setup, limit_s=FIRST_S)
    if done.code != 0:
        raise RuntimeError(f"{' '.join(victim.argv)} ended with exit code {done.code}: {done.said[-2000:]}")
    return Reference(folder, content(folder), done.answer)


def attempt(
    server: Server,
    victim: Victim,
    expected: Reference,
    store: Store,
    folder: Path,
    draw: Random,
    setup: tuple[str, ...] = (),
) -> Verdict:
    """Damage a file, run the command and judge."""
    _lay_out(victim, store, folder)
    file = draw.choice(sorted(folder.glob(victim.file)))
    how, data = damage(draw, victim.format, file.read_bytes(), _others(store, draw))
    file.write_bytes(data)
    before = content(folder, file)
    done = server.run(victim.argv, folder, setup=(*victim.setup, *setup), limit_s=LIMIT_S)
    what = f"{' '.join(victim.argv[:2])}, {file.name}, {how}"
    end, why = judge(done, victim, expected, folder, file, before)
    return Verdict(victim.kind, end, what, why)


def judge(
    done: Done, victim: Victim, expected: Reference, folder: Path, file: Path, before: dict[str, Any]
) -> tuple[str, str]:
    """Return how an attempt ended, and why if it is wrong."""
    if done.code != 0 or done.hung:
        wrong = check_refusal(done)
        if wrong is None:
            wrong = lost(before, content(folder, file))
        return (WRONG, wrong) if wrong else (REFUSED, "")
    # A damaged file that is still there as it was says nothing; one that was written anew must be as it should be.
    name = file.relative_to(folder).as_posix()
    intact = expected.content
    found = content(folder)
    kept = file.is_file() and digest(file) == before[name]
    if kept:
        found[name] = intact.get(name)
    wrongs = differences(found, intact)
    if not same(done.answer, expected.answer):
        wrongs.insert(0, "the answer is another one")
    if not wrongs:
        return SURVIVED, ""
    if victim.told is not None and kept:
        wrong = victim.told(folder, expected.folder, file)
        return (WRONG, wrong) if wrong else (SURVIVED, "")
    if same(done.answer, expected.answer) and _told_in_the_report(victim, folder, expected, wrongs):
        return SURVIVED, ""
    return WRONG, f"another result without a word: {'; '.join(wrongs[:2])}"


def lost(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return what a command that refused did to the files that were there, or None."""
    gone = [name for name in before if name not in after]
    changed = [name for name in before if name in after and not same(before[name], after[name])]
    if gone or changed:
        return f"refused, but {' and '.join([*gone, *changed][:3])} was changed or lost"
    return None


def _lay_out(victim: Victim, store: Store, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in victim.needs:
        source = store.folder / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name)


def _others(store: Store, draw: Random) -> list[bytes]:
    """Return the bytes of some other files, of all kinds."""
    files = [
        *(store.folder / name for name in ("tiny.toml", "variant.toml", "constant.json")),
        *(path for path in sorted(store.folder.glob("*/*")) if path.is_file() and path.stat().st_size < 1_000_000),
    ]
    return [draw.choice(files).read_bytes()]


def has_cyborg() -> bool:
    """Whether submissions can be played."""
    from cage4.cyborg import engine as cyborg_engine

    return bool(cyborg_engine.available())
