"""Response orchestrator: MADDPG with one actor per segment and one critic on the true state and all actions.

The actors have an output layer each on top of two hidden layers that they share: all see the same view, and five whole
networks cost five times as much. Each actor decides for its segment: a response type (hold, isolate, remediate, or
both) with an intensity for isolating and one for remediating, and two votes (throttle, release) whose means over the
actors are the global outputs. A type is drawn when exploring. Otherwise an intensity is what it would be on average
over the types: intensities are rates, so this is what drawing does in the long run, and nothing is held back because
holding is merely the likeliest of four. As the reward is the team's, one critic serves all actors, and all of them are
moved at once along its gradient at their joint action.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import ResponderConfig
from hmarl_soc.hierarchy.roles import INTENSITIES, OUTPUTS, TYPES, VOTES
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import Mlp, clip_and_step, make_adam, soft_update
from hmarl_soc.nn.parts import Tensors, fit_inputs, gumbels, make_actor, make_critic, normals
from hmarl_soc.nn.steady import SteadyActor
from native_sim.api import Layout

_LOGIT_DECAY = 1e-3
"""Weight of the squared logits in the actors' loss: keeps types from freezing."""


def emit(outputs: Tensor, types: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """Return the action [B, 2 S + 2] of S segments.

    Args:
        outputs: [S, B, OUTPUTS] of the actors.
        types: [S, B, 4] how much each response type counts, 0 to 1: one-hot where one was drawn, else probabilities.
        noise: [S, B, 4], added to intensities and votes after squashing.
    """
    continuous = (torch.tanh(outputs[..., len(TYPES) :]) + noise).clamp(-1.0, 1.0)
    wanted = torch.stack([types[..., 1] + types[..., 3], types[..., 2] + types[..., 3]], dim=-1)  # isolate, remediate
    intensities = wanted * (continuous[..., :INTENSITIES] + 1.0) - 1.0  # [S, B, 2], -1 is off
    votes = continuous[..., INTENSITIES:].mean(dim=0)  # [B, 2]
    return torch.cat([intensities[..., 0].T, intensities[..., 1].T, votes], dim=1)


class Responder(SteadyActor):
    """MADDPG.

    Args:
        layout: Of the view, which every actor sees.
        segments: S; the action has 2 S + 2 numbers.
        others: Numbers of the other agents' actions that the critic sees.
        state_size: Length of the true state, 0 for none.
        config: Settings.
        network: Shape of the networks.
        generator: First weights and every draw.
        device: Where the networks live.
    """

    role = "responder"
    config: ResponderConfig
    _saved = ("actor", "slow", "target_actor", "critic", "target_critic", "actor_adam", "critic_adam")

    def __init__(
        self,
        layout: Layout,
        segments: int,
        others: int,
        state_size: int,
        config: ResponderConfig,
        network: NetworkConfig,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.config, self.generator = config, generator
        self.segments = segments
        self.actor = make_actor(layout, segments * OUTPUTS, network, generator).to(device)
        inputs = layout.size + state_size + others + 2 * segments + VOTES
        self.critic = make_critic(inputs, network, generator).to(device)
        self.slow = copy.deepcopy(self.actor)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_adam = make_adam(self.actor.parameters(), config.actor_learning_rate)
        self.critic_adam = make_adam(self.critic.parameters(), config.critic_learning_rate)

    @torch.no_grad()
    def act(self, views: Tensor, explore: bool = True) -> Tensor:
        """Return actions [N, 2 S + 2] for views [N, F]: types drawn, or blended as the slow actors want."""
        outputs = self._outputs(self.actor if explore else self.slow, views)
        logits = outputs[..., : len(TYPES)]
        if not explore:
            return emit(outputs, logits.softmax(dim=-1))
        gumbel = gumbels(logits, self.generator)
        noise = self.config.noise * normals(outputs[..., len(TYPES) :], self.generator)
        chosen = (logits + self.config.temperature * gumbel).argmax(dim=-1)
        types = functional.one_hot(chosen, len(TYPES)).to(outputs.dtype)
        return emit(outputs, types, noise)

    @torch.no_grad()
    def target_action(self, views: Tensor) -> Tensor:
        """Return what the target actors do, [B, 2 S + 2]."""
        outputs = self._outputs(self.target_actor, views)
        return emit(outputs, outputs[..., : len(TYPES)].softmax(dim=-1))

    def fit_inputs(self, views: Tensor, states: Tensor) -> None:
        """Fit the scalers to views [N, F] and states [N, S]."""
        for actor in (self.actor, self.slow, self.target_actor):
            fit_inputs(actor, views)
        for critic in (self.critic, self.target_critic):
            fit_inputs(critic, views, states)

    def update(self, batch: Tensors, weights: Tensor, pull: float | None = None) -> tuple[dict[str, float], Tensor]:
        """Learn from a batch.

        Args:
            batch: As of :meth:`Hunter.update`, and ``others`` [B, O], the other agents' actions as they were executed,
                and ``next_others``, what their target policies do next (needed where ``discount`` is not all nought).
            weights: [B] importance weights.
            pull: Weight of the distance from the advice; None where there is no teacher.

        Returns:
            Metrics, and absolute TD errors [B].
        """
        with torch.no_grad():
            targets = batch["reward"]
            if losses.bootstraps(batch["discount"]):
                action = self.target_action(batch["next_view"])
                inputs = torch.cat([batch["next_view"], batch["next_state"], batch["next_others"], action], dim=1)
                next_values = self.target_critic(inputs)[0].squeeze(-1)
                targets = losses.td_target(targets, batch["terminated"], next_values, batch["discount"])
        given = torch.cat([batch["view"], batch["state"], batch["others"]], dim=1)
        values = self.critic(torch.cat([given, batch["action"]], dim=1)).squeeze(-1)
        critic_loss = losses.critic_loss(values, targets, weights)
        clip_and_step(self.critic_adam, critic_loss, self.config.gradient_norm)

        self.critic.requires_grad_(False)
        outputs = self._outputs(self.actor, batch["view"])
        logits = outputs[..., : len(TYPES)]
        chosen = emit(outputs, logits.softmax(dim=-1))
        own = self.critic(torch.cat([given, chosen], dim=1))[0]
        actor_loss = -own.mean() + _LOGIT_DECAY * logits.square().mean()
        off_advice = self._step_actor(actor_loss, chosen, batch, pull)
        self.critic.requires_grad_(True)

        soft_update(self.target_critic, self.critic, self.config.tau)
        soft_update(self.target_actor, self.actor, self.config.tau)
        errors = (values.detach()[0] - targets).abs()
        held = logits.detach().softmax(dim=-1)[..., 0].mean()
        metrics = {
            "responder/critic_loss": float(critic_loss.detach()),
            "responder/value": float(own.detach().mean()),
            "responder/hold_share": float(held),
        }
        return metrics | off_advice, errors

    def _outputs(self, actor: Mlp, views: Tensor) -> Tensor:
        """Return what each segment's actor emits, [S, N, OUTPUTS]."""
        outputs: Tensor = actor(views)[0]
        return outputs.view(len(views), self.segments, OUTPUTS).transpose(0, 1)
