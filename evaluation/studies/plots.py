"""The figures of studies, as SVG text, drawn from their summaries and the logs of their runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from evaluation.harness import statistics
from evaluation.harness.statistics import FloatArray
from evaluation.reporting.canvas import COLOURS, add_legend, colours_of, dashes_of, new_figure, shown, to_svg
from evaluation.reporting.theme import GRID, INK
from evaluation.studies.behaviour.measures import OFFICE
from evaluation.studies.training.plans import REFERENCE
from evaluation.studies.training.tables import COLUMNS, Column

Curves = Mapping[str, Sequence[Mapping[str, FloatArray]]]
"""Arm -> the validations of each of its runs: ``steps`` and ``score``."""
RADAR: Final = ("reward", "csr", "mttd", "mttr", "scan_fpr", "alert_fpr")
_WIDE: Final = 100.0
"""Where a curve is further from 0 than this, the axis is logarithmic: one that diverges would flatten the others."""
_LINEAR: Final = 10.0
"""Rewards this near to 0 are drawn on a linear scale even then."""
_MARKERS: Final = {False: "o^v", True: "sDX"}
"""Scripted or not -> markers, the next for the next arm of the same colour: there are more arms than colours."""
BARS: Final = ("reward", "csr", "scan_fpr", "alert_fpr")
_PANELS_PER_ROW: Final = 3


def figures(names: Sequence[str], summary: Mapping[str, Any], curves: Curves, axis: str = "") -> dict[str, str]:
    """Return name -> SVG of the figures that a study asks for.

    Args:
        names: Of ``curves``, ``radar``, ``boxes``, ``bars``, ``sweep`` and ``fpr-csr``.
        summary: What :func:`evaluation.studies.training.tables.summarise` returned; a sweep needs ``x`` in its arms.
        curves: Validations during training.
        axis: Meaning of ``x``.
    """
    draw = {
        "curves": partial(_curves, curves),
        "radar": partial(_radar, summary["arms"]),
        "boxes": partial(_boxes, summary["arms"]),
        "bars": partial(_bars, summary["arms"]),
        "sweep": partial(_sweep, summary["arms"], axis),
        "fpr-csr": partial(_fpr_csr, summary["arms"]),
    }
    return {name: to_svg(f"{summary['study']}-{name}", draw[name]) for name in names}


def _curves(curves: Curves) -> Figure:
    figure = new_figure(3.6)
    axes = figure.add_subplot()
    colours, dashes = colours_of(list(curves)), dashes_of(list(curves))
    for label, runs in curves.items():
        length = min(len(run["steps"]) for run in runs)
        if not length:
            continue
        steps = runs[0]["steps"][:length]
        scores = np.stack([run["score"][:length] for run in runs])
        axes.plot(steps, scores.mean(axis=0), dashes[label], color=colours[label], label=label)
        if len(runs) > 1:
            bands = [statistics.t_interval(column) for column in scores.T]
            low, high = np.array([band for band in bands if band is not None]).T
            axes.fill_between(steps, low, high, color=colours[label], alpha=0.15, linewidth=0)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("validation reward")
    low, high = axes.get_ylim()
    if max(-low, high) > _WIDE:
        _bend(axes)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure


def _bend(axes: Axes) -> None:
    """Draw the y axis on a logarithmic scale away from 0."""
    axes.set_yscale("symlog", linthresh=_LINEAR)
    ticks = [5.0, *(digit * 10.0**power for power in range(1, 6) for digit in (1.0, 2.0, 5.0))]
    axes.yaxis.set_major_locator(FixedLocator([0.0, *ticks, *(-tick for tick in ticks)]))


def _mean(arm: Mapping[str, Any], name: str) -> float:
    value = arm["metrics"][name]["mean"]
    return float("nan") if value is None else float(value)


def _markers(arms: Mapping[str, Any]) -> dict[str, str]:
    """Return a marker per arm, others for scripted arms; up to 21 arms of a kind, no two share marker and colour."""
    colours = colours_of(list(arms))
    used: Counter[tuple[bool, str]] = Counter()
    found = {}
    for label, arm in arms.items():
        scripted = _is_scripted(arm)
        markers, look = _MARKERS[scripted], (scripted, colours[label])
        found[label] = markers[used[look] % len(markers)]
        used[look] += 1
    return found


def _is_scripted(arm: Mapping[str, Any]) -> bool:
    return bool(arm["seeds"] == [None])


def _radar(arms: Mapping[str, Any]) -> Figure:
    """Each axis runs from the worst arm (0.1) to the best (1), and says so; an arm without a figure is at 0."""
    figure = new_figure(4.6)
    axes: Any = figure.add_subplot(projection="polar")
    learned = {label: arm for label, arm in arms.items() if not _is_scripted(arm)}
    columns = {column.name: column for column in COLUMNS}
    better = np.array([1.0 if columns[name].more_is_better else -1.0 for name in RADAR])
    raw = better * np.array([[_mean(arm, name) for name in RADAR] for arm in learned.values()])
    low = np.nanmin(np.where(np.isnan(raw), np.inf, raw), axis=0)
    high = np.nanmax(np.where(np.isnan(raw), -np.inf, raw), axis=0)
    span = np.where(high > low, high - low, 1.0)
    scaled = np.nan_to_num(0.1 + 0.9 * (raw - low) / span)
    angles = np.linspace(0.0, 2.0 * np.pi, len(RADAR), endpoint=False)
    colours, dashes = colours_of(list(learned)), dashes_of(list(learned))
    for label, values in zip(learned, scaled, strict=True):
        around = np.append(values, values[0])
        axes.plot(np.append(angles, angles[0]), around, dashes[label], color=colours[label], label=label)
    ends = zip(RADAR, better * low, better * high, strict=True)
    axes.set_xticks(angles, [_ends(columns[name], worst, best) for name, worst, best in ends])
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        label.set_horizontalalignment("left" if np.cos(angle) > 0 else "right")
    axes.set_yticklabels([])
    axes.set_ylim(0.0, 1.05)
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure


def _ends(column: Column, worst: float, best: float) -> str:
    """Return a metric's name and what its axis runs from and to."""
    name = column.name.replace("_", " ")
    if not np.isfinite((worst, best)).all():
        return name
    return f"{name}\n{worst:.{column.digits}f} to {best:.{column.digits}f}"


def _boxes(arms: Mapping[str, Any]) -> Figure:
    """One point per training seed, or a square for a scripted arm, for reward and containment.

    Scripted arms that lie far from all runs are told as a number at the edge: the figure is about how seeds differ.
    """
    figure = new_figure(1.0 + 0.4 * len(arms))
    panels = figure.subplots(1, 2, sharey=True)
    colours, markers = colours_of(list(arms)), _markers(arms)
    for axes, name in zip(panels, ("reward", "csr"), strict=True):
        left, right = _reach(arms, name)
        for position, (label, arm) in enumerate(arms.items()):
            values = [value for value in arm["metrics"][name]["values"] if value is not None]
            if values and not left <= values[0] <= right:  # of a scripted arm, which has one
                _at_the_edge(axes, left, right, position, values[0])
                continue
            if len(values) > 1:
                low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
                axes.barh(position, high - low, 0.5, left=low, color=colours[label], alpha=0.3)
                axes.plot((middle, middle), (position - 0.25, position + 0.25), color=INK, linewidth=1.5)
            axes.plot(values, [position] * len(values), markers[label], color=colours[label], markersize=4)
        axes.set_xlabel(name)
        axes.set_xlim(left, right)
        axes.set_ylim(len(arms) - 0.5, -0.5)
    panels[0].set_yticks(range(len(arms)), list(arms))
    return figure


def _at_the_edge(axes: Axes, left: float, right: float, position: int, value: float) -> None:
    """Tell a value that lies beyond an end of the axis."""
    if value < left:
        where, offset, side, text = left, 4, "left", f"← {value:.2f}"
    else:
        where, offset, side, text = right, -4, "right", f"{value:.2f} →"
    axes.annotate(text, (where, position), (offset, 0), textcoords="offset points", ha=side, va="center", color=INK)


def _reach(arms: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Return the ends of an axis that has all trained runs, and the scripted arms that are as near as these spread."""
    own: dict[bool, list[float]] = {False: [], True: []}
    for arm in arms.values():
        own[_is_scripted(arm)] += [value for value in arm["metrics"][name]["values"] if value is not None]
    scripted, trained = own[True], own[False] or own[True]
    if not trained:
        return 0.0, 1.0
    low, high = min(trained), max(trained)
    spread = (high - low) or abs(high) or 1.0
    seen = [low, high, *(value for value in scripted if low - spread <= value <= high + spread)]
    return min(seen) - 0.2 * spread, max(seen) + 0.2 * spread


def _with_bars(axes: Axes, arms: Mapping[str, Any], name: str) -> None:
    for position, (label, arm) in enumerate(arms.items()):
        interval = arm["metrics"][name]["ci95"]
        axes.barh(position, _mean(arm, name), color=COLOURS[0], alpha=0.8 if label == REFERENCE else 0.35)
        if interval is not None:
            axes.plot(interval, (position, position), color=INK, linewidth=2)
    axes.set_xlabel(name.replace("_", " "))


def _bars(arms: Mapping[str, Any]) -> Figure:
    figure = new_figure(1.2 + 0.3 * len(arms))
    panels = figure.subplots(1, len(BARS), sharey=True)
    for axes, name in zip(panels, BARS, strict=True):
        _with_bars(axes, arms, name)
    panels[0].set_yticks(range(len(arms)), list(arms))
    panels[0].set_ylim(len(arms) - 0.5, -0.5)
    return figure


def _sweep(arms: Mapping[str, Any], axis: str) -> Figure:
    figure = new_figure(3.0)
    panels = figure.subplots(1, 3)
    ordered = sorted(arms.values(), key=lambda arm: arm["x"])
    places = [arm["x"] for arm in ordered]
    for axes, name in zip(panels, ("reward", "csr", "scan_fpr"), strict=True):
        axes.plot(places, [_mean(arm, name) for arm in ordered], "o-", color=COLOURS[0])
        for place, arm in zip(places, ordered, strict=True):
            if arm["metrics"][name]["ci95"] is not None:
                axes.plot((place, place), arm["metrics"][name]["ci95"], color=COLOURS[0], alpha=0.5)
        axes.set_xlabel(axis)
        axes.set_ylabel(name.replace("_", " "))
    return figure


def _fpr_csr(arms: Mapping[str, Any]) -> Figure:
    """False positives against containment: the upper left corner is where to be."""
    figure = new_figure(3.6)
    panels = figure.subplots(1, 2, sharey=True)
    colours, markers = colours_of(list(arms)), _markers(arms)
    for axes, name in zip(panels, ("scan_fpr", "alert_fpr"), strict=True):
        for label, arm in arms.items():
            figures_of = arm["metrics"]
            seeds = zip(figures_of[name]["values"], figures_of["csr"]["values"], strict=True)
            points = np.array([pair for pair in seeds if None not in pair], np.float64).reshape(-1, 2)
            axes.plot(points[:, 0], points[:, 1], markers[label], color=colours[label], alpha=0.7, label=label)
        axes.set_xlabel(name.replace("_", " "))
    panels[0].set_ylabel("csr")
    add_legend(figure, *panels[0].get_legend_handles_labels())
    return figure


def cross_simulator_figure(summary: Mapping[str, Any]) -> str:
    """Return the SVG of normalised scores on CC4 against those in the SOC simulator, a panel per variant.

    Args:
        summary: What :func:`evaluation.studies.transfer.cross_simulator.summarise` returned, and its ``pairs``.
    """
    return to_svg(summary["study"], partial(_cross_simulator, summary))


def _cross_simulator(summary: Mapping[str, Any]) -> Figure:
    (_, here), *variants = summary["games"].items()
    columns = min(len(variants), _PANELS_PER_ROW)
    rows = -(-len(variants) // columns)
    figure = new_figure(1.2 + 3.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    labels = [pair["label"] for pair in summary["pairs"]]
    colours = colours_of(labels)
    for (name, there), axes in zip(variants, panels, strict=False):
        for number, (label, x, y) in enumerate(zip(labels, here, there, strict=True)):
            if x["normalised"] is None or y["normalised"] is None:
                continue
            marker = "o" if number < len(COLOURS) else "s"
            axes.plot(x["normalised"], y["normalised"], marker, color=colours[label], label=shown(label))
            if x["normalised_ci95"] is not None:
                axes.plot(x["normalised_ci95"], [y["normalised"]] * 2, color=colours[label], alpha=0.5)
            if y["normalised_ci95"] is not None:
                axes.plot([x["normalised"]] * 2, y["normalised_ci95"], color=colours[label], alpha=0.5)
        found = summary["correlations"][name]["spearman"]["value"]
        axes.set_title(shown(name) if found is None else f"{shown(name)}: Spearman {found:.2f}")
    for axes in list(figure.axes)[len(variants) :]:
        axes.remove()
    figure.supxlabel("normalised score, SOC simulator", fontsize="medium")
    figure.supylabel("normalised score, CC4", fontsize="medium")
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if handles:
        add_legend(figure, list(handles.values()), list(handles))
    return figure


def behaviours_figure(summary: Mapping[str, Any]) -> str:
    """Return the SVG of hunting by the hour of the day, a line per policy.

    Args:
        summary: What :func:`evaluation.studies.behaviour.behaviours.study` returned.
    """
    return to_svg(summary["study"], partial(_by_hour, summary["policies"]))


def _by_hour(policies: Mapping[str, Any]) -> Figure:
    figure = new_figure(3.2)
    axes = figure.add_subplot()
    axes.axvspan(*OFFICE, color=GRID, linewidth=0, zorder=0)
    colours, dashes = colours_of(list(policies)), dashes_of(list(policies))
    for label, measured in policies.items():
        efforts = [float("nan") if value is None else value for value in measured["hours"]["by_hour"]]
        axes.plot(np.arange(24) + 0.5, efforts, dashes[label], color=colours[label], label=shown(label))
    axes.set_xlim(0.0, 24.0)
    axes.set_xticks(range(0, 25, 4))
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("hour of the day (office hours shaded)")
    axes.set_ylabel("mean hunting intensity")
    add_legend(figure, *axes.get_legend_handles_labels())
    return figure
