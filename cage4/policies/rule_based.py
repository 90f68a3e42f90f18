"""What all rule-based defenders share: five agents that look, remember and give one order each."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from cage4 import spec
from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import WANTS, Sight, look
from native_sim.api import ActionBatch, Decision, FloatArray, ObservationBatch, Policy


class HostDefender(Policy):
    """Five agents that follow the same rules, each on what it saw itself; they exchange no messages.

    Host commands go to hosts that exist, and an agent whose command is in progress sleeps until it is done.
    """

    wants = WANTS

    def initial_memory(self, num_envs: int) -> Any:
        """Per agent: its :class:`~cage4.policies.host_memory.HostMemory`."""
        return {name: HostMemory.blank(agent, num_envs) for agent, name in enumerate(spec.BLUE_AGENTS)}

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Let every agent look, remember and decide."""
        chosen, kept = {}, {}
        for agent, name in enumerate(spec.BLUE_AGENTS):
            sight = look(agent, obs)
            kept[name] = HostMemory(*memory[name]).after(sight)
            orders = Orders(sight)
            self.command(orders, sight, kept[name])
            chosen[name] = orders.indices
        return Decision(chosen, kept)

    @abstractmethod
    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Give one agent's orders, the most urgent rule first."""
