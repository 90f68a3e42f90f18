"""MAPPO and IPPO: a PPO agent per role, with one centralised value or with a value of its own for each."""

from __future__ import annotations

from hmarl_soc.baselines.config import PpoConfig
from hmarl_soc.baselines.ppo import PpoLearner
from hmarl_soc.interface import Interface


class Mappo(PpoLearner):
    """Each agent acts on its own observation; the value sees the state and all observations.

    Agents of the same sizes share parameters.
    """

    method = "mappo"

    def __init__(self, config: PpoConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(config, interface, num_envs, seed, device)


class Ippo(PpoLearner):
    """MAPPO without the centralised value: each agent's value sees what the agent sees."""

    method = "ippo"

    def __init__(self, config: PpoConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(config, interface, num_envs, seed, device, central=False)
