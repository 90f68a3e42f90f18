"""Starts a foreign process, asks it within a time limit, keeps what it prints, and ends it with all its children."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evaluation.foreign import wire
from evaluation.foreign.limits import Limits
from evaluation.inputs.errors import MOST_TOLD, BadInput, ForeignFailure
from evaluation.inputs.names import user_path

CHILD: Final = Path(__file__).parent / "inside" / "child.py"
MOST_OUTPUT: Final = 2**15
"""Bytes kept of the beginning, and as many of the end, of what a process prints."""
CLOSE_SECONDS: Final = 5.0
HIDDEN_VARIABLES: Final = ("PYTHONPATH", "PYTHONSTARTUP")
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Their number changes sums in the last bits."""
_CHUNK: Final = 2**16
_MOST_WAIT: Final = 3600.0
"""Seconds of one call that waits; the system allows more, but not any number."""
_PIPE: Final = 2**20
"""Bytes that a pipe shall hold, so that a question is asked in one go."""


class Output:
    """What a process printed, of which the beginning and the end are kept."""

    def __init__(self) -> None:
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        """Take what came."""
        room = MOST_OUTPUT - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        surplus = max(0, len(self._tail) - MOST_OUTPUT)
        del self._tail[:surplus]
        self._dropped += surplus

    def __str__(self) -> str:
        between = f"\n[... {self._dropped} bytes left out ...]\n".encode() if self._dropped else b""
        return bytes(self._head + between + self._tail).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Surroundings:
    """What foreign code finds: the same in every worker process."""

    limits: Limits
    path: tuple[str, ...]
    """Its ``sys.path``, every entry absolute."""
    environment: Mapping[str, str]

    @classmethod
    def here(cls, limits: Limits | None = None) -> Surroundings:
        """Return what this process was started with, but with one order of sets and one thread for sums."""
        path = dict.fromkeys(str(Path(entry or ".").absolute()) for entry in user_path())
        fixed = {"PYTHONHASHSEED": "0", **dict.fromkeys(THREAD_VARIABLES, "1")}
        return cls(limits or Limits(), tuple(path), {**fixed, **os.environ})


class Scope:
    """The foreign processes that a piece of work starts, and what they printed."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._processes: list[ForeignProcess] = []

    def add(self, process: ForeignProcess) -> None:
        """Have a process end with the work."""
        self._processes.append(process)

    def close(self) -> None:
        """End every process that is still there."""
        for process in self._processes:
            process.close()

    @property
    def output(self) -> str:
        """What the processes printed."""
        return "".join(str(process.output) for process in self._processes)


_SCOPE: ContextVar[Scope | None] = ContextVar("scope", default=None)


@contextlib.contextmanager
def scope(surroundings: Surroundings | None = None) -> Iterator[Scope]:
    """Give the foreign processes started inside the block their surroundings, and end them with it."""
    work = Scope(surroundings or Surroundings.here())
    token = _SCOPE.set(work)
    try:
        yield work
    finally:
        _SCOPE.reset(token)
        work.close()


class ForeignProcess:
    """A fresh interpreter for one piece of foreign code, in a session of its own.

    Args:
        start: First message; its "kind" says what the process is for.

    Raises:
        BadInput: If this system cannot start such a process.
    """

    def __init__(self, start: wire.Header) -> None:
        if not hasattr(os, "fork"):
            raise BadInput("policies of your own play in processes of their own, which needs Linux, macOS or WSL")
        work = _SCOPE.get()
        given = work.surroundings if work else Surroundings.here()
        self.limits = given.limits
        self.output = Output()
        self._process = _start(given)
        self._requests, self._answers, self._printed = (
            stream.fileno() for stream in (self._process.stdin, self._process.stdout, self._process.stderr) if stream
        )
        self._came = bytearray()
        self._poller = select.poll()
        for source in (self._answers, self._printed):
            os.set_blocking(source, False)
            self._poller.register(source, select.POLLIN)
        os.set_blocking(self._requests, False)
        _widen(self._requests)
        self._open = {self._answers, self._printed}
        self._finalizer = weakref.finalize(self, _end, self._process)
        if work:
            work.add(self)
        self._pending = wire.to_buffers(start)

    # ------------------------------------------------------------------------------------------------- asking
    def ask(self, header: wire.Header, arrays: Sequence[wire.Array], doing: str) -> wire.Message:
        """Ask for one decision and return the answer.

        Args:
            header: The question.
            arrays: That its header describes.
            doing: What is asked for, as a sentence names it, such as "act()".

        Raises:
            ForeignFailure: If foreign code raises, takes too long, or ends its process.
        """
        self._pending += wire.to_buffers(header, arrays)
        return self.hear(self.limits.time_s, doing)

    def hear(self, seconds: float, doing: str) -> wire.Message:
        """Return what comes next.

        Raises:
            ForeignFailure: As :meth:`ask`.
        """
        message = self._next(time.monotonic() + seconds, seconds, doing)
        if "error" in message.header:
            text, trace = (str(message.header.get(name) or "") for name in ("error", "trace"))
            text = " ".join(text.split())[: 2 * MOST_TOLD]
            if "MemoryError" in text and self.limits.memory_bytes:
                text += f"; it may use {self.limits.memory_bytes / 2**30:.1f} GiB, and --memory-limit allows more"
            raise ForeignFailure(text, trace, unusable=not trace)
        return message

    def _next(self, end: float, seconds: float, doing: str) -> wire.Message:
        if self._process.stdin is None or self._process.stdin.closed:
            raise ForeignFailure(f"was asked for {doing} after its process had ended")
        while True:
            try:
                message = wire.parse(self._came)
            except wire.BadMessage as error:
                self.close()
                raise ForeignFailure(f"sent something that is no answer to {doing} ({error})") from error
            if message is not None:
                return message
            if self._answers not in self._open:
                raise ForeignFailure(f"{self._death()} in {doing}")
            if not self._exchange(end - time.monotonic()):
                self._process.send_signal(signal.SIGTERM)  # it tells the log where it is
                self.close()
                raise ForeignFailure(f"took longer than {seconds:g} s for {doing}; --time-limit allows more")

    def _exchange(self, seconds: float) -> bool:
        """Write and read what can be; False if nothing happens for some seconds."""
        self._write()
        if self._pending:
            self._poller.register(self._requests, select.POLLOUT)
        try:
            ready = self._poller.poll(min(max(0.0, seconds), _MOST_WAIT) * 1000)
        finally:
            if self._pending:
                self._poller.unregister(self._requests)
        for source, _ in ready:
            if source != self._requests:
                self._read(source)
        return bool(ready) or seconds > _MOST_WAIT

    def _write(self) -> None:
        try:
            while self._pending:
                wire.write_some(self._requests, self._pending)
        except BlockingIOError:
            return
        except OSError:  # the process is gone, which reading tells
            self._pending.clear()

    def _read(self, source: int) -> None:
        try:
            data = os.read(source, _CHUNK if source == self._printed else 16 * _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._poller.unregister(source)
            self._open.discard(source)
        elif source == self._printed:
            self.output.add(data)
        else:
            self._came += data

    # ------------------------------------------------------------------------------------------------- ending
    def close(self) -> None:
        """End the process and all its children, and take what they still printed; may be called again."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._process.stdin.close()
        end = time.monotonic() + CLOSE_SECONDS
        while self._open and (left := end - time.monotonic()) > 0:
            for source, _ in self._poller.poll(left * 1000):
                self._read(source)
        self._finalizer()

    def _death(self) -> str:
        """Return how the process ended."""
        self.close()
        code = self._process.returncode
        if code is None or code >= 0:
            return f"ended its process (exit code {code})"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        reason = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
        return f"lost its process to {name}{reason}"


def _start(given: Surroundings) -> subprocess.Popen[bytes]:
    """Start the interpreter; no module of a user's may come before the standard library while it does."""
    hidden = {name: given.environment[name] for name in HIDDEN_VARIABLES if name in given.environment}
    shown = {name: value for name, value in given.environment.items() if name not in hidden}
    settings = {"path": given.path, "memory": given.limits.memory_bytes, "environment": hidden}
    try:
        return subprocess.Popen(
            [sys.executable, "-u", str(CHILD), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=shown,
            start_new_session=True,
        )
    except OSError as error:
        raise ForeignFailure(f"could not be given a process ({error.strerror or error})") from error


def _widen(pipe: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)  # Linux, Python 3.10 and later
    except (ImportError, AttributeError, OSError):
        return


def _end(process: subprocess.Popen[Any]) -> None:
    """Close the pipes, which ends the process, and wait for it."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:  # it watches over the others and should never hang itself
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
