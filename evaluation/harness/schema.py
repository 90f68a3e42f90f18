"""What an evaluation asks for, what one episode leaves behind, and what a summary says: stored and versioned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FORMAT_VERSION = 1
"""Version of the run folder; raised when a reader of the old one would misread the new one."""


Count = Annotated[int, Field(ge=0)]
"""How often something happened."""


class Strict(BaseModel):
    """A frozen model that refuses unknown fields and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


FORMER_ENGINES: Final = {"native": "cc4", "cyborg": "cc4", "soc": "soc"}
"""Engine -> game of specs and summaries that do not name their game."""


class _OfAGame(Strict):
    """What is of a game; documents that do not name it are told by their engine."""

    game: str = Field(default="", description="key of the game, such as cc4")
    engine: str = Field(min_length=1, description="engine that plays the game, such as native")

    @model_validator(mode="before")
    @classmethod
    def _name_game(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and not given.get("game"):
            return {**given, "game": FORMER_ENGINES.get(str(given.get("engine")), "")}
        return given


class EvalSpec(_OfAGame):
    """What was asked: everything that decides the numbers, and nothing that does not (such as workers)."""

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
        asked = self.model_dump(mode="json")
        if FORMER_ENGINES.get(self.engine) == self.game:
            del asked["game"]  # equal questions keep the id that they had before specs named the game
        text = json.dumps({"format": FORMAT_VERSION, **asked}, sort_keys=True)
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


# ------------------------------------------------------------------------------------------- what games share
class Row(Strict):
    """One finished episode: one row of the results. Each game has a kind of its own."""

    policy: str
    index: int = Field(ge=0, description="position of the seed in EvalSpec.episode_seeds")
    seed: int
    engine: str
    variant: str
    score: float = Field(description="what policies are ranked by; more is better")
    metrics: dict[str, float | None] = Field(
        default_factory=dict, description="metric of the game -> value; None where one is not defined"
    )

    @field_validator("metrics", mode="before")
    @classmethod
    def _none_at_all(cls, found: Any) -> Any:
        """Take in what a table holds where there is no metric at all."""
        return {} if found is None else found


class MeasuredRow(Row):
    """An episode of a game that says all it has to say by its score and its metrics."""

    length: Count = Field(description="steps played")
    fallbacks: dict[str, Count] = Field(
        default_factory=dict, description="reason -> decisions that a policy's adapter could not express"
    )
    wall_s: float = Field(ge=0, description="seconds of this episode's share of the wall time")

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _no_fallbacks(cls, found: Any) -> Any:
        """Take in what a table holds where nothing was counted."""
        return {name: count for name, count in (found or {}).items() if count is not None}


class MetricSummary(Strict):
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


class _Compared(Strict):
    """Two policies beside each other; fields can be read by name in brackets too, as in the JSON."""

    def __getitem__(self, name: str) -> Any:
        """Return the field of this name.

        Raises:
            KeyError: If there is none.
        """
        if name not in type(self).model_fields:
            raise KeyError(f"a comparison has no {name!r}; it has {', '.join(type(self).model_fields)}")
        return getattr(self, name)


class VersusBaseline(_Compared):
    """One policy against the baseline, on the seeds that both have played."""

    baseline: str = Field(description="name of the policy that it is measured against")
    n: int = Field(ge=1, description="seeds that both have played")
    difference: float = Field(description="mean of policy minus baseline")
    difference_ci95: tuple[float, float] | None = Field(description="95 % interval; None for a single pair")
    improvement_percent: float | None = Field(description="difference in % of the size of the baseline's mean")
    normalised_score: float | None = Field(
        description="0 is the baseline and 1 a published score; None where none is published"
    )
    normalised_score_ci95: tuple[float, float] | None
    probability_of_improvement: float = Field(
        ge=0, le=1, description="chance that an episode scores above one of the baseline, ties counted half"
    )
    probability_of_improvement_ci95: tuple[float, float] | None
    welch_p: float | None = Field(description="of Welch's t test; None where it is not defined")
    brunner_munzel_p: float | None = Field(description="of the Brunner-Munzel test; None where it is not defined")
    welch_p_holm: float | None = Field(description="the same, corrected by Holm over the policies")
    brunner_munzel_p_holm: float | None


class PairComparison(_Compared):
    """One policy against another: a minus b."""

    a: str
    b: str
    n: tuple[int, int] = Field(description="episodes of each that were compared")
    test: str = Field(description="test of p, and whether it is paired on seeds")
    difference: float = Field(description="mean of a minus mean of b")
    difference_ci95: tuple[float, float] | None
    p: float | None = Field(description="of the test; None where it is not defined")
    p_holm: float | None = Field(description="corrected by Holm over all pairs: risk of any false finding")
    p_fdr: float | None = Field(description="corrected by Benjamini and Hochberg: share of false findings")


class ScoreSummary(Strict):
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
    metrics: dict[str, MetricSummary] = Field(default_factory=dict)
    versus_baseline: VersusBaseline | None = Field(
        default=None, description="comparison with no-defense on the same seeds"
    )


class RunSummary(_OfAGame):
    """Everything a report shows, rebuilt from the spec and the rows at any time; holds no time and no path."""

    format: int = FORMAT_VERSION
    run: str = Field(description="EvalSpec.id")
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
    comparisons: list[PairComparison] = Field(default_factory=list, description="all pairs, with corrected p-values")
