"""The ablation "one algorithm for all": the hierarchy of HMARL-SOC with PPO in place of SAC, DQN and MADDPG.

Views, directives, attention, acting networks and the meaning of their outputs stay as they are, so that what is removed
is the choice of algorithms. Without replay there is no shared replay either: PPO learns from what it just did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hmarl_soc.baselines.config import PpoHierarchyConfig
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.hierarchy.coordinator import Coordinator
from hmarl_soc.hierarchy.responder import emit
from hmarl_soc.hierarchy.roles import LOWER, OUTPUTS, TYPES, check_roles
from hmarl_soc.hierarchy.views import make_view
from hmarl_soc.interface import Interface
from hmarl_soc.kickstarting import AdvisedLearner
from hmarl_soc.learner import Seen, State, Transition
from hmarl_soc.nn.networks import find_device, make_adam
from hmarl_soc.nn.parts import distance, gumbels, normals
from native_sim.api import Array

_ADVICE_SCALE = 50.0
"""Weight of a squared distance beside negative log densities, whose spreads are near 0.2."""


class LowerPpo(Coordinator):
    """PPO of a lower agent, whose macro steps are single steps.

    The actor's outputs [N, D] are groups of choices, of which one is drawn each, and means of normal draws. What is
    kept of a decision is a row of D numbers: ones and zeros for choices, and the draws.

    Args:
        role: Name of the agent.
        groups: Slices of the outputs that are the logits of a choice each; the other outputs are means.
        settings: Arguments of :class:`hmarl_soc.hierarchy.coordinator.Coordinator`.
    """

    def __init__(self, role: str, groups: list[slice], *settings: Any) -> None:
        super().__init__(*settings)
        self.role = role
        self._groups = groups
        chosen = {index for group in groups for index in range(group.start, group.stop)}
        self._means = [index for index in range(len(self.log_std)) if index not in chosen]
        self.log_std = nn.Parameter(self.log_std.detach()[self._means])
        self.actor_adam = make_adam([*self.actor.parameters(), self.log_std], self.config.learning_rate)

    @torch.no_grad()
    def act(self, observations: Tensor, explore: bool = True) -> tuple[Array, Array, Array]:
        """Return actions, the rows [N, D] behind them, and their log densities [N]."""
        outputs: Tensor = self.actor(observations)[0]
        raw = outputs.clone()
        if explore:
            raw[:, self._means] += normals(raw[:, self._means], self.generator) * self.log_std.exp()
        for group in self._groups:
            logits = outputs[:, group]
            if explore:
                logits = logits + gumbels(logits, self.generator)
            if explore or self.role == "triage":
                raw[:, group] = nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).to(raw.dtype)
            else:  # a response blends its types
                raw[:, group] = logits.softmax(dim=1)
        log_prob = self._judge(outputs, raw)[0]
        return self._executed(raw), raw.cpu().numpy(), log_prob.cpu().numpy()

    def _executed(self, raw: Tensor) -> Array:
        """Return the action that the environment is given for rows [N, D]."""
        if self.role == "hunter":
            return torch.tanh(raw).cpu().numpy()
        if self.role == "triage":
            return raw.argmax(dim=1).cpu().numpy()
        each = raw.view(len(raw), -1, OUTPUTS).transpose(0, 1)
        return emit(each, each[..., : len(TYPES)]).cpu().numpy()

    def _distance(self, outputs: Tensor, advice: Tensor) -> Tensor:
        if self.role == "hunter":
            return super()._distance(outputs, advice)
        if self.role == "triage":
            return nn.functional.cross_entropy(outputs, advice[:, 0].long())
        each = outputs.view(len(outputs), -1, OUTPUTS).transpose(0, 1)
        return _ADVICE_SCALE * distance(emit(each, each[..., : len(TYPES)].softmax(dim=-1)), advice)

    def _judge(self, outputs: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        log_prob, entropy = super()._judge(outputs[:, self._means], raw[:, self._means])
        for group in self._groups:
            log_probs = outputs[:, group].log_softmax(dim=1)
            log_prob = log_prob + (log_probs * raw[:, group]).sum(dim=1)
            entropy = entropy - (log_probs.exp() * log_probs).sum(dim=1).mean()
        return log_prob, entropy


class PpoHierarchy(AdvisedLearner):
    """The hierarchy with PPO for every agent; arguments as of :class:`hmarl_soc.hierarchy.learner.Hierarchy`."""

    def __init__(
        self, config: PpoHierarchyConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        check_roles(interface)
        super().__init__(config.advice, (agent.name for agent in interface.agents))
        self.config, self.interface = config, interface
        self.device = find_device(device)
        stream = np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(1, np.uint64)
        self.noise = torch.Generator().manual_seed(int(stream[0] >> np.uint64(1)))
        directive = interface["coordinator"].actions
        self.views = {name: make_view(interface[name], directive) for name in LOWER}
        segments = interface["responder"].actions // 2 - 1
        triage = interface["triage"].actions
        sizes = {"hunter": interface["hunter"].actions, "triage": triage, "responder": OUTPUTS * segments}
        groups = {
            "hunter": [],
            "triage": [slice(0, triage)],
            "responder": [slice(OUTPUTS * i, OUTPUTS * i + len(TYPES)) for i in range(segments)],
        }
        advised = {name: 1 if name == "triage" else interface[name].actions for name in LOWER}
        last = (config.network, config.gamma, self.noise, self.device)
        layout, size = interface["coordinator"].observation, interface.state_size
        self.agents: dict[str, Coordinator] = {
            "coordinator": Coordinator(layout, directive, size, num_envs, config.coordinator, *last)
        }
        for name, view in self.views.items():
            own = (view.layout, sizes[name], size, num_envs, config.lower)
            self.agents[name] = LowerPpo(name, groups[name], *own, *last, advised[name])
        self.directives = np.zeros((num_envs, directive), np.float32)  # in force
        self.ages = np.zeros(num_envs, np.int64)  # steps since the directive; 0: one is due

    def act(self, seen: Seen, explore: bool = True) -> dict[str, Array]:
        """Let the coordinator decide where a directive is due, then the others."""
        if not explore:
            raise ValueError("act with explore=False is what policy() is for: the learner remembers training rows only")
        state = seen.truth(self.interface.state_size)
        advice = seen.advised(self.interface)
        due = np.flatnonzero(self.ages[seen.rows] == 0)
        if self.config.coordinator.enabled and len(due):
            given = (seen.observations["coordinator"][due], state[due], advice["coordinator"][due])
            self.directives[seen.rows[due]] = self.agents["coordinator"].decide(seen.rows[due], *given)
        directives = self.directives[seen.rows]
        actions: dict[str, Array] = {"coordinator": directives}
        for name, view in self.views.items():
            view_now = view(seen.observations[name], directives)
            actions[name] = self.agents[name].decide(seen.rows, view_now, state, advice[name])
        return actions

    def observe(self, step: Transition) -> None:
        """Credit every agent with the step."""
        rewards = self.config.reward_scale * step.rewards
        state, ends = step.after.truth(self.interface.state_size), (step.terminations, step.truncations)
        if self.config.coordinator.enabled:
            self.agents["coordinator"].credit(rewards, step.after.observations["coordinator"], state, *ends)
        for name, view in self.views.items():
            seen = view(step.after.observations[name], self.directives)
            self.agents[name].credit(rewards, seen, state, *ends)
        self.ages = (self.ages + 1) % self.config.coordinator.every
        self.ages[ends[0] | ends[1]] = 0
        self.count(step)

    def update(self) -> dict[str, float]:
        """Let every agent learn that has collected enough."""
        metrics: dict[str, float] = {}
        for role, agent in self.agents.items():
            metrics |= agent.update(self.pull_of(role))
        return metrics

    def policy(self) -> HierarchyPolicy:
        """Return a greedy copy that acts without the tensor library."""
        arrays = {
            f"{role}.{name}": tensor.detach().cpu().numpy().copy()
            for role, agent in self.agents.items()
            for name, tensor in agent.actor.state_dict().items()
        }
        return HierarchyPolicy(self.config, self.interface, arrays)

    def state_dict(self) -> State:
        """Return everything."""
        return {
            "agents": {name: agent.state_dict() for name, agent in self.agents.items()},
            "noise": self.noise.get_state(),
            "directives": self.directives,
            "ages": self.ages,
            "steps": self.steps,
            "advised": self.advised,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        if set(state.get("agents", {})) != set(self.agents):
            raise ValueError("the state is not of the hierarchy with PPO for every agent")
        for name, agent in self.agents.items():
            agent.load_state_dict(state["agents"][name])
        self.noise.set_state(torch.as_tensor(state["noise"]))
        self.directives, self.ages = np.array(state["directives"]), np.array(state["ages"])
        self.steps, self.advised = int(state["steps"]), bool(state["advised"])
