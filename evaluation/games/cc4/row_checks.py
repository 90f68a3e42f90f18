"""What a row of a run cannot say: parts that do not add up to its score, and counts that no episode can have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from cage4 import score, spec
from evaluation.harness.schema import EpisodeRecord, EvalSpec, Row, SocRecord

_REWARD_PARTS: Final = {
    "reward_detection": "alpha",
    "reward_response": "beta",
    "reward_cost": "delta",
    "reward_false_positive": "lambda_fp",
}
"""Part of the reward of the SOC simulator -> knob of its weight."""
_SHARES: Final = (
    *("fpr", "csr", "exfiltrated", "detected_share", "scan_fpr", "alert_fpr", "isolation_precision"),
    "escalation_precision",
)
_COUNTS: Final = (
    *("compromised", "footholds", "returns", "false_flags", "clean_scans", "wrong_escalations", "background_handled"),
    *("isolations", "false_isolations", "true_positives", "false_positives", "scans", "phase"),
)
_DELAYS: Final = ("mttd", "mttr", "length", "detection_delay", "detection_delay_censored", "response_delay")
"""Metrics in steps."""


def contradiction(row: Row, asked: EvalSpec) -> str | None:
    """Return in a few words what is impossible about a row of a run, or None.

    Args:
        row: As it was read.
        asked: What the run asks for.
    """
    for name in ("engine", "variant"):
        if getattr(row, name) != getattr(asked, name):
            return f"it is of {name} {getattr(row, name)}, and the run of {getattr(asked, name)}"
    if isinstance(row, EpisodeRecord):
        return next(_of_cc4(row, asked), None)
    return next(_of_soc(row, asked), None) if isinstance(row, SocRecord) else None


def _of_cc4(row: EpisodeRecord, asked: EvalSpec) -> Iterator[str]:
    length, counted = spec.episode_length(asked.steps), score.counted_steps(asked.steps)
    if row.length != length or len(row.step_rewards) != counted:
        yield (
            f"an episode of {asked.steps} steps has {length} step calls and {counted} rewards; it has {row.length} and "
            f"{len(row.step_rewards)}"
        )
        return
    shape = (spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS)
    if [len(part) for part in row.parts] != [shape[1]] * shape[0] or {len(z) for p in row.parts for z in p} != {3}:
        yield f"its parts are not of shape {shape}"
        return
    ends = np.cumsum(spec.phase_lengths(asked.steps))[:2]
    played = [math.fsum(phase) for phase in np.split(np.array(row.step_rewards), ends)]
    caused = [math.fsum([*np.ravel(part), cost]) for part, cost in zip(row.parts, row.action_costs, strict=True)]
    if not _close(row.score, math.fsum(row.phase_scores)):
        yield f"its phases add up to {math.fsum(row.phase_scores):g} and not to its score, {row.score:g}"
    for phase, whole in enumerate(row.phase_scores):
        for what, found in (("steps", played[phase]), ("parts and action costs", caused[phase])):
            if not _close(whole, found):
                yield f"the {what} of phase {phase} add up to {found:g} and not to its score, {whole:g}"
    if max(*row.step_rewards, *np.ravel(row.parts), *row.action_costs) > 0:
        yield "it has a reward above 0, which CAGE Challenge 4 does not give"
    yield from _of_submissions(row)


def _of_submissions(row: EpisodeRecord) -> Iterator[str]:
    decisions = spec.NUM_BLUE * row.length
    counts = {"actions": sum(row.actions.values()), "invalid": row.invalid, "busy": row.busy}
    for name, count in counts.items():
        if count > decisions:
            yield f"it counts {count} {name}, and {spec.NUM_BLUE} agents decide {decisions} times in {row.length} steps"


def _of_soc(row: SocRecord, asked: EvalSpec) -> Iterator[str]:
    known = row.metrics
    if not 1 <= row.length <= asked.steps:
        yield f"it has {row.length} steps, and an episode has 1 to {asked.steps}"
    for name, value in (("reward", row.score), ("length", row.length)):
        if known.get(name, value) != value:
            yield f"its metric {name} is {known[name]}, and the row says {value}"
    parts = _weighted(known, asked.variant_knobs)
    if parts is not None and not _close(row.score, math.fsum(parts), parts):
        yield f"its parts add up to {math.fsum(parts):g} and not to its score, {row.score:g}"
    limits = {
        **dict.fromkeys(_SHARES, (0.0, 1.0)),
        **dict.fromkeys(_COUNTS, (0.0, math.inf)),
        **dict.fromkeys(
            _DELAYS, (-asked.steps, asked.steps)
        ),  # a containment may begin before what it is measured from
    }
    for name, (low, high) in limits.items():
        found = known.get(name)
        if found is not None and not low <= found <= high:
            yield f"its metric {name} is {found:g}, which no episode of {asked.steps} steps has"


def _weighted(metrics: Mapping[str, float | None], knobs: Mapping[str, Any]) -> list[float] | None:
    """Return the weighted parts of the reward; None where a part or its weight is not told."""
    found = [(metrics.get(part), knobs.get(weight)) for part, weight in _REWARD_PARTS.items()]
    if any(value is None or not isinstance(weight, int | float) for value, weight in found):
        return None
    return [float(weight) * value for value, weight in found if value is not None and weight is not None]


def _close(one: float, other: float, parts: Iterable[float] = ()) -> bool:
    """Tell whether two sums of the same numbers, added in another order, can differ by this much."""
    return abs(one - other) <= 1e-6 * max(1.0, abs(one), abs(other), *map(abs, parts))
