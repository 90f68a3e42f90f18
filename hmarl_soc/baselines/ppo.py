"""PPO over branches: what Single-DRL, MAPPO and IPPO share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hmarl_soc.baselines.base import BranchLearner, only_allowed
from hmarl_soc.baselines.config import PpoConfig
from hmarl_soc.baselines.encoding import IntArray
from hmarl_soc.interface import Interface
from hmarl_soc.learner import Seen, State, Transition, average
from hmarl_soc.nn.branches import AgentNets
from hmarl_soc.nn.losses import advantages_of_steps
from hmarl_soc.nn.networks import clip_and_step, make_adam
from hmarl_soc.nn.ppo import improve, standardised
from hmarl_soc.training.replay import Rollout
from native_sim.api import Array


class Judged(NamedTuple):
    """How likely a policy finds a batch of N decisions."""

    chosen: Tensor  # [N, actors] log-probabilities of what was done
    entropy: Tensor  # [N, actors]
    log_probs: Tensor  # [N, B, C] of every choice of every branch


class PpoLearner(BranchLearner):
    """PPO with one categorical distribution per branch.

    The probability ratio that is clipped belongs to an agent: it is the product over the agent's branches. Advantages
    are brought to mean 0 and spread 1 over the rollout. Observations are brought to mean 0 and spread 1 by moments
    that change between updates only, so that the policy which is improved is the one that acted. An episode cut off
    by the time limit goes on with the value of its last observation. Where there is a teacher, the loss also has the
    cross entropy of each branch to its advice.

    Args:
        config: Settings.
        interface: The agents, and the size of the state.
        num_envs: E.
        seed: Of weights, exploration and the order of batches.
        device: Where networks live.
        joint: One agent sees and decides everything.
        central: One value of the state and all observations; otherwise one of each agent's own observation.
    """

    config: PpoConfig

    def __init__(
        self,
        config: PpoConfig,
        interface: Interface,
        num_envs: int,
        seed: int,
        device: str = "cpu",
        *,
        joint: bool = False,
        central: bool = True,
    ) -> None:
        self._central = central
        super().__init__(config, interface, seed, device, joint=joint, last_gain=0.01)
        self.modules["value"] = self._make_value().to(self.device)
        self.optimisers = {
            name: make_adam(module.parameters(), config.learning_rate) for name, module in self.modules.items()
        }
        self._owner = torch.from_numpy(self.actions.owner * (not joint)).to(self.device)
        self._num_actors = 1 if joint else len(interface.agents)
        seen: dict[str, tuple[tuple[int, ...], type]] = {
            "observations": ((self.observations.size,), np.float32),
            "critic": ((self.critic_size,), np.float32),
            "critic_after": ((self.critic_size,), np.float32),
            "masks": ((self.actions.mask_size,), np.bool_),
            "choices": ((self.actions.num_branches,), np.int64),
            "advice": ((self.actions.num_branches,), np.int64),
            "rewards": ((), np.float64),
            "terminated": ((), np.bool_),
            "ends": ((), np.bool_),
        }
        self._rollout = Rollout(num_envs, seen)

    def observe(self, step: Transition) -> None:
        """Keep the step for the next update; see :meth:`hmarl_soc.learner.Learner.observe`."""
        before = self.observations.join(step.before.observations)
        after = self.observations.join(step.after.observations)
        entries = {
            "observations": before,
            "critic": self.critic_input(step.before, before),
            "critic_after": self.critic_input(step.after, after),
            "masks": self.actions.pack(step.before.masks),
            "choices": self.actions.encode(step.actions),
            "advice": self.encode_advice(step.before),
            "rewards": self.config.reward_scale * step.rewards,
            "terminated": step.terminations,
            "ends": step.terminations | step.truncations,
        }
        self._rollout.add(step.before.rows, entries)
        self.count(step)

    def update(self) -> dict[str, float]:
        """Learn from the rollout once it is long enough, then forget it."""
        if len(self._rollout) < self.config.rollout:
            return {}
        grid, filled = self._rollout.take()
        data = self._prepare(grid, filled)
        batches = self._batches(len(data["advantages"]))
        learned = [self._learn({name: values[batch] for name, values in data.items()}) for batch in batches]
        self.observed.add(grid["observations"][filled])
        self.judged.add(grid["critic"][filled])
        return average(learned)

    # ------------------------------------------------------------------------------------------------------ inside
    def _make_value(self) -> nn.Module:
        hidden = self.config.network.hidden
        slices = [slice(0, self.critic_size)] if self._central else self.observations.slices
        return AgentNets(slices, [1] * len(slices), hidden, 1.0, self.weights)

    @property
    def critic_size(self) -> int:
        """Numbers that the value sees."""
        return self.observations.size + (self.interface.state_size if self._central else 0)

    def critic_input(self, seen: Seen, joined: Array) -> Array:
        """Return what the value sees, [N, critic_size] float32: observations, and the state if it is central."""
        if not self._central or not self.interface.state_size:
            return joined
        return np.concatenate([super().critic_input(seen, joined), joined], axis=1)

    def _explore(self, numbers: npt.NDArray[np.float32]) -> IntArray:
        # The largest of logits plus Gumbel noise is a draw from their softmax.
        choices: IntArray = (numbers + self.generator.gumbel(size=numbers.shape)).argmax(axis=2)
        return choices

    def _values(self, critic: Tensor) -> Tensor:
        """Return values [N, V] of what the value sees, V = 1 or one per agent."""
        return torch.cat(self.modules["value"](critic), dim=1)

    def _prepare(self, grid: dict[str, Array], filled: Array) -> dict[str, Tensor]:
        """Return the rollout [steps, ...] with old log-probabilities, normalised advantages and value targets."""
        critic = self.to_tensor(self.judged.scale(grid["critic"][filled]))
        with torch.no_grad():
            values = self._values(critic).cpu().numpy().astype(np.float64)
            after = self._values(self.to_tensor(self.judged.scale(grid["critic_after"][filled]))).cpu().numpy()
        advantages = np.stack(
            [self._advantages(grid, filled, *pair) for pair in zip(values.T, after.T, strict=True)], 1
        )
        gains = standardised(advantages)
        data = {
            "observations": self.to_tensor(self.observed.scale(grid["observations"][filled])),
            "allowed": self.to_tensor(self.actions.unpack(grid["masks"][filled])),
            "choices": self.to_tensor(grid["choices"][filled]),
            "advice": self.to_tensor(grid["advice"][filled]),
            "critic": critic,
            "advantages": self.to_tensor(gains.astype(np.float32)),
            "targets": self.to_tensor((advantages + values).astype(np.float32)),
        }
        with torch.no_grad():
            parts = torch.split(torch.arange(len(gains), device=self.device), self.config.minibatch)
            old = [self._judge({key: value[part] for key, value in data.items()}).chosen for part in parts]
        return data | {"log_probs": torch.cat(old)}

    def _advantages(self, grid: dict[str, Array], filled: Array, values: Array, after: Array) -> Array:
        """Return advantages [steps] under one column of values [steps]."""
        ends = (grid["terminated"], grid["ends"], filled)
        return advantages_of_steps(grid["rewards"], values, after, *ends, self.config.gamma, self.config.gae_lambda)

    def _batches(self, count: int) -> Iterator[Tensor]:
        pieces = max(1, round(count / self.config.minibatch))
        for _ in range(self.config.epochs):
            yield from self.to_tensor(self.generator.permutation(count)).tensor_split(pieces)

    def _judge(self, batch: dict[str, Tensor]) -> Judged:
        logits = only_allowed(self.net(batch["observations"]), batch["allowed"])
        log_probs = nn.functional.log_softmax(logits, dim=2)
        chosen = log_probs.gather(2, batch["choices"].unsqueeze(2)).squeeze(2)
        entropy = -(log_probs.exp() * log_probs).sum(2)
        nothing = chosen.new_zeros(len(chosen), self._num_actors)
        return Judged(nothing.index_add(1, self._owner, chosen), nothing.index_add(1, self._owner, entropy), log_probs)

    def _learn(self, batch: dict[str, Tensor]) -> dict[str, float]:
        now, entropy, log_probs = self._judge(batch)
        value_loss = nn.functional.mse_loss(self._values(batch["critic"]), batch["targets"])
        extra: Tensor | None = None
        off_advice = {}
        if self.pull is not None:
            extra = self.pulled(-log_probs.gather(2, batch["advice"].unsqueeze(2)).squeeze(2))
            off_advice = {"off_advice": float((log_probs.argmax(2) != batch["advice"]).float().mean())}
        old, gains = batch["log_probs"], batch["advantages"]
        found = improve(self.optimisers["net"], now, old, gains, entropy.mean(), self.config, extra)
        clip_and_step(self.optimisers["value"], value_loss, self.config.value_gradient_norm)
        self.updates += 1
        return off_advice | {
            "policy_loss": found.policy_loss,
            "value_loss": float(value_loss.detach()),
            "entropy": found.entropy,
            "clipped": found.clipped,
        }

    def _experience_state(self) -> State:
        return self._rollout.state_dict()

    def _load_experience(self, state: State) -> None:
        self._rollout.load_state_dict(state)
