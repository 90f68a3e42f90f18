"""How kernels are compiled, and when a compiled kernel on disk is still the right one.

Only the loops that Python calls are cached. Numba's cache looks at the file of the cached function alone, and so would
go on using an old callee from another file. What a function closes over is part of its key, so loops are made by a
factory and close over the fingerprint of everything that may be compiled into them::

    def _compile(fingerprint):
        @kept()
        def step_batch(state, rows):
            _ = fingerprint
            for row in rows:
                step_one(state, row)
        return step_batch

    step_batch = _compile(fingerprint(__name__))
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba

from native_sim.kernels.cache import keep

_ROOT = Path(__file__).resolve().parents[2]
"""Where the packages of this project lie."""
_njit: Any = numba.njit
inner: Any = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of functions that only compiled code calls: without entry points from Python, which take a good part
of the compile time, and not cached one by one. Python reaches them as ``f.py_func``."""


def kept(**options: Any) -> Callable[[Any], Any]:
    """Return a decorator of functions that Python calls: compiled by ``numba.njit``, and kept on disk.

    Where nothing can be written, they are compiled at every start, and a warning says so once.

    Args:
        options: Of ``numba.njit``, other than ``cache``.
    """

    def decorate(function: Any) -> Any:
        compiled = _njit(**options)(function)
        if compiled is not function:  # as it is with NUMBA_DISABLE_JIT
            keep(compiled)
        return compiled

    return decorate


def fingerprint(module: str) -> int:
    """Return a number that changes with the source of a module or of any module of its package that it imports.

    Args:
        module: Full name, such as ``__name__``. Imports are followed through all modules of the same top-level package
            and of the random numbers of ``native_sim``; other packages do not end up in kernels.
    """
    digest = hashlib.sha256()
    for path in sources(module):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


def sources(module: str) -> list[Path]:
    """Return the files whose content the fingerprint of a module covers, in a fixed order."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name, module)
        if path is not None and name not in found:
            found[name] = path
            waiting += _imports(path)
    return [found[name] for name in sorted(found)]


def _file_of(name: str, start: str) -> Path | None:
    """Return the file of a module whose code may be compiled in; None for anything else, packages included."""
    if name.split(".")[0] != start.split(".")[0] and name != "native_sim.kernels.rng":
        return None
    path = _ROOT / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def _imports(path: Path) -> Iterator[str]:
    """Yield the names that the import statements of a file may mean as modules: ``from a import b`` gives a and a.b."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
