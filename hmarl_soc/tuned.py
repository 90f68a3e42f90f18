"""What a run's own settings are put on top of.

``tuned`` of a method's settings are the best of its trials in ``study tuning``: the same number for each method, with
one training seed, on validation episodes; held-out networks, which reports use, played no part. The defaults are Table
2 of the paper, and for what it leaves open (potential, slow actors, memory of triage) our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hmarl_soc.config import MethodConfig, RunConfig, parse

BASES: Final = ("tuned", "table2")
"""What a run's own settings are put on top of: these, or the defaults of the classes."""


def complete(kind: type[MethodConfig], data: Mapping[str, Any], base: str = "tuned") -> RunConfig:
    """Return the settings of a run.

    Args:
        kind: Class of the settings of its method.
        data: Any of ``environment``, ``trainer`` and ``method``; wins over the base.
        base: One of :data:`BASES`.

    Raises:
        ValueError: If the base is unknown, or a setting is unknown or out of range.
    """
    if base not in BASES:
        raise ValueError(f"unknown base {base!r} of settings; allowed are {', '.join(BASES)}")
    below = {"method": kind.tuned} if base == "tuned" else {}
    return parse(merge(below, data), kind)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which those of ``above`` win."""
    both = dict(below)
    for name, value in above.items():
        inner = both.get(name)
        both[name] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both
