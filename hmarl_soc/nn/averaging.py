"""A moving average of weights: what is validated and saved plays steadier than the weights of one moment.

Its window is a share of what has been taken in so far (polynomial-decay averaging, Shamir and Zhang 2013), so that the
first weights, made before inputs were scaled, are soon forgotten; a limit then makes it an exponential average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from native_sim.api import Array

_DECAY: Final = 4
"""The early window is one part in 1 + this of what was taken in."""


class Average:
    """Averages mappings of name -> array.

    Args:
        limit: Longest window, counted in mappings taken in; at least 1, which keeps the newest alone.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.count = 0
        self._arrays: dict[str, Array] = {}

    def add(self, arrays: Mapping[str, Array]) -> None:
        """Take in arrays; names and shapes are those of the first call."""
        rate = max(1.0 / self.limit, (1 + _DECAY) / (self.count + 1 + _DECAY))
        if self.count == 0:
            self._arrays = {name: np.array(value, np.float64) for name, value in arrays.items()}
        for name, average in self._arrays.items():
            average += rate * (arrays[name] - average)
        self.count += 1

    def arrays(self, like: Mapping[str, Array]) -> dict[str, Array]:
        """Return name -> average, of the types of ``like``."""
        return {name: self._arrays[name].astype(value.dtype) for name, value in like.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return {"count": self.count, "arrays": self._arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was taken."""
        self.count = int(state["count"])
        self._arrays = {name: np.array(value, np.float64) for name, value in state["arrays"].items()}
