"""All files that decide what a policy of the user's own does: its modules, and the data that they read.

Told from the sources alone (:func:`find`): every module of the user's own that the policy's module imports, directly
or not, also inside functions and branches; and every file whose name is written out in one of these sources, beside
the source, at the top of its search path or in the working directory. A name that is computed is followed as far as
its beginning is written out, and :mod:`evaluation.foreign.sources.observed` adds what is read while the policy is made.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evaluation.foreign.sources.imports import ALL, Import, Source, read_source
from evaluation.foreign.sources.modules import Module, Modules, Whose
from evaluation.inputs.errors import BadInput

_NO_CODE: Final = frozenset({"__pycache__", ".git", ".hg", ".svn"})
"""Folders in which Python and version control keep what no policy reads."""
_RUN: Final = ("spec.json", "episodes.jsonl", "episodes.parquet")
"""Files of which two mark a folder of results, which is no data of a policy."""


@dataclass
class Closure:
    """What a policy of the user's own is made of."""

    root: Path
    """The entry of the search path by which its module was found."""
    path: tuple[str, ...] = ()
    """Where its modules are looked for."""
    modules: dict[str, Module] = field(default_factory=dict)
    """Name -> each module of its own."""
    data: dict[str, Path] = field(default_factory=dict)
    """Name -> every other file: its path below ``root`` or the working directory, or else its whole path."""
    observed: frozenset[Path] = frozenset()
    """Those of which it is known that the policy reads them."""

    def files(self) -> dict[str, Path]:
        """Return name -> file of everything, sorted."""
        modules = {f"module {name}": module.file for name, module in self.modules.items() if module.file}
        return dict(sorted((modules | {f"file {name}": path for name, path in self.data.items()}).items()))

    def label(self, path: Path) -> str:
        """Return a name that stays when the whole project is moved."""
        for place in (self.root, Path.cwd()):
            for one, other in ((path, place), (path.resolve(), place.resolve())):
                if one.is_relative_to(other):
                    return one.relative_to(other).as_posix()
        return path.as_posix()


def find(module: str, path: Sequence[str], observed: Sequence[Path] = ()) -> Closure | None:
    """Return what a policy's module is made of, without running anything; None if there is no such module.

    Args:
        module: Full name of the module.
        path: Where modules are looked for, as ``sys.path``.
        observed: Files that the policy is known to read, modules among them.
    """
    modules = Modules(path)
    entry = modules.find(module)
    if entry is None:
        return None
    walk = _Walk(modules, entry)
    walk.run([name for file in observed if (name := _name_of(file, entry, modules))])
    closure = Closure(entry.root, tuple(path), walk.own, observed=frozenset(observed))
    folders = {module.file.parent for module in walk.own.values() if module.file}
    folders |= {Path(folder) for module in walk.own.values() for folder in module.folders}
    texts = {text for source in walk.sources.values() for text in source.texts}
    named = _named_files(texts, {*folders, entry.root, Path.cwd()})
    known = {module.file for module in walk.own.values()}
    closure.data = {closure.label(file): file for file in sorted({*named, *observed}) if file not in known}
    return closure


def _name_of(file: Path, entry: Module, modules: Modules) -> str | None:
    """Return the name by which a file is imported as a module; None if it is not."""
    if file.suffix != ".py" or not file.is_relative_to(entry.root):
        return None
    parts = file.relative_to(entry.root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    found = modules.find(name) if name else None
    return name if found and found.file == file else None


def digest(files: Mapping[str, Path]) -> str:
    """Return a digest of files by name and content, in the order given.

    Raises:
        BadInput: If one cannot be read.
    """
    total = hashlib.sha256()
    for name, file in files.items():
        try:
            content = _digest_of(file)
        except OSError as error:
            reason = error.strerror or error
            raise BadInput(f"{file} belongs to a policy and cannot be read ({reason}); restore it") from error
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + content)
    return total.hexdigest()[:16]


def _digest_of(file: Path) -> bytes:
    total = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            total.update(part)
    return total.digest()


def folder_files(folder: Path) -> dict[str, Path]:
    """Return path inside a folder -> file, of all in it but what Python and version control keep there."""
    return {path.relative_to(folder).as_posix(): path for path in _below(folder)}


def imports_of(module: Module, source: Source, modules: Modules, texts: Iterable[str] = ()) -> Iterator[Import]:
    """Yield what a module imports, with computed names written out as far as they can be.

    Args:
        module: The importing module.
        source: What was read off it.
        modules: Where to look for packages whose modules are all meant.
        texts: Written-out texts of which any may be the name of a module, where names are computed.
    """
    for found in source.imports:
        package, _, last = found.name.rpartition(".")
        if last != ALL:
            yield found
            continue
        yield found._replace(name=package)
        known = modules.find(package)
        if known and known.whose is Whose.OWN:
            yield from (Import(name, False, found.is_inside_function) for name in modules.submodules(package))
    if source.computes_names:
        for text in sorted(texts):
            name = text.partition(":")[0]
            if all(part.isidentifier() for part in name.split(".")):
                yield Import(name, False, False)
                if module.package:
                    yield Import(f"{module.package}.{name}", False, False)


class _Walk:
    """Follows imports through the modules of the user's own."""

    def __init__(self, modules: Modules, entry: Module) -> None:
        self.own: dict[str, Module] = {}
        self.sources: dict[str, Source] = {}
        self._modules, self._entry = modules, entry

    def run(self, also: Sequence[str]) -> None:
        """Follow everything; once more for each text that a later source brings where names are computed."""
        texts: set[str] = set()
        waiting = [self._entry.name, *also]
        while waiting:
            while waiting:
                waiting += self._visit(waiting.pop())
            found = {text for source in self.sources.values() for text in source.texts}
            if found != texts and any(source.computes_names for source in self.sources.values()):
                texts = found
                waiting = [
                    one.name
                    for name, source in self.sources.items()
                    for one in imports_of(self.own[name], source, self._modules, texts)
                ]

    def _visit(self, name: str) -> list[str]:
        module = self._modules.find(name) if name not in self.own else None
        if module is None or not is_own(module, self._entry):
            return []
        self.own[name] = module
        above = [name.rpartition(".")[0]] if "." in name else []
        if module.source is None:
            return above
        self.sources[name] = read_source(module.source, module.package)
        return above + [found.name for found in imports_of(module, self.sources[name], self._modules)]


def is_own(module: Module, entry: Module) -> bool:
    """Return whether a module is of the same making as a policy's module: the user's, or of the same package."""
    if module.whose is Whose.OWN:
        return True
    if entry.whose is Whose.OURS:
        return module.name == entry.name
    return module.whose is entry.whose and module.name.partition(".")[0] == entry.name.partition(".")[0]


# ----------------------------------------------------------------------------------------------- files that are named
def _named_files(texts: Iterable[str], folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that texts name inside folders, and all files of the folders that they name."""
    places = sorted({folder for folder in folders if folder.is_dir()})
    for text in sorted(texts):
        relative = text if Path(text).is_absolute() and Path(text).is_file() else text.strip().lstrip("/\\")
        if not relative or "\0" in relative or "\n" in relative or set(relative) <= set("./\\"):
            continue
        for place in places:
            yield from _files_at(place, relative)


def _files_at(place: Path, name: str) -> Iterator[Path]:
    try:
        if "*" in name and "**" not in name and not Path(name).is_absolute():
            yield from (path for path in place.glob(name) if path.is_file())
            return
        path = Path(os.path.normpath(place / name))
        if path.is_file():
            yield path
        elif path.is_dir() and path not in (place, *place.parents):
            yield from _below(path, results=False)
    except (OSError, ValueError, NotImplementedError):  # a text that is no file name
        return


def _below(folder: Path, results: bool = True) -> Iterator[Path]:
    """Yield all files below a folder, also behind links, but not what Python and version control keep there."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen or (not results and len({*names} & {*_RUN}) > 1):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name not in _NO_CODE)
        yield from (Path(here, name) for name in sorted(names) if Path(here, name).is_file())
