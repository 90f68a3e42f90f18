"""What a command left behind, made comparable, and what is to be said of an attempt."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from campaign.client import Done

SURVIVED, REFUSED, WRONG = "survived", "refused", "wrong"
LONGEST = 2_000
"""Letters of a refusal; paths and lists of what is allowed included."""
TIMES = (
    *("wall_s", "seconds", "spent_s", "last_sitting_s"),
    *("crc32", "digest", "log_sha256"),
)
"""Entries that tell how long something took, which is never the same twice, and check sums of what holds them."""


class Verdict(NamedTuple):
    """What one attempt came to."""

    kind: str
    end: str
    what: str = ""  # what was done, for the list of wrongs
    why: str = ""


def check_refusal(done: Done) -> str | None:
    """Return what is wrong with the way in which a command refused or failed, or None."""
    if done.hung:
        return f"hung for {done.wall_s:.0f} s"
    if done.code < 0:
        return f"died of signal {-done.code}"
    if "Traceback (most recent call last)" in done.said:
        return f"traceback: {_exception(done.said)[:300]}"
    if done.code not in (1, 2):
        return f"exit code {done.code}"
    if not done.said.strip():
        return f"exit code {done.code} without a word"
    longest = max(map(len, done.said.splitlines()))
    if longest > LONGEST:
        return f"a line of {longest} letters was printed"
    return None


def _exception(said: str) -> str:
    """Return the line that ends the last traceback."""
    lines = said.rpartition("Traceback (most recent call last)")[2].splitlines()[1:]
    return next((line for line in lines if line.strip() and not line.startswith(" ")), "of nothing")


# ------------------------------------------------------------------------------------------------------ comparing
def content(folder: Path, damaged: Path | None = None) -> dict[str, Any]:
    """Return relative path -> what a file holds, times left out; of the folder ``tmp`` nothing.

    Args:
        folder: What is looked at.
        damaged: A file of which only the bytes are looked at.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == "tmp" or name.startswith("tmp/") or path.name == ".lock":
            continue
        found[name] = "a folder" if path.is_dir() else digest(path) if path == damaged else _value(path)
    return found


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Say what is missing, left over, or not the same."""
    missing = [f"{name} is missing" for name in expected if name not in found]
    more = [f"{name} is left over" for name in found if name not in expected]
    other = [_other(name, found[name], expected[name]) for name in expected if name in found]
    return missing + more + [what for what in other if what]


def _other(name: str, found: Any, expected: Any) -> str:
    """Say where two values differ first, or nothing."""
    if same(found, expected):
        return ""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return next(filter(None, (_other(f"{name}: {key}", found[key], expected[key]) for key in expected)), name)
    return f"{name} is {_short(found)} and was {_short(expected)}"


def same(one: Any, other: Any) -> bool:
    """Compare values as JSON gives them: not-a-number equals itself."""
    return _text(one) == _text(other)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _value(path: Path) -> Any:
    data = path.read_bytes()
    reader = next((read for end, read in _READERS.items() if path.name.endswith(end)), None)
    if reader is not None:
        try:
            return _timeless(reader(path, data))
        except (ValueError, OSError, RecursionError, AttributeError):
            pass
    return hashlib.sha256(data).hexdigest()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rows(path: Path, data: bytes) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


def _manifest(path: Path, data: bytes) -> Any:
    found = json.loads(data)
    log = found.get("state", {}).get("log", {})
    return {**found, "state": {**found.get("state", {}), "log": {**log, "bytes": 0, "sha256": ""}}}  # times are in it


_READERS: dict[str, Callable[[Path, bytes], Any]] = {
    ".parquet": _rows,
    "manifest.json": _manifest,
    ".jsonl": lambda path, data: [json.loads(line) for line in data.splitlines()],
    ".json": lambda path, data: json.loads(data),
}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [_timeless(part) for part in value]
    return value


# -------------------------------------------------------------------------------------------------------- telling
def table(title: str, verdicts: Sequence[Verdict]) -> str:
    """Return how often each kind was tried, survived, was refused and went wrong."""
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        counts.setdefault(verdict.kind, Counter())[verdict.end] += 1
    counts["all"] = sum(counts.values(), Counter())
    width = max(len(title), *map(len, counts))
    lines = [f"{title:{width}}  tried  {SURVIVED}  {REFUSED}  {WRONG}"]
    for kind, found in counts.items():
        tried = sum(found.values())
        lines.append(f"{kind:{width}}  {tried:5}  {found[SURVIVED]:8}  {found[REFUSED]:7}  {found[WRONG]:5}")
    return "\n".join(lines)


def wrongs(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line for each attempt that went wrong."""
    return [f"{one.kind}: {one.what}: {one.why}" for one in verdicts if one.end == WRONG]
