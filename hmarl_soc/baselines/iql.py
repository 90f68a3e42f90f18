"""IQL: every branch is a learner of its own and takes the others for part of the environment."""

from __future__ import annotations

from torch import Tensor

from hmarl_soc.baselines.config import QConfig
from hmarl_soc.baselines.q_learning import QLearner
from hmarl_soc.interface import Interface


class Iql(QLearner):
    """Independent double Q-learning: the value of each branch's choice is learned from the team's reward."""

    method = "iql"

    def __init__(self, config: QConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(config, interface, seed, device)

    def _value(self, utilities: Tensor, critic: Tensor, target: bool) -> Tensor:
        return utilities
