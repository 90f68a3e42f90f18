"""What an evaluation asks for, what one episode leaves behind, and what a summary says: stored and versioned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

FORMAT_VERSION = 1
"""Version of the run folder; raised when a reader of the old one would misread the new one."""


Count = Annotated[int, Field(ge=0)]
"""How often something happened."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EvalSpec(_Strict):
    """What was asked: everything that decides the numbers, and nothing that does not (such as workers)."""

    engine: Literal["native", "cyborg", "soc"]
    variant: str = Field(description="id of the variant, such as base-v1")
    variant_knobs: dict[str, Any] = Field(description="every knob of the variant")
    steps: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="step limit of an episode; of CC4 its length in CybORG's sense, where done comes one step earlier",
    )
    policies: tuple[str, ...] = Field(min_length=1)
    episodes: int = Field(default=100, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="base seed of which all episode seeds are spawned")

    @field_validator("variant_knobs")
    @classmethod
    def _finite(cls, knobs: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(knobs, allow_nan=False)
        except ValueError:
            raise ValueError("every number of a knob must be finite") from None
        return knobs

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

    def generator(self, *names: str) -> np.random.Generator:
        """Return the random generator of one statistic: decided by the base seed and the names alone."""
        digest = hashlib.sha256("\n".join(names).encode()).digest()
        return np.random.default_rng([self.seed, *np.frombuffer(digest, np.dtype("<u4")).tolist()])

    @property
    def row_type(self) -> type[Row]:
        """The kind of row that an episode of this engine leaves behind."""
        return SocRecord if self.engine == "soc" else EpisodeRecord


# ------------------------------------------------------------------------------------------- what games share
class Row(_Strict):
    """One finished episode: one row of the results. Each game has a kind of its own."""

    policy: str
    index: int = Field(ge=0, description="position of the seed in EvalSpec.episode_seeds")
    seed: int
    engine: str
    variant: str
    score: float = Field(description="what policies are ranked by; more is better")


class ScoreSummary(_Strict):
    """The score of one policy over its episodes."""

    n: int
    mean: float
    std: float | None = Field(description="sample standard deviation between episodes; None for one episode")
    ci95: tuple[float, float] | None = Field(description="95 % bootstrap interval of the mean")
    median: float
    iqm: float = Field(description="interquartile mean")
    iqm_ci95: tuple[float, float] | None
    minimum: float
    maximum: float


class RunSummary(_Strict):
    """Everything a report shows, rebuilt from the spec and the rows at any time; holds no time and no path."""

    format: int = FORMAT_VERSION
    run: str = Field(description="EvalSpec.id")
    engine: str
    variant: str
    steps: int
    seed: int
    episodes: int = Field(description="episodes asked for per policy")
    complete: bool
    rows: str | None = Field(
        default=None, description="SHA-256 of the rows that it is made of, wall times left out; None in older ones"
    )
    asked: tuple[str, ...] = Field(
        default=(), description="policies asked for; one without an episode is not in policies"
    )
    policies: Mapping[str, ScoreSummary]
    comparisons: list[dict[str, Any]] = Field(default_factory=list, description="all pairs, with corrected p-values")


# -------------------------------------------------------------------------------------------- CAGE Challenge 4
UNNAMED = "unnamed"
"""Reason of the fallbacks in recordings that kept their number only."""


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
    versus_baseline: dict[str, Any] | None = Field(
        default=None, description="comparison with no-defense on the same seeds"
    )


class Summary(RunSummary):
    """A run of CC4."""

    policies: dict[str, PolicySummary]


# ------------------------------------------------------------------------------------------- the SOC simulator
class SocRecord(Row):
    """An episode of the SOC simulator. ``score`` is the sum of its rewards."""

    length: Count = Field(description="steps played")
    sees_truth: bool = Field(description="whether the policy was shown the true state, which no defender sees")
    metrics: dict[str, float | None] = Field(
        description="as docs/soc-simulator.md defines them, fractions as fractions; None where one is not defined"
    )
    wall_s: float = Field(ge=0, description="seconds of this episode's share of the wall time")


class MetricSummary(_Strict):
    """One metric of one policy. All are None, and ``n`` is 0, for a metric that no episode defines."""

    mean: float | None = Field(description="mean over the episodes in which the metric is defined")
    std: float | None = Field(description="sample standard deviation between them; None below two episodes")
    ci95: tuple[float, float] | None = Field(description="95 % interval of the mean; None below two episodes")
    n: int = Field(description="episodes in which the metric is defined")
    pooled: float | None = Field(
        default=None, description="of a ratio: the ratio of its counts summed over all episodes; None for others"
    )
    pooled_ci95: tuple[float, float] | None = None

    @property
    def shown(self) -> tuple[float | None, tuple[float, float] | None]:
        """The number to show for the metric, and its interval: pooled where that is known."""
        return (self.mean, self.ci95) if self.pooled is None else (self.pooled, self.pooled_ci95)


class SocPolicySummary(ScoreSummary):
    """The figures of one policy over its episodes of the SOC simulator."""

    sees_truth: bool = Field(description="it was shown the true state: a bound on what knowledge is worth, no defender")
    metrics: dict[str, MetricSummary]
    versus_baseline: dict[str, Any] | None = Field(
        default=None, description="comparison with no-defense on the same seeds"
    )


class SocSummary(RunSummary):
    """A run of the SOC simulator."""

    knobs: dict[str, Any] = Field(description="every knob of the variant")
    policies: dict[str, SocPolicySummary]
