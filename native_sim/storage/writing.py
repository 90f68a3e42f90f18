"""Files that are there whole or not at all, and folders that one process at a time writes to.

A file is written beside its place under a name of its own, ``NAME.xxxxxxxx.partial``, and takes the place in one
rename. What a killed process left half-written is told from what is being written by a lock that the system lets go of
when its holder ends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final

_LOCKS: Final = importlib.util.find_spec("fcntl") is not None
"""Whether the system has such locks; on Windows two writers in one folder are the user's care."""
LOCK: Final = ".lock"
"""File that the process holds which writes to a folder; gone once it is done."""
_PARTIAL: Final = re.compile(r"(.+)\.[0-9a-f]{8}\.partial")
_FORMER: Final = re.compile(r"(.+)\.(?:part|partial)")
"""How earlier versions called a file that is being written."""
_held: Final[set[int]] = set()
"""Descriptors of the locks of this process."""


class FolderInUse(ValueError):
    """Another process writes to the folder; one sentence."""


class FolderLock:
    """The right to write to a folder, for one process at a time; used as a context, or acquired and released.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._handle, self._process = -1, 0
        self._made: list[Path] = []

    def acquire(self) -> None:
        """Take the folder; the system lets go of it when the process ends, however that happens.

        Raises:
            FolderInUse: If another process, or another lock of this one, has it.
            OSError: If the folder cannot be made or written to.
        """
        while True:
            self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                if any(place.exists() and not place.is_dir() for place in (self.folder, *self.folder.parents)):
                    raise  # a file is in the way
                continue  # another process removed the folder between the attempt and the look at it
            if not _LOCKS:
                return
            try:
                handle = _hold(self.folder / LOCK)
                break
            except FileNotFoundError:  # the one before made the folder, and found no use for it
                continue
        if handle is None:
            raise FolderInUse(f"{self.folder} is in use by another process; wait for it or choose another folder")
        self._handle, self._process = handle, os.getpid()
        _held.add(handle)

    def release(self) -> None:
        """Let others write to the folder; what was made for this, parents included, and is empty vanishes."""
        if self._handle >= 0 and self._process == os.getpid():
            # The file goes first: whoever opened it before cannot mistake it for the lock once it is gone.
            (self.folder / LOCK).unlink(missing_ok=True)
            _held.discard(self._handle)
            os.close(self._handle)
        self._handle = -1
        with contextlib.suppress(OSError):  # it holds something, as it should
            for place in self._made:
                place.rmdir()
        self._made = []

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _hold(path: Path) -> int | None:
    """Return a descriptor that holds the lock of the file now at ``path``; None if another has it.

    The file may be removed between opening and locking, and its lock then means nothing: another file, with a lock of
    its own, can be at its place.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        try:
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _lock(handle: int) -> None:
    """Take the lock of an open file.

    Raises:
        BlockingIOError: If another has it.
    """
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _let_go() -> None:
    """Drop in a forked child what its parent holds: a child that lives on must not keep the folder locked."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


# ------------------------------------------------------------------------------------------------------- writing
@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to that takes the place of ``path`` once it is written and safely on disk.

    If the block raises, ``path`` stays as it was and nothing is left beside it.

    Raises:
        OSError: If it cannot be written, for lack of space for example.
    """
    partial, file = _begin(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if _LOCKS:
                partial.replace(path)  # while it is held: nobody takes it for left behind
        if not _LOCKS:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _begin(path: Path) -> tuple[Path, IO[bytes]]:
    """Return a new file beside ``path``, and it opened and held."""
    while True:
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
        file = partial.open("xb")
        if not _LOCKS:
            return partial, file
        with contextlib.suppress(OSError):  # a cleaner is looking at it, or the file system has no locks
            _lock(file.fileno())
        if os.fstat(file.fileno()).st_nlink:
            return partial, file
        file.close()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of either.

    Args:
        path: The file.
        content: Bytes, or text that is written as UTF-8, with what that cannot hold escaped.

    Raises:
        OSError: As of :func:`replacing`.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(data)


# ------------------------------------------------------------------------------------------------------ cleaning
def sweep(folder: str | Path) -> None:
    """Remove what killed processes left half-written in a folder of ours and below; what is being written stays."""
    for place, _, names in os.walk(folder):
        for name in names:
            if _PARTIAL.fullmatch(name) or _FORMER.fullmatch(name):
                _remove_if_left(Path(place, name))


def sweep_beside(path: str | Path) -> None:
    """Remove what killed processes left half-written of one file, in a folder that may hold anything."""
    path = Path(path)
    for beside in path.parent.iterdir() if path.parent.is_dir() else ():
        found = _PARTIAL.fullmatch(beside.name) or _FORMER.fullmatch(beside.name)
        if found and found[1] == path.name:
            _remove_if_left(beside)


def is_left_over(name: str) -> bool:
    """Tell whether a file of this name in a folder of ours says nothing about what the folder holds."""
    return name == LOCK or bool(_PARTIAL.fullmatch(name) or _FORMER.fullmatch(name))


def names_in(path: Path) -> set[str]:
    """Return the names of what a folder holds but for what a kill left there; its own name if it is no folder."""
    if not path.is_dir():
        return {path.name} if path.exists() else set()
    return {entry.name for entry in path.iterdir() if not is_left_over(entry.name)}


def _remove_if_left(partial: Path) -> None:
    with contextlib.suppress(OSError):  # being written, or gone, or not ours to remove
        if not _LOCKS:
            partial.unlink()
            return
        handle = os.open(partial, os.O_RDWR)
        try:
            _lock(handle)
            partial.unlink()
        finally:
            os.close(handle)
