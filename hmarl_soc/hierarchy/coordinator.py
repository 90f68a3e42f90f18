"""Strategic coordinator: PPO over macro steps of K environment steps.

A directive is tanh of a normal draw. What is kept for learning is the draw itself with its log density and value as
they were when it was executed; the squashing cancels in the probability ratio. Within a macro step rewards are
discounted per step, and what follows a macro step of k steps is discounted by gamma^k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import CoordinatorConfig
from hmarl_soc.learner import average
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import clip_and_step, make_adam, to_tensors
from hmarl_soc.nn.parts import INNER, Saved, fit_inputs, make_actor, make_critic, minibatches, normals
from hmarl_soc.nn.ppo import improve, standardised
from hmarl_soc.training.replay import Rollout
from native_sim.api import Array, FloatArray, Layout


class Coordinator(Saved):
    """PPO for E rows whose macro steps begin and end at different times.

    Args:
        layout: Of the observation.
        actions: D, numbers of a directive, in [-1, 1].
        state_size: Length of the true state that the value may see, 0 for none.
        num_envs: E.
        config: Settings.
        network: Shape of the networks.
        discount: Per environment step.
        generator: First weights and every draw.
        device: Where the networks live.
        advised: Numbers of an advised action, D if None.
    """

    role = "coordinator"
    _saved = ("actor", "log_std", "critic", "actor_adam", "critic_adam", "_open", "fitted")

    def __init__(
        self,
        layout: Layout,
        actions: int,
        state_size: int,
        num_envs: int,
        config: CoordinatorConfig,
        network: NetworkConfig,
        discount: float,
        generator: torch.Generator,
        device: torch.device,
        advised: int | None = None,
    ) -> None:
        advised = actions if advised is None else advised
        self.config, self.discount, self.generator, self.device = config, discount, generator, device
        self.actor = make_actor(layout, actions, network, generator).to(device)
        self.log_std = nn.Parameter(torch.full((actions,), config.initial_log_std, device=device))
        self.critic = make_critic(layout.size + state_size, network, generator).to(device)
        self.fitted = False  # whether the scalers are
        self.actor_adam = make_adam([*self.actor.parameters(), self.log_std], config.learning_rate)
        self.critic_adam = make_adam(self.critic.parameters(), config.learning_rate)
        entries: dict[str, tuple[tuple[int, ...], type]] = {
            "observation": ((layout.size,), np.float32),
            "state": ((state_size,), np.float32),
            "raw": ((actions,), np.float32),
            "log_prob": ((), np.float32),
            "value": ((), np.float32),
            "advice": ((advised,), np.float32),
        }
        self._open: dict[str, Array] = {  # the running macro step of each row
            name: np.zeros((num_envs, *shape), dtype) for name, (shape, dtype) in entries.items()
        } | {"reward": np.zeros(num_envs), "discount": np.ones(num_envs), "running": np.zeros(num_envs, np.bool_)}
        flow: dict[str, tuple[tuple[int, ...], type]] = {
            "reward": ((), np.float64),
            "discount": ((), np.float64),
            "next_value": ((), np.float64),
            "ended": ((), np.bool_),
        }
        self.rollout = Rollout(num_envs, entries | flow)

    @torch.no_grad()
    def act(self, observations: Tensor, explore: bool = True) -> tuple[Array, Array, Array]:
        """Return directives [N, D], the draws behind them, and the log densities [N] of the draws."""
        mean = self.actor(observations)[0]
        raw = mean + normals(mean, self.generator) * self.log_std.exp() if explore else mean
        log_prob = losses.gaussian_log_prob(raw, mean, self.log_std)
        return torch.tanh(raw).cpu().numpy(), raw.cpu().numpy(), log_prob.cpu().numpy()

    def decide(self, rows: Array, observations: Array, states: Array, advice: Array | None = None) -> Array:
        """Begin a macro step in ``rows`` [N], ending the running one; return the directives [N, D] to execute.

        Args:
            rows: [N].
            observations: [N, F].
            states: [N, S].
            advice: [N, D] or [N] what a teacher would do, for :meth:`update`; None where there is no teacher.
        """
        seen = to_tensors([observations], self.device)[0]
        values = self._values(observations, states)
        self._close(rows[self._open["running"][rows]], values[self._open["running"][rows]], False)
        directives, raw, log_prob = self.act(seen)
        fresh = {"observation": observations, "state": states, "raw": raw, "log_prob": log_prob, "value": values}
        if advice is not None:
            fresh["advice"] = advice.reshape(len(rows), -1)
        for name, value in fresh.items():
            self._open[name][rows] = value
        self._open["reward"][rows], self._open["discount"][rows] = 0.0, 1.0
        self._open["running"][rows] = True
        return directives

    def credit(self, rewards: FloatArray, observations: Array, states: Array, terminated: Array, cut: Array) -> None:
        """Add the rewards [E] of a step to the running macro steps, and end those whose episode ended.

        Args:
            rewards: [E].
            observations: [E, F] after the step.
            states: [E, S] after the step.
            terminated: [E] bool, nothing follows.
            cut: [E] bool, truncated: the value of the last observation follows.
        """
        self._open["reward"] += self._open["discount"] * rewards
        self._open["discount"] *= self.discount
        ended = np.flatnonzero(terminated | cut)
        if len(ended):
            values = np.where(terminated[ended], 0.0, self._values(observations[ended], states[ended]))
            self._close(ended, values, True)

    def update(self, pull: float | None = None) -> dict[str, float]:
        """Learn from the macro steps collected, if there are enough; the first ones only tell the scale of inputs.

        Args:
            pull: Weight of the distance from the advice; None where there is no teacher.
        """
        if len(self.rollout) < self.config.rollout:
            return {}
        grid, filled = self.rollout.take()
        if not self.fitted:
            self._fit_inputs(*to_tensors([grid[name][filled] for name in ("observation", "state")], self.device))
            return {}
        advantages = losses.generalized_advantages(
            grid["reward"], grid["value"], grid["next_value"], grid["discount"], grid["ended"], self.config.gae_lambda
        )
        names = ("observation", "state", "raw", "advice", "log_prob")
        flat = [grid[name][filled] for name in names]
        gains = advantages[filled]
        returns = gains + grid["value"][filled]
        tensors = to_tensors([*flat, standardised(gains), returns], self.device)
        size, epochs = self.config.minibatch, self.config.epochs
        parts = minibatches(len(gains), size, epochs, self.generator, self.device)
        learned = average([self._learn([tensor[part] for tensor in tensors], pull) for part in parts])
        explained = 1.0 - (returns - grid["value"][filled]).var() / max(returns.var(), 1e-8)
        learned["explained_variance"] = float(explained)
        return {f"{self.role}/{name}": value for name, value in learned.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything, unfinished macro steps included."""
        return super().state_dict() | {"rollout": self.rollout.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        """Go on from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.rollout.load_state_dict(state["rollout"])

    def _learn(self, batch: list[Tensor], pull: float | None) -> dict[str, float]:
        """Do one gradient step."""
        observations, states, raw, advice, old_log_probs, advantages, returns = batch
        outputs = self.actor(observations)[0]
        log_probs, entropy = self._judge(outputs, raw)
        extra: Tensor | None = None
        off_advice = {}
        if pull is not None:
            away = self._distance(outputs, advice)
            extra, off_advice = pull * away, {"off_advice": float(away.detach())}
        found = improve(self.actor_adam, log_probs, old_log_probs, advantages, entropy, self.config, extra)
        values = self.critic(torch.cat([observations, states], dim=1))[0].squeeze(-1)
        value_loss = (values - returns).square().mean()
        clip_and_step(self.critic_adam, value_loss, self.config.value_gradient_norm)
        return off_advice | {
            "policy_loss": found.policy_loss,
            "value_loss": float(value_loss.detach()),
            "entropy": found.entropy,
            "clipped": found.clipped,
        }

    def _judge(self, outputs: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log densities [B] of draws [B, D] under the actor's outputs [B, D], and the entropy, a scalar."""
        entropy = self.log_std.sum() + 1.4189385332046727 * len(self.log_std)
        return losses.gaussian_log_prob(raw, outputs, self.log_std), entropy

    def _fit_inputs(self, observations: Tensor, states: Tensor) -> None:
        """Fit the scalers to the first rollout, which is then not learned from: other networks acted in it."""
        fit_inputs(self.actor, observations)
        fit_inputs(self.critic, observations, states)
        self._open["value"] = self._values(self._open["observation"], self._open["state"])
        self.fitted = True

    def _distance(self, outputs: Tensor, advice: Tensor) -> Tensor:
        """Return how unlikely advice [B, D] is under outputs [B, D], a scalar.

        It is the mean negative log density of the advised numbers, up to a constant; the spread gets no gradient.
        """
        wanted = torch.atanh(advice.clamp(-INNER, INNER))
        return 0.5 * ((outputs - wanted) * (-self.log_std.detach()).exp()).square().sum(dim=1).mean()

    @torch.no_grad()
    def _values(self, observations: Array, states: Array) -> Array:
        """Return what is expected to follow observations [N, F] and states [N, S], [N], in units of scaled reward."""
        seen = torch.cat(to_tensors([observations, states], self.device), dim=1)
        values: Array = self.critic(seen)[0].squeeze(-1).cpu().numpy()
        return values

    def _close(self, rows: Array, next_values: Array, ended: bool) -> None:
        """Move the running macro steps of ``rows`` [N] to the rollout."""
        kept = {name: value[rows] for name, value in self._open.items() if name != "running"}
        self.rollout.add(rows, kept | {"next_value": next_values, "ended": np.full(len(rows), ended)})
        self._open["running"][rows] = False
