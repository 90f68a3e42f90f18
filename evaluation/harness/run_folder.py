"""The run folder: written row by row, resumed after any interruption, read without playing.

RUN/spec.json         what was asked, resolved, and with which versions
RUN/episodes.jsonl    one line per finished episode while the run is going on, each with a checksum
RUN/episodes.parquet  the same rows, sorted, once the run is complete, with checksums and a digest of them
RUN/summary.json      what they come to, and of which rows it is made
RUN/run.log           tracebacks of policies that failed, and what policies of a user printed
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation.harness.game import Game, find_game
from evaluation.harness.rows import DamagedRows, digests, from_line, from_table, to_line, to_table
from evaluation.harness.schema import FORMAT_VERSION, EvalSpec, Row
from evaluation.inputs.errors import BadInput
from native_sim.storage.files import read_json
from native_sim.storage.seals import digest_of
from native_sim.storage.writing import LOCK as LOCK
from native_sim.storage.writing import FolderInUse, FolderLock, is_left_over, sweep
from native_sim.storage.writing import write_atomically as write_atomically

SPEC, ROWS, TABLE, SUMMARY, LOG = "spec.json", "episodes.jsonl", "episodes.parquet", "summary.json", "run.log"


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
        self.game: Game = find_game(spec.game)
        self.notices: list[str] = []
        self._lock: FolderLock | None = None

    # ---------------------------------------------------------------------------------------------- opening
    @classmethod
    def create(cls, path: Path, spec: EvalSpec, provenance: dict[str, Any]) -> RunFolder:
        """Start a run, or take up the one already in the folder if it asks the same question.

        Raises:
            BadInput: If the folder cannot be written, is in use, or holds something else: another question,
                other versions, or no run at all. Nothing in it is changed then.
        """
        lock = FolderLock(path)
        try:
            _refuse_foreign(path)
            lock.acquire()
            try:
                folder = cls._take_up(path, spec, provenance) if (path / SPEC).exists() else cls(path, spec, provenance)
                sweep(path)
                if not (path / SPEC).exists():
                    folder._begin()
            except BaseException:
                lock.release()
                raise
        except FolderInUse as error:
            raise BadInput(f"{path} is in use by another evaluation; wait for it or choose another --out") from error
        except OSError as error:
            raise BadInput(
                f"cannot write to {path} ({error.strerror or error}); choose a folder you may write to with --out"
            ) from error
        folder._lock = lock
        return folder

    @classmethod
    def _take_up(cls, path: Path, spec: EvalSpec, provenance: dict[str, Any]) -> RunFolder:
        """Open the run in the folder, if it asks the same question with the same versions."""
        folder = cls.open(path)
        if folder.spec != spec:
            raise BadInput(
                f"{path} holds run {folder.spec.id}, which asks something else "
                f"({_differences(folder.spec, spec)}); choose another --out, or ask the same"
            )
        _refuse_other_versions(path, folder.provenance, provenance)
        return folder

    def _begin(self) -> None:
        """Write what is asked."""
        _refuse_foreign(self.path)  # again: another process may have been faster
        document = {
            "format": FORMAT_VERSION,
            "id": self.spec.id,
            "spec": self.spec.model_dump(mode="json"),
            "seeds": self.spec.episode_seeds(),
            "provenance": self.provenance,
        }
        write_atomically(self.path / SPEC, json.dumps(document | {"digest": digest_of(document)}, indent=2) + "\n")

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
            find_game(spec.game).variant(spec.variant_knobs)
            provenance = dict(document["provenance"])
            intact = document["id"] == spec.id and document["seeds"] == spec.episode_seeds()
            intact &= document.get("digest") in (None, digest_of(document))  # earlier versions wrote none
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path / SPEC} is damaged ({_first_line(error)}); restore it or evaluate again") from error
        if not intact:
            raise BadInput(
                f"{path / SPEC} was edited: its id, seeds or digest do not follow from the rest; evaluate again"
            )
        return cls(path, spec, provenance)

    def close(self) -> None:
        """Let other processes write to the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # ------------------------------------------------------------------------------------------------- rows
    def append(self, records: Iterable[Row]) -> None:
        """Add finished episodes; when this returns they survive a kill of the process."""
        with (self.path / ROWS).open("a", encoding="utf-8") as file:
            for record in records:
                file.write(to_line(record))
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Row]:
        """Return all finished episodes, sorted by policy (in the order asked) and index.

        Raises:
            BadInput: If a file is corrupt; the message names the place, and nothing is changed.
        """
        is_table = (self.path / TABLE).exists()
        place = self.path / (TABLE if is_table else ROWS)
        records = self._read_table() if is_table else self._read_rows()
        order = {policy: number for number, policy in enumerate(self.spec.policies)}
        seeds = self.spec.episode_seeds()
        seen: set[tuple[str, int]] = set()
        for record in records:
            key = (record.policy, record.index)
            known = record.policy in order and record.index < len(seeds) and record.seed == seeds[record.index]
            what = "is there twice" if key in seen else None if known else "does not belong to this run"
            if what is None and (wrong := self._contradiction(record)):
                what = f"contradicts itself ({wrong})"
            if what is not None:
                raise BadInput(
                    f"{place} is corrupt: episode {record.index} of {record.policy} {what}; restore the file, "
                    f"or evaluate again into another --out"
                )
            seen.add(key)
        records = sorted(records, key=lambda record: (order[record.policy], record.index))
        if is_table:
            self._check_summary(records)
        return records

    def _contradiction(self, row: Row) -> str | None:
        """Return in a few words what is impossible about a row, or None."""
        for name in ("engine", "variant"):
            if getattr(row, name) != getattr(self.spec, name):
                return f"it is of {name} {getattr(row, name)}, and the run of {getattr(self.spec, name)}"
        return self.game.contradiction(row, self.spec)

    def _check_summary(self, records: Sequence[Row]) -> None:
        """Refuse a table other than the one that the summary of the complete run was made of."""
        try:
            summary = read_json(self.path / SUMMARY)
        except (OSError, ValueError):
            return  # none, or none that can be read: it can be made again from the rows
        told = summary.get("rows") if isinstance(summary, dict) and summary.get("complete") is True else None
        if told is not None and told != digests(records).played:
            raise BadInput(
                f"{self.path / SUMMARY} was not made of the rows in {TABLE}: one of the two was changed; restore it, "
                f"or delete {SUMMARY} and report the run again"
            )

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
                records.append(from_line(line, self.game.row_type))
            except (DamagedRows, ValidationError) as error:
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
        path = self.path / TABLE
        try:
            return from_table(path.read_bytes(), self.game.row_type)
        except (DamagedRows, OSError, ValueError, OverflowError) as error:
            raise BadInput(
                f"{path} is corrupt or truncated ({_first_line(error)}); restore the file, "
                f"or evaluate again into another --out"
            ) from error

    def finish(self) -> None:
        """Turn the rows of a complete run into the Parquet table; rows that no table can hold stay as they are."""
        if not (self.path / TABLE).exists():
            try:
                write_atomically(self.path / TABLE, to_table(self.read()))
            except DamagedRows as error:
                self.log(f"The rows stay in {ROWS}, since no table can hold them: {error}")
                return
        (self.path / ROWS).unlink(missing_ok=True)

    def log(self, text: str) -> None:
        """Append text (a traceback) to the run's log."""
        with (self.path / LOG).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip() + "\n\n")


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds something, but no run; what a killed beginning of one left does not count."""
    if (path / SPEC).exists() or not path.exists():
        return
    if not path.is_dir() or any(not is_left_over(entry.name) for entry in path.iterdir()):
        raise BadInput(f"{path} exists and is not a run folder (it has no {SPEC}); choose another --out")


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
