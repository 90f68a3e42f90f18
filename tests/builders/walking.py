"""An environment as somebody outside the project would write it: small, and with the whole contract kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode

from native_sim.api import StepBatch, VectorEnv
from native_sim.rows import check_playing, check_reset_rows, check_rows, check_seeds

AGENTS = ("left", "right")


class WalkingEnv(VectorEnv):
    """Two agents push a walker who also stumbles at random; he falls at 6, and the time limit is ``length`` steps.

    ``ends`` is what the metadata declare of the time limit.
    """

    agents = AGENTS

    def __init__(self, num_envs, length=5, ends="truncated", goal=6.0):
        self.num_envs, self.length, self.goal = num_envs, length, goal
        self.metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED, "time_limit_end": ends}
        self.single_observation_space = Dict({name: Box(-np.inf, np.inf, (2,), np.float32) for name in AGENTS})
        self.single_action_space = Dict({name: Discrete(3) for name in AGENTS})
        self.generators = [np.random.default_rng() for _ in range(num_envs)]
        self.places, self.time = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self.started, self.finished = np.zeros(num_envs, np.bool_), np.zeros(num_envs, np.bool_)

    def reset(self, *, seed=None, rows=None, options=None):
        chosen = check_reset_rows(rows, options, self.num_envs)
        for row, given in zip(chosen, check_seeds(seed, len(chosen)), strict=True):
            if given is not None:
                self.generators[row] = np.random.default_rng(given)
        self.places[chosen] = [self.generators[row].normal() for row in chosen]
        self.time[chosen] = 0
        self.started[chosen], self.finished[chosen] = True, False
        return self.show(chosen), self.infos(chosen)

    def step(self, actions, messages=None, rows=None):
        chosen = check_rows(rows, self.num_envs)
        check_playing(self.started, self.finished, chosen)
        if set(actions) != set(AGENTS):
            raise ValueError(f"actions must be of {AGENTS}; given {tuple(actions)}")
        self.places[chosen] += sum(np.asarray(actions[name]) - 1 for name in AGENTS)
        self.places[chosen] += [self.generators[row].normal() for row in chosen]
        self.time[chosen] += 1
        falls = np.abs(self.places[chosen]) > self.goal
        limit = (self.time[chosen] >= self.length) & ~falls
        self.finished[chosen] = falls | limit
        return self.flagged(chosen, falls, limit)

    def flagged(self, rows, falls, limit):
        """Return the step with the flags that are declared."""
        final = falls | (limit & (self.time_limit_end in ("terminated", "both")))
        cut = limit & (self.time_limit_end in ("truncated", "both"))
        return StepBatch(self.show(rows), -np.abs(self.places[rows]), final, cut, self.infos(rows))

    def show(self, rows):
        seen = np.stack([self.places[rows], self.time[rows] / self.length], axis=1).astype(np.float32)
        return {name: seen.copy() for name in AGENTS}

    def infos(self, rows):
        return {"action_mask": {name: np.ones((len(rows), 3), np.int8) for name in AGENTS}}
