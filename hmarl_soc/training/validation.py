"""Validation: a greedy policy on networks that are kept for choosing weights and settings, never for reporting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from hmarl_soc.training.playing import VALIDATION, episode_seeds
from native_sim.api import Array, Policy, VectorEnv
from native_sim.memory import take


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
    """Play one episode per seed, in blocks of rows; return "return" and metrics, each [number of seeds] float64.

    The policy's draws come from the episode's seed, so that results do not depend on the number of environments.
    """
    results = {name: np.full(len(seeds), np.nan) for name in ("return", *metrics)}
    with threadpool_limits(1, user_api="blas"):
        for start in range(0, len(seeds), env.num_envs):
            block = list(seeds[start : start + env.num_envs])
            _play_block(env, policy, block, {name: values[start:] for name, values in results.items()})
    return results


def _play_block(env: VectorEnv, policy: Policy, seeds: list[int], results: dict[str, Array]) -> None:
    """Play one episode per row and write results [N, ...] in place."""
    rows = np.arange(len(seeds))
    observations, infos = env.reset(seed=seeds, rows=rows.tolist())
    memory = policy.initial_memory(len(rows))
    generators = [np.random.default_rng((seed, 1)) for seed in seeds] if policy.draws_per_agent else []
    returns = np.zeros(len(seeds))
    while len(rows):
        draws = np.zeros((len(rows), len(env.agents), policy.draws_per_agent))
        for i, row in enumerate(rows if generators else ()):
            draws[i] = generators[row].random(draws.shape[1:])
        seen = {**observations, **{name: infos[name] for name in policy.wants}}
        decision = policy.act(seen, infos["action_mask"], memory, draws)
        batch = env.step(decision.actions, decision.messages, rows=rows.tolist())
        returns[rows] += batch.rewards
        ended = batch.terminations | batch.truncations
        for name, values in results.items():
            if name != "return":
                values[rows[ended]] = batch.infos[name][ended]
        kept = np.flatnonzero(~ended)
        rows, memory = rows[kept], take(decision.memory, kept)
        observations = take(batch.observations, kept)
        infos = {name: take(batch.infos[name], kept) for name in ("action_mask", *policy.wants)}
    results["return"][: len(seeds)] = returns
