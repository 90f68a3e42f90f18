"""The metrics of the SOC simulator over episodes: means, intervals, and ratios pooled from their counts.

A metric may be undefined in an episode (nothing detected: no time of response). Its mean is over the episodes that
define it, and their number is always given. The ratio of an episode with few events is a coarse number, so ratios
whose counts are known are also pooled: the sum of one count over that of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from evaluation.games.soc.schema import SocRecord
from evaluation.harness import statistics
from evaluation.harness.schema import MetricSummary
from evaluation.harness.statistics import FloatArray, Interval

YES_NO: Final = ("csr", "exfiltrated")
"""0 or 1 in an episode; their intervals are Wilson's, which mean something even when no episode has a 1."""
RESAMPLES: Final = 2_000
"""Of the bootstrap of a metric."""
_CHUNK_ELEMENTS: Final = 2_000_000


class Counts(NamedTuple):
    """A ratio of counts; in each, the first metric minus the others."""

    part: tuple[str, ...]
    whole: tuple[str, ...]


POOLED: Final[dict[str, dict[str, Counts]]] = {
    "corrected": {
        "fpr": Counts(("false_flags",), ("clean_scans",)),
        "scan_fpr": Counts(("false_flags",), ("clean_scans",)),
        "alert_fpr": Counts(("wrong_escalations",), ("background_handled",)),
        "isolation_precision": Counts(("isolations", "false_isolations"), ("isolations",)),
    },
    "reference": {},
}
"""Rules -> ratio -> its counts. What the reference rules call ``fpr`` is no ratio of its counts: it divides alerts and
hosts by scans less hits of both, and is capped, so sums of these may be negative or exceed 1."""


def metric_summaries(
    rows: Sequence[SocRecord], reward_ci95: Interval | None, rules: str, rng: np.random.Generator
) -> dict[str, MetricSummary]:
    """Summarise every metric of one policy.

    Args:
        rows: Its N episodes, N >= 1, all with the same metrics.
        reward_ci95: The interval of the mean score, which is that of the metric ``reward``.
        rules: Rule set, which decides what the counts of a ratio are.
        rng: For the bootstrap.
    """
    values = {name: np.array([_number(row.metrics[name]) for row in rows]) for name in rows[0].metrics}
    counts = {name: _counts(values, of) for name, of in POOLED[rules].items() if _known(values, of)}
    defined = {name: np.isfinite(column).astype(np.float64) for name, column in values.items()}
    filled = {name: np.nan_to_num(column) for name, column in values.items()}
    columns = [(filled[name], defined[name]) for name in values] + list(counts.values())
    intervals = ratio_intervals(columns, rng)
    found = {}
    for name, interval in zip(values, intervals, strict=False):
        played = values[name][defined[name] > 0]
        if name == "reward":
            interval = reward_ci95
        elif name in YES_NO and len(played) > 1:
            interval = statistics.wilson_interval(int(played.sum()), len(played))
        place = list(counts).index(name) if name in counts else None
        found[name] = MetricSummary(
            mean=statistics.mean(played) if len(played) else None,
            std=statistics.sample_std(played) if len(played) else None,
            ci95=interval,
            n=len(played),
            pooled=None if place is None else _ratio(*counts[name]),
            pooled_ci95=None if place is None else intervals[len(values) + place],
        )
    return found


def ratio_intervals(
    columns: Sequence[tuple[FloatArray, FloatArray]], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Interval | None]:
    """Return the 95 % percentile bootstrap interval of each sum(part) / sum(whole), episodes redrawn as a whole.

    Args:
        columns: Pairs of part and whole, [N] each and whole >= 0; with a whole of ones and zeros this is the mean
            over the episodes that have a one. All columns share the redrawn episodes.
        rng: Random numbers.
        resamples: How often the episodes are redrawn.

    Returns:
        None for a column with fewer than two episodes of positive whole. Resamples in which a whole is 0 say nothing
        about its ratio and are left out.
    """
    episodes = len(columns[0][0])
    draws: list[list[FloatArray]] = [[] for _ in columns]
    size = max(1, _CHUNK_ELEMENTS // episodes)
    for start in range(0, resamples, size):
        chosen = rng.integers(0, episodes, size=(min(size, resamples - start), episodes))
        for (part, whole), drawn in zip(columns, draws, strict=True):
            constant = np.ptp(whole) == 0
            total = np.full(len(chosen), whole.sum()) if constant else whole[chosen].sum(axis=1)
            kept = total > 0
            drawn.append(part[chosen].sum(axis=1)[kept] / total[kept])
    return [_interval(part, whole, drawn) for (part, whole), drawn in zip(columns, draws, strict=True)]


def _interval(part: FloatArray, whole: FloatArray, draws: list[FloatArray]) -> Interval | None:
    known = whole > 0
    if known.sum() < 2:
        return None
    ratios = part[known] / whole[known]
    if np.ptp(ratios) == 0:
        return float(ratios[0]), float(ratios[0])
    low, high = np.quantile(np.concatenate(draws), (0.025, 0.975))
    return float(low), float(high)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _known(values: dict[str, FloatArray], counts: Counts) -> bool:
    return all(name in values for name in (*counts.part, *counts.whole))


def _counts(values: dict[str, FloatArray], counts: Counts) -> tuple[FloatArray, FloatArray]:
    part, whole = (values[first] - sum(values[name] for name in rest) for first, *rest in counts)
    return np.asarray(part), np.asarray(whole)


def _ratio(part: FloatArray, whole: FloatArray) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() > 0 else None
