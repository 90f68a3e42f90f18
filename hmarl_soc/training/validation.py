"""Validation: a greedy policy on networks that are kept for choosing weights and settings, never for reporting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from hmarl_soc.training.playing import VALIDATION, episode_seeds
from native_sim.api import Array, Policy, VectorEnv
from native_sim.rollout import measure


class Validator:
    """Plays the same episodes with every policy it is given.

    Args:
        env: Environments to play in.
        episodes: Number of episodes; their seeds are the same for every run, method and setting.
        metrics: Names in ``infos`` whose means over episodes are wanted (NaN left out).
    """

    def __init__(self, env: VectorEnv, episodes: int, metrics: Sequence[str] = ()) -> None:
        self.env, self.metrics = env, tuple(metrics)
        self.seeds = episode_seeds(0, VALIDATION, 0, episodes)

    def __call__(self, policy: Policy) -> dict[str, float]:
        """Return "score", the mean return, "score_error", its standard error, and means of the metrics."""
        results = play(self.env, policy, self.seeds, self.metrics)
        returns = results.pop("return")
        error = float(returns.std(ddof=1) / np.sqrt(len(returns))) if len(returns) > 1 else 0.0
        known = {name: values[~np.isnan(values)] for name, values in results.items()}
        means = {name: float(values.mean()) for name, values in known.items() if len(values)}
        return {"score": float(returns.mean()), "score_error": error, **means}


def play(env: VectorEnv, policy: Policy, seeds: Sequence[int], metrics: Sequence[str] = ()) -> dict[str, Array]:
    """Play one episode per seed; return "return" and metrics, each [number of seeds] float64.

    Episodes and draws are those of ``evaluate`` for the same seeds.
    """
    with threadpool_limits(1, user_api="blas"):
        return measure(env, policy, seeds, metrics)
