"""The figures of a report, drawn by the module of its game; import it where it is needed, for it loads matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.games.cc4 import plots as plots_cc4
from evaluation.games.soc import plots as plots_soc
from evaluation.harness.schema import EpisodeRecord, Row, RunSummary, SocRecord, SocSummary, Summary


def figures(summary: RunSummary, records: Sequence[Row]) -> dict[str, str]:
    """Draw every figure of a report: name -> SVG text; none for a run without a row.

    Args:
        summary: Gives order of the policies, intervals, and what else the figures of its game show.
        records: The rows it was made of, for distributions and curves.
    """
    if not summary.policies:
        return {}
    if isinstance(summary, SocSummary):
        return plots_soc.figures(summary, [row for row in records if isinstance(row, SocRecord)])
    assert isinstance(summary, Summary)
    return plots_cc4.figures(summary, [row for row in records if isinstance(row, EpisodeRecord)])
