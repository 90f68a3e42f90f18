"""How much does the scripted adaptive defender lose when every number of its actions is rounded to a few levels?

That loss bounds what the action encoding of the learned baselines can cost them. Training networks only, paired seeds.

    python benchmarks/action_levels.py --episodes 4096
"""

from __future__ import annotations

import argparse

import numpy as np

from native_sim.api import ObservationBatch
from native_sim.rollout import measure
from native_sim.soc.config import make_config
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.policies import Adaptive

FIRST_SEED = 5_000_000


class Rounded(Adaptive):
    """The adaptive defender with its numbers rounded to evenly spaced levels."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.steps = levels - 1

    def choose(self, obs: ObservationBatch, draws: np.ndarray) -> dict[str, np.ndarray]:
        actions = super().choose(obs, draws)
        rounded = {r: np.rint((a + 1.0) / 2.0 * self.steps) * 2.0 / self.steps - 1.0 for r, a in actions.items()}
        return {**rounded, "triage": actions["triage"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=4096)
    episodes = parser.parse_args().episodes
    env = SocVectorEnv(make_config(), 256, threads=1)
    seeds = range(FIRST_SEED, FIRST_SEED + episodes)
    exact = measure(env, Adaptive(), seeds, env.metric_names)
    print(f"| levels | reward | loss (95 % interval) | csr |\n|---|---|---|---|\n| any | {_row(exact)}")
    for levels in (2, 3, 4, 5, 7):
        found = measure(env, Rounded(levels), seeds, env.metric_names)
        loss = exact["reward"] - found["reward"]
        spread = 1.96 * loss.std(ddof=1) / np.sqrt(episodes)
        print(f"| {levels} | {_row(found, f'{loss.mean():.2f} ± {spread:.2f}')}")


def _row(found: dict[str, np.ndarray], loss: str = "-") -> str:
    return f"{found['reward'].mean():.2f} | {loss} | {found['csr'].mean():.3f} |"


if __name__ == "__main__":
    main()
