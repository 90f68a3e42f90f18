"""Threat hunter: soft actor-critic over continuous outputs.

The actor sees its view alone; the twin critics, which only learning needs, see the true state as well.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import HunterConfig
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import Mlp, clip_and_step, make_adam, soft_update
from hmarl_soc.nn.parts import Tensors, fit_inputs, make_actor, make_critic, normals
from hmarl_soc.nn.steady import SteadyActor
from native_sim.api import Layout

_LOG_STD = (-4.0, 0.0)


class Hunter(SteadyActor):
    """SAC with twin critics.

    Args:
        layout: Of the view.
        actions: U, numbers in [-1, 1].
        state_size: Length of the true state, 0 for none.
        config: Settings.
        network: Shape of the networks.
        generator: First weights and every draw.
        device: Where the networks live.
    """

    role = "hunter"
    config: HunterConfig
    _saved = ("actor", "slow", "critic", "target", "log_weight", "actor_adam", "critic_adam", "weight_adam")

    def __init__(
        self,
        layout: Layout,
        actions: int,
        state_size: int,
        config: HunterConfig,
        network: NetworkConfig,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.config, self.generator = config, generator
        self.actor = make_actor(layout, 2 * actions, network, generator).to(device)
        with torch.no_grad():
            self.actor.last.bias[..., :actions] += config.initial_mean
        self.slow = copy.deepcopy(self.actor)
        inputs = layout.size + state_size + actions
        self.critic = make_critic(inputs, network, generator, members=2).to(device)
        self.target = copy.deepcopy(self.critic)
        fixed = config.entropy_weight
        start = config.initial_entropy_weight if fixed == "auto" else float(fixed)
        self.log_weight = nn.Parameter(torch.tensor(math.log(max(start, 1e-8)), device=device))
        self.actor_adam = make_adam(self.actor.parameters(), config.actor_learning_rate)
        self.critic_adam = make_adam(self.critic.parameters(), config.critic_learning_rate)
        self.weight_adam = make_adam([self.log_weight], config.weight_learning_rate)

    @torch.no_grad()
    def act(self, views: Tensor, explore: bool = True) -> Tensor:
        """Return actions [N, U] for views [N, F]: drawn, or the squashed mean of the slow actor.

        A share of the explored numbers is uniform: near the end of its range a squashed draw hardly varies, and the
        critics, who learn off policy, could not tell what another number would have done.
        """
        if not explore:
            return torch.tanh(self._head(self.slow, views)[0])
        mean, log_std = self._head(self.actor, views)
        drawn = torch.tanh(mean + normals(mean, self.generator) * log_std.exp())
        anywhere, dice = (torch.rand(mean.shape, generator=self.generator).to(mean.device) for _ in range(2))
        return torch.where(dice < self.config.exploration, 2.0 * anywhere - 1.0, drawn)

    def fit_inputs(self, views: Tensor, states: Tensor) -> None:
        """Fit the scalers to views [N, F] and states [N, S]."""
        for actor in (self.actor, self.slow):
            fit_inputs(actor, views)
        for critic in (self.critic, self.target):
            fit_inputs(critic, views, states)

    def update(self, batch: Tensors, weights: Tensor, pull: float | None = None) -> tuple[dict[str, float], Tensor]:
        """Learn from a batch.

        Args:
            batch: ``view``, ``next_view`` [B, F], ``state``, ``next_state`` [B, S], ``action`` [B, U], ``reward``,
                ``terminated`` and ``discount`` [B], and with a teacher ``advice`` [B, U].
            weights: [B] importance weights.
            pull: Weight of the distance from the advice; None where there is no teacher.

        Returns:
            Metrics, and absolute TD errors [B].
        """
        entropy_weight = self.log_weight.detach().exp()
        with torch.no_grad():
            following = self._next_values(batch, entropy_weight)
            targets = losses.td_target(batch["reward"], batch["terminated"], following, batch["discount"])
        values = self.critic(self._inputs(batch["view"], batch["state"], batch["action"])).squeeze(-1)
        critic_loss = losses.critic_loss(values, targets, weights)
        clip_and_step(self.critic_adam, critic_loss, self.config.gradient_norm)

        self.critic.requires_grad_(False)
        action, log_prob = self._draw(batch["view"])
        own = self.critic(self._inputs(batch["view"], batch["state"], action)).squeeze(-1).amin(dim=0)
        actor_loss = losses.sac_actor_loss(log_prob, own, entropy_weight)
        off_advice = self._step_actor(actor_loss, action, batch, pull)
        self.critic.requires_grad_(True)

        if self.config.entropy_weight == "auto":
            weight_loss = losses.entropy_weight_loss(self.log_weight, log_prob, self.config.target_entropy)
            clip_and_step(self.weight_adam, weight_loss, self.config.gradient_norm)
        soft_update(self.target, self.critic, self.config.tau)
        errors = (values.detach() - targets).abs().mean(dim=0)
        metrics = {
            "hunter/critic_loss": float(critic_loss.detach()),
            "hunter/value": float(own.detach().mean()),
            "hunter/entropy": -float(log_prob.detach().mean()),
            "hunter/entropy_weight": float(entropy_weight),
        }
        return metrics | off_advice, errors

    def _next_values(self, batch: Tensors, entropy_weight: Tensor) -> Tensor:
        """Return soft values [B] of what follows, nought if no target counts them."""
        if not losses.bootstraps(batch["discount"]):
            normals(batch["action"], self.generator)  # later draws must not depend on what was left out
            return torch.zeros_like(batch["reward"])
        action, log_prob = self._draw(batch["next_view"])
        next_values = self.target(self._inputs(batch["next_view"], batch["next_state"], action)).squeeze(-1)
        soft: Tensor = next_values.amin(dim=0) - entropy_weight * log_prob
        return soft

    @staticmethod
    def _inputs(views: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        return torch.cat([views, states, actions], dim=1)

    @staticmethod
    def _head(actor: Mlp, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return means [B, U] of the draws before squashing, and the logs [B, U] of their spreads."""
        mean, log_std = actor(views)[0].chunk(2, dim=1)
        low, high = _LOG_STD
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1.0)

    def _draw(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return squashed actions [B, U] that gradients flow through, and the log densities [B] of the draws.

        Densities are those before squashing: "off" is the end of the range, and squashed entropy would tax it.
        """
        mean, log_std = self._head(self.actor, views)
        raw = mean + normals(mean, self.generator) * log_std.exp()
        return torch.tanh(raw), losses.gaussian_log_prob(raw, mean, log_std)
