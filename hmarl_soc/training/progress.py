"""What a run tells while it goes on: a log of JSON lines, a progress bar, and a switch for Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

_EVERY = 0.1
"""Seconds between two moves of a bar."""


class Log:
    """Lines of ``log.jsonl``, and means of metrics between two lines; TensorBoard too if asked for."""

    def __init__(self, path: Path, tensorboard: bool = False) -> None:
        self.path = path
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._writer: Any = None
        if tensorboard:
            self._writer = _tensorboard(path.parent)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Take metrics into the means."""
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Return the means since the last call."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: _plain(value) for name, value in line.items()}) + "\n")
        if self._writer is not None:
            for name, value in line.items():
                if isinstance(value, int | float) and name != "steps":
                    self._writer.add_scalar(f"{line.get('kind', 'run')}/{name}", value, line["steps"])
            self._writer.flush()

    def state_dict(self) -> dict[str, Any]:
        """Return the length of the log, bytes, its digest, and the means that are not written yet."""
        text = self._text()
        found = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        return {**found, "sums": dict(self._sums), "counts": dict(self._counts)}

    def _text(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Drop the lines written after :meth:`state_dict`.

        Raises:
            ValueError: If the lines before are not what was written, or the state is none; nothing is dropped then.
        """
        size, sums, counts = int(state["bytes"]), dict(state["sums"]), dict(state["counts"])
        if size < 0:
            raise ValueError(f"a log has at least 0 bytes; given {size}")
        digest = hashlib.sha256(self._text()[:size]).hexdigest()
        if state.get("sha256", digest) != digest:  # earlier versions wrote none
            raise ValueError(f"{self.path} is not what was written up to there; restore it")
        if self.path.exists():
            with self.path.open("r+b") as file:
                file.truncate(min(size, self.path.stat().st_size))
        self._sums, self._counts = sums, counts


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _tensorboard(folder: Path) -> Any:
    """Return a writer of event files.

    Raises:
        ValueError: If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed: pip install 'hmarl-transfer[tracking]'") from error
    return SummaryWriter(str(folder))


class Meter:
    """Shows how far a run is; used as a context."""

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def move(self, steps: int, total: int) -> None:
        """Say that ``steps`` of ``total`` are done; may be called at every step."""

    def show(self, steps: int, total: int, line: Mapping[str, Any]) -> None:
        """Say the same with a line of the log."""

    def name(self, what: str) -> None:
        """Say what goes on beside plain steps, such as a validation; empty for nothing."""


class Quiet(Meter):
    """Shows nothing."""


class Bar(Meter):
    """A progress bar with the mean return of recent episodes and the time that is left."""

    def __init__(self, console: Any, title: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.fields[steps]} steps"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("return {task.fields[recent]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._title, self._moved = title, 0.0
        self._task = self._progress.add_task(title, total=None, steps="?", recent="-")

    def __enter__(self) -> Meter:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def move(self, steps: int, total: int) -> None:
        """Move the bar, several times a second at most."""
        now = time.monotonic()
        if now - self._moved >= _EVERY:
            self._moved = now
            self._progress.update(self._task, completed=steps, total=total, steps=f"{total:,}")

    def show(self, steps: int, total: int, line: Mapping[str, Any]) -> None:
        """Move the bar, and show the return of the line."""
        recent = "-" if line.get("return") is None else f"{line['return']:,.2f}"
        self._progress.update(self._task, completed=steps, total=total, steps=f"{total:,}", recent=recent)

    def name(self, what: str) -> None:
        """Put it behind the title."""
        self._progress.update(self._task, description=f"{self._title}, {what}" if what else self._title)


class StopSwitch:
    """Turns the first Ctrl-C (or a request to end) into ``pressed``, so that a step is finished and saved first.

    A second Ctrl-C interrupts at once. Outside the main thread signals cannot be caught and nothing changes.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.pressed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSwitch:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._press) for number in self._SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
