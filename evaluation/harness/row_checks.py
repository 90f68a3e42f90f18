"""What the row checks of all games share."""

from __future__ import annotations

from collections.abc import Iterable


def close_sums(one: float, other: float, parts: Iterable[float] = ()) -> bool:
    """Tell whether two sums of the same numbers, added in another order, can differ by this much."""
    return abs(one - other) <= 1e-6 * max(1.0, abs(one), abs(other), *map(abs, parts))
