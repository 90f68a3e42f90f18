"""A SOC policy of which one role does nothing: what that role is worth."""

from __future__ import annotations

from typing import Any

from native_sim.api import ActionBatch, Decision, FloatArray, ObservationBatch, Policy
from native_sim.soc.spec import AGENTS


class Silenced(Policy):
    """Plays a policy, and drops what one of its roles decides.

    Args:
        policy: Its roles know of each other by what they observe.
        role: Of :data:`native_sim.soc.spec.AGENTS`.

    Raises:
        ValueError: If there is no such role.
    """

    def __init__(self, policy: Policy, role: str) -> None:
        if role not in AGENTS:
            raise ValueError(f"unknown role {role!r}; roles are {', '.join(AGENTS)}")
        self.policy, self.role = policy, role
        self.wants, self.draws_per_agent = policy.wants, policy.draws_per_agent

    def initial_memory(self, num_envs: int) -> Any:
        """Return the policy's."""
        return self.policy.initial_memory(num_envs)

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Decide, but for one role."""
        decision = self.policy.act(obs, mask, memory, draws)
        return decision._replace(actions={role: value for role, value in decision.actions.items() if role != self.role})
