"""Play a list of episode seeds with a policy and collect the metrics of each episode."""

from __future__ import annotations

from collections.abc import Sequence

from native_sim.api import Array, Policy
from native_sim.rollout import measure
from native_sim.soc.env import SocVectorEnv


def play(env: SocVectorEnv, policy: Policy, seeds: Sequence[int]) -> dict[str, Array]:
    """Play every seed once and return metric -> [len(seeds)] float64, in the order of the seeds.

    An episode depends on its seed alone.
    """
    found = measure(env, policy, seeds, env.metric_names)
    return {name: found[name] for name in env.metric_names}
