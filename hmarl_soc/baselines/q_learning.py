"""Double Q-learning over branches from a uniform replay: what IQL and QMIX share."""

from __future__ import annotations

import copy
from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hmarl_soc.baselines.base import BranchLearner, only_allowed
from hmarl_soc.baselines.config import QConfig
from hmarl_soc.baselines.encoding import IntArray
from hmarl_soc.interface import Interface
from hmarl_soc.learner import State, Transition, average
from hmarl_soc.nn.losses import lead_missing, td_target
from hmarl_soc.nn.networks import clip_and_step, make_adam
from hmarl_soc.training.replay import Replay, Window


class QLearner(BranchLearner):
    """A utility for each choice of each branch; subclasses say how utilities become values that are learned.

    Each branch explores by itself with probability epsilon. The online nets choose the next action, the target nets
    value it, after the rewards of ``n_steps`` steps, and an episode that was cut off by the time limit goes on with
    that value. Observations are brought to mean 0 and spread 1 by running moments; the replay keeps them as they were.
    Where there is a teacher, the utility of what it advises is pulled above those of a branch's other choices by a
    margin.

    Args:
        config: Settings.
        interface: The agents, and the size of the state.
        seed: Of weights, exploration and replay.
        device: Where networks live.
    """

    config: QConfig

    def __init__(self, config: QConfig, interface: Interface, seed: int, device: str = "cpu") -> None:
        super().__init__(config, interface, seed, device)
        self.modules |= {name: module.to(self.device) for name, module in self._trained().items()}
        self._online = tuple(self.modules)
        parameters = [parameter for module in self.modules.values() for parameter in module.parameters()]
        self.optimisers = {"all": make_adam(parameters, config.learning_rate)}
        for name in self._online:
            self.modules[_target(name)] = copy.deepcopy(self.modules[name]).requires_grad_(False)
        size, critic = self.observations.size, self.critic_size
        entries: dict[str, tuple[tuple[int, ...], type]] = {
            "observations": ((size,), np.float32),
            "next_observations": ((size,), np.float32),
            "critic": ((critic,), np.float32),
            "next_critic": ((critic,), np.float32),
            "masks": ((self.actions.mask_size,), np.bool_),
            "next_masks": ((self.actions.mask_size,), np.bool_),
            "choices": ((self.actions.num_branches,), np.int16),
            "advice": ((self.actions.num_branches,), np.int16),
            "reward": ((), np.float32),
            "terminated": ((), np.bool_),
            "discount": ((), np.float32),
        }
        self.replay = Replay(config.capacity, entries, alpha=0.0)
        self.window = Window(config.n_steps, config.gamma)

    @property
    def epsilon(self) -> float:
        """Share of random choices at this moment."""
        share = min(1.0, self.steps / self.config.epsilon_steps)
        return self.config.epsilon_start + share * (self.config.epsilon_end - self.config.epsilon_start)

    def observe(self, step: Transition) -> None:
        """Keep the step; see :meth:`hmarl_soc.learner.Learner.observe`."""
        before = self.observations.join(step.before.observations)
        after = self.observations.join(step.after.observations)
        critic = self.critic_input(step.before, before)
        transitions = self.window.add(
            {
                "observations": before,
                "next_observations": after,
                "critic": critic,
                "next_critic": self.critic_input(step.after, after),
                "masks": self.actions.pack(step.before.masks),
                "next_masks": self.actions.pack(step.after.masks),
                "choices": self.actions.encode(step.actions),
                "advice": self.encode_advice(step.before),
                "reward": self.config.reward_scale * step.rewards,
                "terminated": step.terminations,
                "ended": step.terminations | step.truncations,
            }
        )
        if transitions is not None:
            self.replay.add(transitions)
        self.observed.add(before)
        self.judged.add(critic)
        self.count(step)

    def update(self) -> dict[str, float]:
        """Do the gradient steps that are due."""
        due = int((self.steps - self.config.warm_up) * self.config.updates_per_step) - self.updates
        if self.steps < self.config.warm_up or due < 1 or not self.replay.size:
            return {}
        return average([self._learn() for _ in range(due)]) | {"epsilon": self.epsilon}

    # ----------------------------------------------------------------------------------------------- for subclasses
    def _trained(self) -> dict[str, nn.Module]:
        """Return what is trained beside the branch network."""
        return {}

    @abstractmethod
    def _value(self, utilities: Tensor, critic: Tensor, target: bool) -> Tensor:
        """Return values [N, V] from the utilities [N, B] of chosen actions; V = B or 1."""

    # ------------------------------------------------------------------------------------------------------ inside
    def _explore(self, numbers: npt.NDArray[np.float32]) -> IntArray:
        greedy = numbers.argmax(axis=2)
        # The largest of equal logits plus noise is a uniform draw among what is allowed.
        noise = self.generator.random(numbers.shape)
        anything = np.where(numbers > -1e8, noise, -1.0).argmax(axis=2)
        explores = self.generator.random(greedy.shape) < self.epsilon
        choices: IntArray = np.where(explores, anything, greedy)
        return choices

    def _learn(self) -> dict[str, float]:
        drawn = self.replay.sample(self.config.batch_size, 1.0, self.generator).entries
        now = self.to_tensor(self.observed.scale(drawn["observations"]))
        critic = self.to_tensor(self.judged.scale(drawn["critic"]))
        choices = self.to_tensor(drawn["choices"].astype(np.int64)).unsqueeze(2)
        utilities = self.net(now)
        values = self._value(utilities.gather(2, choices).squeeze(2), critic, target=False)
        loss = whole = nn.functional.smooth_l1_loss(values, self._targets(drawn))
        off_advice = {}
        if self.pull is not None:
            away, differs = self._distance(utilities, drawn)
            whole = loss + self.pulled(away)
            off_advice = {"off_advice": float(differs)}
        clip_and_step(self.optimisers["all"], whole, self.config.gradient_norm)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            for name in self._online:
                self.modules[_target(name)].load_state_dict(self.modules[name].state_dict())
        return {"loss": float(loss.detach()), "value": float(values.detach().mean())} | off_advice

    def _distance(self, utilities: Tensor, drawn: dict[str, npt.NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Return by how much advice fails to lead utilities [N, B, C], [N, B], and the share of them that differ."""
        allowed = self.to_tensor(self.actions.unpack(drawn["masks"].astype(np.bool_)))
        candidates = only_allowed(utilities, allowed).flatten(0, 1)
        advised = self.to_tensor(drawn["advice"].astype(np.int64)).flatten()
        differs = (candidates.detach().argmax(1) != advised).float().mean()
        return lead_missing(candidates, advised, self.config.margin).view(utilities.shape[:2]), differs

    @torch.no_grad()
    def _targets(self, drawn: dict[str, npt.NDArray[np.float32]]) -> Tensor:
        after = self.to_tensor(self.observed.scale(drawn["next_observations"]))
        critic = self.to_tensor(self.judged.scale(drawn["next_critic"]))
        allowed = self.to_tensor(self.actions.unpack(drawn["next_masks"].astype(np.bool_)))
        best = only_allowed(self.net(after), allowed).argmax(2, keepdim=True)
        utilities = self.modules[_target("net")](after).gather(2, best).squeeze(2)
        rewards, terminated, discount = (
            self.to_tensor(drawn[name]).unsqueeze(1) for name in ("reward", "terminated", "discount")
        )
        return td_target(rewards, terminated, self._value(utilities, critic, target=True), discount)

    def _experience_state(self) -> State:
        return {"replay": self.replay.state_dict(), "window": self.window.state_dict()}

    def _load_experience(self, state: State) -> None:
        self.replay.load_state_dict(state["replay"])
        self.window.load_state_dict(state["window"])


def _target(name: str) -> str:
    return f"target_{name}"
