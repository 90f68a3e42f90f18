"""How a figure of a report looks and becomes SVG text: the kit that the figures of all games are drawn with.

Equal input gives equal text. Figures stand alone on white; text, lines and paper use the colours of
:mod:`evaluation.reporting.theme` and nothing else does, so that a page may restyle them for a dark screen. This file
and the ``plots.py`` of games and studies alone import matplotlib; import them where they are needed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.harness import statistics
from evaluation.harness.schema import Row, RunSummary, ScoreSummary
from evaluation.harness.summary import BASELINE
from evaluation.reporting.theme import GRID, INK, MUTED, PAPER
from native_sim.names import plain

ON_DARK: Final = "#fefefe"
ON_LIGHT: Final = "#111111"
BASELINE_COLOUR: Final = "#8c8c8c"
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
"""Okabe and Ito's colour-blind-safe palette; its yellow is darkened to be seen on white."""
MAX_POINTS: Final = 200
"""Points drawn of one line or one strip, to keep the files small."""
_WIDTH: Final = 9.0  # inches
_AnyRow = TypeVar("_AnyRow", bound=Row)
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def to_svg(name: str, draw: Callable[[], Figure]) -> str:
    """Draw a figure in the house style and return its SVG text, with ids that begin with its name."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type,unused-ignore]
        text = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # none: no date, no version, no address
        draw().savefig(text, format="svg", metadata=metadata)
    return _tidy(name, text.getvalue())


def _tidy(name: str, svg: str) -> str:
    """Make a figure fit to live in a page with others: no prologue, no page-wide style, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width; height in inches."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colours_of(policies: Sequence[str]) -> dict[str, str]:
    """Return a colour per policy: grey for the baseline, the palette in order for the others."""
    others = [policy for policy in policies if policy != BASELINE]
    colours = {policy: COLOURS[i % len(COLOURS)] for i, policy in enumerate(others)}
    return {**colours, BASELINE: BASELINE_COLOUR}


def dashes_of(policies: Sequence[str]) -> dict[str, str]:
    """Return a line style per policy, so that colour is not the only difference."""
    return {policy: ("-", "--", "-.", ":")[i // 4 % 4] for i, policy in enumerate(policies)}


def shown(name: str) -> str:
    """Return a name as text of a figure; one that begins with an underscore would be left out of legends."""
    return f"\u200b{plain(name)}" if name.startswith("_") else plain(name)


def labels_of(policies: Iterable[str], limit: int = 30) -> list[str]:
    """Shorten long names in their middle, for both ends tell variants apart; not if two would become one."""
    names = [shown(name) for name in policies]
    head = (limit - 1) // 2
    short = [n if len(n) <= limit else f"{n[:head]}…{n[len(n) - (limit - 1 - head) :]}" for n in names]
    return short if len(set(short)) == len(set(names)) else names


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Place a legend above the panels, in as many columns as the width allows."""
    for columns in range(len(labels), 0, -1):
        widths = [max(len(label) for label in part) + 9 for part in np.array_split(labels, columns)]
        if sum(widths) <= 120:
            break
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.6)


def number(value: float) -> str:
    """Write a reward for a cell or a tick: three digits at most below 1000, a true minus sign."""
    size = abs(value)
    text = f"{size:.1f}" if size < 9.95 else f"{size:,.0f}".replace(",", "\u2009")
    text = "0" if text == "0.0" else text
    return f"\u2212{text}" if value < 0 and text != "0" else text


def by_policy(summary: RunSummary, records: Sequence[_AnyRow]) -> dict[str, list[_AnyRow]]:
    """Return policy -> its rows in the order of the seeds, policies in the order of the summary."""
    rows: dict[str, list[_AnyRow]] = {policy: [] for policy in summary.policies}
    for row in sorted(records, key=lambda row: row.index):
        if row.policy in rows:
            rows[row.policy].append(row)
    empty = [policy for policy, found in rows.items() if not found]
    if empty:
        raise ValueError(f"the summary counts episodes of {', '.join(empty)}, but no row of them was given")
    return rows


def note_above(axes: Axes, x: float, text: str, ha: str = "center") -> None:
    """Write a quiet note above the panel at the data coordinate x."""
    axes.annotate(
        text,
        (x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha=ha,
        color=MUTED,
        fontsize=9,
    )


# ----------------------------------------------------------------------------------------- scores of episodes
def score_strips(
    scores: Mapping[str, Sequence[float]], found: Mapping[str, ScoreSummary], digits: int = 1
) -> tuple[Figure, Axes]:
    """Draw the scores of each policy as density, dots, mean and interval; the x axis is left to the caller."""
    colours = colours_of(list(scores))
    figure = new_figure(1.1 + 0.64 * len(scores))
    axes = figure.add_subplot()
    for position, (policy, played) in enumerate(scores.items()):
        _rain(axes, np.sort(played), position, colours[policy])
        figures_of = found[policy]
        interval = figures_of.ci95 or (figures_of.mean, figures_of.mean)
        axes.plot(interval, (position, position), color=INK, linewidth=3, solid_capstyle="butt", zorder=4)
        axes.plot(figures_of.mean, position, "D", color=INK, markersize=5.5, zorder=5)
        axes.annotate(
            with_interval(figures_of.mean, figures_of.ci95, digits),
            (1.02, position),
            xycoords=("axes fraction", "data"),
            va="center",
        )
    header: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "color": MUTED, "fontsize": 9}
    axes.annotate("mean [95 % interval]", (1.02, 1.0), xycoords="axes fraction", **header)
    axes.set_yticks(range(len(scores)), labels_of(scores))
    axes.set_ylim(len(scores) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return figure, axes


def _rain(axes: Axes, scores: statistics.FloatArray, position: float, colour: str) -> None:
    """Draw the density of the scores above the line of a policy and its episodes below."""
    thinned = scores[np.unique(np.linspace(0, len(scores) - 1, MAX_POINTS).round().astype(int))]
    jitter = (np.arange(len(thinned)) * 0.618034) % 1.0  # golden ratio: even, and no random number
    offsets = position + 0.12 + 0.22 * jitter
    axes.plot(thinned, offsets, "o", color=colour, alpha=0.55, markersize=3, markeredgewidth=0, zorder=2)
    if len(scores) >= 5 and np.ptp(scores) > 0:
        from scipy.stats import gaussian_kde

        grid = np.linspace(scores[0], scores[-1], MAX_POINTS // 2)
        density = gaussian_kde(scores)(grid)
        top = position - 0.1 - 0.3 * density / density.max()
        axes.fill_between(grid, position - 0.1, top, color=colour, alpha=0.45, linewidth=0, zorder=2)


def with_interval(value: float, interval: tuple[float, float] | None, digits: int = 1) -> str:
    """Write a number and its interval beside a bar, with true minus signs."""
    text = f"{value:.{digits}f}"
    if interval is not None:
        text = f"{text} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    return text.replace("-", "\u2212")
