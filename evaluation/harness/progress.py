"""Bars that move while episodes are played, many at once, and name what is played."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from evaluation.harness.schema import EvalSpec, Row

T = TypeVar("T")
Listener = Callable[[str, float], None]
"""Takes a policy and the number of episodes of its present batch that are played, those under way in part."""
_EVERY: Final = 0.1
"""Seconds between two moves of a bar."""
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let a function hear of the episodes that this process plays."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def listened() -> bool:
    """Return whether anybody listens; if not, nothing needs to be counted."""
    return bool(_listeners)


def tell(policy: str, episodes: float) -> None:
    """Tell all listeners how far the present batch is."""
    for listener in _listeners:
        listener(policy, episodes)


@contextmanager
def episodes_bar(console: Console, spec: EvalSpec, done: Sequence[Row]) -> Iterator[Callable[[list[Row]], None]]:
    """Show how many episodes of a run are played; yields what takes the rows of each finished batch."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        bar = _EpisodesBar(progress, spec, done)
        with listening(bar.under_way):
            yield bar.add


class _EpisodesBar:
    """What is recorded, and on top of it what is under way in this process."""

    def __init__(self, progress: Progress, spec: EvalSpec, done: Iterable[Row]) -> None:
        self._progress, self._policies, self._episodes = progress, spec.policies, spec.episodes
        self._recorded = Counter(row.policy for row in done)
        self._moved = 0.0
        self._task = progress.add_task(
            "starting (a first start compiles for a minute)",
            total=spec.episodes * len(spec.policies),
            completed=self._recorded.total(),
        )

    def add(self, rows: list[Row]) -> None:
        """Take the rows of a finished batch, and name the policy whose turn it is."""
        self._recorded.update(row.policy for row in rows)
        place = self._policies.index(rows[-1].policy)
        waiting = [name for name in self._policies[place:] if self._recorded[name] < self._episodes]
        name = waiting[0] if waiting else rows[-1].policy
        self._progress.update(self._task, completed=self._recorded.total(), description=name)

    def under_way(self, policy: str, episodes: float) -> None:
        """Move with the steps of a batch; cheap, since it is called at every step."""
        now = time.monotonic()
        if now - self._moved >= _EVERY:
            self._moved = now
            self._progress.update(self._task, completed=self._recorded.total() + episodes, description=policy)


@contextmanager
def runs_bar(console: Console, total: int, done: int = 0) -> Iterator[RunsBar]:
    """Show how many of several long runs are over, and which of them go on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as progress:
        yield RunsBar(progress, total, done)


class RunsBar:
    """Knows which runs were begun and have not ended."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        self._progress, self._running = progress, list[str]()
        self._task = progress.add_task("", total=total, completed=done)

    def begin(self, runs: Iterable[T], name: Callable[[T], str]) -> Iterator[T]:
        """Yield runs to whoever plays them, each when it is its turn."""
        for run in runs:
            self._running.append(name(run))
            self._progress.update(self._task, description=", ".join(self._running))
            yield run

    def end(self, name: str) -> None:
        """Count a run that is over."""
        self._running.remove(name)
        self._progress.update(self._task, advance=1, description=", ".join(self._running))
