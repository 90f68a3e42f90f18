"""Metrics of a game beside its score: each declared once, with its unit, which way is better, and how it is counted.

A metric may be undefined in an episode (nothing detected: no time of response). Its mean is over the episodes that
define it, and their number is always given. The ratio of an episode with few events is a coarse number, so ratios
whose counts are known are also pooled: the sum of one count over that of the other.

Installed packages add metrics to any game by the entry point group :data:`GROUP`, each entry
``name = "module:METRIC"`` with a :class:`Metric` that names its game.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.schema import MetricSummary, Row
from evaluation.harness.statistics import FloatArray, Interval
from evaluation.inputs.errors import BadInput
from native_sim.plugins import PluginError, Plugins

GROUP: Final = "hmarl_transfer.metrics"
"""Entry point group of metrics."""
RESAMPLES: Final = 2_000
"""Of the bootstrap of a metric."""
_CHUNK_ELEMENTS: Final = 2_000_000


class Counts(NamedTuple):
    """A ratio of counts; in each, the first metric minus the others."""

    part: tuple[str, ...]
    whole: tuple[str, ...]


@dataclass(frozen=True)
class Metric:
    """A number of an episode beside its score.

    Raises:
        ValueError: If the name cannot be a key, or the unit or direction is unknown.
    """

    name: str
    """Key in rows, summaries and JSON: lower case, digits and underscores."""
    unit: Literal["points", "steps", "count", "ratio", "share", "yes or no"]
    """A share is from 0 to 1; a ratio is at least 0."""
    better: Literal["more", "less", "neither"]
    """Which way is better for the defender."""
    meaning: str
    """What it says, in one sentence."""
    of: Callable[[Row], float | None] | None = None
    """Given the finished row, its value, or None where it is not defined; None if the game counts it by itself."""
    counts: Counts | None = None
    """Of a ratio: the metrics that it is made of, so that it can be pooled over episodes."""
    game: str = ""
    """Key of the game that an installed package adds it to."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise ValueError(f"metric {self.name!r} needs a name of lower-case letters, digits and underscores")
        for what, allowed in (("unit", _UNITS), ("better", _BETTER)):
            if getattr(self, what) not in allowed:
                raise ValueError(
                    f"metric {self.name}: {what} is {getattr(self, what)!r}; allowed: {', '.join(allowed)}"
                )


_UNITS: Final = ("points", "steps", "count", "ratio", "share", "yes or no")
_BETTER: Final = ("more", "less", "neither")
_PLUGINS: Final = Plugins("metric", GROUP, {})


def added_metrics(game: str, own: Sequence[Metric] = ()) -> tuple[Metric, ...]:
    """Return the metrics that installed packages add to a game.

    Args:
        game: Key of the game.
        own: The game's own metrics, whose names are taken.

    Raises:
        BadInput: If one cannot be imported, is no metric, or takes a taken name.
    """
    found = []
    taken = {metric.name for metric in own}
    for name in _PLUGINS.names():
        try:
            metric = _PLUGINS.load(name)
        except PluginError as error:
            raise BadInput(str(error)) from error
        if not isinstance(metric, Metric) or metric.of is None:
            raise BadInput(
                f"metric {name!r} of {_PLUGINS.origin(name)} is no evaluation.harness.metrics.Metric with a function "
                f"`of`; repair or remove that package"
            )
        if metric.game != game:
            continue
        if metric.name in taken:
            raise BadInput(
                f"metric {metric.name!r} of {_PLUGINS.origin(name)} takes a name that {game} has already; rename it"
            )
        taken.add(metric.name)
        found.append(metric)
    return tuple(found)


def measure(row: Row, metrics: Sequence[Metric]) -> dict[str, float | None]:
    """Return metric -> value of a finished row, of those metrics that are functions of it.

    Raises:
        BadInput: If a function raises, or its value is neither a finite number nor None.
    """
    found: dict[str, float | None] = {}
    for metric in metrics:
        if metric.of is None:
            continue
        try:
            value = metric.of(row)
            found[metric.name] = None if value is None else float(value)
        except Exception as error:
            raise BadInput(f"metric {metric.name!r} fails ({type(error).__name__}: {error}); repair it") from error
        if not math.isfinite(found[metric.name] or 0.0):
            raise BadInput(f"metric {metric.name!r} is {value} in an episode; it must be a finite number or None")
    return found


def metric_summaries(
    rows: Sequence[Row], metrics: Sequence[Metric], reward_ci95: Interval | None, rng: np.random.Generator
) -> dict[str, MetricSummary]:
    """Summarise every metric of one policy.

    Args:
        rows: Its N episodes, N >= 1; the metrics of the first are those of all.
        metrics: What is known of them; one that is not among these is a number without counts.
        reward_ci95: The interval of the mean score, which is that of a metric called ``reward``.
        rng: For the bootstrap.
    """
    values = {name: np.array([_number(row.metrics.get(name)) for row in rows]) for name in rows[0].metrics}
    if not values:
        return {}
    known = {metric.name: metric for metric in metrics}
    ratios = {name: known[name].counts for name in values if name in known}
    counts = {name: _counts(values, of) for name, of in ratios.items() if of is not None and _known(values, of)}
    defined = {name: np.isfinite(column).astype(np.float64) for name, column in values.items()}
    filled = {name: np.nan_to_num(column) for name, column in values.items()}
    columns = [(filled[name], defined[name]) for name in values] + list(counts.values())
    intervals = ratio_intervals(columns, rng)
    found = {}
    for name, interval in zip(values, intervals, strict=False):
        played = values[name][defined[name] > 0]
        if name == "reward":
            interval = reward_ci95
        elif name in known and known[name].unit == "yes or no" and len(played) > 1:
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
