"""Faults put into the commands, to see whether the campaign finds them; each is called before a command runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def rows_are_believed() -> None:
    """A reader that skips what it cannot read."""
    from evaluation.harness.run_folder import ROWS, RunFolder
    from evaluation.inputs.errors import BadInput

    honest = RunFolder.read

    def read(self: RunFolder) -> list[Any]:
        try:
            return honest(self)
        except BadInput:
            lines = (self.path / ROWS).read_bytes().split(b"\n")
            (self.path / ROWS).write_bytes(b"".join(line + b"\n" for line in lines if _is_good(self, line, honest)))
            return honest(self)

    RunFolder.read = read  # type: ignore[method-assign]


def _is_good(folder: Any, line: bytes, read: Callable[[Any], list[Any]]) -> bool:
    from evaluation.inputs.errors import BadInput

    (folder.path / "one").mkdir(exist_ok=True)
    trial = type(folder)(folder.path / "one", folder.spec, folder.provenance)
    (trial.path / "episodes.jsonl").write_bytes(line + b"\n")
    try:
        return bool(read(trial))
    except BadInput:
        return False


def reading_raises() -> None:
    """A reader that tells its mistakes as Python does."""
    from evaluation.harness.run_folder import RunFolder

    def read(self: RunFolder) -> list[Any]:
        raise KeyError("score")

    RunFolder.read = read  # type: ignore[method-assign]


def reading_hangs() -> None:
    from evaluation.harness.run_folder import RunFolder

    def read(self: RunFolder) -> list[Any]:
        time.sleep(1000)
        return []

    RunFolder.read = read  # type: ignore[method-assign]


def rows_are_written_late() -> None:
    """A writer that leaves what it has not written yet beside the folder, under a name that nobody sweeps."""
    from evaluation.harness.run_folder import RunFolder

    honest = RunFolder.append

    def append(self: RunFolder, records: Any) -> None:
        beside = self.path / f"rows-{time.monotonic_ns()}"
        beside.write_text("half of a row")
        honest(self, records)
        beside.unlink()

    RunFolder.append = append  # type: ignore[method-assign]


def full_disks_are_kept_quiet() -> None:
    """A command that says nothing of what it could not write."""
    from evaluation.jobs import evaluate

    honest = evaluate.write_atomically

    def write(path: Path, *content: Any) -> None:
        with contextlib.suppress(OSError):
            honest(path, *content)

    evaluate.write_atomically = write
