"""Play a list of episode seeds with a policy and collect the metrics of each episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from native_sim.api import Array, Policy
from native_sim.soc import spec
from native_sim.soc.env import SocVectorEnv

_POLICY_STREAM = 1


def play(env: SocVectorEnv, policy: Policy, seeds: Sequence[int]) -> dict[str, Array]:
    """Play every seed once and return metric -> [len(seeds)] float64, in the order of the seeds.

    An episode depends on its seed alone.

    Raises:
        ValueError: If the policy has a memory, which is not carried over here.
    """
    if policy.initial_memory(1) is not None:
        raise ValueError(f"only policies without memory are played here; {type(policy).__name__} has one")
    results = np.full((len(seeds), len(env.metric_names)), np.nan)
    for first in range(0, len(seeds), env.num_envs):
        chunk = seeds[first : first + env.num_envs]
        results[first : first + len(chunk)] = _play_chunk(env, policy, chunk)
    return {name: results[:, j] for j, name in enumerate(env.metric_names)}


def _play_chunk(env: SocVectorEnv, policy: Policy, seeds: Sequence[int]) -> Array:
    rows = np.arange(len(seeds))
    results = np.full((len(seeds), len(env.metric_names)), np.nan)
    streams = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(seed), spawn_key=(_POLICY_STREAM,))))
        for seed in seeds
    ]
    observations, infos = env.reset(seed=list(seeds), rows=rows.tolist())
    depth = policy.draws_per_agent
    while len(rows):
        seen = {**observations, **{name: infos[name] for name in policy.wants}}
        draws = (
            np.stack([streams[row].random((spec.NUM_AGENTS, depth)) for row in rows])
            if depth
            else np.zeros((len(rows), spec.NUM_AGENTS, 0))
        )
        decision = policy.act(seen, infos["action_mask"], None, draws)
        batch = env.step(decision.actions, rows=rows.tolist())
        done = batch.terminations | batch.truncations
        for j, name in enumerate(env.metric_names):
            results[rows[done], j] = batch.infos[name][done]
        rows = rows[~done]
        observations = {role: value[~done] for role, value in batch.observations.items()}
        infos = {name: batch.infos[name][~done] for name in policy.wants}
        infos["action_mask"] = {role: mask[~done] for role, mask in batch.infos["action_mask"].items()}
    return results
