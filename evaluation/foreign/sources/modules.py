"""Where modules lie and whose they are, found as Python finds them but without running any of them."""

from __future__ import annotations

import importlib
import sys
import sysconfig
import zipimport
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cache
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any, Final, NamedTuple

from evaluation.inputs.names import OURS as OURS
from evaluation.inputs.names import ROOT

HOME: Final = ROOT
"""The folder that holds our packages."""
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


class Whose(Enum):
    """Whom a file belongs to."""

    OURS = "a package of this project"
    STANDARD = "Python's standard library"
    INSTALLED = "an installed distribution"
    OWN = "the user"


class Module(NamedTuple):
    """A module that can be imported."""

    name: str
    file: Path | None
    """Its file, or the archive that it lies in; None for a folder without ``__init__``."""
    source: bytes | None
    """Its source, as it is; None for a folder without ``__init__`` and for compiled code."""
    is_package: bool
    folders: tuple[str, ...]
    """Where its submodules are looked for."""
    root: Path
    """The entry of the search path by which its top-level package was found."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder without ``__init__``, which has no code."""
        return self.file is None

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def whose(self) -> Whose:
        """Whom it belongs to."""
        place = self.file or Path(next(iter(self.folders), self.root))
        owner = whose(place)
        top = self.name.partition(".")[0]
        return Whose.INSTALLED if owner is Whose.OWN and top in _recorded_at(self.root) else owner


class Modules:
    """Finds modules along a search path. Nothing is imported, parent packages neither.

    Args:
        path: Folders and archives, as in ``sys.path``.
    """

    def __init__(self, path: Sequence[str]) -> None:
        importlib.invalidate_caches()  # files may have been written a moment ago
        self._path = [str(Path(entry).absolute()) for entry in path]
        self._found: dict[str, Module | None] = {}

    def find(self, name: str) -> Module | None:
        """Return a module, or None if there is none of this name, or it is built into the interpreter."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def submodules(self, package: str) -> Iterator[str]:
        """Yield the full names of all modules inside a package, at every depth."""
        parent = self.find(package)
        for folder in parent.folders if parent else ():
            try:
                entries = sorted(Path(folder).iterdir())
            except OSError:  # an archive
                continue
            for entry in entries:
                name = f"{package}.{entry.stem if entry.suffix == '.py' else entry.name}"
                if entry.suffix == ".py" and entry.stem.isidentifier() and entry.stem != "__init__":
                    yield name
                elif entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
                    yield name
                    yield from self.submodules(name)

    def _find(self, name: str) -> Module | None:
        parent_name, _, last = name.rpartition(".")
        if not last.isidentifier():
            return None
        if not parent_name:
            return self._find_top(name)
        parent = self.find(parent_name)
        if parent is None or not parent.is_package:
            return None
        spec = PathFinder.find_spec(last, list(parent.folders))
        return _module(name, spec, parent.root) if spec else None

    def _find_top(self, name: str) -> Module | None:
        if name in sys.builtin_module_names or FrozenImporter.find_spec(name) is not None:
            return None
        spec = PathFinder.find_spec(name, self._path) or _find_otherwise(name)
        if spec is None:
            return None
        place = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or "."))
        inside = [entry for entry in self._path if Path(entry) == place.parent or Path(entry) == place.parent.parent]
        nearest = max(inside, key=len, default=str(place.parent))
        return _module(name, spec, Path(nearest))


def whose(path: Path) -> Whose:
    """Return whom a file belongs to, by where it lies."""
    places = {path.absolute(), path.resolve()}
    if any(place.is_relative_to(HOME / package) for place in places for package in OURS):
        return Whose.OURS
    if any(_INSTALLED & set(place.parts) for place in places):
        return Whose.INSTALLED
    if any(place.is_relative_to(folder) for place in places for folder in _standard_library()):
        return Whose.STANDARD
    return Whose.OWN


@cache
def _standard_library() -> tuple[Path, ...]:
    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    found = [Path(name) for name in named if name]
    return tuple({*found, *(path.resolve() for path in found)})


@cache
def _recorded_at(root: Path) -> frozenset[str]:
    """Return the top-level names of the distributions that were installed into a folder, whatever it is called."""
    tops = set()
    for record in root.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        tops |= {line.partition(",")[0].partition("/")[0].removesuffix(".py") for line in lines}
    return frozenset(tops)


def _find_otherwise(name: str) -> ModuleSpec | None:
    """Ask what else can import here: finders of projects that are installed in place."""
    for finder in sys.meta_path:
        if finder in (BuiltinImporter, FrozenImporter, PathFinder):
            continue
        try:
            spec = finder.find_spec(name, None)
        except (ImportError, AttributeError, KeyError, OSError, TypeError, ValueError):
            continue
        if spec is not None:
            return spec
    return None


def _module(name: str, spec: ModuleSpec, root: Path) -> Module:
    folders = tuple(map(str, spec.submodule_search_locations or ()))
    is_package = spec.submodule_search_locations is not None
    loader: Any = spec.loader
    if spec.origin is None or loader is None:
        return Module(name, None, None, True, folders, root)
    if isinstance(loader, zipimport.zipimporter):
        source = loader.get_data(spec.origin) if spec.origin.endswith(".py") else None
        return Module(name, Path(loader.archive), source, is_package, folders, root)
    file = Path(spec.origin)
    source = file.read_bytes() if isinstance(loader, SourceFileLoader) else None
    return Module(name, file, source, is_package, folders, root)
