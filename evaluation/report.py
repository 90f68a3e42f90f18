"""A summary as people read it: a table in the terminal, ``report.md`` and ``report.html``.

It is built once as sections of plain text, tables and names of figures; the templates only dress them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evaluation.schema import PolicySummary, Summary
from evaluation.statistics import UC_SCORE
from evaluation.summarise import BASELINE, REFERENCE_GAME
from evaluation.theme import VARIABLES

if TYPE_CHECKING:
    from jinja2 import Environment
    from rich.table import Table as RichTable

NONE: Final = "–"  # shown where the data give no number
KIELY: Final = "Kiely et al., AAAI-25, doi:10.1609/aaai.v39i28.35158"
SINGH: Final = "Singh et al., arXiv:2410.17351"
PUBLISHED: Final = (
    ("UC", "-113 ± 35", KIELY),
    ("Lancer", "-118 ± 40", KIELY),
    ("H-MARL Expert", "-129.53 ± 44.60", SINGH),
    ("Punch", "-142 ± 44", KIELY),
    ("Cybermonic", "-193 ± 84", KIELY),
)
"""Scores of the literature on the official game: who, score, where."""
FIGURES: Final = {
    "scores": (
        "Scores of the episodes",
        "Density above, up to 200 episodes as dots below, mean (diamond) and its 95 % interval (bar).",
    ),
    "profile": (
        "Performance profile",
        "Share of episodes that score better than τ, with pointwise 95 % Wilson bands; right is better.",
    ),
    "steps": (
        "Reward over an episode",
        "Mean reward per step, smoothed by a centred moving average, and summed up; pointwise 95 % t bands "
        "from five episodes on. Dotted lines part the phases.",
    ),
    "parts": ("Reward by cause", "What the reward of each phase was lost to, in percent."),
    "zones": (
        "Reward by zone",
        "Mean reward per episode lost in each subnet and phase; the darker, the more.",
    ),
}
"""Name of a figure -> its title and caption."""


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


# -------------------------------------------------------------------------------------------------- the faces
def render_markdown(summary: Summary, provenance: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return ``report.md``.

    Args:
        summary: What was measured.
        provenance: What is known of the run: ``commit``, ``dirty``, ``versions``, ``finished`` and others;
            any may be missing.
        figures: Name of a figure -> path of its SVG file, relative to the report.
    """
    return _render("report.md.j2", summary, provenance, figures)


def render_html(summary: Summary, provenance: Mapping[str, Any], figures_svg: Mapping[str, str]) -> str:
    """Return ``report.html``: one file that needs no network and no script.

    Args:
        summary: What was measured.
        provenance: As for :func:`render_markdown`.
        figures_svg: Name of a figure -> its SVG text.
    """
    figures = {name: _inline(name, svg) for name, svg in figures_svg.items()}
    return _render("report.html.j2", summary, provenance, figures)


def terminal_table(summary: Summary) -> RichTable:
    """Return the scores as a table for the terminal; missing episodes are said in the caption."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    title = f"{summary.variant}, {summary.engine} engine, {summary.steps} steps, base seed {summary.seed}"
    note = f"0 is the best; gain: over {BASELINE}, same seeds; x5: sum over five agents"
    table = RichTable(title=title, caption="\n".join([*caveats(summary, {}), note]), box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", overflow="fold", min_width=len(BASELINE))
    for column in ("n", "mean", "95 % interval", "std", "gain", "x5"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in summary.policies.items():
        versus = found.versus_baseline
        cells = (
            name,
            str(found.n),
            _number(found.mean),
            NONE if found.ci95 is None else f"{_number(found.ci95[0])} to {_number(found.ci95[1])}",
            _number(found.std),
            _number(versus["difference"], sign=True) if versus else NONE,
            _number(found.mean_sum_over_agents),
        )
        table.add_row(*(Text(cell) for cell in cells))  # as Text: brackets in a name are no markup
    return table


def caveats(summary: Summary, provenance: Mapping[str, Any]) -> list[str]:
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


# --------------------------------------------------------------------------------------------------- sections
def _sections(summary: Summary, provenance: Mapping[str, Any]) -> list[Section]:
    """Return the report in the order of a reader's questions; sections without content are left out."""
    sections = [
        Section("Scores", table=_score_table(summary), figures=("scores", "profile")),
        Section(f"Against {BASELINE}", text=_VERSUS_NOTE, table=_versus_table(summary)),
        Section("Over an episode", figures=("steps",)),
        Section("Where the reward goes", figures=("parts", "zones")),
        Section("What the policies did", text=_ACTIONS_NOTE, table=_action_table(summary)),
        Section("All pairs", text=_pairs_note(summary), table=_pair_table(summary)),
        Section("Published scores, for orientation", text=_PUBLISHED_NOTE, table=_published_table(summary)),
    ]
    measured = Section("How this was measured", points=_method(summary))
    made = Section("Where this comes from", table=_provenance_table(summary, provenance))
    return [s for s in sections if s.table or (s.figures and summary.policies)] + [measured, made]


_VERSUS_NOTE: Final = (
    f"Differences are taken on the seeds that both have played. Normalised: 0 is {BASELINE}, 1 is the "
    f"published mean of UC ({UC_SCORE:.0f}, a constant from the literature). P(better) is the probability "
    "that an episode of the policy scores above one of the baseline, ties counted half. p-values are "
    "Holm-corrected over the policies."
)
_ACTIONS_NOTE: Final = (
    "Mean number per episode, over the five agents. Invalid: forbidden by the mask, played as Sleep. Busy: "
    "submitted while an earlier action was in progress, dropped. Fallbacks: decisions that the adapter of a "
    "policy could not express."
)
_PUBLISHED_NOTE: Final = (
    "± is the standard deviation between episodes for this run, and as published for the others. They were "
    "played by other code on other seeds: this orients, it does not rank."
)


def _lead(summary: Summary) -> str:
    """Return the answer in two sentences."""
    if not summary.policies:
        return "No episode was finished, so there is nothing to report yet."
    best = max(summary.policies, key=lambda name: summary.policies[name].mean)
    found = summary.policies[best]
    episodes = "1 episode" if found.n == 1 else f"{found.n} episodes"
    start = "The score" if len(summary.policies) == 1 else "The best mean score"
    text = f"{start} is {_interval(found.mean, found.ci95)}, of {best} over {episodes}."
    versus = found.versus_baseline
    if versus:
        gain = _interval(versus["difference"], versus["difference_ci95"], sign=True)
        text += f" On the same seeds that is {gain} against {BASELINE}."
    return f"{text} Scores are losses: 0 is the best possible. Brackets are 95 % intervals."


def _score_table(summary: Summary) -> Table | None:
    def row(name: str, found: PolicySummary) -> list[str]:
        return [
            name,
            str(found.n),
            _interval(found.mean, found.ci95),
            _number(found.std),
            _interval(found.iqm, found.iqm_ci95),
            _number(found.median),
            f"{_number(found.minimum)} to {_number(found.maximum)}",
            _number(found.mean_sum_over_agents),
        ]

    columns = ["policy", "n", "mean", "std", "IQM", "median", "range", "x5: sum over five agents"]
    rows = [row(name, found) for name, found in summary.policies.items()]
    caption = "Scores on the official scale; the last column is on the scale of the HMARL-SOC paper"
    return Table(caption, columns, rows) if rows else None


def _versus_table(summary: Summary) -> Table | None:
    def row(name: str, versus: Mapping[str, Any]) -> list[str]:
        percent = versus["improvement_percent"]
        better = versus["probability_of_improvement"], versus["probability_of_improvement_ci95"]
        return [
            name,
            str(versus["n"]),
            _interval(versus["difference"], versus["difference_ci95"], sign=True),
            NONE if percent is None else f"{percent:+.1f} %",
            _interval(versus["normalised_score"], versus["normalised_score_ci95"], digits=2),
            _interval(*better, digits=2),
            _p(versus["welch_p_holm"]),
            _p(versus["brunner_munzel_p_holm"]),
        ]

    columns = ["policy", "pairs", "difference", "improvement", "normalised", "P(better)"]
    rows = [row(name, f.versus_baseline) for name, f in summary.policies.items() if f.versus_baseline]
    caption = f"Each policy against {BASELINE}"
    return Table(caption, [*columns, "Welch p", "Brunner-Munzel p"], rows) if rows else None


def _action_table(summary: Summary) -> Table | None:
    verbs = sorted({verb for found in summary.policies.values() for verb in found.actions})
    rows = [
        [
            name,
            *(_number(found.actions.get(verb, 0.0)) for verb in verbs),
            *(_number(count) for count in (found.invalid, found.busy, found.fallbacks)),
        ]
        for name, found in summary.policies.items()
    ]
    columns = ["policy", *verbs, "invalid", "busy", "fallbacks"]
    return Table("Submissions per episode", columns, rows) if rows else None


def _pair_table(summary: Summary) -> Table | None:
    rows = [
        [
            f"{pair['a']} vs {pair['b']}",
            " / ".join(dict.fromkeys(str(n) for n in pair["n"])),
            _interval(pair["difference"], pair["difference_ci95"], sign=True),
            _p(pair["p"]),
            _p(pair["p_holm"]),
            _p(pair["p_fdr"]),
        ]
        for pair in summary.comparisons
    ]
    columns = ["pair", "n", "difference", "p", "Holm", "Benjamini-Hochberg"]
    return Table("Every policy against every other", columns, rows) if rows else None


def _pairs_note(summary: Summary) -> str:
    tests = sorted({pair["test"] for pair in summary.comparisons}, reverse=True)
    which = " where two seeds or more are shared, else ".join(tests)
    return (
        f"First minus second. Test: {which}. p-values are corrected over all pairs: Holm for the risk of any "
        "false finding, Benjamini-Hochberg for the share of false ones."
    )


def _published_table(summary: Summary) -> Table | None:
    if (summary.variant, summary.steps) != REFERENCE_GAME or not summary.policies:
        return None
    ours = []
    for name, found in summary.policies.items():
        spread = "" if found.std is None else f" ± {_number(found.std)}"
        ours.append((name, f"{_number(found.mean)}{spread}", f"this run, {summary.engine}, n = {found.n}"))
    columns = ["defender", "score", "source"]
    return Table("Official game of 500 steps", columns, [*PUBLISHED, *ours], prose=True)


def _method(summary: Summary) -> list[str]:
    return [
        "Scale: official. The reward of a step is the mean over the five blue agents, who all receive the "
        f"reward of the team; {summary.steps - 2} of {summary.steps} steps count, because the environment is "
        "done one step early and the step that ends it is not counted. The column x5 is the sum over five "
        "agents, the scale of the HMARL-SOC paper.",
        f"Episodes: {summary.episodes} per policy were asked for, on {summary.variant} with the "
        f"{summary.engine} engine. All policies play the same seeds, spawned from base seed {summary.seed}, "
        "so that differences are paired.",
        "Intervals: 95 % percentile bootstrap of 10 000 resamples, unless said otherwise. Its random numbers "
        "derive from the base seed, so the same rows give the same report. IQM is the mean of the middle "
        "half.",
    ]


def _provenance_table(summary: Summary, provenance: Mapping[str, Any]) -> Table:
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


# ---------------------------------------------------------------------------------------------------- numbers
def _number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    if value is None:
        return NONE
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}"


def _interval(value: float | None, bounds: Sequence[float] | None, digits: int = 1, *, sign: bool = False) -> str:
    text = _number(value, digits, sign=sign)
    if bounds is None:
        return text
    low, high = (_number(bound, digits, sign=sign) for bound in bounds)
    return f"{text} [{low}, {high}]"


def _p(p: float | None) -> str:
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


# -------------------------------------------------------------------------------------------------- rendering
def _render(template: str, summary: Summary, provenance: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    warnings = caveats(summary, provenance)
    return (
        _environment()
        .get_template(template)
        .render(
            caveat=f"Read with care: {'; '.join(warnings)}." if warnings else "",
            title=f"Defending CAGE Challenge 4: {summary.variant}, {summary.engine} engine",
            lead=_lead(summary),
            sections=_sections(summary, provenance),
            figures=figures,
            about=FIGURES,
        )
    )


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
    filters: dict[str, Callable[[str], str]] = {"md": _markdown_text, "minus": _true_minus, "cell": _cell}
    environment.filters.update(filters)
    return environment


def _markdown_text(text: str) -> str:
    """Escape what Markdown would take for markup, and nothing more."""
    return re.sub(r"([\\|*_`]|<(?=[A-Za-z/!?]))", r"\\\1", text).replace("\n", " ")


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


def _inline(name: str, svg: str) -> str:
    """Prepare a figure for the page: its colours follow the page, and it has a name for a screen reader."""
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    title = FIGURES.get(name, (name, ""))[0]
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
