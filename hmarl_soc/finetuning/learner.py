"""Fine-tuning: PPO through a carried defender, from the options it takes back into its mapper and its roles.

In a carried environment every agent takes one of its options, whose scores are linear in what is known of them times
what the roles want (:mod:`hmarl_soc.finetuning.options`). A softmax of the scores is the policy that is improved; the
roles and the directive before it are its hidden layers, so one gradient reaches everything. What triage and the
coordinator do is taken as it comes: it is not drawn. Triage's choice stays the one that was made, and gradients pass it
as if it were its probabilities. A directive is made again from what the coordinator saw when it was due, and so is
credited with all steps that it is in force. An agent decides where no action is in progress.

**Credit.** The reward is the team's, and most of what happens in a step is not an agent's doing. The environment
splits it among the agents, a value that sees the overviews of all has an output for each, and an agent's advantage is
its own plus ``others`` times those of the others. With ``others = 1`` that is the advantage of the team, without bias;
less of it is less noise. What is validated and reported is always the reward of the team.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from hmarl_soc.config import MethodConfig
from hmarl_soc.finetuning.options import Scorer, want
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.hierarchy.roles import LOWER
from hmarl_soc.interface import Interface
from hmarl_soc.learner import Learner, Seen, Transition, average
from hmarl_soc.nn.losses import generalized_advantages
from hmarl_soc.nn.networks import Mlp, clip_and_step, find_device, make_adam, to_tensors
from hmarl_soc.nn.parts import Saved, fit_inputs, make_actor
from hmarl_soc.nn.ppo import improve, standardised
from hmarl_soc.training.replay import Rollout
from native_sim.api import Array
from native_sim.soc.spec import OPTION_ACTION

OBSERVED: Final = ("heard", "leads", "segment", "facts", "zone_facts", "allowed")
"""Fields of an observation that a decision needs beside those of the roles."""


class FinetuneConfig(MethodConfig):
    """Fine-tuning of a carried defender."""

    reward_scale: float = Field(default=0.1, gt=0, description="rewards are multiplied by this before learning")
    parts: Literal["adapters", "heads", "all"] = Field(
        default="adapters",
        description="what learns: the mapper; the roles' last layers too; all of the roles too",
    )
    rollout: int = Field(
        default=32_768, ge=16, description="environment steps between two updates; a whole episode of 64 environments"
    )
    minibatch: int = Field(default=1_024, ge=2, description="environment steps of one gradient step")
    epochs: int = Field(default=5, ge=1, description="passes over a rollout")
    clip: float = Field(default=0.2, gt=0, lt=1, description="how far the probability ratio may move")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="mixes one-step and full returns")
    others: float = Field(
        default=0.2, ge=0, le=1, description="weight of other agents' rewards in an agent's advantage; 1: the team's"
    )
    entropy: float = Field(default=0.003, ge=0, description="weight of the entropy bonus")
    mapper_learning_rate: float = Field(default=3e-3, gt=0, le=0.1, description="of Adam, mapper")
    roles_learning_rate: float = Field(default=3e-5, gt=0, le=0.1, description="of Adam, roles")
    value_learning_rate: float = Field(default=5e-4, gt=0, le=0.1, description="of Adam, value")
    gradient_norm: float = Field(default=0.5, gt=0, description="largest norm of a gradient of the policy")
    value_gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient of the value")
    value_first: int = Field(default=2, ge=0, description="updates at the start in which only the value learns")


class TunedPolicy(HierarchyPolicy):
    """Greedy roles with the weights of the mapper that was tuned with them."""

    def __init__(self, roles: HierarchyPolicy, mapper: Array) -> None:
        super().__init__(roles.config, roles.interface, roles.weights())
        self.mapper = mapper  # [W]

    def weights(self) -> Mapping[str, Array]:
        """Return name -> array of all roles' weights, and "mapper"."""
        return {**super().weights(), "mapper": self.mapper}

    def with_weights(self, arrays: Mapping[str, Array]) -> TunedPolicy:
        """Return this policy with other weights."""
        roles = {name: array for name, array in arrays.items() if name != "mapper"}
        return TunedPolicy(super().with_weights(roles), arrays["mapper"])


class Finetuner(Learner, Saved):
    """Tunes a carried hierarchy in a carried environment.

    Args:
        config: Settings.
        interface: Of the carried environment, whose observations name their fields.
        num_envs: E.
        seed: Of exploration, the value's first weights and the order of batches.
        carried: The roles as they are at first.
        mapper: [W] weights of the mapper at first.
        device: "cpu", "cuda" or "auto".
    """

    _saved = ("roles", "scorer", "value", "policy_adam", "value_adam", "fitted", "updates", "memory")

    def __init__(
        self,
        config: FinetuneConfig,
        interface: Interface,
        num_envs: int,
        seed: int,
        carried: HierarchyPolicy,
        mapper: Array,
        device: str = "cpu",
    ) -> None:
        self.config, self.interface, self.carried = config, interface, carried
        self.device = find_device(device)
        streams = np.random.SeedSequence(seed, spawn_key=(3,)).generate_state(2, np.uint64)
        self.generator = np.random.default_rng(int(streams[0]))
        weights = torch.Generator().manual_seed(int(streams[1] >> np.uint64(1)))
        self.layouts = {agent.name: agent.observation for agent in interface.agents}
        self.roles = _make_roles(carried, weights).to(self.device)
        facts = next(iter(self.layouts.values()))
        self.scorer = Scorer(mapper, facts["facts"].shape[1], facts["zone_facts"].size).to(self.device)
        critic = sum(layout["overview"].size + 1 for layout in self.layouts.values())
        count, size, directive = len(self.layouts), facts["coordinator"].size, facts["heard"].size
        self.value = Mlp(critic, config.network.hidden, count, weights, scaled=True).to(self.device)
        learning = _learning(self.roles, config.parts)
        for parameter in self.roles.parameters():
            parameter.requires_grad_(any(parameter is one for one in learning))
        self.tuned = bool(learning)  # whether any role learns
        self.policy_adam = make_adam(self.scorer.parameters(), config.mapper_learning_rate)
        if learning:
            self.policy_adam.add_param_group({"params": learning, "lr": config.roles_learning_rate})
        self.value_adam = make_adam(self.value.parameters(), config.value_learning_rate)
        self.fitted, self.updates = False, 0
        self.memory: dict[str, Array] = {
            "issued": np.zeros((num_envs, count, size), np.float32),  # what the coordinator saw when it last directed
            "directive": np.zeros((num_envs, count, directive), np.float32),
            "age": np.zeros(num_envs, np.int64),  # steps since then; 0: a directive is due
        }
        self._rollout = Rollout(num_envs, self._entries(critic, size))
        self._decided: dict[str, Array] = {}  # of the last act, until observed

    def _entries(self, critic: int, issued: int) -> dict[str, tuple[tuple[int, ...], type]]:
        agents = len(self.layouts)
        return {
            **{name: ((layout.size,), np.float32) for name, layout in self.layouts.items()},
            "issued": ((agents, issued), np.float32),
            "wishes": ((agents, self.scorer.wishes), np.float32),
            "choice": ((agents,), np.int64),
            "option": ((agents,), np.int64),
            "log_prob": ((agents,), np.float32),
            "critic": ((critic,), np.float32),
            "critic_after": ((critic,), np.float32),
            "reward": ((agents,), np.float64),
            "final": ((), np.bool_),
            "end": ((), np.bool_),
        }

    # ------------------------------------------------------------------------------------------------------- acting
    @torch.no_grad()
    def act(self, seen: Seen, explore: bool = True) -> dict[str, Array]:
        """Direct where that is due, let the roles say what they want, and draw an option for every free agent."""
        fields = [layout.unpack(seen.observations[name]) for name, layout in self.layouts.items()]
        self._direct(seen.rows, fields)
        directives = self.memory["directive"][seen.rows]
        free = np.stack([each["free"] > 0 for each in fields], axis=1)
        wishes = np.zeros((*free.shape, self.scorer.wishes), np.float32)
        triage = np.full(free.shape, -1)
        wishes[free], triage[free] = self._want(fields, free, directives)
        option, log_prob = np.zeros(free.shape, np.int64), np.zeros(free.shape, np.float32)
        for number, each in enumerate(fields):
            rows = np.flatnonzero(free[:, number])
            if len(rows):
                known = (self._tensor(each[name][rows]) for name in ("facts", "zone_facts", "allowed"))
                scores = self.scorer.log_probs(self._tensor(wishes[rows, number]), *known).cpu().numpy()
                noise = self.generator.gumbel(size=scores.shape) if explore else 0.0
                option[rows, number] = (scores + noise).argmax(axis=1)
                log_prob[rows, number] = scores[np.arange(len(rows)), option[rows, number]]
        issued = self.memory["issued"][seen.rows]
        self._decided = {
            "issued": issued,
            "wishes": wishes,
            "choice": triage,
            "option": option,
            "log_prob": log_prob,
        }
        parts = {"option": option, "triage": triage, "directive": directives}
        return {
            name: OPTION_ACTION.pack({part: values[:, i] for part, values in parts.items()}, np.float32)
            for i, name in enumerate(self.layouts)
        }

    def _want(self, fields: list[dict[str, Array]], free: Array, directives: Array) -> tuple[Array, Array]:
        """Return wishes [D, 13] and the choice of triage [D] of the free agents, in the order of ``free`` [N, A]."""
        if not free.any():
            return np.zeros((0, self.scorer.wishes), np.float32), np.zeros(0, np.int64)
        seen = {
            name: self._tensor(np.stack([each[name] for each in fields], axis=1)[free])
            for name in (*LOWER, "heard", "leads", "segment")
        }
        wishes, choice = want(self.roles, self.carried.views, seen, self._tensor(directives[free]))
        return wishes.cpu().numpy(), choice.cpu().numpy()

    def _direct(self, rows: Array, fields: list[dict[str, Array]]) -> None:
        """Give directives in the rows where they are due."""
        due = self.memory["age"][rows] == 0
        if not due.any() or not self.carried.config.coordinator.enabled:
            return
        issued = np.stack([each["coordinator"][due] for each in fields], axis=1)
        made = torch.tanh(self.roles["coordinator"](self._tensor(issued.reshape(-1, issued.shape[2])))[0])
        self.memory["issued"][rows[due]] = issued
        self.memory["directive"][rows[due]] = made.cpu().numpy().reshape(len(issued), len(fields), -1)

    def _tensor(self, array: Array) -> Tensor:
        return to_tensors([array], self.device)[0]

    # ----------------------------------------------------------------------------------------------------- learning
    def observe(self, step: Transition) -> None:
        """Keep the step for the next update."""
        ends = step.terminations | step.truncations
        self._rollout.add(
            step.before.rows,
            {
                **{name: step.before.observations[name] for name in self.layouts},
                **self._decided,
                "critic": self._overview(step.before),
                "critic_after": self._overview(step.after),
                "reward": self.config.reward_scale * step.infos["agent_rewards"],
                "final": step.terminations,
                "end": ends,
            },
        )
        self.memory["age"] = (self.memory["age"] + 1) % self.carried.config.coordinator.every
        self.memory["age"][ends] = 0
        self.memory["directive"][ends] = 0.0

    def _overview(self, seen: Seen) -> Array:
        parts = []
        for name, layout in self.layouts.items():
            fields = layout.unpack(seen.observations[name])
            parts += [fields["overview"], fields["free"][:, None]]
        return np.concatenate(parts, axis=1)

    def update(self) -> dict[str, float]:
        """Learn from the rollout once it is long enough, then forget it."""
        if len(self._rollout) < self.config.rollout:
            return {}
        grid, _ = self._rollout.take()
        steps = self._prepare(grid)
        decisions = self._decisions(grid, steps["gains"])
        metrics = []
        learning = self.updates >= self.config.value_first
        for parts in self._pieces(len(steps["targets"]), [len(one["option"]) for one in decisions]):
            found = self._learn_value(steps["critic"][parts[0]], steps["targets"][parts[0]])
            if learning:
                chosen = [
                    {name: value[part] for name, value in one.items()}
                    for one, part in zip(decisions, parts[1:], strict=True)
                ]
                found |= self._learn_policy(chosen)
            metrics.append(found)
        self.updates += 1
        return average(metrics)

    def _prepare(self, grid: Mapping[str, Array]) -> dict[str, Tensor]:
        """Return what the value sees, its targets and normalised advantages [T * E, A]."""
        steps, rows, agents = grid["reward"].shape
        critic, after = (self._tensor(grid[name].reshape(steps * rows, -1)) for name in ("critic", "critic_after"))
        if not self.fitted:
            fit_inputs(self.value, critic)
            self.fitted = True
        with torch.no_grad():
            values, later = (self.value(x)[0].cpu().numpy().astype(np.float64) for x in (critic, after))
        final, ends = (np.repeat(grid[name], agents, axis=1) for name in ("final", "end"))  # [T, E * A]
        later[final.reshape(later.shape)] = 0.0
        rewards, before, then = (array.reshape(ends.shape) for array in (grid["reward"], values, later))
        discount = np.full(ends.shape, self.config.gamma)
        gains = generalized_advantages(rewards, before, then, discount, ends, self.config.gae_lambda)
        gains = gains.reshape(-1, agents)
        targets, others = gains + values, self.config.others
        credited = (1.0 - others) * gains + others * gains.sum(axis=1, keepdims=True)
        return {"critic": critic, "targets": self._tensor(targets), "gains": self._tensor(standardised(credited))}

    def _decisions(self, grid: Mapping[str, Array], gains: Tensor) -> list[dict[str, Tensor]]:
        """Return the decisions of free agents, [D, ...] per name, one batch for each number of host slots."""
        groups: dict[int, list[dict[str, Tensor]]] = {}
        for number, (name, layout) in enumerate(self.layouts.items()):
            fields = layout.unpack(grid[name].reshape(-1, layout.size))
            free = np.flatnonzero(fields["free"] > 0)
            names = OBSERVED if not self.tuned else (*LOWER, *OBSERVED)
            batch = {field: self._tensor(fields[field][free]) for field in names}
            for kept in self._decided:
                flat = grid[kept].reshape(-1, *grid[kept].shape[2:])
                batch[kept] = self._tensor(flat[free, number])
            batch["gains"] = gains[torch.from_numpy(free).to(self.device), number]
            groups.setdefault(layout["facts"].shape[0], []).append(batch)
        return [{name: torch.cat([one[name] for one in group]) for name in group[0]} for group in groups.values()]

    def _pieces(self, steps: int, decisions: list[int]) -> Iterator[list[Tensor]]:
        """Yield indices of steps and of each group's decisions, so that an epoch meets everything once."""
        pieces = max(1, round(steps / self.config.minibatch))
        for _ in range(self.config.epochs):
            orders = [self._tensor(self.generator.permutation(count)) for count in (steps, *decisions)]
            yield from map(list, zip(*(order.tensor_split(pieces) for order in orders), strict=True))

    def _learn_value(self, critic: Tensor, targets: Tensor) -> dict[str, float]:
        values = self.value(critic)[0]
        loss = nn.functional.mse_loss(values, targets)
        clip_and_step(self.value_adam, loss, self.config.value_gradient_norm)
        spread = targets.var(dim=0, correction=0).mean()
        return {"value_loss": float(loss.detach()), "explained_variance": float(1.0 - loss.detach() / (spread + 1e-8))}

    def _learn_policy(self, groups: list[dict[str, Tensor]]) -> dict[str, float]:
        log_probs, old, gains, entropy = [], [], [], []
        for batch in groups:
            wishes = batch["wishes"]
            if self.tuned:
                directive = torch.tanh(self.roles["coordinator"](batch["issued"])[0])
                if not self.carried.config.coordinator.enabled:
                    directive = torch.zeros_like(directive)
                wishes, _ = want(self.roles, self.carried.views, batch, directive, batch["choice"])
            all_log_probs = self.scorer.log_probs(wishes, batch["facts"], batch["zone_facts"], batch["allowed"])
            log_probs.append(all_log_probs.gather(1, batch["option"].unsqueeze(1)).squeeze(1))
            entropy.append(-(all_log_probs.exp() * all_log_probs.clamp_min(-1e3)).sum(dim=1))
            old.append(batch["log_prob"])
            gains.append(batch["gains"])
        now, before = torch.cat(log_probs), torch.cat(old)
        found = improve(self.policy_adam, now, before, torch.cat(gains), torch.cat(entropy).mean(), self.config)
        with torch.no_grad():
            divergence = (now - before).exp() - 1.0 - (now - before)
        return {**found._asdict(), "divergence": float(divergence.mean())}

    # ------------------------------------------------------------------------------------------------------- saving
    def policy(self) -> TunedPolicy:
        """Return a copy of the roles as they are now, with the mapper's weights."""
        arrays = {
            f"{role}.{name}": tensor.detach().cpu().numpy().copy()
            for role, net in self.roles.items()
            for name, tensor in net.state_dict().items()
        }
        roles = HierarchyPolicy(self.carried.config, self.carried.interface, arrays)
        return TunedPolicy(roles, self.scorer.weights())

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return {
            **Saved.state_dict(self),
            "rollout": self._rollout.state_dict(),
            "generator": self.generator.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        Saved.load_state_dict(self, state)
        entries = state["rollout"]["entries"]
        if "final" not in entries:  # of an earlier version, to which every end was final
            entries = {**entries, "final": entries["end"]}
        self._rollout.load_state_dict({**state["rollout"], "entries": entries})
        self.generator.bit_generator.state = state["generator"]


def _make_roles(carried: HierarchyPolicy, generator: torch.Generator) -> nn.ModuleDict:
    """Return the networks of the roles with the carried weights."""
    layouts = {"coordinator": carried.interface["coordinator"].observation}
    layouts |= {name: view.layout for name, view in carried.views.items()}
    nets = {}
    for role, layout in layouts.items():
        own = {
            name.partition(".")[2]: torch.from_numpy(np.array(array))
            for name, array in carried.weights().items()
            if name.startswith(f"{role}.")
        }
        nets[role] = make_actor(layout, own["last.bias"].shape[-1], carried.config.network, generator)
        nets[role].load_state_dict(own)
    return nn.ModuleDict(nets)


def _learning(roles: nn.ModuleDict, parts: str) -> list[nn.Parameter]:
    """Return the roles' parameters that learn."""
    if parts == "adapters":
        return []
    if parts == "heads":
        return [parameter for name, parameter in roles.named_parameters() if name.split(".")[1] == "last"]
    return list(roles.parameters())
