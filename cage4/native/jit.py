"""How the inner functions of the engine are compiled."""

from __future__ import annotations

from typing import Any

import numba

_njit: Any = numba.njit
inner: Any = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of functions that only compiled code calls: without entry points from Python, which take a good part
of the compile time. They are not cached one by one; see ``kernel``. Python reaches them as ``f.py_func``."""
