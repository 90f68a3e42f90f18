"""What a row of the SOC simulator cannot say: parts that do not add up to its score, and impossible counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from evaluation.games.soc.metrics import METRICS
from evaluation.games.soc.schema import SocRecord
from evaluation.harness.metrics import Metric
from evaluation.harness.schema import EvalSpec
from evaluation.harness.statistics import close_sums

_REWARD_PARTS: Final = {
    "reward_detection": "alpha",
    "reward_response": "beta",
    "reward_cost": "delta",
    "reward_false_positive": "lambda_fp",
}
"""Part of the reward -> knob of its weight."""


def contradictions(row: SocRecord, asked: EvalSpec) -> Iterator[str]:
    """Yield in a few words what is impossible about a row of a run.

    Args:
        row: As it was read.
        asked: What the run asks for.
    """
    known = row.metrics
    if not 1 <= row.length <= asked.steps:
        yield f"it has {row.length} steps, and an episode has 1 to {asked.steps}"
    for name, value in (("reward", row.score), ("length", row.length)):
        if known.get(name, value) != value:
            yield f"its metric {name} is {known[name]}, and the row says {value}"
    parts = _weighted(known, asked.variant_knobs)
    if parts is not None and not close_sums(row.score, math.fsum(parts), parts):
        yield f"its parts add up to {math.fsum(parts):g} and not to its score, {row.score:g}"
    for metric in METRICS[str(asked.variant_knobs.get("rules", "corrected"))]:
        found, (low, high) = known.get(metric.name), _limits(metric, asked.steps)
        if found is not None and not low <= found <= high:
            yield f"its metric {metric.name} is {found:g}, which no episode of {asked.steps} steps has"


def _limits(metric: Metric, steps: int) -> tuple[float, float]:
    """Return the smallest and the largest value that a metric can have."""
    if metric.unit in ("share", "yes or no"):
        return 0.0, 1.0
    if metric.unit in ("count", "ratio"):
        return 0.0, math.inf
    if metric.unit == "steps":
        return -steps, steps  # a containment may begin before what it is measured from
    return -math.inf, math.inf


def _weighted(metrics: Mapping[str, float | None], knobs: Mapping[str, Any]) -> list[float] | None:
    """Return the weighted parts of the reward; None where a part or its weight is not told."""
    found = [(metrics.get(part), knobs.get(weight)) for part, weight in _REWARD_PARTS.items()]
    if any(value is None or not isinstance(weight, int | float) for value, weight in found):
        return None
    return [float(weight) * value for value, weight in found if value is not None and weight is not None]
