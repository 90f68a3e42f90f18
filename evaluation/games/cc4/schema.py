"""The rows and summaries of CAGE Challenge 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from pydantic import Field, field_validator

from cage4.spec import NUM_PHASES, RewardPart, Verb
from evaluation.harness.game import Column
from evaluation.harness.schema import Count, Row, RunSummary, ScoreSummary

_PUBLISHED_GAME: Final = ("base-v1", 500)
"""Variant and steps of the published scores; the normalised score has no meaning elsewhere."""
CAUSES: Final = tuple(part.short for part in RewardPart)
"""What rewards are lost to, in CybORG's letters."""
UNNAMED = "unnamed"
"""Reason of the fallbacks in recordings that kept their number only."""


def has_published_scores(variant: str, steps: int) -> bool:
    """Tell whether the literature has scores of this game."""
    return (variant, steps) == _PUBLISHED_GAME


class EpisodeRecord(Row):
    """An episode of CC4.

    All rewards are team rewards on the official scale (the mean over the five blue agents, who all receive the
    team's reward), over the official steps (the step that ends the episode is not counted, see ``cage4.score``).
    ``score`` is the official score: the sum of ``step_rewards``.
    """

    phase_scores: tuple[float, float, float]
    parts: list[list[list[float]]] = Field(
        description="[3 phases][9 subnets in generation order][LWF, ASF, RIA]: reward lost to each; with the action "
        "costs they add up to the score"
    )
    action_costs: tuple[float, float, float] = Field(description="cost of blue's own actions per phase")
    length: Count = Field(description="step calls until done (499 of 500)")
    actions: dict[str, Count] = Field(description="submitted actions of the five agents by verb")
    invalid: Count = Field(description="submissions under a zero of the mask (played as Sleep)")
    busy: Count = Field(description="submissions other than Sleep while an action was in progress (dropped)")
    fallbacks: dict[str, Count] = Field(
        default_factory=dict, description="reason -> decisions that a policy's adapter could not express"
    )
    step_rewards: list[float] = Field(description="reward of each counted step (498 of 500)")
    wall_s: float = Field(ge=0, description="seconds of this episode's share of the wall time")

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _named(cls, found: Any) -> Any:
        """Take in what a table holds: nothing for no reasons at all, and in older ones a total without names."""
        if isinstance(found, int):
            return {UNNAMED: found} if found else {}
        if isinstance(found, Mapping):
            return {name: count for name, count in found.items() if count is not None}
        return {} if found is None else found


class PolicySummary(ScoreSummary):
    """The figures of one policy over its episodes of CC4, on the official scale."""

    phase_means: tuple[float, float, float]
    mean_sum_over_agents: float = Field(description="five times the mean: the scale of the HMARL-SOC paper")
    parts: list[list[list[float]]] = Field(description="[phase][subnet][part] means per episode")
    action_costs: tuple[float, float, float]
    actions: dict[str, float] = Field(description="mean submissions per episode by verb")
    invalid: float
    busy: float
    fallbacks: dict[str, float] = Field(description="mean per episode by reason")


class Summary(RunSummary):
    """A run of CC4."""

    policies: dict[str, PolicySummary]


def _actions(verb: Verb) -> str:
    """Return the name of the column that counts a verb."""
    return f"actions_{verb.name.lower()}"


EPISODE_COLUMNS: Final = (
    Column("invalid", "count", "submissions under a zero of the mask"),
    Column("busy", "count", "submissions while an action was in progress"),
    *(Column(f"phase_{phase}", "points", f"score of phase {phase}") for phase in range(NUM_PHASES)),
    *(Column(cause.lower(), "points", f"reward lost to {cause}") for cause in CAUSES),
    Column("action_cost", "points", "cost of blue's own actions"),
    *(Column(_actions(verb), "count", f"submissions of {verb.cyborg_name}") for verb in Verb),
    Column("fallbacks", "count", "decisions that a policy's adapter could not express"),
)
"""Columns of a table of episodes beside those of all games."""


def episode_cells(row: EpisodeRecord) -> dict[str, Any]:
    """Return column -> value of an episode, of :data:`EPISODE_COLUMNS`."""
    causes = np.asarray(row.parts).sum(axis=(0, 1))
    return {
        "invalid": row.invalid,
        "busy": row.busy,
        **{f"phase_{phase}": score for phase, score in enumerate(row.phase_scores)},
        **{cause.lower(): float(lost) for cause, lost in zip(CAUSES, causes, strict=True)},
        "action_cost": float(sum(row.action_costs)),
        **{_actions(verb): row.actions.get(verb.cyborg_name, 0) for verb in Verb},
        "fallbacks": sum(row.fallbacks.values()),
    }
