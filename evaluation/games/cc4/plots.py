"""The figures of a report of CC4, as SVG text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cage4 import spec as cc4
from evaluation.games.cc4.schema import EpisodeRecord, Summary, has_published_scores
from evaluation.harness import statistics
from evaluation.reporting.canvas import (
    MAX_POINTS,
    ON_DARK,
    ON_LIGHT,
    add_legend,
    by_policy,
    colours_of,
    dashes_of,
    labels_of,
    new_figure,
    note_above,
    number,
    score_strips,
    to_svg,
)
from evaluation.reporting.theme import MUTED, PAPER

PART_COLOURS: Final = (
    ("#0072B2", ON_DARK),
    ("#E69F00", ON_LIGHT),
    ("#D55E00", ON_DARK),
    ("#999999", ON_LIGHT),
)
PART_NAMES: Final = ("local work failed", "access to service failed", "red impact", "blue's own actions")
SMOOTHING: Final = 25
"""Steps of the moving average of the reward per step (fewer in short episodes: a tenth)."""
_BAND_FROM: Final = 5  # episodes; a band of fewer would hide everything else
_Draw = Callable[[Summary, Sequence[EpisodeRecord]], Figure]


def figures(summary: Summary, records: Sequence[EpisodeRecord]) -> dict[str, str]:
    """Draw every figure of a report: name -> SVG text; none for a run without a row.

    Args:
        summary: Gives order of the policies, intervals, parts of the reward.
        records: The rows it was made of, for distributions and curves.
    """
    if not summary.policies:
        return {}
    return {name: to_svg(name, partial(draw, summary, records)) for name, draw in _FIGURES.items()}


def _score_axis(axes: Axes, summary: Summary, label: str) -> None:
    """Scale and label the x axis for scores."""
    low = min(found.minimum for found in summary.policies.values())
    high = max(found.maximum for found in summary.policies.values())
    if _spans_decades(summary):
        best = max(found.mean for found in summary.policies.values())
        linear, ticks = _decades(low, best / 3)
        axes.set_xscale("asinh", linear_width=linear)
        axes.set_xticks([tick for tick in ticks if tick <= max(high, 0.8 * high)])
        axes.minorticks_off()
        axes.set_xlim(1.25 * low, 0.8 * high if high < 0 else high + linear / 5)
        label = f"{label}, logarithmic"
    axes.xaxis.set_major_formatter(lambda tick, _: number(tick))
    axes.set_xlabel(label)


def _spans_decades(summary: Summary) -> bool:
    """Tell whether means differ by more than a power of ten, where a linear scale would hide the best."""
    means = [found.mean for found in summary.policies.values()]
    return max(means) < 0 and min(means) / max(means) > 10


def _decades(low: float, small: float) -> tuple[float, list[float]]:
    """Return where a logarithmic axis turns linear, a power of ten near ``small``, and its ticks."""
    linear = float(10.0 ** np.floor(np.log10(-small)))
    ticks = [-m * linear * 10.0**e for e in range(8) for m in (1, 3)]
    return linear, [0.0, *(tick for tick in ticks if tick >= 1.1 * low)]


def _reference(axes: Axes, summary: Summary) -> None:
    """Mark the best published score where it was played on the same game."""
    if not has_published_scores(summary.variant, summary.steps):
        return
    axes.axvline(statistics.UC_SCORE, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    place = axes.transAxes.inverted().transform(axes.transData.transform((statistics.UC_SCORE, 0)))[0]
    note_above(
        axes,
        statistics.UC_SCORE,
        f"UC, published: {number(statistics.UC_SCORE)}",
        "left" if place < 0.3 else "right",
    )


# ----------------------------------------------------------------------------------------- scores of episodes
def _draw_scores(summary: Summary, records: Sequence[EpisodeRecord]) -> Figure:
    rows = by_policy(summary, records)
    scores = {policy: [row.score for row in played] for policy, played in rows.items()}
    figure, axes = score_strips(scores, summary.policies)
    _score_axis(axes, summary, "score of an episode (official scale)")
    _reference(axes, summary)
    return figure


# ----------------------------------------------------------------------------------------- reward over a game
def _draw_steps(summary: Summary, records: Sequence[EpisodeRecord]) -> Figure:
    rows = by_policy(summary, records)
    colours, dashes = colours_of(list(rows)), dashes_of(list(rows))
    counted = min(len(row.step_rewards) for row in records)
    window = max(1, min(SMOOTHING, counted // 10))
    steps = np.unique(np.linspace(0, counted - 1, MAX_POINTS).round().astype(int))
    figure = new_figure(6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for (policy, played), label in zip(rows.items(), labels_of(rows), strict=True):
        rewards = np.array([row.step_rewards[:counted] for row in played])
        for axes, curves in ((upper, _moving_average(rewards, window)), (lower, rewards.cumsum(axis=1))):
            middle, half = _mean_and_band(curves[:, steps])
            look: dict[str, Any] = {"color": colours[policy], "label": label}
            axes.plot(steps + 1, middle, linestyle=dashes[policy], linewidth=1.6, zorder=3, **look)
            if half is not None:
                band: dict[str, Any] = {"color": colours[policy], "alpha": 0.18, "linewidth": 0}
                axes.fill_between(steps + 1, middle - half, middle + half, zorder=2, **band)
    upper.set_ylabel(f"reward per step\n(mean of {window} steps)" if window > 1 else "reward per step")
    lower.set_ylabel("reward so far")
    lower.set_xlabel("step")
    lower.set_xlim(0.5, counted + 0.5)
    _phases(upper, lower, summary.steps, counted)
    if _spans_decades(summary):
        _log_losses(upper, max(found.mean for found in summary.policies.values()) / counted)
        _log_losses(lower, max(found.mean for found in summary.policies.values()) / 3)
    for axes in (upper, lower):
        axes.yaxis.set_major_formatter(lambda tick, _: number(tick))
    figure.align_ylabels()
    add_legend(figure, *upper.get_legend_handles_labels())
    return figure


def _log_losses(axes: Axes, small: float) -> None:
    """Make the y axis logarithmic in the loss, and linear within about ``small`` of zero."""
    low = axes.get_ylim()[0]
    linear, ticks = _decades(low, small)
    axes.set_yscale("asinh", linear_width=linear)
    axes.set_yticks(ticks)
    axes.minorticks_off()
    axes.set_ylim(1.2 * low, linear / 5)
    axes.set_ylabel(f"{axes.get_ylabel()},\nlogarithmic")


def _moving_average(rewards: statistics.FloatArray, window: int) -> statistics.FloatArray:
    """Return the centred moving average of each row [N, T]; at the ends of the steps that exist."""
    total = np.concatenate([np.zeros((len(rewards), 1)), rewards.cumsum(axis=1)], axis=1)
    step = np.arange(rewards.shape[1])
    first = np.maximum(step - (window - 1) // 2, 0)
    last = np.minimum(step + window // 2 + 1, rewards.shape[1])
    return np.asarray((total[:, last] - total[:, first]) / (last - first))


def _mean_and_band(
    curves: statistics.FloatArray,
) -> tuple[statistics.FloatArray, statistics.FloatArray | None]:
    """Return the mean curve of [N, P] and half the width of its pointwise 95 % t band, if N allows."""
    n = len(curves)
    if n < _BAND_FROM:
        return curves.mean(axis=0), None
    from scipy.special import stdtrit

    error = curves.std(axis=0, ddof=1) / np.sqrt(n)
    return curves.mean(axis=0), stdtrit(n - 1, 0.975) * error


def _phases(upper: Axes, lower: Axes, steps: int, counted: int) -> None:
    """Name the phases above the panels and part them by lines; one without a counted step is left out."""
    start = 0
    for name, length in zip(cc4.PHASE_NAMES, cc4.phase_lengths(steps), strict=True):
        end = min(start + length, counted)
        if start >= end:
            return
        if start > 0:
            for axes in (upper, lower):
                axes.axvline(start + 0.5, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        note_above(upper, (start + end + 1) / 2, name)
        start += length


# ---------------------------------------------------------------------------------------- performance profile
def _draw_profile(summary: Summary, records: Sequence[EpisodeRecord]) -> Figure:
    rows = by_policy(summary, records)
    colours, dashes = colours_of(list(rows)), dashes_of(list(rows))
    figure = new_figure(4.2)
    axes = figure.add_subplot()
    ends = min(row.score for row in records), max(row.score for row in records)
    for (policy, played), label in zip(rows.items(), labels_of(rows), strict=True):
        scores = np.sort([row.score for row in played])
        kept = np.unique(np.linspace(0, len(scores) - 1, MAX_POINTS).round().astype(int))
        better = len(scores) - np.searchsorted(scores, scores[kept], side="right")
        bands = np.array([statistics.wilson_interval(int(count), len(scores)) for count in better])
        taus, shares = scores[kept], better / len(scores)
        look: dict[str, Any] = {"color": colours[policy], "linestyle": dashes[policy], "label": label}
        axes.step([ends[0], *taus, ends[1]], [1.0, *shares, 0.0], where="post", linewidth=1.8, zorder=3, **look)
        band: dict[str, Any] = {"color": colours[policy], "alpha": 0.18, "linewidth": 0}
        axes.fill_between(taus, bands[:, 0], bands[:, 1], step="post", **band)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_ylabel("share of episodes with a better score")
    _score_axis(axes, summary, "score τ (official scale)")
    _reference(axes, summary)
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure


# -------------------------------------------------------------------------------------- where the reward goes
def _losses(summary: Summary) -> dict[str, statistics.FloatArray]:
    """Return policy -> [phase, subnet, part] mean rewards."""
    return {policy: np.array(found.parts) for policy, found in summary.policies.items()}


def _draw_parts(summary: Summary, records: Sequence[EpisodeRecord]) -> Figure:
    del records  # the summary holds the means
    losses = _losses(summary)
    figure = new_figure(1.4 + 0.36 * len(losses))
    panels = figure.subplots(1, cc4.NUM_PHASES, sharey=True)
    for phase, axes in enumerate(panels):
        for row, (policy, parts) in enumerate(losses.items()):
            costs = summary.policies[policy].action_costs[phase]
            _share_bar(axes, row, np.append(parts[phase].sum(axis=0), costs))
        axes.set_title(cc4.PHASE_NAMES[phase], fontsize=9.5, color=MUTED, loc="left")
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.5, 1), ("0", "50", "100 %"))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
    panels[0].set_yticks(range(len(losses)), labels_of(losses, 22))
    panels[0].set_ylim(len(losses) - 0.5, -0.5)
    panels[1].set_xlabel("share of the reward lost in the phase (right of each bar: reward of the phase)")
    handles = [mpl.patches.Patch(color=colour) for colour, _ in PART_COLOURS]
    add_legend(figure, handles, PART_NAMES)
    return figure


def _share_bar(axes: Axes, row: int, rewards: statistics.FloatArray) -> None:
    """Draw the shares of one policy and phase, and its total to the right."""
    total = rewards.sum()
    shares = rewards / total if total != 0 else np.zeros_like(rewards)
    left = 0.0
    for share, (colour, ink) in zip(shares, PART_COLOURS, strict=True):
        axes.barh(row, share, left=left, height=0.68, color=colour, edgecolor=PAPER, linewidth=0.6)
        if share >= 0.13:
            axes.text(left + share / 2, row, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=8.5)
        left += share
    axes.text(1.02, row, number(float(total)), va="center", fontsize=9, clip_on=False)


def _draw_zones(summary: Summary, records: Sequence[EpisodeRecord]) -> Figure:
    del records  # the summary holds the means
    losses = _losses(summary)
    tables = [
        np.array(
            [
                [*parts[phase].sum(axis=1), summary.policies[policy].action_costs[phase]]
                for policy, parts in losses.items()
            ]
        )
        for phase in range(cc4.NUM_PHASES)
    ]
    worst = max(1.0, -min(float(table.min()) for table in tables))
    figure = new_figure(1.0 + cc4.NUM_PHASES * (0.3 + 0.3 * len(losses)))
    panels = figure.subplots(cc4.NUM_PHASES, 1, sharex=True)
    for phase, (axes, table) in enumerate(zip(panels, tables, strict=True)):
        _heat(axes, table, worst)
        axes.set_yticks(range(len(losses)), labels_of(losses, 24))
        axes.set_title(cc4.PHASE_NAMES[phase], fontsize=9.5, color=MUTED, loc="left")
    zones = [_zone_label(subnet) for subnet in cc4.Subnet]
    panels[-1].set_xticks(range(len(zones) + 1), [*zones, "Blue's own\nactions"], fontsize=8)
    return figure


def _zone_label(subnet: cc4.Subnet) -> str:
    """Return the name of a subnet in two lines, such as Restricted / zone A."""
    first, *rest = subnet.name.split("_")
    second = " ".join(word if len(word) == 1 else word.lower() for word in rest)
    return f"{first.capitalize()}\n{second}"


def _heat(axes: Axes, table: statistics.FloatArray, worst: float) -> None:
    """Draw one phase [policies, columns]: the darker, the more was lost (its root, to show small losses)."""
    depth = np.sqrt(np.clip(-table / worst, 0, 1))
    mesh = axes.pcolormesh(
        np.arange(table.shape[1] + 1) - 0.5,
        np.arange(len(table) + 1) - 0.5,
        depth,
        cmap="Blues",
        vmin=0,
        vmax=1.1,
        edgecolors=PAPER,
        linewidth=1.2,
    )
    shades = mesh.to_rgba(depth)
    for (row, column), value in np.ndenumerate(table):
        ink = ON_DARK if _luminance(shades[row, column]) < 0.18 else ON_LIGHT
        axes.text(column, row, number(float(value)), ha="center", va="center", color=ink, fontsize=8.5)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of an RGBA colour (WCAG 2); below 0.18 white text reads better."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


_FIGURES: Final[dict[str, _Draw]] = {
    "scores": _draw_scores,
    "steps": _draw_steps,
    "profile": _draw_profile,
    "parts": _draw_parts,
    "zones": _draw_zones,
}
