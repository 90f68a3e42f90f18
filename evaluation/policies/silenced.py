"""A SOC policy of which one role does nothing, draws at random, or decides as another policy.

Where that role is the coordinator, the other roles follow the directive that comes of it, and never the one that the
policy's own coordinator would have given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy
from native_sim.soc.policies import RandomActions
from native_sim.soc.spec import AGENTS, COORDINATOR, DIRECTIVE_SIZE, OBSERVATIONS

_LEADER = AGENTS[COORDINATOR]


class Silenced(Policy):
    """Plays a policy, and drops what one of its roles decides.

    Args:
        policy: Its roles know of each other by what they observe.
        role: Of :data:`native_sim.soc.spec.AGENTS`.

    Raises:
        ValueError: If there is no such role.
    """

    def __init__(self, policy: Policy, role: str) -> None:
        _check(role)
        self.policy, self.role = policy, role
        self.wants, self.draws_per_agent = policy.wants, policy.draws_per_agent

    def initial_memory(self, num_envs: int) -> Any:
        """Return the policy's."""
        return self.policy.initial_memory(num_envs)

    def exact(self) -> Silenced:
        """Return this policy with actions in double precision."""
        return Silenced(self.policy.exact(), self.role)

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Decide, but for one role."""
        return self.follow(nothing_given(len(draws)), obs, mask, memory, draws)

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Decide under a directive, but for one role; without a coordinator one that is not given is neutral."""
        if self.role == _LEADER:
            directive = _fill(directive, np.zeros_like(directive))
        decision = self.policy.follow(directive, obs, mask, memory, draws)
        return decision._replace(actions={role: value for role, value in decision.actions.items() if role != self.role})


class Dicing(Policy):
    """Plays a policy, of which one role draws every number at random, as the policy ``random`` does.

    Args:
        policy: Its other roles decide as before; they see what comes of the draws.
        role: Of :data:`native_sim.soc.spec.AGENTS`.

    Raises:
        ValueError: If there is no such role.
    """

    def __init__(self, policy: Policy, role: str) -> None:
        _check(role)
        self.policy, self.role, self._chance = policy, role, RandomActions()
        self.wants = policy.wants
        self.draws_per_agent = policy.draws_per_agent + self._chance.draws_per_agent

    def initial_memory(self, num_envs: int) -> Any:
        """Return the policy's."""
        return self.policy.initial_memory(num_envs)

    def exact(self) -> Dicing:
        """Return this policy with actions in double precision."""
        return Dicing(self.policy.exact(), self.role)

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Decide, but for one role, which takes draws that the policy does not."""
        return self.follow(nothing_given(len(draws)), obs, mask, memory, draws)

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Decide under a directive; where none is given, and the coordinator draws, under the one drawn."""
        own, spare = np.split(draws, [self.policy.draws_per_agent], axis=-1)
        drawn = self._chance.act(obs, mask, None, spare).actions[self.role]
        if self.role == _LEADER:
            directive = _fill(directive, drawn)
        decision = self.policy.follow(directive, obs, mask, memory, own)
        return decision._replace(actions={**decision.actions, self.role: drawn})


class Grafted(Policy):
    """Plays a policy, one of whose roles decides as another policy does.

    Both see every observation, and each remembers its own; only what is decided is exchanged.

    Args:
        policy: Its other roles decide as before.
        other: The policy that decides for the role.
        role: Of :data:`native_sim.soc.spec.AGENTS`.

    Raises:
        ValueError: If there is no such role.
    """

    def __init__(self, policy: Policy, other: Policy, role: str) -> None:
        _check(role)
        self.policy, self.other, self.role = policy, other, role
        self.wants = (*policy.wants, *(name for name in other.wants if name not in policy.wants))
        self.draws_per_agent = policy.draws_per_agent + other.draws_per_agent

    def initial_memory(self, num_envs: int) -> Any:
        """Return what both remember."""
        return self.policy.initial_memory(num_envs), self.other.initial_memory(num_envs)

    def exact(self) -> Grafted:
        """Return this policy with actions in double precision."""
        return Grafted(self.policy.exact(), self.other.exact(), self.role)

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Let both decide, and exchange the role's action."""
        return self.follow(nothing_given(len(draws)), obs, mask, memory, draws)

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Let both decide, first the one whose coordinator leads; the other one follows its directive."""
        mine, theirs = np.split(draws, [self.policy.draws_per_agent], axis=-1)
        if self.role == _LEADER:
            lent = self.other.follow(directive, obs, mask, memory[1], theirs)
            decision = self.policy.follow(_led_by(lent, directive, obs), obs, mask, memory[0], mine)
        else:
            decision = self.policy.follow(directive, obs, mask, memory[0], mine)
            lent = self.other.follow(_led_by(decision, directive, obs), obs, mask, memory[1], theirs)
        actions = {name: value for name, value in decision.actions.items() if name != self.role}
        actions |= {name: value for name, value in lent.actions.items() if name == self.role}
        return decision._replace(actions=actions, memory=(decision.memory, lent.memory))


def nothing_given(count: int) -> FloatArray:
    """Return [N, K] directives for rows that a policy's own coordinator leads."""
    return np.full((count, DIRECTIVE_SIZE), np.nan)


def _fill(directive: Array, own: Array) -> Array:
    """Return directives [N, K] with ``own`` [N, K] in the rows in which none is given."""
    return np.where(np.isnan(directive), own, directive)


def _led_by(decision: Decision, directive: Array, obs: ObservationBatch) -> Array:
    """Return directives [N, K] with those of a decision where none is given.

    Without a coordinator they are neutral; one that decides nothing new keeps what is shown to be in force.
    """
    led = decision.actions.get(_LEADER)
    if led is None:
        return _fill(directive, np.zeros_like(directive))
    if np.isnan(led).any():
        led = _fill(led, obs[_LEADER][:, OBSERVATIONS[_LEADER]["directive"].slice])
    return _fill(directive, led)


def _check(role: str) -> None:
    if role not in AGENTS:
        raise ValueError(f"unknown role {role!r}; roles are {', '.join(AGENTS)}")
