"""A pool of independent players, in this process or spread over worker processes. Knows no game."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

Factory = Callable[[Any], object]
"""Makes one player from what describes it, such as its seed; must be picklable for worker processes."""
Request = tuple[int, tuple[Any, ...]]
"""Number of the player, and the arguments of the method to call."""

_CLOSE_SECONDS = 5.0


class WorkerError(RuntimeError):
    """A worker process failed; what it was doing is the cause of this exception."""


class _RemoteTraceback(Exception):
    """Carries the traceback of a worker as text."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class Pool(Protocol):
    """Calls one method on some of the players and returns their results in the order of the requests."""

    def call(self, method: str, requests: Sequence[Request]) -> list[Any]:
        """Call ``method`` of each player named, with its arguments."""

    def close(self) -> None:
        """Give everything back; may be called again."""


def usable_cpus() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_pool(factory: Factory, descriptions: Sequence[Any], processes: int) -> Pool:
    """Make one player per description, in this process (0 processes) or spread over several."""
    if processes == 0:
        return LocalPool(factory, descriptions)
    return WorkerPool(factory, descriptions, processes)


class LocalPool:
    """All players live in this process; their exceptions pass unchanged."""

    def __init__(self, factory: Factory, descriptions: Sequence[Any]) -> None:
        self._players = [factory(description) for description in descriptions]

    def call(self, method: str, requests: Sequence[Request]) -> list[Any]:
        """Call the players one after the other."""
        return [getattr(self._players[number], method)(*arguments) for number, arguments in requests]

    def close(self) -> None:
        """Drop the players."""
        self._players = []


class WorkerPool:
    """Player ``n`` lives in worker process ``n % processes``; all workers play at the same time.

    Processes are started afresh (not forked), so threads of this process do them no harm. When a worker fails
    or dies, and when this process is interrupted during a call, all workers are stopped.
    """

    def __init__(self, factory: Factory, descriptions: Sequence[Any], processes: int) -> None:
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        try:
            for number in range(processes):
                here, there = context.Pipe()
                own = {n: descriptions[n] for n in range(number, len(descriptions), processes)}
                process = context.Process(
                    target=_serve, args=(there, factory, own), name=f"player-{number}", daemon=True
                )
                process.start()
                there.close()  # so that this end learns when the worker is gone
                self._pipes.append(here)
                self._processes.append(process)
            for number in range(processes):
                self._receive(number)
        except BaseException:
            self._stop()
            raise

    def call(self, method: str, requests: Sequence[Request]) -> list[Any]:
        """Call the players of all workers at once and wait for all of them."""
        if not self._pipes:
            raise WorkerError("the worker processes have been stopped: make a new environment")
        count = len(self._pipes)
        shares: dict[int, list[int]] = {}
        for place, (number, _) in enumerate(requests):
            shares.setdefault(number % count, []).append(place)
        results: list[Any] = [None] * len(requests)
        try:
            for worker, places in shares.items():
                self._send(worker, (method, [requests[place] for place in places]))
            for worker, places in shares.items():
                for place, result in zip(places, self._receive(worker), strict=True):
                    results[place] = result
        except BaseException:  # also KeyboardInterrupt: replies still under way would be taken for later ones
            self._stop()
            raise
        return results

    def close(self) -> None:
        """Ask the workers to leave, and stop those that do not."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:  # the worker is gone already
                continue
        for process in self._processes:
            process.join(_CLOSE_SECONDS)
        self._stop()

    def _send(self, worker: int, message: object) -> None:
        try:
            self._pipes[worker].send(message)
        except OSError as error:
            raise self._death(worker) from error

    def _receive(self, worker: int) -> Any:
        try:
            status, content = self._pipes[worker].recv()
        except (EOFError, OSError) as error:
            raise self._death(worker) from error
        if status == "error":
            summary, text = content
            raise WorkerError(f"worker process {worker} failed: {summary}") from _RemoteTraceback(text)
        return content

    def _death(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(_CLOSE_SECONDS)
        return WorkerError(f"worker process {worker} died unexpectedly (exit code {process.exitcode})")

    def _stop(self) -> None:
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        for process in self._processes:
            process.join(_CLOSE_SECONDS)
        for pipe in self._pipes:
            pipe.close()
        self._pipes, self._processes = [], []


def _serve(pipe: Connection, factory: Factory, descriptions: dict[int, Any]) -> None:
    """Run in a worker: make the players, then answer calls until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it stops its workers
    try:
        players = {number: factory(description) for number, description in descriptions.items()}
        pipe.send(("ok", None))
        while (message := pipe.recv()) is not None:
            method, requests = message
            pipe.send(("ok", [getattr(players[number], method)(*args) for number, args in requests]))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent raises it again
        pipe.send(("error", (f"{type(error).__name__}: {error}", traceback.format_exc())))
