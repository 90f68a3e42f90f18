"""A summary as people read it: a table in the terminal, ``report.md`` and ``report.html``.

It is built once as sections of plain text, tables and names of figures, by the module of its game; the templates
only dress them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluation.harness.game import find_game
from evaluation.harness.schema import Row, RunSummary
from evaluation.reporting.markdown import escaped
from evaluation.reporting.parts import Section, caveats
from evaluation.reporting.theme import VARIABLES

if TYPE_CHECKING:
    from jinja2 import Environment
    from rich.table import Table as RichTable


# -------------------------------------------------------------------------------------------------- the faces
def render_markdown(summary: RunSummary, provenance: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return ``report.md``.

    Args:
        summary: What was measured.
        provenance: What is known of the run: ``commit``, ``dirty``, ``versions``, ``finished`` and others;
            any may be missing.
        figures: Name of a figure -> path of its SVG file, relative to the report.
    """
    return _render("report.md.j2", _page(summary, provenance), figures)


def render_html(summary: RunSummary, provenance: Mapping[str, Any], figures_svg: Mapping[str, str]) -> str:
    """Return ``report.html``: one file that needs no network and no script.

    Args:
        summary: What was measured.
        provenance: As for :func:`render_markdown`.
        figures_svg: Name of a figure -> its SVG text.
    """
    page = _page(summary, provenance)
    figures = {name: _inline(page.about.get(name, (name, ""))[0], svg) for name, svg in figures_svg.items()}
    return _render("report.html.j2", page, figures)


def terminal_table(summary: RunSummary) -> RichTable:
    """Return the scores as a table for the terminal; missing episodes are said in the caption."""
    return find_game(summary.game).terminal_table(summary)


def figures(summary: RunSummary, rows: Sequence[Row]) -> dict[str, str]:
    """Draw every figure of a report: name -> SVG text; none for a run without a row. Loads matplotlib.

    Args:
        summary: Gives order of the policies, intervals, and what else the figures of its game show.
        rows: Those it was made of, for distributions and curves.
    """
    return find_game(summary.game).figures(summary, rows) if summary.policies else {}


class _Page(NamedTuple):
    caveat: str
    title: str
    lead: str
    sections: list[Section]
    about: Mapping[str, tuple[str, str]]  # name of a figure -> its title and caption


def _page(summary: RunSummary, provenance: Mapping[str, Any]) -> _Page:
    warnings = caveats(summary, provenance)
    caveat = f"Read with care: {'; '.join(warnings)}." if warnings else ""
    game = find_game(summary.game)
    return _Page(caveat, game.title(summary), game.lead(summary), game.sections(summary, provenance), game.figure_texts)


# -------------------------------------------------------------------------------------------------- rendering
def _render(template: str, page: _Page, figures: Mapping[str, str]) -> str:
    return _environment().get_template(template).render(figures=figures, **page._asdict())


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[[str], str]] = {"md": escaped, "minus": _true_minus, "cell": _cell}
    environment.filters.update(filters)
    return environment


def _true_minus(text: str) -> str:
    """Set a minus sign before numbers; hyphens within words stay."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\u2212", text)


def _cell(text: str) -> str:
    """Put the interval of a number on a line of its own, to keep tables narrow; everything is escaped."""
    from markupsafe import Markup, escape

    number, bracket, rest = _true_minus(text).partition(" [")
    if not (bracket and rest.endswith("]")):
        return escape(number + bracket + rest)
    return escape(number) + Markup(" <small>[{}</small>").format(rest)


def _inline(title: str, svg: str) -> str:
    """Prepare a figure for the page: its colours follow the page, and it has a name for a screen reader."""
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
