"""Toy environments with known answers, and a toy learner, for tests of the trainer and of every method."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from hmarl_soc.learner import Learner
from native_sim.api import Decision, Policy, StepBatch, VectorEnv


class ToyEnv(VectorEnv):
    """Agents observe noise; the first number of each, x, is what the reward judges their actions by.

    ``spaces``: agent -> (observation size, number of actions, discrete). An episode is over after ``length`` steps, by
    truncation, or by termination with ``terminates``. ``reward(x, actions)``: x [N, A], agent -> actions, to [N].
    With ``time_limit_end`` that is declared, and steps that meet the limit set their flags as it says.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(
        self, spaces, reward, num_envs=8, length=10, terminates=False, with_state=True, time_limit_end="truncated"
    ):
        self.metadata = {**type(self).metadata, "time_limit_end": time_limit_end}
        self.agents = tuple(spaces)
        self.num_envs, self.length, self.terminates = num_envs, length, terminates
        self.sizes, self.reward, self.with_state = spaces, reward, with_state
        self.single_observation_space = Dict(
            {name: Box(-1, 1, (size,), np.float32) for name, (size, _, _) in spaces.items()}
        )
        self.single_action_space = Dict(
            {
                name: Discrete(n) if discrete else Box(-1, 1, (n,), np.float32)
                for name, (_, n, discrete) in spaces.items()
            }
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generators = [np.random.default_rng(0) for _ in range(num_envs)]
        self.time = np.zeros(num_envs, np.int64)
        self.seen = np.zeros((num_envs, len(spaces)))

    def reset(self, *, seed=None, rows=None, options=None):
        rows = np.arange(self.num_envs) if rows is None else np.asarray(rows)
        for row, start in zip(rows, seed, strict=True):
            self.generators[row] = np.random.default_rng(start)
        self.time[rows] = 0
        return self.look(rows)

    def look(self, rows):
        observations = {}
        for i, (name, (size, _, _)) in enumerate(self.sizes.items()):
            drawn = np.stack([self.generators[row].uniform(-1, 1, size) for row in rows])
            self.seen[rows, i] = drawn[:, 0]
            observations[name] = drawn.astype(np.float32)
        infos = {"action_mask": {name: np.ones((len(rows), n), np.int8) for name, (_, n, _) in self.sizes.items()}}
        if self.with_state:
            infos["state"] = self.seen[rows].astype(np.float32)
        return observations, infos

    def step(self, actions, messages=None, rows=None):
        rows = np.arange(self.num_envs) if rows is None else np.asarray(rows)
        rewards = np.asarray(self.reward(self.seen[rows], actions), np.float64)
        self.time[rows] += 1
        over = self.time[rows] >= self.length
        observations, infos = self.look(rows)
        final = self.terminates or self.time_limit_end in ("terminated", "both")
        cut = not self.terminates and self.time_limit_end in ("truncated", "both")
        return StepBatch(observations, rewards, over & final, over & cut, infos)


class Repeat(Policy):
    """Plays constant actions."""

    def __init__(self, actions):
        self.actions = actions

    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        count = len(draws)
        return Decision({name: np.broadcast_to(a, (count, *np.shape(a))) for name, a in self.actions.items()}, None)

    def weights(self):
        return {name: np.asarray(action) for name, action in self.actions.items()}

    def with_weights(self, arrays):
        return type(self)(arrays)


class RandomWalk(Learner):
    """Keeps a number per continuous agent, which wanders with what is rewarded; enough to tell two histories apart."""

    def __init__(self, env, seed=0):
        self.env, self.generator = env, np.random.default_rng(seed)
        self.centre, self.updates, self.metric = 0.0, 0, 1.0

    def act(self, seen, explore=True):
        count = len(seen.rows)
        actions = {}
        for name, (_, n, discrete) in self.env.sizes.items():
            if discrete:
                actions[name] = self.generator.integers(0, n, count)
            else:
                noise = self.generator.uniform(-0.1, 0.1, (count, n)) if explore else 0.0
                actions[name] = np.clip(self.centre + noise * np.ones((count, n)), -1, 1)
        return actions

    def observe(self, step):
        self.centre = float(np.clip(self.centre + 0.01 * step.rewards.mean() + 0.01 * step.before.state.mean(), -1, 1))

    def update(self):
        self.updates += 1
        return {"centre": self.centre, "metric": self.metric}

    def policy(self):
        return Repeat({n: (0 if d else np.full(k, self.centre)) for n, (_, k, d) in self.env.sizes.items()})

    def state_dict(self):
        return {"centre": self.centre, "updates": self.updates, "generator": self.generator.bit_generator.state}

    def load_state_dict(self, state):
        self.centre, self.updates = state["centre"], state["updates"]
        self.generator.bit_generator.state = state["generator"]


def same(a, b, path=""):
    """Assert that nested mappings and lists hold exactly the same."""
    if isinstance(a, dict):
        assert set(a) == set(b), path
        for key in a:
            same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{path}/{i}")
    elif hasattr(a, "shape"):
        assert np.array_equal(np.asarray(a), np.asarray(b)), path
    else:
        assert a == b, path
