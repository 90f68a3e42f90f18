"""What the harness must know of a game beyond its name: the border between what all share and what each has alone.

Seeds, run folders, the loop, resuming and the statistics of scores are common. A game says which variants and
policies it has, how a batch of episodes is played, what is counted along the way, and what a policy's figures are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from evaluation.inputs.errors import BadInput

if TYPE_CHECKING:
    from evaluation.harness.rollout import Episode, Labels, Tally
    from evaluation.harness.schema import EvalSpec, Row, RunSummary
    from evaluation.policies.registry import Registry
    from native_sim.api import Policy, VectorEnv

ENGINES: Final = ("auto", "native", "cyborg", "soc")


@dataclass(frozen=True)
class Setting:
    """What is played, resolved."""

    engine: str
    variant: str  # id, such as base-v1
    knobs: dict[str, Any]  # every knob of the variant
    steps: int  # step limit of an episode


class Game(ABC):
    """One game; holds no state."""

    name: str
    default_variant: str

    @abstractmethod
    def resolve(self, engine: str, variant: str, steps: int | None) -> Setting:
        """Look up what was asked; ``steps`` None is the variant's own limit.

        Raises:
            ValueError: One sentence on the first thing that cannot be done.
        """

    @abstractmethod
    def variant(self, knobs: Mapping[str, Any]) -> object:
        """Return what the knobs of a spec mean; equal objects are the same game.

        Raises:
            ValueError: If this version has no such knobs.
        """

    @abstractmethod
    def registry(self, knobs: Mapping[str, Any]) -> Registry:
        """Return the policies that can play a variant."""

    @abstractmethod
    def batch_size(self, spec: EvalSpec) -> int:
        """Return how many environments one process plays at once unless told otherwise; changes no result."""

    @abstractmethod
    def play(self, spec: EvalSpec, policy: str, episodes: Sequence[Episode], nested: bool) -> list[Row]:
        """Play episodes together in this process; ``nested`` says that it is a worker, which starts none.

        Raises:
            PolicyFailure: If the policy raises or answers with something that is no action.
        """

    @abstractmethod
    def tally(self, env: VectorEnv, policy: Policy, labels: Labels) -> Tally:
        """Return what counts along the way in every row of an environment."""

    @abstractmethod
    def summarise(
        self,
        spec: EvalSpec,
        rows: Mapping[str, Sequence[Row]],
        scores: Mapping[str, dict[str, Any]],
        versus: Mapping[str, dict[str, Any]],
        common: dict[str, Any],
    ) -> RunSummary:
        """Make the summary of a run.

        Args:
            spec: What was asked.
            rows: Policy -> its rows, in the order of the seeds; none without a row.
            scores: Policy -> fields of :class:`evaluation.harness.schema.ScoreSummary`.
            versus: Policy -> its comparison with the baseline, where there is one.
            common: All other fields of :class:`evaluation.harness.schema.RunSummary`.
        """


def game_of(engine: str) -> Game:
    """Return the game that an engine plays.

    Raises:
        BadInput: If there is no such engine.
    """
    if engine not in ENGINES:
        raise BadInput(f"unknown engine {engine!r}; choose {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    if engine == "soc":
        from evaluation.games.soc.game import Soc

        return Soc()
    from evaluation.games.cc4.game import CC4

    return CC4()
