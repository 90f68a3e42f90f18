"""Single-DRL: one PPO agent that sees the observations of all roles and decides for all of them."""

from __future__ import annotations

from dataclasses import replace

from hmarl_soc.baselines.config import PpoConfig
from hmarl_soc.baselines.ppo import PpoLearner
from hmarl_soc.interface import Interface


class SingleDrl(PpoLearner):
    """PPO over everything: one network, one categorical distribution per branch, one probability ratio for all.

    Its value sees what its policy sees, all observations, and not the state: it is one agent.
    """

    method = "single-drl"

    def __init__(self, config: PpoConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(config, replace(interface, state_size=0), num_envs, seed, device, joint=True)
