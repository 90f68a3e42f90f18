"""What the trainer needs of a method, whatever is inside: HMARL-SOC and every baseline are a ``Learner``.

The trainer owns the environments and the clock; a learner owns networks, optimisers, buffers, schedules and every
generator it draws from. So one loop trains all methods, and equal budgets are equal by construction.

Letters for shapes: N environments of a call, F features of one observation, U actions of one agent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hmarl_soc.interface import Interface
from native_sim.api import ActionBatch, Array, FloatArray, ObservationBatch, Policy
from native_sim.api import Exportable as Exportable

State = Mapping[str, Any]
"""Nested mappings with string keys whose leaves are tensors, NumPy arrays, numbers, strings, None or lists of these."""


class Seen(NamedTuple):
    """What N environments show before a decision."""

    rows: Array  # [N] int64, indices of the environments; what a learner remembers of an episode it keeps by row
    observations: ObservationBatch  # agent -> [N, F]
    masks: ActionBatch  # agent -> [N, U] int8, 1 where an action is valid (all ones for a box)
    state: Array | None  # [N, S] float32, the truth, for centralised critics only; None if the simulator shows none
    advice: ActionBatch | None = None  # agent -> [N] or [N, U] valid actions of a teacher; None without a teacher

    def advised(self, interface: Interface) -> ActionBatch:
        """Return agent -> what the teacher would do; zeros without a teacher."""
        if self.advice is not None:
            return self.advice
        count = len(self.rows)
        return {
            agent.name: np.zeros(count, np.int64) if agent.discrete else np.zeros((count, agent.actions), np.float32)
            for agent in interface.agents
        }

    def truth(self, size: int) -> Array:
        """Return the state as a learner made for one of ``size`` numbers wants it: [N, size], empty for size 0.

        Raises:
            ValueError: If the learner wants a state and the simulator shows none.
        """
        if size == 0:
            return np.zeros((len(self.rows), 0), np.float32)
        if self.state is None:
            raise ValueError("this learner was made for environments that show their true state; this one does not")
        return self.state


class Transition(NamedTuple):
    """One batched step, as it was executed.

    How episodes ended is told as :func:`native_sim.api.split_ends` reads it from what the environment declares; the
    flags of the environment itself may differ.
    """

    before: Seen
    actions: ActionBatch  # agent -> [N] integers or [N, U] numbers: what the environment was given
    rewards: FloatArray  # [N], the team's
    after: Seen  # where an episode ended: its last observation, not the first of the next episode
    terminations: Array  # [N] bool: nothing follows, do not bootstrap
    truncations: Array  # [N] bool: interrupted by the time limit, bootstrap from ``after``; never with a termination
    infos: Mapping[str, Any]  # what the step returned beside, such as "reward_parts" [N, 4]


class Learner(ABC):
    """A method that learns. Calls come in the order act, observe, update; a new episode starts where one ended."""

    @abstractmethod
    def act(self, seen: Seen, explore: bool = True) -> dict[str, Array]:
        """Return agent -> actions [N] or [N, U] for the rows of ``seen``.

        With ``explore`` the learner draws from its own generator; without, it is greedy and draws nothing.
        """

    @abstractmethod
    def observe(self, step: Transition) -> None:
        """Take in a step that was just executed; rows whose episode ended start anew at the next call of ``act``."""

    @abstractmethod
    def update(self) -> dict[str, float]:
        """Do the gradient steps that are due after the last ``observe``; return metrics, none if nothing was due."""

    def use_threads(self, count: int) -> None:  # noqa: B027 - most learners have nothing to share out
        """Use up to so many threads for :meth:`update`, with the same result; one, unless a learner says otherwise."""

    @abstractmethod
    def policy(self) -> Policy:
        """Return the greedy policy of this moment: a copy that later updates do not change."""

    @abstractmethod
    def state_dict(self) -> State:
        """Return all that decides how learning goes on: nets, targets, optimisers, buffers, generators, counts.

        Arrays may be the learner's own: save or copy them before it goes on.
        """

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Go on exactly where :meth:`state_dict` was taken.

        Raises:
            ValueError: If the state is of another method, layout or size; the learner is then unchanged.
        """


def average(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of metrics over several gradient steps, at least one."""
    return {name: float(np.mean([step[name] for step in metrics])) for name in metrics[0]}
