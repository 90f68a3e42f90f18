"""How long and how large foreign code may run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

TIME_LIMIT: Final = 120.0
"""Seconds for one decision unless told otherwise: it is there to end what hangs."""
LOAD_SECONDS: Final = 300.0
"""Seconds that loading may take at least: importing large packages on a busy machine."""
MEMORY_SHARE: Final = 0.75
"""Share of the machine's memory that one process may use unless told otherwise."""


@dataclass(frozen=True)
class Limits:
    """What a foreign process may use.

    Raises:
        BadInput: If a number is out of range, see :mod:`evaluation.inputs.ranges`.
    """

    time_s: float = TIME_LIMIT
    """Seconds for one decision."""
    memory_gib: float | None = None
    """Memory of one process; None for a large part of the machine's."""

    def __post_init__(self) -> None:
        from evaluation.inputs import ranges  # the command line shows its help without what this brings along

        ranges.check("--time-limit", self.time_s, ranges.TIME_LIMIT)
        ranges.check("--memory-limit", self.memory_gib, ranges.MEMORY_GIB)

    @property
    def load_s(self) -> float:
        """Seconds for loading."""
        return max(LOAD_SECONDS, self.time_s)

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of memory; None where neither a limit is given nor the machine's size is known."""
        if self.memory_gib is not None:
            return min(int(self.memory_gib * 2**30), 2**62)
        try:
            return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        except (AttributeError, OSError, ValueError):  # not on this system
            return None
