"""CAGE Challenge 4 behind one interface, whichever engine plays it.

``cage4.vector_env()`` makes several environments behind the project's contract, ``cage4.parallel_env()`` one
PettingZoo environment. Importing this package loads no simulator, compiler or PettingZoo; the functions do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cage4.engines import available_engines, vector_env
    from cage4.faces import parallel_env

__all__ = ["available_engines", "parallel_env", "vector_env"]

_HOMES = {"available_engines": "cage4.engines", "vector_env": "cage4.engines", "parallel_env": "cage4.faces"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cage4' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
