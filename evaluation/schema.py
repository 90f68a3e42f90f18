"""What an evaluation asks for, what one episode leaves behind, and what a summary says: stored and versioned."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
"""Version of the run folder; raised when a reader of the old one would misread the new one."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvalSpec(_Strict):
    """What was asked: everything that decides the numbers, and nothing that does not (such as workers)."""

    engine: Literal["native", "cyborg"]
    variant: str = Field(description="id of the variant, such as base-v1")
    variant_knobs: dict[str, Any] = Field(description="every knob of the variant")
    steps: int = Field(
        default=500, ge=3, description="length of an episode in CybORG's sense; done comes one step earlier"
    )
    policies: tuple[str, ...] = Field(min_length=1)
    episodes: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0, description="base seed of which all episode seeds are spawned")

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that name this question: equal specs, equal ids."""
        text = json.dumps({"format": FORMAT_VERSION, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def episode_seeds(self) -> list[int]:
        """Return the seed of every episode: the same for all policies, so that differences are paired.

        The first n seeds do not depend on how many episodes are asked for.
        """
        children = np.random.SeedSequence(self.seed).spawn(self.episodes)
        return [int(child.generate_state(1, np.uint32)[0] >> 1) for child in children]


class EpisodeRecord(_Strict):
    """One finished episode: one row of the results.

    All rewards are team rewards on the official scale (the mean over the five blue agents, who all receive the
    team's reward), over the official steps (the step that ends the episode is not counted, see ``cage4.score``).
    """

    policy: str
    index: int = Field(ge=0, description="position of the seed in EvalSpec.episode_seeds")
    seed: int
    engine: str
    variant: str
    score: float = Field(description="official score: sum of step_rewards")
    phase_scores: tuple[float, float, float]
    parts: list[list[list[float]]] = Field(
        description="[3 phases][9 subnets in generation order][LWF, ASF, RIA]: reward lost to each; with the action "
        "costs they add up to the score"
    )
    action_costs: tuple[float, float, float] = Field(description="cost of blue's own actions per phase")
    length: int = Field(description="step calls until done (499 of 500)")
    actions: dict[str, int] = Field(description="submitted actions of the five agents by verb")
    invalid: int = Field(description="submissions under a zero of the mask (played as Sleep)")
    busy: int = Field(description="submissions other than Sleep while an action was in progress (dropped)")
    fallbacks: int = Field(default=0, description="decisions that a policy's adapter could not express")
    step_rewards: list[float] = Field(description="reward of each counted step (498 of 500)")
    wall_s: float = Field(description="seconds of this episode's share of the wall time")


class PolicySummary(_Strict):
    """The figures of one policy over its episodes, on the official scale."""

    n: int
    mean: float
    std: float | None = Field(description="sample standard deviation between episodes; None for one episode")
    ci95: tuple[float, float] | None = Field(description="95 % bootstrap interval of the mean")
    median: float
    iqm: float = Field(description="interquartile mean")
    iqm_ci95: tuple[float, float] | None
    minimum: float
    maximum: float
    phase_means: tuple[float, float, float]
    mean_sum_over_agents: float = Field(description="five times the mean: the scale of the HMARL-SOC paper")
    parts: list[list[list[float]]] = Field(description="[phase][subnet][part] means per episode")
    action_costs: tuple[float, float, float]
    actions: dict[str, float] = Field(description="mean submissions per episode by verb")
    invalid: float
    busy: float
    fallbacks: float
    versus_baseline: dict[str, Any] | None = Field(
        default=None, description="comparison with no-defense on the same seeds"
    )


class Summary(_Strict):
    """Everything a report shows, rebuilt from the spec and the rows at any time; holds no time and no path."""

    format: int = FORMAT_VERSION
    run: str = Field(description="EvalSpec.id")
    engine: str
    variant: str
    steps: int
    seed: int
    episodes: int = Field(description="episodes asked for per policy")
    complete: bool
    asked: tuple[str, ...] = Field(
        default=(), description="policies asked for; one without an episode is not in policies"
    )
    policies: dict[str, PolicySummary]
    comparisons: list[dict[str, Any]] = Field(default_factory=list, description="all pairs, with corrected p-values")
