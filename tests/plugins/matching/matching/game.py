"""The game as the harness plays it: its environments, policies and metrics."""

import numpy as np

from evaluation.games.simple import SimpleGame
from evaluation.harness.metrics import Metric
from matching.env import GUARDS, MatchingEnv
from native_sim.api import Decision, Policy


class Red(Policy):
    """Both guards always name the first colour."""

    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        return Decision({name: np.zeros(len(draws), np.int64) for name in GUARDS}, None)


class Chance(Policy):
    """Both guards name any colour."""

    draws_per_agent = 1

    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        count = mask[GUARDS[0]].shape[1]
        return Decision({name: (draws[:, i, 0] * count).astype(np.int64) for i, name in enumerate(GUARDS)}, None)


class Matching(SimpleGame):
    """Two guards name colours."""

    key = "matching"
    name = "the matching game"
    agents = GUARDS
    variants = {"base": {}, "many": {"colours": 6, "patience": 20}}  # noqa: RUF012
    steps = 20
    named_policies = {"no-defense": Red, "chance": Chance}  # noqa: RUF012
    declared_metrics = (
        Metric("both_wrong", "count", "less", "steps in which no guard was right"),
        Metric("per_step", "points", "more", "score per step played", of=lambda row: row.score / row.length),
    )

    def make_env(self, num_envs, steps, **knobs):
        return MatchingEnv(num_envs, steps, **knobs)
