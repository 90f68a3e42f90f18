"""How the inner functions of the engine are compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

_njit: Any = numba.njit
_lean: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner: Any = _njit(**_lean, _nrt=False)
"""Decorator of functions that only compiled code calls: without entry points from Python, which take a good part
of the compile time. They are not cached one by one; see ``kernel``. Python reaches them as ``f.py_func``.

They count no references to arrays, which would take longer than the work of most of them: the arrays they see belong
to the caller of the loop and outlive it. For the same reason they can make no arrays and must return none to a
function that counts."""
inlined: Any = _njit(**_lean, _nrt=False, forceinline=True)
"""The same for functions of the innermost loop with a single caller: passing them all the pools would cost as much
as their work."""
allocating: Any = _njit(**_lean, _nrt=True)
"""The same for functions that make small arrays of their own."""


def _mul_high_plain(a: Any, b: Any) -> Any:
    """Return the upper 64 bits of the product of two uint64."""
    return np.uint64((int(a) * int(b)) >> 64)


@intrinsic
def _mul_high_compiled(context: Any, a: Any, b: Any) -> Any:
    """Do the same in one instruction, for which neither Python nor Numba has an expression."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return numba.types.uint64(numba.types.uint64, numba.types.uint64), generate


_config: Any = numba.config
mul_high: Any = _mul_high_plain if _config.DISABLE_JIT else _mul_high_compiled
