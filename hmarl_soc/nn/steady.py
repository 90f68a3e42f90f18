"""An actor that takes small steps: it is held near a slow copy of itself, and the slow copy plays.

A critic that is followed at once is followed into its errors; over many updates they average out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import torch
from torch import Tensor

from hmarl_soc.hierarchy.config import HunterConfig, ResponderConfig
from hmarl_soc.nn.networks import Mlp, clip_and_step, soft_update
from hmarl_soc.nn.parts import Saved, Tensors, distance

_ADVISED_TAU: Final = 0.02
"""Times the weight of advice: share of the actor that the slow actor takes over per gradient step at least."""


class SteadyActor(Saved, ABC):
    """What hunter and responder share; ``slow`` begins as a copy of ``actor``."""

    role: str
    config: HunterConfig | ResponderConfig
    actor: Mlp
    slow: Mlp
    actor_adam: torch.optim.Optimizer

    @abstractmethod
    def act(self, views: Tensor, explore: bool = True) -> Tensor:
        """Return actions [N, U] for views [N, F]; without ``explore`` those of the slow actor, without gradients."""

    def _step_actor(self, loss: Tensor, actions: Tensor, batch: Tensors, pull: float | None) -> dict[str, float]:
        """Do one gradient step of the actor, and let the slow one follow.

        Args:
            loss: What the critic says of the actions, a scalar.
            actions: [B, U] of the actor, differentiable.
            batch: ``view`` [B, F], and with a teacher ``advice`` [B, U].
            pull: Weight of the distance from the advice; None where there is no teacher.

        Returns:
            The distance from the advice; nothing where there is no teacher.
        """
        metrics = {}
        if pull is not None:
            away = distance(actions, batch["advice"])
            loss = loss + pull * away
            metrics = {f"{self.role}/off_advice": float(away.detach())}
        if self.config.proximity:
            before = self.act(batch["view"], explore=False)
            loss = loss + self.config.proximity * (actions - before).square().mean()
        clip_and_step(self.actor_adam, loss, self.config.gradient_norm)
        soft_update(self.slow, self.actor, min(1.0, max(self.config.slow_tau, _ADVISED_TAU * (pull or 0.0))))
        return metrics
