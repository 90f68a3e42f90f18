"""Alert triage: a double dueling DQN.

The advantages, which alone decide, depend on the view alone. The value of a situation, which only learning needs, may
also depend on the true state: what triage cannot influence is then explained by the value and not by its choices.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import TriageConfig
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import clip_and_step, make_adam
from hmarl_soc.nn.parts import Saved, Tensors, fit_inputs, make_actor, make_critic
from native_sim.api import Array, Layout


class DuelingNet(nn.Module):
    """Q(state, view, a) = V(state, view) + A(view, a) - mean over a of A(view, a)."""

    def __init__(
        self, layout: Layout, actions: int, state_size: int, network: NetworkConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.advantage = make_actor(layout, actions, network, generator)
        self.value = make_critic(layout.size + state_size, network, generator)

    def forward(self, views: Tensor, states: Tensor) -> Tensor:
        """Return action values [B, U] of views [B, F] and states [B, S]."""
        return losses.dueling(self.value(torch.cat([views, states], dim=1))[0], self.advantage(views)[0])


class Triage(Saved):
    """Double dueling DQN; arguments as of :class:`hmarl_soc.hierarchy.hunter.Hunter`, ``actions`` being choices."""

    _saved = ("net", "target", "adam", "updates", "decisions")

    def __init__(
        self,
        layout: Layout,
        actions: int,
        state_size: int,
        config: TriageConfig,
        network: NetworkConfig,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.actions, self.config, self.generator = actions, config, generator
        self.net = DuelingNet(layout, actions, state_size, network, generator).to(device)
        self.target = copy.deepcopy(self.net)
        self.adam = make_adam(self.net.parameters(), config.learning_rate)
        self.updates = 0
        self.decisions = 0

    @property
    def epsilon(self) -> float:
        """Share of random choices now."""
        done = min(1.0, self.decisions / self.config.epsilon_steps)
        return self.config.epsilon_start + done * (self.config.epsilon_end - self.config.epsilon_start)

    @torch.no_grad()
    def act(self, views: Tensor, explore: bool = True) -> Array:
        """Return choices [N] int64 for views [N, F]: the best, or with ``explore`` now and then any."""
        best: Tensor = self.net.advantage(views)[0].argmax(dim=1).cpu()
        if explore:
            count = len(best)
            dice = torch.rand(count, generator=self.generator)
            other = torch.randint(self.actions, (count,), generator=self.generator)
            best = torch.where(dice < self.epsilon, other, best)
            self.decisions += count
        chosen: Array = best.numpy()
        return chosen

    def fit_inputs(self, views: Tensor, states: Tensor) -> None:
        """Fit the scalers to views [N, F] and states [N, S]."""
        for net in (self.net, self.target):
            fit_inputs(net.advantage, views)
            fit_inputs(net.value, views, states)

    def _recall(self, batch: Tensors) -> Tensor:
        """Return what an action's reward is raised by for being likely already, [B], at most 0.

        Values then add up over successive targets, and the errors of each average out (Vieillard et al. 2020).
        """
        if self.config.memory == 0.0:
            return torch.zeros_like(batch["reward"])
        values = self.target.advantage(batch["view"])[0] / self.config.temperature
        likely = values.log_softmax(dim=1).gather(1, batch["action"].unsqueeze(1)).squeeze(1)
        recalled: Tensor = self.config.memory * (self.config.temperature * likely).clamp(min=-1.0)
        return recalled

    def update(self, batch: Tensors, weights: Tensor, pull: float | None = None) -> tuple[dict[str, float], Tensor]:
        """Learn from a batch as :meth:`Hunter.update` does; ``action`` and ``advice`` are [B] int64."""
        with torch.no_grad():
            targets = batch["reward"] + self._recall(batch)
            if losses.bootstraps(batch["discount"]):
                online = self.net.advantage(batch["next_view"])[0]
                target = self.target(batch["next_view"], batch["next_state"])
                targets = losses.double_dqn_target(targets, batch["terminated"], online, target, batch["discount"])
        values = self.net(batch["view"], batch["state"])
        taken = values.gather(1, batch["action"].unsqueeze(1)).squeeze(1)
        loss = losses.huber_loss(taken, targets, weights)
        off_advice = {}
        if pull is None:
            clip_and_step(self.adam, loss, self.config.gradient_norm)
        else:
            away = losses.margin_loss(values, batch["advice"], self.config.margin)
            clip_and_step(self.adam, loss + pull * self.config.advice * away, self.config.gradient_norm)
            differs = values.detach().argmax(dim=1) != batch["advice"]
            off_advice = {"triage/off_advice": float(differs.float().mean())}
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.net.state_dict())
        errors = (taken.detach() - targets).abs()
        gap = (values.detach().amax(dim=1) - values.detach().mean(dim=1)).mean()
        metrics = {
            "triage/loss": float(loss.detach()),
            "triage/value": float(taken.detach().mean()),
            "triage/gap": float(gap),
            "triage/epsilon": self.epsilon,
        }
        return metrics | off_advice, errors
