"""The least that a CC4 policy can do: nothing, or actions drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from cage4 import actions, spec
from native_sim.api import ActionBatch, Decision, FloatArray, ObservationBatch, Policy


class NoDefense(Policy):
    """Every agent sleeps."""

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Sleep."""
        count = len(draws)
        return Decision({name: np.full(count, actions.SLEEP[i]) for i, name in enumerate(spec.BLUE_AGENTS)}, None)


class RandomValid(Policy):
    """Every agent draws uniformly from its valid actions, whether or not it is busy."""

    draws_per_agent = 1

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose the k-th valid action, k uniform."""
        chosen = {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            rank = np.cumsum(mask[name], axis=1, dtype=np.int64)  # 1-based rank of every valid action
            wanted = np.floor(draws[:, i, 0] * rank[:, -1]).astype(np.int64) + 1
            chosen[name] = np.argmax(rank == wanted[:, None], axis=1)
        return Decision(chosen, None)


class RandomUnmasked(Policy):
    """Every agent draws uniformly from all its indices, those of absent hosts included, as in the paper."""

    draws_per_agent = 1

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose any index uniformly."""
        return Decision(
            {
                name: np.floor(draws[:, i, 0] * spec.NUM_ACTIONS[i]).astype(np.int64)
                for i, name in enumerate(spec.BLUE_AGENTS)
            },
            None,
        )
