"""The figures of a report of the SOC simulator, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.games.soc.schema import SocPolicySummary, SocRecord, SocSummary
from evaluation.harness.schema import MetricSummary
from evaluation.reporting.canvas import (
    BASELINE_COLOUR,
    by_policy,
    colours_of,
    labels_of,
    new_figure,
    number,
    score_strips,
    to_svg,
    with_interval,
)
from evaluation.reporting.theme import INK, MUTED

OUTCOMES: Final = (("csr", "contained"), ("exfiltrated", "data stolen"), ("fpr", "false alarms"))
"""Metric and heading of each panel."""


def figures(summary: SocSummary, records: Sequence[SocRecord]) -> dict[str, str]:
    """Draw every figure: name -> SVG text."""
    return {
        "rewards": to_svg("rewards", partial(_draw_rewards, summary, records)),
        "outcomes": to_svg("outcomes", partial(_draw_outcomes, summary)),
    }


def _draw_rewards(summary: SocSummary, records: Sequence[SocRecord]) -> Figure:
    rows = by_policy(summary, records)
    names = {policy: _name(policy, found) for policy, found in summary.policies.items()}
    scores = {names[policy]: [row.score for row in played] for policy, played in rows.items()}
    found = {names[policy]: figures_of for policy, figures_of in summary.policies.items()}
    figure, axes = score_strips(scores, found, digits=2)
    axes.xaxis.set_major_formatter(lambda tick, _: number(tick))
    axes.set_xlabel("sum of the rewards of an episode")
    return figure


def _draw_outcomes(summary: SocSummary) -> Figure:
    policies = summary.policies
    colours = colours_of(list(policies))
    figure = new_figure(1.2 + 0.4 * len(policies))
    panels = figure.subplots(1, len(OUTCOMES), sharey=True)
    for axes, (metric, heading) in zip(panels, OUTCOMES, strict=True):
        top = max(_top(found.metrics[metric]) for found in policies.values())
        for row, (policy, found) in enumerate(policies.items()):
            _bar(axes, row, found.metrics[metric], colours.get(policy, BASELINE_COLOUR), top)
        axes.set_title(heading, fontsize=9.5, color=MUTED, loc="left")
        axes.set_xlim(0, 1.75 * top)  # room for the numbers to the right of the bars
        axes.set_xticks((0, top / 2, top), ("0", f"{100 * top / 2:.3g}", f"{100 * top:.3g} %"))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
    panels[0].set_yticks(range(len(policies)), labels_of([_name(*entry) for entry in policies.items()], 24))
    panels[0].set_ylim(len(policies) - 0.5, -0.5)
    return figure


def _name(policy: str, found: SocPolicySummary) -> str:
    return f"{policy} (cheats)" if found.sees_truth else policy


def _top(metric: MetricSummary) -> float:
    """Return where the axis of a panel ends: 1, or for small ratios the first of 0.5, 0.2, 0.1, ... that holds it."""
    value, interval = metric.shown
    high = max(value or 0.0, interval[1] if interval else 0.0)
    top = 1.0
    for step in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        if high <= step:
            top = step
    return top


def _bar(axes: Axes, row: int, metric: MetricSummary, colour: str, top: float) -> None:
    """Draw one value with its interval, and write it to the right; nothing where it is not defined."""
    value, interval = metric.shown
    if value is None:
        axes.text(0.02 * top, row, "not defined", va="center", color=MUTED, fontsize=8.5)
        return
    axes.barh(row, value, height=0.62, color=colour, zorder=2)
    if interval is not None:
        axes.plot(interval, (row, row), color=INK, linewidth=2, solid_capstyle="butt", zorder=3)
    end = max(value, interval[1] if interval else 0.0)
    scaled = None if interval is None else (100 * interval[0], 100 * interval[1])
    text = with_interval(100 * value, scaled, 1 if top > 0.1 else 2)
    axes.text(end + 0.03 * top, row, text, va="center", fontsize=8, clip_on=False)
