"""Following a teacher at first: how much its advice counts, the same for every learner."""

from __future__ import annotations

from collections.abc import Iterable

from hmarl_soc.config import AdviceConfig
from hmarl_soc.learner import Learner, Transition


class AdvisedLearner(Learner):
    """A learner that counts its steps and knows how much a teacher's advice weighs after them.

    Args:
        advice: Weight and schedule.
        roles: Names of the agents.

    Raises:
        ValueError: If the schedule names another agent.
    """

    def __init__(self, advice: AdviceConfig, roles: Iterable[str]) -> None:
        known = tuple(roles)
        strange = [role for role in advice.role_steps if role not in known]
        if strange:
            raise ValueError(f"method.advice.role_steps names {strange[0]!r}; the agents are {', '.join(known)}")
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
        return self.pull_of(None)

    def pull_of(self, role: str | None) -> float | None:
        """Weight of the teacher's advice to a role now; None without a teacher."""
        return self._advice.at(self.steps, role) if self.advised else None
