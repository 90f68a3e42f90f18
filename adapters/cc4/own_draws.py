"""A policy that needs random draws, and makes them itself: for places that give it none."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

import cage4.spec as spec
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)


class OwnDraws(Policy):
    """Plays a policy of CC4 whose draws are a hash of all that it has seen since the episode began.

    The same observations bring the same draws, and so the same decisions, wherever and beside whichever episodes the
    policy plays; no seed has to be told. To the policy they are as random as any: it never sees the same course twice.

    Args:
        policy: Wants the rich observation, since the flat ones alone begin alike in every episode.

    Raises:
        ValueError: If it does not.
    """

    def __init__(self, policy: Policy) -> None:
        if "rich" not in policy.wants:
            raise ValueError("a policy that makes its own draws must want the rich observation")
        self.policy, self.wants = policy, policy.wants

    def initial_memory(self, num_envs: int) -> dict[str, Any]:
        """Return the policy's, and nothing seen."""
        return {"seen": np.zeros(num_envs, np.uint64), "policy": self.policy.initial_memory(num_envs)}

    def fallbacks(self, memory: Any) -> Any:
        """Return the policy's."""
        return self.policy.fallbacks(memory["policy"])

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Make the draws of this step and let the policy decide."""
        seen = memory["seen"]
        for name in spec.BLUE_AGENTS:
            for shown in (obs[name], obs["rich"][name]):
                seen = mix(seen + digest(shown) + _STEP)
        made = uniform(seen, spec.NUM_BLUE * self.policy.draws_per_agent)
        decision = self.policy.act(obs, mask, memory["policy"], made.reshape(len(seen), spec.NUM_BLUE, -1))
        return decision._replace(memory={"seen": seen, "policy": decision.memory})


def mix(z: Array) -> Array:
    """Hash uint64 to uint64, as SplitMix64 does; a bijection."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return np.asarray(z ^ (z >> _S31))


def digest(values: Array) -> Array:
    """Return a uint64 [N] of whole numbers [N, F], in which the place of every number counts."""
    whole = np.asarray(values, np.int64).view(np.uint64)
    return np.asarray(whole @ _weights(whole.shape[1]))


def uniform(keys: Array, count: int) -> FloatArray:
    """Return [N, count] numbers in [0, 1) that hash a uint64 [N] each."""
    counters = np.arange(1, count + 1, dtype=np.uint64) * _STEP
    bits = mix(keys[:, None] + counters) >> _S11
    return np.asarray(bits * 2.0**-53, np.float64)


@cache
def _weights(size: int) -> Array:
    return mix(np.arange(1, size + 1, dtype=np.uint64) * _STEP)
