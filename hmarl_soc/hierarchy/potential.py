"""What a situation is worth, learned from every step: the potential that shapes the lower agents' rewards.

A single decision of a hunter or an analyst moves the return of an episode by far less than chance does. The gain of a
value over a transition, added to its reward, takes most of what no decision could have changed out of the targets, and
leaves which policies are best as it was (Ng, Harada and Russell 1999).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import PotentialConfig
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import clip_and_step, make_adam, to_tensors
from hmarl_soc.nn.parts import Saved, fit_inputs, make_critic, minibatches
from hmarl_soc.training.replay import Rollout
from native_sim.api import Array, FloatArray


class Potential(Saved):
    """A value of E rows, fitted to lambda-returns of what was just played.

    Args:
        size: F, numbers that describe a situation.
        num_envs: E.
        config: Settings.
        network: Shape of the network.
        discount: Per environment step.
        generator: First weights, and the order of batches.
        device: Where the network lives.
    """

    _saved = ("net", "adam", "fitted")

    def __init__(
        self,
        size: int,
        num_envs: int,
        config: PotentialConfig,
        network: NetworkConfig,
        discount: float,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.config, self.discount, self.generator, self.device = config, discount, generator, device
        self.net = make_critic(size, network, generator).to(device)
        self.adam = make_adam(self.net.parameters(), config.learning_rate)
        self.fitted = False  # whether the scaler is
        self.rollout = Rollout(
            num_envs,
            {
                "situation": ((size,), np.float32),
                "after": ((size,), np.float32),
                "reward": ((), np.float64),
                "terminated": ((), np.bool_),
                "ended": ((), np.bool_),
            },
        )

    @torch.no_grad()
    def value(self, situations: Tensor) -> Tensor:
        """Return what is expected to follow situations [N, F], [N]."""
        values: Tensor = self.net(situations)[0].squeeze(-1)
        return values

    def gain(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return by how much the value rose over transitions, [B].

        Args:
            batch: ``situation``, ``next_situation`` [B, F], ``terminated`` and ``discount`` [B].
        """
        after = self.value(batch["next_situation"])
        return losses.td_target(-self.value(batch["situation"]), batch["terminated"], after, batch["discount"])

    def watch(self, situations: Array, rewards: FloatArray, after: Array, terminated: Array, ended: Array) -> None:
        """Keep a step of all rows for the next update.

        Args:
            situations: [E, F].
            rewards: [E].
            after: [E, F] what the step led to.
            terminated: [E] bool, nothing follows.
            ended: [E] bool, terminated or truncated.
        """
        step = {"situation": situations, "after": after, "reward": rewards, "terminated": terminated, "ended": ended}
        self.rollout.add(np.arange(len(rewards)), step)

    def update(self) -> dict[str, float]:
        """Learn from the steps kept, if there are enough, and forget them."""
        if len(self.rollout) < self.config.rollout:
            return {}
        grid, filled = self.rollout.take()
        situations, after = to_tensors([grid["situation"][filled], grid["after"][filled]], self.device)
        if not self.fitted:
            fit_inputs(self.net, situations)
            self.fitted = True
        before, later = (self.value(part).cpu().numpy().astype(np.float64) for part in (situations, after))
        ends = (grid["terminated"], grid["ended"], filled)
        advantages = losses.advantages_of_steps(
            grid["reward"], before, later, *ends, self.discount, self.config.gae_lambda
        )
        returns = advantages + before
        targets = to_tensors([returns], self.device)[0]
        size, epochs = self.config.minibatch, self.config.epochs
        parts = minibatches(len(targets), size, epochs, self.generator, self.device)
        spent = [self._learn(situations[part], targets[part]) for part in parts]
        explained = 1.0 - advantages.var() / max(returns.var(), 1e-8)
        return {"potential/loss": float(np.mean(spent)), "potential/explained_variance": float(explained)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything, steps kept included."""
        return super().state_dict() | {"rollout": self.rollout.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        """Go on from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.rollout.load_state_dict(state["rollout"])

    def _learn(self, situations: Tensor, targets: Tensor) -> float:
        loss = (self.net(situations)[0].squeeze(-1) - targets).square().mean()
        clip_and_step(self.adam, loss, self.config.gradient_norm)
        return float(loss.detach())
