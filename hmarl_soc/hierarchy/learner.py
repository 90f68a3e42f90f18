"""HMARL-SOC as one learner: who decides when, what each agent learns from, and one page that says so.

In a step the coordinator decides first, in the rows where its directive is K steps old or an episode has just begun;
then hunter, triage and responder decide, each seeing its observation and the directive in force. The three learn from
one replay of joint transitions; the coordinator learns from its macro steps.

**Targets** of the three add up the rewards of n steps, and what the potential gained over them, before the value of
what follows; they end where the episode does. Of an agent's own next value only the share ``potential.bootstrap``
counts, by default nothing: what follows is worth the potential already. Without the potential all of it counts, and
nothing is added to the rewards. The coordinator learns from the plain rewards. (As usual for few steps, what later
policies would have done within them is not corrected for.)

**Shared replay.** A joint transition holds the views, actions and rewards of all agents. Shared means: there is one
priority per joint transition, to which all three agents contribute, and one batch from which all of them learn, so
that what was surprising for one agent is replayed for all. Per agent (the ablation) means: each agent draws its own
batch from the same transitions by its own priority. Nothing else differs.

**Priority.** p = mean over the contributing agents of |TD error| / its running mean, plus w times (detection
confidence + response urgency) / 2. Detection confidence is the belief of the best case the hunter sees; response
urgency is the largest excess of confirmed over isolated hosts of a segment; both are 0 where observations name no
cases. New transitions get the largest priority so far. Draws follow p^alpha; importance weights have exponent beta,
which rises linearly to 1 over ``beta_updates`` gradient steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.coordinator import Coordinator
from hmarl_soc.hierarchy.hunter import Hunter
from hmarl_soc.hierarchy.potential import Potential
from hmarl_soc.hierarchy.responder import Responder
from hmarl_soc.hierarchy.roles import LOWER, check_roles
from hmarl_soc.hierarchy.triage import Triage
from hmarl_soc.hierarchy.urgency import measure_urgency
from hmarl_soc.hierarchy.views import make_view
from hmarl_soc.interface import Interface
from hmarl_soc.kickstarting import AdvisedLearner
from hmarl_soc.learner import Seen, State, Transition
from hmarl_soc.nn import losses
from hmarl_soc.nn.networks import find_device, to_tensors
from hmarl_soc.training.replay import Batch, Replay, Spec, Window
from native_sim.api import Array

_MEAN_RATE: Final = 0.01
"""Share by which the running mean of an agent's TD errors moves per gradient step."""


class Hierarchy(AdvisedLearner):
    """HMARL-SOC.

    Args:
        config: Settings.
        interface: Of the environment; needs the agents coordinator, hunter, triage (discrete) and responder.
        num_envs: E.
        seed: Of first weights, exploration and sampling.
        device: "cpu", "cuda" or "auto".
    """

    def __init__(
        self, config: HmarlConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu"
    ) -> None:
        check_roles(interface)
        super().__init__(config.advice, (agent.name for agent in interface.agents))
        self.config, self.interface, self.num_envs = config, interface, num_envs
        self.device = find_device(device)
        streams = np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(2, np.uint64)
        self.noise = torch.Generator().manual_seed(int(streams[0] >> np.uint64(1)))
        self.draws = np.random.default_rng(int(streams[1]))
        self._build()
        self.directives = np.zeros((num_envs, interface["coordinator"].actions), np.float32)  # in force
        self.ages = np.zeros(num_envs, np.int64)  # steps since the directive; 0: one is due
        self.pending: dict[str, Array] | None = None  # the last transitions, until it is known what they led to
        self.owed = 0.0  # gradient steps due
        self.updates = 0  # joint gradient steps done
        self.mean_errors = np.ones(len(LOWER))  # running means of absolute TD errors
        self.beside: ThreadPoolExecutor | None = None  # where the hunter learns, if not in turn

    def use_threads(self, count: int) -> None:
        """Let the hunter learn beside triage and responder if there are two threads and networks live on the CPU."""
        if self.beside is not None:
            self.beside.shutdown()
        parallel = count > 1 and self.device.type == "cpu"
        self.beside = ThreadPoolExecutor(1, "hunter") if parallel else None

    def _build(self) -> None:
        config, size = self.config, self.interface.state_size
        directive = self.interface["coordinator"].actions
        self.views = {name: make_view(self.interface[name], directive) for name in LOWER}
        off_policy = (config.network, self.noise, self.device)
        on_policy = (config.network, config.gamma, self.noise, self.device)
        seen = self.interface["coordinator"].observation
        self.coordinator = Coordinator(seen, directive, size, self.num_envs, config.coordinator, *on_policy)
        hunter, triage, responder = (self.interface[name].actions for name in LOWER)
        self.hunter = Hunter(self.views["hunter"].layout, hunter, size, config.hunter, *off_policy)
        self.triage = Triage(self.views["triage"].layout, triage, size, config.triage, *off_policy)
        segments = responder // 2 - 1
        self.responder = Responder(
            self.views["responder"].layout, segments, hunter + triage, size, config.responder, *off_policy
        )
        overview = seen.size + size
        self.potential = Potential(overview, self.num_envs, config.potential, *on_policy)
        replay = config.replay
        entries = self._entries(overview)
        self.replay = Replay(replay.capacity, entries, replay.alpha, 1 if replay.shared else len(LOWER))
        self.window = Window(config.n_steps, config.gamma)

    def _entries(self, overview: int) -> Spec:
        """Return what a joint transition holds."""
        size = self.interface.state_size
        entries: dict[str, tuple[tuple[int, ...], type]] = {
            "situation": ((overview,), np.float32),
            "next_situation": ((overview,), np.float32),
            "state": ((size,), np.float32),
            "next_state": ((size,), np.float32),
            "reward": ((), np.float32),
            "terminated": ((), np.float32),
            "discount": ((), np.float32),
            "urgency": ((), np.float32),
        }
        for name in LOWER:
            view = (self.views[name].layout.size,)
            entries |= {f"{name}/view": (view, np.float32), f"{name}/next_view": (view, np.float32)}
            discrete = self.interface[name].discrete
            action = ((), np.int64) if discrete else ((self.interface[name].actions,), np.float32)
            entries |= {f"{name}/action": action, f"{name}/advice": action}
        return entries

    def act(self, seen: Seen, explore: bool = True) -> dict[str, Array]:
        """Let the coordinator decide where a directive is due, then the others."""
        if not explore:
            memory = {"directive": self.directives[seen.rows], "age": self.ages[seen.rows]}
            return self.policy().act(seen.observations, seen.masks, memory, np.zeros((len(seen.rows), 0, 0))).actions
        state, advice = seen.truth(self.interface.state_size), seen.advised(self.interface)
        due = np.flatnonzero(self.ages[seen.rows] == 0)
        if self.config.coordinator.enabled and len(due):
            rows, observations = seen.rows[due], seen.observations["coordinator"][due]
            advised = advice["coordinator"][due]
            self.directives[rows] = self.coordinator.decide(rows, observations, state[due], advised)
        directives = self.directives[seen.rows]
        views = {name: view(seen.observations[name], directives) for name, view in self.views.items()}
        self._store_pending(views)
        hunter, triage, responder = to_tensors([views[name] for name in LOWER], self.device)
        actions: dict[str, Array] = {
            "coordinator": directives,
            "hunter": self.hunter.act(hunter).cpu().numpy(),
            "triage": self.triage.act(triage),
            "responder": self.responder.act(responder).cpu().numpy(),
        }
        self.pending = {"state": state, "urgency": measure_urgency(self.interface, seen.observations)}
        self.pending["situation"] = _join(seen.observations["coordinator"], state)
        for name in LOWER:
            self.pending |= {f"{name}/view": views[name], f"{name}/action": actions[name]}
            self.pending[f"{name}/advice"] = advice[name]
        return actions

    def observe(self, step: Transition) -> None:
        """Keep what the step brought; what it led to is complete when the next directive is known."""
        if self.pending is None:
            raise RuntimeError("observe was called without act before it")
        rewards = self.config.reward_scale * step.rewards
        after, ended = step.after, step.terminations | step.truncations
        state = after.truth(self.interface.state_size)
        overview = after.observations["coordinator"]
        if self.config.coordinator.enabled:
            self.coordinator.credit(rewards, overview, state, step.terminations, step.truncations)
        situation = _join(overview, state)
        if self.config.potential.enabled:
            self.potential.watch(self.pending["situation"], rewards, situation, step.terminations, ended)
        self.pending |= {"reward": rewards, "terminated": step.terminations, "ended": ended}
        self.pending |= {"next_state": state, "next_situation": situation}
        for name, view in self.views.items():
            self.pending[f"{name}/next_view"] = view(after.observations[name], self.directives)
        self.ages = (self.ages + 1) % self.config.coordinator.every
        self.ages[ended] = 0
        self.owed += len(rewards) * self.config.updates_per_step
        self.count(step)

    def update(self) -> dict[str, float]:
        """Do the gradient steps that are due."""
        metrics = self.coordinator.update(self.pull_of("coordinator")) | self.potential.update()
        if self.replay.size < self.config.warm_up:
            self.owed = 0.0
        if self.owed >= 1.0 and not self.updates:
            self._fit_inputs()
        while self.owed >= 1.0:
            self.owed -= 1.0
            metrics |= self.learn()
        return metrics

    def _fit_inputs(self) -> None:
        """Fit the scalers of the lower agents to what the warm-up brought."""
        for name in LOWER:
            kept = [self.replay.entries[key][: self.replay.size] for key in (f"{name}/view", "state")]
            getattr(self, name).fit_inputs(*to_tensors(kept, self.device))

    def learn(self) -> dict[str, float]:
        """Do one gradient step of every lower agent."""
        replay = self.config.replay
        self.updates += 1
        beta = min(1.0, replay.beta + (1.0 - replay.beta) * self.updates / replay.beta_updates)
        draws = [self.replay.sample(replay.batch_size, beta, self.draws, i) for i in range(len(self.replay.trees))]
        given = [self._tensors(draw) for draw in draws]
        metrics: dict[str, float] = {}
        errors = np.zeros((len(LOWER), replay.batch_size))
        for i, (learned, found) in enumerate(self._learn_from(given)):
            metrics |= learned
            errors[i] = found.cpu().numpy()
        self.mean_errors += _MEAN_RATE * (errors.mean(axis=1) - self.mean_errors)
        relative = errors / np.maximum(self.mean_errors, 1e-6)[:, None]
        for i, draw in enumerate(draws):
            surprise = relative.mean(axis=0) if replay.shared else relative[i]
            priorities = surprise + replay.urgency_weight * draw.entries["urgency"] + 1e-3
            self.replay.prioritize(draw.indices, priorities, i)
        return metrics

    def _learn_from(self, given: list[tuple[dict[str, Tensor], Tensor]]) -> list[tuple[dict[str, float], Tensor]]:
        """Update every lower agent; return what each says, in the order of LOWER.

        The hunter may learn in another thread: of the three it alone draws random numbers, and where no target counts
        what follows, the responder does not ask it what it would do next. So the result is the same, bit for bit.
        """

        def update(i: int) -> tuple[dict[str, float], Tensor]:
            tensors, weights = given[i % len(given)]
            learned: tuple[dict[str, float], Tensor] = getattr(self, LOWER[i]).update(
                self._batch(LOWER[i], tensors), weights, self.pull_of(LOWER[i])
            )
            return learned

        everyone = range(len(LOWER))
        if self.beside is None or any(losses.bootstraps(tensors["discount"]) for tensors, _ in given):
            return [update(i) for i in everyone]
        hunter = LOWER.index("hunter")
        hunting = self.beside.submit(update, hunter)
        try:
            others = {i: update(i) for i in everyone if i != hunter}
        finally:
            wait([hunting])  # whatever happens here, nothing may still be learning there
        return [hunting.result() if i == hunter else others[i] for i in everyone]

    def _tensors(self, draw: Batch) -> tuple[dict[str, Tensor], Tensor]:
        *entries, weights = to_tensors([*draw.entries.values(), draw.weights], self.device)
        tensors = dict(zip(draw.entries, entries, strict=True))
        if self.config.potential.enabled:
            tensors["reward"] = tensors["reward"] + self.potential.gain(tensors)
            tensors["discount"] = self.config.potential.bootstrap * tensors["discount"]
        return tensors, weights

    def _batch(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one agent's part of joint transitions."""
        batch = {key: tensors[key] for key in ("state", "next_state", "reward", "terminated", "discount")}
        batch |= {key: tensors[f"{name}/{key}"] for key in ("view", "next_view", "action", "advice")}
        if name == "responder":
            choices = self.interface["triage"].actions
            taken = functional.one_hot(tensors["triage/action"], choices).to(batch["view"].dtype)
            batch["others"] = torch.cat([tensors["hunter/action"], taken], dim=1)
            if losses.bootstraps(tensors["discount"]):
                with torch.no_grad():
                    hunting = self.hunter.act(tensors["hunter/next_view"], explore=False)
                    best = self.triage.target.advantage(tensors["triage/next_view"])[0].argmax(dim=1)
                    following = functional.one_hot(best, choices).to(hunting.dtype)
                    batch["next_others"] = torch.cat([hunting, following], dim=1)
        return batch

    def _store_pending(self, views: Mapping[str, Array]) -> None:
        """Put what the last step completes into the replay, with the directives that its next decisions see."""
        if self.pending is None:
            return
        goes_on = ~self.pending["ended"][:, None]
        for name, view in views.items():
            self.pending[f"{name}/next_view"] = np.where(goes_on, view, self.pending[f"{name}/next_view"])
        transitions = self.window.add(self.pending)
        if transitions is not None:
            self.replay.add(transitions)
        self.pending = None

    def policy(self) -> HierarchyPolicy:
        """Return a greedy copy that acts without the tensor library."""
        nets = {
            "coordinator": self.coordinator.actor,
            "hunter": self.hunter.slow,
            "triage": self.triage.net.advantage,
            "responder": self.responder.slow,
        }
        arrays = {
            f"{role}.{name}": tensor.detach().cpu().numpy().copy()
            for role, net in nets.items()
            for name, tensor in net.state_dict().items()
        }
        return HierarchyPolicy(self.config, self.interface, arrays)

    _AGENTS: Final = ("coordinator", "potential", *LOWER)

    def state_dict(self) -> State:
        """Return everything."""
        return {
            **{name: getattr(self, name).state_dict() for name in self._AGENTS},
            "replay": self.replay.state_dict(),
            "window": self.window.state_dict(),
            "noise": self.noise.get_state(),
            "draws": self.draws.bit_generator.state,
            "directives": self.directives,
            "ages": self.ages,
            "pending": self.pending,
            "owed": self.owed,
            "updates": self.updates,
            "steps": self.steps,
            "advised": self.advised,
            "mean_errors": self.mean_errors,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        for name in self._AGENTS:
            getattr(self, name).check_state(state[name])
        self.replay.check_state(state["replay"])
        for name in ("directives", "ages", "mean_errors"):
            if np.shape(state[name]) != getattr(self, name).shape:
                raise ValueError(f"{name} of shape {np.shape(state[name])}; needed is {getattr(self, name).shape}")
        for name in self._AGENTS:
            getattr(self, name).load_state_dict(state[name])
        self.replay.load_state_dict(state["replay"])
        self.window.load_state_dict(state["window"])
        self.noise.set_state(torch.as_tensor(state["noise"]))
        self.draws.bit_generator.state = state["draws"]
        self.directives, self.ages = np.array(state["directives"]), np.array(state["ages"])
        self.mean_errors = np.array(state["mean_errors"])
        pending = state["pending"]
        self.pending = None if pending is None else {name: np.array(value) for name, value in pending.items()}
        self.owed, self.updates = float(state["owed"]), int(state["updates"])
        self.steps, self.advised = int(state["steps"]), bool(state["advised"])


def _join(overview: Array, state: Array) -> Array:
    """Return what the coordinator sees and the truth side by side, [N, F + S] float32."""
    return np.concatenate([np.asarray(overview, np.float32), state], axis=1)
