"""The figures of a study: a number per run and metric, intervals over seeds, and tests against the reference arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from evaluation.games.soc.metrics import METRICS
from evaluation.harness import statistics
from evaluation.harness.statistics import FloatArray
from evaluation.studies.training.plans import REFERENCE, Plan
from evaluation.studies.training.runs import Job, read_held_out

_COUNTS = {metric.name: metric.counts for metric in METRICS["corrected"] if metric.counts is not None}
"""Ratio -> the counts that it is pooled from."""


class Column(NamedTuple):
    """A metric of a table."""

    name: str
    digits: int
    more_is_better: bool
    meaning: str


COLUMNS: Final = (
    Column("reward", 2, True, "mean reward of an episode"),
    Column("csr", 3, True, "share of campaigns contained: the attacker evicted"),
    Column("exfiltrated", 3, False, "share of campaigns whose data was stolen"),
    Column("mttd", 1, False, "steps from the first compromise to the first confirmation, censored at the end"),
    Column("mttr", 1, False, "steps from that confirmation to containment, censored at the end"),
    Column("scan_fpr", 4, False, "clean hosts flagged / clean hosts looked at, pooled"),
    Column("alert_fpr", 3, False, "background alerts escalated / background alerts handled, pooled"),
    Column("isolation_precision", 3, True, "share of isolations that hit a held host, pooled"),
    Column("detected_share", 3, True, "share of footholds confirmed"),
)


def run_value(metrics: Mapping[str, FloatArray], name: str) -> float:
    """Return the number of one run: the mean over episodes that define it, or the ratio of the summed counts."""
    counts = _COUNTS.get(name)
    if counts is None:
        known = metrics[name][~np.isnan(metrics[name])]
        return float(known.mean()) if len(known) else float("nan")
    part, whole = (
        np.nansum(metrics[first]) - sum(np.nansum(metrics[other]) for other in others) for first, *others in counts
    )
    return float(part / whole) if whole else float("nan")


def job_values(job: Job) -> dict[str, float]:
    """Return column -> the number of one run; NaN where no episode defines it.

    Raises:
        FileNotFoundError: If the job is not done.
    """
    if job.recorded is not None:
        known = job.recorded["values"]
        return {column.name: np.nan if known[column.name] is None else known[column.name] for column in COLUMNS}
    metrics = read_held_out(job)
    return {column.name: run_value(metrics, column.name) for column in COLUMNS}


def summarise(plan: Plan, jobs: Sequence[Job]) -> dict[str, Any]:
    """Return all figures of a study as JSON values, from what its finished jobs wrote.

    Returns:
        ``arms``: label -> ``seeds``, and per metric ``values`` (one per seed), ``mean`` and ``ci95``: Student's
        interval over seeds; over episodes for a scripted arm, which has no seed. ``tests``: one entry per arm and
        tested metric with ``difference`` (reference minus arm), its ``ci95``, ``p``, ``p_holm`` (corrected over the
        arms, within the metric) and ``p_holm_table`` (over arms and metrics). ``contrasts``: the same for the pairs
        that the plan contrasts, ``arm`` minus ``against``, corrected over those pairs.
    """
    arms: dict[str, Any] = {}
    for arm in plan.arms:
        own = [job for job in jobs if job.arm.label == arm.label]
        if own:
            runs = [job_values(job) for job in own]
            episodes = read_held_out(own[0]) if own[0].seed is None else None
            figures = {column.name: _figure(runs, column.name, episodes) for column in COLUMNS}
            arms[arm.label] = {"seeds": [job.seed for job in own], "metrics": figures}
    return {
        "study": plan.name,
        "title": plan.title,
        "level": plan.level,
        "arms": arms,
        "tests": _tests(arms, plan.tested),
        "contrasts": _contrasts(arms, plan),
    }


def _figure(
    runs: Sequence[Mapping[str, float]], name: str, episodes: Mapping[str, FloatArray] | None
) -> dict[str, Any]:
    """Return the figures of a column: over runs, or over the episodes of a scripted arm, which has one run."""
    values = np.array([run[name] for run in runs])
    spread = values if episodes is None or name in _COUNTS else episodes[name]
    known = spread[~np.isnan(spread)]
    interval = statistics.t_interval(known) if len(known) > 1 else None
    mean = float(np.nanmean(values)) if not np.isnan(values).all() else None
    return {"values": [None if np.isnan(v) else float(v) for v in values], "mean": mean, "ci95": interval}


def _tests(arms: Mapping[str, Any], tested: Sequence[str]) -> list[dict[str, Any]]:
    """Test the reference against every other arm, paired by seed: equal seeds mean equal networks and campaigns.

    Holm's correction runs over all arms within a metric, each of which is a question of its own, and once more over
    arms and metrics together.
    """
    if REFERENCE not in arms:
        return []
    tests = [
        {"arm": label, **_compared(arms[REFERENCE], arm, name)}
        for label, arm in arms.items()
        if label != REFERENCE
        for name in tested
    ]
    _correct(tests, tested)
    return tests


def _contrasts(arms: Mapping[str, Any], plan: Plan) -> list[dict[str, Any]]:
    """Test the arms that a plan contrasts, like :func:`_tests` and corrected apart from those."""
    tests = [
        {"arm": first, "against": second, **_compared(arms[first], arms[second], name)}
        for first, second in plan.contrasts
        if first in arms and second in arms
        for name in plan.tested
    ]
    _correct(tests, plan.tested)
    return tests


def _compared(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what a paired t test says of a metric of two arms: the first minus the second."""
    pairs = _pairs(first, second, name)
    found = statistics.paired_t(*pairs) if len(pairs[0]) > 1 else None
    difference = pairs[0] - pairs[1]
    return {
        "metric": name,
        "difference": float(difference.mean()) if len(difference) else None,
        "ci95": statistics.t_interval(difference) if len(difference) > 1 else None,
        "p": None if found is None else found.p,
    }


def _correct(tests: Sequence[dict[str, Any]], tested: Sequence[str]) -> None:
    """Add Holm's corrections to tests: within each metric, and over all of them."""
    families = [("p_holm", [test for test in tests if test["metric"] == name]) for name in tested]
    for correction, family in (*families, ("p_holm_table", tests)):
        for test, p in zip(family, statistics.holm([test["p"] for test in family]), strict=True):
            test[correction] = p


def _pairs(reference: Mapping[str, Any], arm: Mapping[str, Any], name: str) -> tuple[FloatArray, FloatArray]:
    """Return values of the seeds that both have; a scripted arm plays the same in all of them."""
    ours = dict(zip(reference["seeds"], reference["metrics"][name]["values"], strict=True))
    theirs = dict(zip(arm["seeds"], arm["metrics"][name]["values"], strict=True))
    seeds = [seed for seed in ours if seed in theirs or None in theirs]
    found = [(ours[seed], theirs.get(seed, theirs.get(None))) for seed in seeds]
    known = np.array([pair for pair in found if None not in pair], np.float64).reshape(-1, 2)
    return known[:, 0], known[:, 1]


def markdown(summary: Mapping[str, Any], header: str) -> str:
    """Return the tables of a study as Markdown."""
    lines = [f"# {summary['title']}", "", header, ""]
    lines += ["| arm | seeds | " + " | ".join(column.name for column in COLUMNS) + " |"]
    lines += ["|---" * (len(COLUMNS) + 2) + "|"]
    for label, arm in summary["arms"].items():
        cells = [cell(arm["metrics"][column.name], column.digits) for column in COLUMNS]
        seeds = "-" if arm["seeds"] == [None] else str(len(arm["seeds"]))
        lines.append(f"| {label} | {seeds} | " + " | ".join(cells) + " |")
    lines += ["", "Means with 95 % intervals: over training seeds, for scripted arms over episodes."]
    lines += [f"`{column.name}`: {column.meaning}." for column in COLUMNS]
    if summary["tests"]:
        lines += ["", f"## {REFERENCE} minus each arm", "", *_tests_table(summary["tests"])]
    if summary["contrasts"]:
        lines += ["", "## Arm minus arm", "", *_tests_table(summary["contrasts"])]
    if summary["tests"] or summary["contrasts"]:
        lines += [
            "",
            "Paired t tests over training seeds; Holm's correction over the comparisons of a table within each metric, "
            "and over every test of the table.",
        ]
    return "\n".join(lines) + "\n"


def _tests_table(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of tests."""
    lines = ["| arm | metric | difference | p | p (Holm) | p (Holm, table) |", "|---|---|---|---|---|---|"]
    for test in tests:
        digits = next(column.digits for column in COLUMNS if column.name == test["metric"])
        change = cell({"mean": test["difference"], "ci95": test["ci95"]}, digits)
        chances = " | ".join(_p(test[p]) for p in ("p", "p_holm", "p_holm_table"))
        label = f"{test['arm']} - {test['against']}" if "against" in test else test["arm"]
        lines.append(f"| {label} | {test['metric']} | {change} | {chances} |")
    return lines


def cell(figure: Mapping[str, Any], digits: int) -> str:
    """Return ``mean`` and ``ci95`` of a figure as a cell of a table: "-" where there is none."""
    if figure["mean"] is None:
        return "-"
    text = f"{figure['mean']:.{digits}f}"
    if figure["ci95"] is None:
        return text
    low, high = figure["ci95"]
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
