"""Following a teacher at first: how much its advice counts, the same for every learner."""

from __future__ import annotations

from hmarl_soc.config import AdviceConfig
from hmarl_soc.learner import Learner, Transition


class AdvisedLearner(Learner):
    """A learner that counts its steps and knows how much a teacher's advice weighs after them.

    Args:
        advice: Weight and schedule.
    """

    def __init__(self, advice: AdviceConfig) -> None:
        self._advice = advice
        self.steps = 0  # environment steps taken in
        self.advised = False  # whether there is a teacher

    def count(self, step: Transition) -> None:
        """Count the steps that were taken in, and note whether a teacher was there."""
        self.steps += len(step.rewards)
        self.advised = step.before.advice is not None

    @property
    def pull(self) -> float | None:
        """Weight of the teacher's advice now; None without a teacher."""
        return self._advice.at(self.steps) if self.advised else None
