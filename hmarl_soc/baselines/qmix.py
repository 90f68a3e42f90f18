"""QMIX: the utilities of all branches are mixed into one team value, which alone is learned from the reward."""

from __future__ import annotations

from torch import Tensor, nn

from hmarl_soc.baselines.config import QmixConfig
from hmarl_soc.baselines.q_learning import QLearner
from hmarl_soc.interface import Interface
from hmarl_soc.nn.branches import Mixer


class Qmix(QLearner):
    """Double Q-learning of a team value that is monotonic in every branch's utility, given the state."""

    method = "qmix"
    config: QmixConfig

    def __init__(self, config: QmixConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(config, interface, seed, device)

    def _trained(self) -> dict[str, nn.Module]:
        width = self.config.mixing_width
        return {"mixer": Mixer(self.actions.num_branches, self.critic_size, width, self.weights)}

    def _value(self, utilities: Tensor, critic: Tensor, target: bool) -> Tensor:
        mixed: Tensor = self.modules["target_mixer" if target else "mixer"](utilities, critic)
        return mixed.unsqueeze(1)
