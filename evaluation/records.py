"""The run folder: written row by row, resumed after any interruption, read without playing.

RUN/spec.json         what was asked, resolved, and with which versions
RUN/episodes.jsonl    one line per finished episode while the run is going on
RUN/episodes.parquet  the same rows, sorted, once the run is complete
RUN/run.log           tracebacks of policies that failed
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation.errors import BadInput
from evaluation.games import game_of
from evaluation.schema import FORMAT_VERSION, EvalSpec, Row
from native_sim.files import read_json

SPEC, ROWS, TABLE, LOG, LOCK = "spec.json", "episodes.jsonl", "episodes.parquet", "run.log", ".lock"


class RunFolder:
    """One evaluation on disk. Use :meth:`create` to play and :meth:`open` to read.

    Attributes:
        path: The folder.
        spec: What was asked.
        provenance: Versions, commit and machine of the process that started the run.
        notices: Sentences about what was found while reading, such as a row cut off by a kill.
    """

    def __init__(self, path: Path, spec: EvalSpec, provenance: dict[str, Any]) -> None:
        self.path, self.spec, self.provenance = path, spec, provenance
        self.notices: list[str] = []
        self._lock: int | None = None

    # ---------------------------------------------------------------------------------------------- opening
    @classmethod
    def create(cls, path: Path, spec: EvalSpec, provenance: dict[str, Any]) -> RunFolder:
        """Start a run, or take up the one already in the folder if it asks the same question.

        Raises:
            BadInput: If the folder cannot be written, is in use, or holds something else: another question,
                other versions, or no run at all. Nothing in it is changed then.
        """
        if (path / SPEC).exists():
            folder = cls.open(path)
            if folder.spec != spec:
                raise BadInput(
                    f"{path} holds run {folder.spec.id}, which asks something else "
                    f"({_differences(folder.spec, spec)}); choose another --out, or ask the same"
                )
            _refuse_other_versions(path, folder.provenance, provenance)
            folder._acquire()
            return folder
        try:
            if path.exists() and (not path.is_dir() or any(entry.name != LOCK for entry in path.iterdir())):
                raise BadInput(f"{path} exists and is not a run folder (it has no {SPEC}); choose another --out")
            path.mkdir(parents=True, exist_ok=True)
            folder = cls(path, spec, provenance)
            folder._acquire()
            document = {
                "format": FORMAT_VERSION,
                "id": spec.id,
                "spec": spec.model_dump(mode="json"),
                "seeds": spec.episode_seeds(),
                "provenance": provenance,
            }
            write_atomically(path / SPEC, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise BadInput(
                f"cannot write to {path} ({error.strerror or error}); choose a folder you may write to with --out"
            ) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run for reading.

        Raises:
            BadInput: If there is no run there, its spec is damaged, or its format is another version's.
        """
        try:
            document = read_json(path / SPEC)
        except FileNotFoundError:
            raise BadInput(
                f"{path} is not a run folder (it has no {SPEC}); give the folder that evaluate wrote"
            ) from None
        except (OSError, ValueError) as error:
            raise BadInput(f"{path / SPEC} cannot be read ({error}); restore the file or evaluate again") from error
        found = document.get("format") if isinstance(document, dict) else None
        if found != FORMAT_VERSION:
            raise BadInput(
                f"{path} has run-folder format {found!r}, and this version reads format {FORMAT_VERSION}; "
                f"read it with the hmarl-transfer that wrote it, or evaluate again into another --out"
            )
        try:
            spec = EvalSpec.model_validate(document["spec"])
            game_of(spec.engine).variant(spec.variant_knobs)
            provenance = dict(document["provenance"])
            intact = document["id"] == spec.id and document["seeds"] == spec.episode_seeds()
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path / SPEC} is damaged ({_first_line(error)}); restore it or evaluate again") from error
        if not intact:
            raise BadInput(f"{path / SPEC} was edited: its id or seeds do not follow from its spec; evaluate again")
        return cls(path, spec, provenance)

    def _acquire(self) -> None:
        """Hold the folder for this process; the operating system lets go of it when the process ends."""
        try:
            import fcntl
        except ImportError:  # not on Windows: two writers in one folder are then the user's care
            return
        handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise BadInput(
                f"{self.path} is in use by another evaluation; wait for it or choose another --out"
            ) from None
        self._lock = handle

    def close(self) -> None:
        """Let other processes write to the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            (self.path / LOCK).unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------- rows
    def append(self, records: Iterable[Row]) -> None:
        """Add finished episodes; when this returns they survive a kill of the process."""
        with (self.path / ROWS).open("a", encoding="utf-8") as file:
            for record in records:
                file.write(record.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Row]:
        """Return all finished episodes, sorted by policy (in the order asked) and index.

        Raises:
            BadInput: If a file is corrupt; the message names the place, and nothing is changed.
        """
        records = self._read_table() if (self.path / TABLE).exists() else self._read_rows()
        place = self.path / (TABLE if (self.path / TABLE).exists() else ROWS)
        order = {policy: number for number, policy in enumerate(self.spec.policies)}
        seeds = self.spec.episode_seeds()
        seen: set[tuple[str, int]] = set()
        for record in records:
            key = (record.policy, record.index)
            known = record.policy in order and record.index < len(seeds) and record.seed == seeds[record.index]
            if key in seen or not known:
                what = "is there twice" if key in seen else "does not belong to this run"
                raise BadInput(
                    f"{place} is corrupt: episode {record.index} of {record.policy} {what}; restore the file, "
                    f"or evaluate again into another --out"
                )
            seen.add(key)
        return sorted(records, key=lambda record: (order[record.policy], record.index))

    def _read_rows(self) -> list[Row]:
        path = self.path / ROWS
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return []
        *lines, rest = text.split(b"\n")
        records: list[Row] = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(self.spec.row_type.model_validate_json(line))
            except ValidationError as error:
                raise BadInput(
                    f"{path} is corrupt at line {number} ({_first_line(error)}); restore the file, "
                    f"or delete that line to play its episode again"
                ) from error
        if rest:
            self.notices.append(f"The last row of {path.name} was cut off; its episode counts as not played.")
        return records

    def repair(self) -> None:
        """Drop a last row that a kill cut off in the middle, so that new rows start on a new line."""
        path = self.path / ROWS
        if not path.exists():
            return
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(text.rfind(b"\n") + 1)

    def _read_table(self) -> list[Row]:
        import pyarrow
        import pyarrow.parquet as parquet

        path = self.path / TABLE
        try:
            with path.open("rb") as file:  # a path with a colon would be taken for an address
                rows = parquet.read_table(file).to_pylist()
            return [self.spec.row_type.model_validate(row) for row in rows]
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            raise BadInput(
                f"{path} is corrupt or truncated ({_first_line(error)}); restore the file, "
                f"or evaluate again into another --out"
            ) from error

    def finish(self) -> None:
        """Turn the rows of a complete run into the Parquet table."""
        if (self.path / TABLE).exists():
            return
        import pyarrow
        import pyarrow.parquet as parquet

        table = pyarrow.Table.from_pylist([_cells(record) for record in self.read()])
        partial = self.path / f"{TABLE}.partial"
        with partial.open("wb") as file:
            parquet.write_table(table, file, compression="zstd")
        partial.replace(self.path / TABLE)
        (self.path / ROWS).unlink(missing_ok=True)

    def log(self, text: str) -> None:
        """Append text (a traceback) to the run's log."""
        with (self.path / LOG).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never half of either."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)


def _cells(record: Row) -> dict[str, Any]:
    """Return a row for the table, which cannot hold a mapping without entries: it is written as nothing."""
    return {name: None if value == {} else value for name, value in record.model_dump(mode="json").items()}


def _differences(old: EvalSpec, new: EvalSpec) -> str:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    changed = [name for name in before if before[name] != after[name] and name != "variant_knobs"]
    return ", ".join(f"{name} {before[name]!r} there, {after[name]!r} now" for name in changed) or "other knobs"


VERSIONED = ("version", "commit", "tree", "cyborg_commit", "policies")
"""Entries of the provenance that may not change within a run."""


def _refuse_other_versions(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for name in VERSIONED:
        if before.get(name) != now.get(name):
            raise BadInput(
                f"{path} was started with {name} {before.get(name)!r} and this is {now.get(name)!r}, so its episodes "
                f"and new ones would not be comparable; choose another --out, or go back to that {name}"
            )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error).splitlines()[0] if str(error) else type(error).__name__
