"""A new run against a recorded one: is any policy worse than it was?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.schema import Row, RunSummary, ScoreSummary
from native_sim.finite import is_number

if TYPE_CHECKING:
    from rich.table import Table

Verdict = Literal["worse", "better", "equivalent", "identical", "no difference shown", "too few episodes"]
_BOOTSTRAP_SEED: Final = 0
_MARKS: Final[dict[Verdict, str]] = {"worse": "bold red", "better": "green", "equivalent": "green"}


@dataclass(frozen=True)
class Run:
    """One side of a comparison. Without rows, as for a recorded headline result, only its summary is used."""

    summary: RunSummary
    records: Sequence[Row] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """The label, or the id of the run."""
        return self.label or self.summary.run

    def scores(self, policy: str) -> dict[int, float]:
        """Return seed -> score of a policy; empty without rows."""
        return {row.seed: row.score for row in self.records if row.policy == policy}

    def values(self, policy: str, metric: str) -> dict[int, float]:
        """Return seed -> value of a metric of a policy, where it is defined; empty without rows."""
        found = {row.seed: row.metrics.get(metric) for row in self.records if row.policy == policy}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass(frozen=True)
class MetricComparison:
    """One metric of one policy in both runs. The difference is B minus A; no verdict follows from it."""

    name: str
    mean_a: float | None
    mean_b: float | None
    n: int
    """Pairs in which both runs define the metric; 0 where the runs are not paired."""
    difference: float | None
    """Mean over the pairs; of the two means where the runs are not paired; None where a side has no value."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the pairs."""


@dataclass(frozen=True)
class PolicyComparison:
    """One policy in both runs. The difference is B minus A: below 0, B is worse."""

    policy: str
    mean_a: float
    mean_b: float
    n_a: int
    n_b: int
    paired: bool
    """Whether the difference is taken seed by seed; ``n_a`` and ``n_b`` then count the pairs."""
    difference: float
    interval: tuple[float, float] | None
    """95 %: bootstrap of the pairs, or Welch's t."""
    equivalence_p: float | None
    """Two one-sided t tests of |difference| < margin; None without a margin or with too few episodes."""
    verdict: Verdict
    metrics: tuple[MetricComparison, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All common policies of two runs."""

    a: str
    b: str
    margin: float
    policies: tuple[PolicyComparison, ...]
    notes: tuple[str, ...] = field(default=())
    """What a reader must know: other engine, unfinished run, policies of one side only."""

    @property
    def worse(self) -> bool:
        """Whether any policy is worse in B by more than the margin."""
        return any(entry.verdict == "worse" for entry in self.policies)


def compare(a: Run, b: Run, margin: float = 0.0) -> Comparison:
    """Compare B with A, policy by policy.

    Differences are paired on the seeds that both have played when both bring rows and were spawned from the
    same base seed; otherwise the two samples are taken as independent (Welch). B is worse when the whole
    interval lies below ``-margin``, better when it lies above ``margin``; with a margin above 0, two
    one-sided tests tell whether it is equivalent.

    Raises:
        ValueError: If variant or steps differ, no policy is common, or the margin is negative or not finite.
    """
    _check(a.summary, b.summary, margin)
    common = [policy for policy in a.summary.policies if policy in b.summary.policies]
    if not common:
        sides = " and ".join(f"{run.name} has {', '.join(run.summary.policies) or 'none'}" for run in (a, b))
        raise ValueError(f"the two runs have no policy in common: {sides}; play the same policies in both")
    policies = tuple(_compare_policy(a, b, policy, margin) for policy in common)
    return Comparison(a.name, b.name, margin, policies, tuple(_notes(a, b, policies)))


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for JSON, with the overall ``worse``."""
    return {"worse": comparison.worse, **asdict(comparison)}


def comparison_table(comparison: Comparison) -> Table:
    """Return a comparison as a table for the terminal, the notes in its caption."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    margin = f", margin {comparison.margin:g}" if comparison.margin else ""
    title = Text(f"B = {comparison.b} against A = {comparison.a}{margin}")
    caption = Text("\n".join([*comparison.notes, "difference: B minus A with its 95 % interval"]))
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", overflow="fold")
    for column in ("n", "A", "B", "difference"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for entry in comparison.policies:
        n = f"{entry.n_a} pairs" if entry.paired else f"{entry.n_a} / {entry.n_b}"
        bounds = "" if entry.interval is None else " [{:+.1f}, {:+.1f}]".format(*entry.interval)
        difference = f"{entry.difference:+.1f}{bounds}"
        cells = (entry.policy, n, f"{entry.mean_a:.1f}", f"{entry.mean_b:.1f}", difference)
        table.add_row(*map(Text, cells), Text(entry.verdict, style=_MARKS.get(entry.verdict, "")))
    return table


def _check(a: RunSummary, b: RunSummary, margin: float) -> None:
    if not is_number(margin, 0.0):
        raise ValueError(f"the margin is {margin}; give 0 or more, in units of score")
    for what in ("variant", "steps"):
        first, second = getattr(a, what), getattr(b, what)
        if first != second:
            raise ValueError(f"{what} differs: {first} and {second}; only runs of the same game can be compared")


def _compare_policy(a: Run, b: Run, policy: str, margin: float) -> PolicyComparison:
    scores_a, scores_b = a.scores(policy), b.scores(policy)
    seeds = [seed for seed in scores_a if seed in scores_b] if a.summary.seed == b.summary.seed else []
    equivalence, identical = None, False
    if seeds:
        x = np.array([scores_a[seed] for seed in seeds])
        y = np.array([scores_b[seed] for seed in seeds])
        side_a, side_b = statistics.moments(x), statistics.moments(y)
        identical = bool((x == y).all())
        rng = np.random.default_rng(_BOOTSTRAP_SEED)
        difference, interval = statistics.paired_difference(y, x, rng)
        if margin:
            equivalence = statistics.equivalence_paired(y, x, margin)
    else:
        side_a, side_b = _moments(a.summary.policies[policy]), _moments(b.summary.policies[policy])
        difference = side_b.mean - side_a.mean
        interval = statistics.welch_interval(side_b, side_a)
        if margin:
            equivalence = statistics.equivalence_welch(side_b, side_a, margin)
    return PolicyComparison(
        policy=policy,
        mean_a=side_a.mean,
        mean_b=side_b.mean,
        n_a=side_a.n,
        n_b=side_b.n,
        paired=bool(seeds),
        difference=difference,
        interval=interval,
        equivalence_p=None if equivalence is None else equivalence.p,
        verdict="identical" if identical else _verdict(interval, margin, equivalence),
        metrics=tuple(_compare_metric(a, b, policy, name, bool(seeds)) for name in _common_metrics(a, b, policy)),
    )


def _common_metrics(a: Run, b: Run, policy: str) -> list[str]:
    """Return the metrics that both summaries have of a policy."""
    return [name for name in a.summary.policies[policy].metrics if name in b.summary.policies[policy].metrics]


def _compare_metric(a: Run, b: Run, policy: str, name: str, paired: bool) -> MetricComparison:
    mean_a, mean_b = (run.summary.policies[policy].metrics[name].shown[0] for run in (a, b))
    values_a, values_b = (run.values(policy, name) if paired else {} for run in (a, b))
    seeds = [seed for seed in values_a if seed in values_b]
    interval: statistics.Interval | None = None
    difference = None if mean_a is None or mean_b is None else mean_b - mean_a
    if seeds:
        x, y = (np.array([values[seed] for seed in seeds]) for values in (values_a, values_b))
        difference, interval = statistics.paired_difference(y, x, np.random.default_rng(_BOOTSTRAP_SEED))
    return MetricComparison(name, mean_a, mean_b, len(seeds), difference, interval)


def _moments(found: ScoreSummary) -> statistics.Moments:
    return statistics.Moments(found.n, found.mean, found.std)


def _verdict(
    interval: statistics.Interval | None, margin: float, equivalence: statistics.Equivalence | None
) -> Verdict:
    if interval is None:
        return "too few episodes"
    if interval[1] < -margin:
        return "worse"
    if interval[0] > margin:
        return "better"
    return "equivalent" if equivalence is not None and equivalence.equivalent else "no difference shown"


def _notes(a: Run, b: Run, policies: Sequence[PolicyComparison]) -> list[str]:
    notes = []
    if a.summary.engine != b.summary.engine:
        notes.append(f"engines differ ({a.summary.engine}, {b.summary.engine}): equal seeds do not mean equal episodes")
    if any(not entry.paired for entry in policies):
        notes.append("not paired on seeds where rows or common seeds are missing: Welch intervals")
    for run in (a, b):
        if not run.summary.complete:
            notes.append(f"{run.name} is not complete")
    alone = sorted(set(a.summary.policies) ^ set(b.summary.policies))
    if alone:
        notes.append(f"in one run only, not compared: {', '.join(alone)}")
    return notes
