"""Gymnasium spaces of the blue agents, built here for every engine and face."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, MultiDiscrete, Space
from gymnasium.vector.utils import batch_space

from cage4 import spec


def observation_sizes(pad_spaces: bool = False) -> tuple[int, ...]:
    """Return the length of each agent's observation: 92 and 210 for agent 4, or 210 for all when padded."""
    return (spec.MAX_OBSERVATION,) * spec.NUM_BLUE if pad_spaces else spec.OBSERVATION_SIZES


def action_sizes(pad_spaces: bool = False) -> tuple[int, ...]:
    """Return the number of each agent's actions: 82 and 242 for agent 4, or 242 for all when padded."""
    return (spec.MAX_ACTIONS,) * spec.NUM_BLUE if pad_spaces else spec.NUM_ACTIONS


def observation_spaces(pad_spaces: bool = False, dtype: type[np.integer[Any]] = np.int64) -> dict[str, Space[Any]]:
    """Return new observation spaces per agent: the mission phase (3 values), then bits."""
    sizes = zip(spec.BLUE_AGENTS, observation_sizes(pad_spaces), strict=True)
    return {agent: MultiDiscrete([spec.NUM_PHASES] + [2] * (size - 1), dtype=dtype) for agent, size in sizes}


def action_spaces(pad_spaces: bool = False) -> dict[str, Space[Any]]:
    """Return new action spaces per agent."""
    sizes = zip(spec.BLUE_AGENTS, action_sizes(pad_spaces), strict=True)
    return {agent: Discrete(size) for agent, size in sizes}


class VectorSpaces:
    """The four spaces of a vector environment: of one environment, and of all of them."""

    def __init__(self, num_envs: int, pad_spaces: bool = False) -> None:
        self.single_observation_space: Dict = Dict(observation_spaces(pad_spaces, np.int8))
        self.single_action_space: Dict = Dict(action_spaces(pad_spaces))
        self.observation_space: Space[Any] = batch_space(self.single_observation_space, num_envs)
        self.action_space: Space[Any] = batch_space(self.single_action_space, num_envs)
