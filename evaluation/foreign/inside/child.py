"""The program of a foreign process: start it apart, watch it, and leave nothing of it behind.

It runs as ``python child.py SETTINGS`` and forks at once. The first process watches: when the harness closes the pipe
or is gone, or when the second process ends, it kills everything that is left and ends in the same way. The second one
answers the harness. Requests come through standard input and answers leave through standard output, of which the
foreign code sees neither: it gets an empty input, and all its output goes to standard error, which the harness keeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[3]
OURS: Final = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
"""Our top-level packages; foreign code may have others of these names."""
GRACE_SECONDS: Final = 1.0
"""What a process that is no longer needed gets for leaving by itself."""
_PR_SET_CHILD_SUBREAPER: Final = 36


class OurFinder:
    """Finds our packages where this file is, whatever else has their names."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find one of our packages."""
        del target
        return PathFinder.find_spec(name, [str(ROOT)]) if path is None and name in OURS else None


# -------------------------------------------------------------------------------------------------------- watching
def watch(worker: int) -> NoReturn:
    """Wait until the worker ends or the harness wants it to; then kill what is left and end as the worker did."""
    _adopt_orphans()
    wake, notes = os.pipe()
    for end in (wake, notes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(notes, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _note)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the harness sees the end of the answers with the worker's
    status = None
    poller = select.poll()
    poller.register(0, 0)  # nothing but its end
    poller.register(wake, select.POLLIN)
    while (status := _ended(worker)) is None:
        ready = dict(poller.poll())
        hangs = signal.SIGTERM in _read(wake)  # read in any case: the end of the pipe may have come with the signal
        if hangs:
            os.kill(worker, signal.SIGABRT)  # which has it write where it is to the log
        if hangs or 0 in ready:
            status = _wait(worker, GRACE_SECONDS)
            break
    _kill_all(worker)
    _end_as(status)


def _read(wake: int) -> bytes:
    """Return the numbers of the signals that came."""
    try:
        return os.read(wake, 512)
    except BlockingIOError:
        return b""


def _note(number: int, frame: FrameType | None) -> None:
    del number, frame


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none gets out of sight."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _ended(worker: int) -> int | None:
    """Reap what has ended; return the worker's status if it is among it."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker:
                found = status
            if pid == 0:
                break
    return found


def _wait(worker: int, seconds: float) -> int | None:
    """Return the worker's status if it ends within some seconds."""
    end = time.monotonic() + seconds
    while (status := _ended(worker)) is None and time.monotonic() < end:
        time.sleep(0.005)
    return status


def _kill_all(worker: int) -> None:
    """Kill every descendant: those whose parent is killed become children of this process."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
        children = listing.read_text().split() if listing.exists() else []
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(int(child), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # none is left
            return
        time.sleep(0.002)


def _end_as(status: int | None) -> NoReturn:
    """End with the exit code or by the signal that ended the worker."""
    if status is None:
        os._exit(0)
    if os.WIFSIGNALED(status):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


# -------------------------------------------------------------------------------------------------------- working
def work(settings: dict[str, Any]) -> None:
    """Answer the harness until it closes the pipe."""
    os.setpgid(0, 0)
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _confine(settings["memory"])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    os.environ.update(settings["environment"])
    sys.path[:] = settings["path"]
    sys.argv[:] = [sys.argv[0]]
    sys.meta_path.insert(0, OurFinder)
    from threadpoolctl import threadpool_limits

    from evaluation.foreign.inside import answering

    with threadpool_limits(1, user_api="blas"):  # as in the harness: the number of threads changes the last bits
        answering.answer(requests, answers, OurFinder)


def _confine(memory: int | None) -> None:
    """Set limits where the system has them, and have crashes write a traceback instead of a core file."""
    import faulthandler
    import resource

    faulthandler.enable()
    limits = [(resource.RLIMIT_CORE, 0)]
    if memory is not None:
        limits.append((resource.RLIMIT_DATA, memory))
    for kind, most in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError):  # where memory runs out, this process goes before the harness does
        Path("/proc/self/oom_score_adj").write_text("800")


def main() -> None:
    """Part into the watching and the working process."""
    settings = json.loads(sys.argv[1])
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    worker = os.fork()
    if worker:
        watch(worker)
    work(settings)


if __name__ == "__main__":
    main()
