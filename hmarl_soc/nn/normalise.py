"""Running scale of observations: to mean 0 and spread 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from native_sim.api import Array

_CLIP = 10.0
_SMALL = 1e-8


class Moments:
    """Mean and variance [F] of everything seen, updated batch by batch (Chan's formula), in float64."""

    def __init__(self, size: int) -> None:
        self.count = 0.0
        self.mean = np.zeros(size)
        self.variance = np.ones(size)

    def add(self, values: Array) -> None:
        """Take in values [N, F]."""
        count = float(len(values))
        if not count:
            return
        values = np.asarray(values, np.float64)
        mean, variance = values.mean(axis=0), values.var(axis=0)
        total = self.count + count
        gap = mean - self.mean
        squares = self.variance * self.count + variance * count + gap**2 * self.count * count / total
        self.mean = self.mean + gap * count / total
        self.variance = squares / total
        self.count = total

    def scale(self, values: Array) -> Array:
        """Return values [..., F] as float32 with mean 0 and spread 1, cut off at 10; unchanged before any was seen."""
        if not self.count:
            return np.asarray(values, np.float32)
        spread = np.sqrt(self.variance + _SMALL)
        # A number that never changed says nothing; dividing by its spread would blow up its first change.
        spread = np.where(spread < 1e-3, 1.0, spread)
        return np.clip((values - self.mean) / spread, -_CLIP, _CLIP).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the moments."""
        return {"count": self.count, "mean": self.mean.copy(), "variance": self.variance.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over moments of the same size."""
        self.count = float(np.ravel(state["count"])[0])
        self.mean, self.variance = np.array(state["mean"], np.float64), np.array(state["variance"], np.float64)
