"""NumPy's PCG64 generator in plain integers, one generator per environment, bit for bit.

A generator is a row of six uint64: state high, state low, increment high, increment low, whether half of a 64-bit
output is kept for the next 32-bit draw, and that half. Every function takes the row and advances it, so that a
draw costs a few nanoseconds inside a kernel and leaves NumPy's own generator in exactly the same state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from cage4.native.jit import mul_high

RngRow = npt.NDArray[np.uint64]

STATE_HIGH, STATE_LOW, INC_HIGH, INC_LOW, HAS_HALF, HALF = range(6)

_MULT_HIGH = np.uint64(2549297995355413924)
_MULT_LOW = np.uint64(4865540595714422341)
_MASK32 = np.uint64(0xFFFFFFFF)
_TWO32 = np.uint64(1 << 32)
_S32 = np.uint64(32)
_S58 = np.uint64(58)
_S11 = np.uint64(11)
_S64 = np.uint64(64)
_S63 = np.uint64(63)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_TO_UNIT = 1.0 / 9007199254740992.0


@njit
def advance(high, low, inc_high, inc_low):  # type: ignore[no-untyped-def]
    """Return the next 128-bit state as two halves."""
    product_low = low * _MULT_LOW
    product_high = mul_high(low, _MULT_LOW) + high * _MULT_LOW + low * _MULT_HIGH
    low = product_low + inc_low
    high = product_high + inc_high
    if low < product_low:
        high = high + _ONE
    return high, low


@njit
def output(high, low):  # type: ignore[no-untyped-def]
    """Return the 64 bits that a state shows."""
    mixed = high ^ low
    turn = high >> _S58
    return (mixed >> turn) | (mixed << ((_S64 - turn) & _S63))


@njit
def next64(r):  # type: ignore[no-untyped-def]
    """Return the next 64-bit output (uint64)."""
    high, low = advance(r[STATE_HIGH], r[STATE_LOW], r[INC_HIGH], r[INC_LOW])
    r[STATE_HIGH], r[STATE_LOW] = high, low
    return output(high, low)


@njit
def next32(r):  # type: ignore[no-untyped-def]
    """Return 32 bits (uint64): the half kept from the last call, or the low half of a fresh output."""
    if r[HAS_HALF] != _ZERO:
        r[HAS_HALF] = _ZERO
        return r[HALF]
    fresh = next64(r)
    r[HAS_HALF] = _ONE
    r[HALF] = fresh >> _S32
    return fresh & _MASK32


@njit
def uniform(r):  # type: ignore[no-untyped-def]
    """Draw a float in [0, 1), as ``Generator.random()``."""
    return float(next64(r) >> _S11) * _TO_UNIT


@njit
def below(r, n):  # type: ignore[no-untyped-def]
    """Draw an integer in [0, n), as ``integers(0, n)`` and ``choice(n)``; n = 1 consumes nothing."""
    if n == 1:
        return 0
    bound = np.uint64(n)
    product = next32(r) * bound
    rest = product & _MASK32
    if rest < bound:
        threshold = (_TWO32 - bound) % bound
        while rest < threshold:
            product = next32(r) * bound
            rest = product & _MASK32
    return np.int64(product >> _S32)


@njit
def weighted(r, cdf):  # type: ignore[no-untyped-def]
    """Draw an index with cumulative weights ``cdf`` (last entry 1), as ``choice(p=...)``; always one double."""
    u = uniform(r)
    i = 0
    while i < cdf.shape[0] - 1 and u >= cdf[i]:
        i += 1
    return i


@njit
def skip_shuffle(r, n):  # type: ignore[no-untyped-def]
    """Consume what ``shuffle`` of a list of length n consumes."""
    # The longest run of draws in a step, so the state stays in registers.
    high, low, has, half = r[STATE_HIGH], r[STATE_LOW], r[HAS_HALF], r[HALF]
    inc_high, inc_low = r[INC_HIGH], r[INC_LOW]
    left = np.uint64(max(n - 1, 0))
    while left > _ZERO:
        half_mask = _ZERO
        while (half_mask << _ONE | _ONE) < left:
            half_mask = half_mask << _ONE | _ONE
        mask = half_mask << _ONE | _ONE
        # A draw above ``left`` is thrown away; adding a comparison spares a jump that no processor can guess.
        while left > half_mask:
            if has != _ZERO:
                has = _ZERO
                drawn = half
            else:
                high, low = advance(high, low, inc_high, inc_low)
                fresh = output(high, low)
                has = _ONE
                half = fresh >> _S32
                drawn = fresh & _MASK32
            left -= np.uint64((drawn & mask) <= left)
    r[STATE_HIGH], r[STATE_LOW], r[HAS_HALF], r[HALF] = high, low, has, half


def seed_row(seed: int | None) -> RngRow:
    """Return the row of ``Generator(PCG64(SeedSequence(seed)))``; None takes entropy from the system."""
    return row_of_state(np.random.PCG64(np.random.SeedSequence(seed)).state)


def row_of_state(state: Any) -> RngRow:
    """Return the row of a NumPy ``bit_generator.state``."""
    words = state["state"]
    mask = (1 << 64) - 1
    return np.array(
        [
            words["state"] >> 64,
            words["state"] & mask,
            words["inc"] >> 64,
            words["inc"] & mask,
            state["has_uint32"],
            state["uinteger"],
        ],
        np.uint64,
    )


def state_of_row(row: RngRow) -> dict[str, Any]:
    """Return NumPy's ``bit_generator.state`` of a row."""
    high, low, inc_high, inc_low, has, half = (int(word) for word in row)
    return {
        "bit_generator": "PCG64",
        "state": {"state": (high << 64) | low, "inc": (inc_high << 64) | inc_low},
        "has_uint32": has,
        "uinteger": half,
    }
