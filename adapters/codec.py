"""Numbers as bits: the eight bits that a blue agent sends carry eight numbers, one bit each, in both directions.

Agents 0 to 3 send the row of their own segment, agent 4 sends the directive. A bit arrives one step later.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

import cage4.spec as spec
from native_sim.api import Array, FloatArray

BITS: Final = spec.MESSAGE_BITS
_ROUNDS: Final = 50


class Codec(NamedTuple):
    """A number above its threshold is sent as 1 and read as ``high``, else it is read as ``low``."""

    threshold: FloatArray  # [8]
    low: FloatArray  # [8]
    high: FloatArray  # [8]

    def encode(self, values: Array) -> Array:
        """Return the bits [..., 8] of numbers [..., 8]."""
        return (np.asarray(values) > self.threshold).astype(np.int8)

    def decode(self, bits: Array) -> FloatArray:
        """Return the numbers [..., 8] that bits [..., 8] stand for."""
        return np.where(np.asarray(bits) > 0, self.high, self.low)


def fit_codec(values: Array) -> Codec:
    """Return the codec of least squared error (Lloyd's quantiser of two levels) for samples [n, 8].

    Raises:
        ValueError: If the samples have another shape or are not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != BITS or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"a codec is fitted to finite samples [n, {BITS}]; given shape {values.shape}")
    threshold = (values.min(axis=0) + values.max(axis=0)) / 2
    low, high = threshold, threshold
    for _ in range(_ROUNDS):
        above = values > threshold
        low, high = _mean(values, ~above, low), _mean(values, above, high)
        moved = (low + high) / 2
        if np.allclose(moved, threshold):
            break
        threshold = moved
    return Codec(threshold, low, high)


def _mean(values: FloatArray, chosen: Array, otherwise: FloatArray) -> FloatArray:
    count = chosen.sum(axis=0)
    return np.where(count > 0, (values * chosen).sum(axis=0) / np.maximum(count, 1), otherwise)
