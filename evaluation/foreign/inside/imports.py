"""What ``import NAME`` means to foreign code: what a Python started in its folder would find."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

from evaluation.inputs.names import ROOT

KEPT: Final = frozenset({"__main__", "numpy", *sys.builtin_module_names, *sys.stdlib_module_names})
"""Modules that stay as they are: numpy cannot be loaded twice, and too much depends on the standard library."""


def settle(finder: Any, folder: str, entry: str, drop: Iterable[str] = ()) -> None:
    """Turn the import system over to foreign code.

    What was imported for our own use stays in use here, but foreign code that imports the same name gets what its own
    folder or path has under it.

    Args:
        finder: What found our own modules first, up to now.
        folder: Where foreign code lies; searched before ``sys.path``.
        entry: Name of the module that is going to be imported first.
        drop: Top-level packages of which nothing that is loaded shall be seen.
    """
    sys.meta_path.remove(finder)
    sys.path[:] = [folder, *(place for place in sys.path if place != folder)]
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    importlib.invalidate_caches()
    dropped = set(drop)
    for top in {name.partition(".")[0] for name in sys.modules} - KEPT:
        if top in dropped or _is_shadowed(sys.modules.get(top)):
            _forget(top)
    own = PathFinder.find_spec(entry.partition(".")[0], [folder])
    if own is not None and own.origin is not None and not _is_same(own, sys.modules.get(own.name)):
        _forget(own.name)


def _is_shadowed(module: ModuleType | None) -> bool:
    """Whether importing a loaded module anew would give another one."""
    spec = getattr(module, "__spec__", None)
    if module is None or spec is None or spec.origin is None:
        return False
    found = _find(spec.name)
    return found is not None and found.origin is not None and not _is_same(found, module)


def _find(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if (found := finder.find_spec(name, None)) is not None:
            return found
    return None


def _is_same(spec: ModuleSpec, module: ModuleType | None) -> bool:
    loaded = getattr(module, "__spec__", None)
    return module is None or (loaded is not None and loaded.origin == spec.origin)


def _forget(top: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]
