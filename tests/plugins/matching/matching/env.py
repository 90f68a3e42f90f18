"""The environment: every guard sees one of three colours; a named colour that is right scores a point."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from native_sim.api import StepBatch, VectorEnv
from native_sim.rows import check_playing, check_reset_rows, check_rows, check_seeds

GUARDS = ("left", "right")


class MatchingEnv(VectorEnv):
    """E games. An episode ends after ``steps`` steps, or earlier when both guards are wrong ``patience`` times."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(self, num_envs: int, steps: int, colours: int = 3, patience: int = 5) -> None:
        if colours < 2:
            raise ValueError(f"colours must be at least 2; given {colours}")
        self.agents, self.num_envs, self.steps = GUARDS, num_envs, steps
        self.colours, self.patience = colours, patience
        self.single_observation_space = Dict({name: Box(0, 1, (colours,), np.float32) for name in GUARDS})
        self.single_action_space = Dict({name: Discrete(colours) for name in GUARDS})
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._streams = [np.random.default_rng() for _ in range(num_envs)]
        self._shown = np.zeros((num_envs, len(GUARDS)), np.int64)
        self._time, self._wrong = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self._started, self._over = np.zeros(num_envs, bool), np.zeros(num_envs, bool)

    def reset(self, *, seed=None, rows=None, options=None):
        chosen = check_reset_rows(rows, options, self.num_envs)
        for row, start in zip(chosen, check_seeds(seed, len(chosen)), strict=True):
            if start is not None:
                self._streams[row] = np.random.default_rng(start)
        self._time[chosen] = self._wrong[chosen] = 0
        self._started[chosen], self._over[chosen] = True, False
        return self._look(chosen)

    def step(self, actions, messages=None, rows=None):
        chosen = check_rows(rows, self.num_envs)
        check_playing(self._started, self._over, chosen)
        if set(actions) != set(GUARDS):
            raise ValueError(f"actions must be of {', '.join(GUARDS)}; given {', '.join(map(str, actions)) or 'none'}")
        named = np.stack([np.asarray(actions[name]) for name in GUARDS], axis=1)
        if named.shape != (len(chosen), len(GUARDS)) or (named < 0).any() or (named >= self.colours).any():
            raise ValueError(f"actions must be colours from 0 to {self.colours - 1}, one per row and guard")
        right = named == self._shown[chosen]
        self._wrong[chosen] += ~right.any(axis=1)
        self._time[chosen] += 1
        lost, late = self._wrong[chosen] >= self.patience, self._time[chosen] >= self.steps
        self._over[chosen] = lost | late
        observations, infos = self._look(chosen)
        infos["both_wrong"] = self._wrong[chosen].astype(np.float64)
        return StepBatch(observations, right.sum(axis=1).astype(np.float64), lost, late & ~lost, infos)

    def _look(self, rows):
        drawn = [self._streams[row].integers(self.colours, size=len(GUARDS)) for row in rows]
        self._shown[rows] = np.array(drawn).reshape(len(rows), len(GUARDS))
        one_hot = np.eye(self.colours, dtype=np.float32)
        observations = {name: one_hot[self._shown[rows, i]] for i, name in enumerate(GUARDS)}
        masks = {name: np.ones((len(rows), self.colours), np.int8) for name in GUARDS}
        return observations, {"action_mask": masks}
