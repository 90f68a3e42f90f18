"""What the reports of all games are made of: tables, sections, numbers as text, and the sections that all have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from evaluation.harness.metrics import Metric
from evaluation.harness.schema import MetricSummary, RunSummary, VersusBaseline
from evaluation.harness.summary import BASELINE

if TYPE_CHECKING:
    from rich.table import Table as RichTable

NONE: Final = "–"  # shown where the data give no number


@dataclass(frozen=True)
class Table:
    """Cells as text. The first column names the row; the last is words, not a number, where ``prose``."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    prose: bool = False


@dataclass(frozen=True)
class Section:
    """One question of the reader and its answer; each part may be absent."""

    title: str
    text: str = ""
    table: Table | None = None
    figures: Sequence[str] = ()
    points: Sequence[str] = ()


# ------------------------------------------------------------------------------------------- sections of all games
def caveats(summary: RunSummary, provenance: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know first: missing episodes, interruption, uncommitted changes."""
    found = []
    asked = summary.asked or tuple(summary.policies)
    played = {name: summary.policies[name].n if name in summary.policies else 0 for name in asked}
    short = [f"{name} {n} of {summary.episodes}" for name, n in played.items() if n < summary.episodes]
    if short or not summary.complete:
        found.append(f"fewer episodes than asked were played ({', '.join(short) or 'see n'})")
    if _interrupted(provenance):
        found.append("the run was interrupted or is still going on")
    if provenance.get("dirty"):
        found.append("the working tree had uncommitted changes, so no commit names the code that ran")
    return found


def _interrupted(provenance: Mapping[str, Any]) -> bool:
    unfinished = "finished" in provenance and not provenance["finished"]
    stopped = provenance.get("status") in ("interrupted", "failed", "running", "started")
    return unfinished or stopped or bool(provenance.get("interrupted"))


def versus_table(
    found: Mapping[str, VersusBaseline | None], *, normalised: bool = False, digits: int = 1
) -> Table | None:
    """Return policy -> comparison with the baseline as a table; None if there is none.

    Args:
        found: ``versus_baseline`` of each policy.
        normalised: Whether to show the score on the scale of the literature.
        digits: Decimals of scores.
    """

    def row(name: str, versus: VersusBaseline) -> list[str]:
        percent = versus.improvement_percent
        scaled = [interval(versus.normalised_score, versus.normalised_score_ci95, digits=2)] if normalised else []
        better = versus.probability_of_improvement, versus.probability_of_improvement_ci95
        return [
            name,
            str(versus.n),
            interval(versus.difference, versus.difference_ci95, digits, sign=True),
            NONE if percent is None else f"{percent:+.1f} %",
            *scaled,
            interval(*better, digits=2),
            p_text(versus.welch_p_holm),
            p_text(versus.brunner_munzel_p_holm),
        ]

    columns = ["policy", "pairs", "difference", "improvement", *(["normalised"] if normalised else [])]
    rows = [row(name, versus) for name, versus in found.items() if versus]
    caption = f"Each policy against {BASELINE}"
    return Table(caption, [*columns, "P(better)", "Welch p", "Brunner-Munzel p"], rows) if rows else None


def metric_table(summary: RunSummary, metrics: Sequence[Metric], digits: int = 2) -> Table | None:
    """Return policy -> metrics as a table; None if no policy has any.

    Args:
        summary: What was measured.
        metrics: Those to show, in this order, with unit and direction.
        digits: Decimals.
    """
    shown = [m for m in metrics if any(m.name in found.metrics for found in summary.policies.values())]
    rows = [
        [name, *(_metric_cell(found.metrics.get(metric.name), found.n, digits) for metric in shown)]
        for name, found in summary.policies.items()
    ]
    return Table("Metrics", ["policy", *map(metric_heading, shown)], rows) if shown and rows else None


def metric_heading(metric: Metric) -> str:
    """Return a metric as the heading of a column: its name, its unit and which way is better."""
    arrow = {"more": " \u2191", "less": " \u2193", "neither": ""}[metric.better]
    return f"{metric.name}, {metric.unit}{arrow}"


def _metric_cell(found: MetricSummary | None, episodes: int, digits: int) -> str:
    if found is None:
        return NONE
    text = interval(*found.shown, digits=digits)
    return text if found.n in (0, episodes) else f"{text} (n {found.n})"


def metrics_note(metrics: Sequence[Metric]) -> str:
    """Say what the metrics mean."""
    return " ".join(f"{metric.name}: {metric.meaning}." for metric in metrics)


def score_table(summary: RunSummary, digits: int = 2) -> Table | None:
    """Return policy -> score as a table; None without a policy."""
    rows = [
        [
            name,
            str(found.n),
            interval(found.mean, found.ci95, digits),
            number(found.std, digits),
            number(found.median, digits),
            interval(found.iqm, found.iqm_ci95, digits),
            number(found.minimum, digits),
            number(found.maximum, digits),
        ]
        for name, found in summary.policies.items()
    ]
    columns = ["policy", "n", "mean", "std", "median", "interquartile mean", "minimum", "maximum"]
    return Table("Score per episode", columns, rows) if rows else None


def pair_table(summary: RunSummary, digits: int = 1) -> Table | None:
    """Return every pair of policies as a table; None if there is none."""
    rows = [
        [
            f"{pair.a} vs {pair.b}",
            " / ".join(dict.fromkeys(str(n) for n in pair.n)),
            interval(pair.difference, pair.difference_ci95, digits, sign=True),
            p_text(pair.p),
            p_text(pair.p_holm),
            p_text(pair.p_fdr),
        ]
        for pair in summary.comparisons
    ]
    columns = ["pair", "n", "difference", "p", "Holm", "Benjamini-Hochberg"]
    return Table("Every policy against every other", columns, rows) if rows else None


def pairs_note(summary: RunSummary) -> str:
    """Say how the pairs were tested."""
    tests = sorted({pair.test for pair in summary.comparisons}, reverse=True)
    which = " where two seeds or more are shared, else ".join(tests)
    return (
        f"First minus second. Test: {which}. p-values are corrected over all pairs: Holm for the risk of any "
        "false finding, Benjamini-Hochberg for the share of false ones."
    )


def provenance_table(summary: RunSummary, provenance: Mapping[str, Any]) -> Table:
    """Return all that is known of where a run comes from."""
    dirty = provenance.get("dirty")
    known = {
        "run": summary.run,
        "commit": provenance.get("commit") or "not recorded",
        "working tree": "not recorded" if dirty is None else "uncommitted changes" if dirty else "clean",
    }
    rest = {key.replace("_", " "): value for key, value in provenance.items() if key != "dirty"}
    rows = [(key, _plain(value)) for key, value in {**known, **rest, **known}.items()]
    return Table("Provenance", ["what", "value"], rows, prose=True)


def _plain(value: Any) -> str:
    """Return a value of the provenance as text, whatever it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items()) or NONE
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(entry) for entry in value) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NONE if value is None else str(value)


# --------------------------------------------------------------------------------------------------- terminal
def terminal_scores(
    title: str, notes: Sequence[str], columns: Sequence[str], rows: Iterable[Sequence[str]], least: int
) -> RichTable:
    """Return rows of numbers, one per policy, as a table for the terminal.

    Args:
        title: Above the table.
        notes: Below it, a line each.
        columns: Headings of the numbers.
        rows: Name of the policy, then the numbers.
        least: Characters to which names may be folded where the terminal is narrow; numbers never are.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    # Padding is narrow because rich drops columns of numbers that have no room.
    table = RichTable(title=title, caption="\n".join(notes), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("policy", overflow="fold", min_width=least)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # as Text: brackets in a name are no markup
    return table


# ---------------------------------------------------------------------------------------------------- numbers
def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number as text, a dash for None."""
    if value is None:
        return NONE
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}"


def interval(value: float | None, bounds: Sequence[float] | None, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number and its interval as text."""
    text = number(value, digits, sign=sign)
    if bounds is None:
        return text
    low, high = (number(bound, digits, sign=sign) for bound in bounds)
    return f"{text} [{low}, {high}]"


def span(bounds: Sequence[float] | None) -> str:
    """Return an interval alone as text, a dash for None."""
    return NONE if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def p_text(p: float | None) -> str:
    """Return a p-value as text."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
