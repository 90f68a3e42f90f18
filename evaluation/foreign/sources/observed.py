"""What a policy of the user's own reads while it is made: the part of its files that no source names.

:func:`observe` makes the policy in a process of its own and asks there. Inside a process that makes policies anyway,
:class:`Recorder` does the same.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from evaluation.foreign.sources.modules import Whose, whose
from evaluation.inputs.errors import ForeignFailure

_CACHES: Final = (".nbi", ".nbc")
"""Endings of files that a compiler keeps of the user's sources, and that come and go."""
_SYSTEM: Final = ("/dev/", "/proc/", "/sys/", "/run/")
"""Where files lie that are no files."""


class NotObserved(RuntimeError):
    """The policy could not be made in a process of its own; one clause that says why."""


class Observation(NamedTuple):
    """What was seen while a policy was made."""

    files: list[Path]
    """The user's own files that were read for it."""
    path: list[str]
    """Where modules are looked for once it is made, as ``sys.path``: it may have added places."""


class Recorder:
    """Notes, inside its block, which files the user's own code reads: its modules, and what it opens for reading.

    A file counts if it is neither of Python, nor of an installed distribution, nor ours, and if the user's own code
    opened it, be it through a library; what a library reads while it is imported does not count. What the block also
    writes is no input and does not count either.
    """

    def __init__(self) -> None:
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._own: dict[str, bool] = {}

    def __enter__(self) -> Recorder:
        _install_hook()
        _active.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _active.remove(self)

    def files(self) -> list[Path]:
        """Return the files, sorted; modules that are loaded from outside Python, distributions and us among them."""
        found = {Path(name) for name in self._read - self._written} | set(_own_modules())
        kept = (path for path in found if "__pycache__" not in path.parts and path.suffix not in _CACHES)
        return sorted(path for path in kept if path.is_file() and whose(path) is Whose.OWN)

    def note(self, path: Any, flags: int) -> None:
        """Take notice of a file that is opened."""
        if isinstance(path, int):
            return
        name = _absolute(os.fsdecode(path))
        if name.startswith(_SYSTEM):
            return
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._written.add(name)
        elif (source := _source_of(name)) is not None:
            self._read.add(source)
        elif self._is_asked_for(sys._getframe(2)):
            self._read.add(name)

    def _is_asked_for(self, frame: FrameType | None) -> bool:
        """Return whether the user's own code asked for a file, and not a library that is being imported."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith("<frozen importlib"):
                return False
            if self._is_own(name):
                return True
            frame = frame.f_back
        return False

    def _is_own(self, name: str) -> bool:
        if name not in self._own:
            self._own[name] = not name.startswith("<") and whose(Path(name)) is Whose.OWN
        return self._own[name]


_active: Final[list[Recorder]] = []
_installed: Final[list[bool]] = []


def _install_hook() -> None:
    """Install the one hook of this process; Python offers no way to take it off again."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _active:
        path, _, flags = arguments
        for recorder in tuple(_active):
            recorder.note(path, flags if isinstance(flags, int) else 0)


def _absolute(name: str) -> str:
    return os.path.normpath(Path(name).absolute())


def _source_of(name: str) -> str | None:
    """Return the source that a file is, or is the compiled form of; None if it is neither."""
    if name.endswith(".py"):
        return name
    if not name.endswith(".pyc"):
        return None
    try:
        return importlib.util.source_from_cache(name)
    except (NotImplementedError, ValueError):
        return name


def _own_modules() -> Iterable[Path]:
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        archive = getattr(getattr(spec, "loader", None), "archive", None)
        name = archive or getattr(module, "__file__", None)
        if isinstance(name, str):
            yield Path(_absolute(name))


def observe(module: str, attribute: str) -> Observation:
    """Make a policy in a foreign process, and return what was seen there.

    Args:
        module: Full name of its module.
        attribute: The policy, or what makes it.

    Raises:
        NotObserved: If it cannot be made there.
    """
    from evaluation.foreign.process import ForeignProcess

    process = ForeignProcess({"kind": "observe", "module": module, "attribute": attribute})
    try:
        seen = process.hear(process.limits.load_s, "loading").header
    except ForeignFailure as failure:
        raise NotObserved(failure.message) from failure
    finally:
        process.close()
    return Observation([Path(name) for name in seen["files"]], list(seen["path"]))
