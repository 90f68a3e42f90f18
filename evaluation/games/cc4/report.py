"""The report of a run of CC4: what it says, as sections, and the table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluation.games.cc4.schema import PolicySummary, Summary, has_published_scores
from evaluation.harness.metrics import Metric
from evaluation.harness.schema import VersusBaseline
from evaluation.harness.statistics import UC_SCORE
from evaluation.harness.summary import BASELINE
from evaluation.reporting.parts import (
    NONE,
    Section,
    Table,
    caveats,
    interval,
    metric_table,
    metrics_note,
    number,
    pair_table,
    pairs_note,
    provenance_table,
    span,
    terminal_scores,
    versus_table,
)

if TYPE_CHECKING:
    from rich.table import Table as RichTable

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


def title(summary: Summary) -> str:
    """Return the headline."""
    return f"Defending CAGE Challenge 4: {summary.variant}, {summary.engine} engine"


def lead(summary: Summary) -> str:
    """Return the answer in two sentences."""
    if not summary.policies:
        return "No episode was finished, so there is nothing to report yet."
    best = max(summary.policies, key=lambda name: summary.policies[name].mean)
    found = summary.policies[best]
    episodes = "1 episode" if found.n == 1 else f"{found.n} episodes"
    start = "The score" if len(summary.policies) == 1 else "The best mean score"
    text = f"{start} is {interval(found.mean, found.ci95)}, of {best} over {episodes}."
    versus = found.versus_baseline
    if versus:
        gain = interval(versus.difference, versus.difference_ci95, sign=True)
        text += f" On the same seeds that is {gain} against {BASELINE}."
    return f"{text} Scores are losses: 0 is the best possible. Brackets are 95 % intervals."


def sections(summary: Summary, provenance: Mapping[str, Any], metrics: Sequence[Metric] = ()) -> list[Section]:
    """Return the report in the order of a reader's questions; sections without content are left out."""
    found = [
        Section("Scores", table=_score_table(summary), figures=("scores", "profile")),
        Section(f"Against {BASELINE}", text=_VERSUS_NOTE, table=versus_table(_versus(summary), normalised=True)),
        Section("Over an episode", figures=("steps",)),
        Section("Where the reward goes", figures=("parts", "zones")),
        Section("What the policies did", text=_ACTIONS_NOTE, table=_action_table(summary)),
        Section("Fallbacks", text=_FALLBACKS_NOTE, table=_fallback_table(summary)),
        Section("Metrics", text=metrics_note(metrics), table=metric_table(summary, metrics)),
        Section("All pairs", text=pairs_note(summary), table=pair_table(summary)),
        Section("Published scores, for orientation", text=_PUBLISHED_NOTE, table=_published_table(summary)),
    ]
    measured = Section("How this was measured", points=_method(summary))
    made = Section("Where this comes from", table=provenance_table(summary, provenance))
    return [s for s in found if s.table or (s.figures and summary.policies)] + [measured, made]


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
_FALLBACKS_NOTE: Final = (
    "Fallbacks per 500 steps, over the five agents, by the reason for which the adapter of a policy did not do "
    "what its roles asked for: it kept watch, or waited."
)
_PUBLISHED_NOTE: Final = (
    "± is the standard deviation between episodes for this run, and as published for the others. They were "
    "played by other code on other seeds: this orients, it does not rank."
)


def _versus(summary: Summary) -> dict[str, VersusBaseline | None]:
    return {name: found.versus_baseline for name, found in summary.policies.items()}


def _score_table(summary: Summary) -> Table | None:
    def row(name: str, found: PolicySummary) -> list[str]:
        return [
            name,
            str(found.n),
            interval(found.mean, found.ci95),
            number(found.std),
            interval(found.iqm, found.iqm_ci95),
            number(found.median),
            f"{number(found.minimum)} to {number(found.maximum)}",
            number(found.mean_sum_over_agents),
        ]

    columns = ["policy", "n", "mean", "std", "IQM", "median", "range", "x5: sum over five agents"]
    rows = [row(name, found) for name, found in summary.policies.items()]
    caption = "Scores on the official scale; the last column is on the scale of the HMARL-SOC paper"
    return Table(caption, columns, rows) if rows else None


def _action_table(summary: Summary) -> Table | None:
    verbs = sorted({verb for found in summary.policies.values() for verb in found.actions})
    rows = [
        [
            name,
            *(number(found.actions.get(verb, 0.0)) for verb in verbs),
            *(number(count) for count in (found.invalid, found.busy, sum(found.fallbacks.values()))),
        ]
        for name, found in summary.policies.items()
    ]
    columns = ["policy", *verbs, "invalid", "busy", "fallbacks"]
    return Table("Submissions per episode", columns, rows) if rows else None


def _fallback_table(summary: Summary) -> Table | None:
    """Return policy by reason; None where no policy had any."""
    found = {name: row.fallbacks for name, row in summary.policies.items() if any(row.fallbacks.values())}
    reasons = sorted({reason for counts in found.values() for reason in counts})
    rows = [
        [name, *(number(500 / summary.steps * counts.get(reason, 0.0)) for reason in reasons)]
        for name, counts in found.items()
    ]
    return Table("Fallbacks per 500 steps", ["policy", *reasons], rows) if rows else None


def _published_table(summary: Summary) -> Table | None:
    if not has_published_scores(summary.variant, summary.steps) or not summary.policies:
        return None
    ours = []
    for name, found in summary.policies.items():
        spread = "" if found.std is None else f" ± {number(found.std)}"
        ours.append((name, f"{number(found.mean)}{spread}", f"this run, {summary.engine}, n = {found.n}"))
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


def terminal_table(summary: Summary) -> RichTable:
    """Return the scores as a table for the terminal; missing episodes are said in the caption."""
    title = f"{summary.variant}, {summary.engine} engine, {summary.steps} steps, base seed {summary.seed}"
    notes = [*caveats(summary, {}), f"0 is the best; gain: over {BASELINE}, same seeds; x5: sum over five agents"]
    rows = [
        (
            name,
            str(found.n),
            number(found.mean),
            span(found.ci95),
            number(found.std),
            number(found.versus_baseline.difference, sign=True) if found.versus_baseline else NONE,
            number(found.mean_sum_over_agents),
        )
        for name, found in summary.policies.items()
    ]
    columns = ("n", "mean", "95 % interval", "std", "gain", "x5")
    return terminal_scores(title, notes, columns, rows, len(BASELINE))
