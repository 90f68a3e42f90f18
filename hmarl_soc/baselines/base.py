"""What every baseline is made of: the encodings, a network of branches, one generator, and what is saved."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hmarl_soc.baselines.acting import GreedyBranches, make_policy
from hmarl_soc.baselines.config import BaselineConfig
from hmarl_soc.baselines.encoding import ActionEncoding, IntArray, ObservationEncoding
from hmarl_soc.interface import Interface
from hmarl_soc.kickstarting import AdvisedLearner
from hmarl_soc.learner import Seen, State
from hmarl_soc.nn.branches import BranchNet
from hmarl_soc.nn.networks import find_device
from hmarl_soc.nn.normalise import Moments
from hmarl_soc.nn.parts import copied, load_optimiser, optimiser_state
from native_sim.api import Array

_FORBIDDEN = -1e9
"""In place of the logit or utility of a choice that is not allowed."""


class BranchLearner(AdvisedLearner):
    """A learner whose policy is a number for each choice of each branch; subclasses say how the numbers are learned.

    Subclasses put what they train into ``modules`` and ``optimisers`` while they are made.

    Args:
        config: Settings.
        interface: The agents, and the size of the state.
        seed: Of the generators of weights and choices.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        joint: One network sees and decides everything.
        last_gain: Scale of the first weights of the branch network's last layer.
    """

    method = ""
    config: BaselineConfig

    def __init__(
        self,
        config: BaselineConfig,
        interface: Interface,
        seed: int,
        device: str,
        *,
        joint: bool = False,
        last_gain: float = 1.0,
    ) -> None:
        super().__init__(config.advice, (agent.name for agent in interface.agents))
        self.config = config
        self.interface, self._joint = interface, joint
        self.device = find_device(device)
        self.actions = ActionEncoding(interface, config.levels)
        self.observations = ObservationEncoding(interface)
        weights, choices = np.random.SeedSequence(seed).spawn(2)
        self.generator = np.random.Generator(np.random.PCG64(choices))
        self.weights = torch.Generator().manual_seed(int(weights.generate_state(1)[0]))
        hidden = config.network.hidden
        self.net = BranchNet(self.observations, self.actions, hidden, last_gain, self.weights, joint).to(self.device)
        self.observed = Moments(self.observations.size)
        self.judged = Moments(self.critic_size)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.updates = 0  # gradient steps done

    # ------------------------------------------------------------------------------------------------ the contract
    def act(self, seen: Seen, explore: bool = True) -> dict[str, Array]:
        """Return agent -> actions; see :meth:`hmarl_soc.learner.Learner.act`."""
        rows = self.to_tensor(self.observed.scale(self.observations.join(seen.observations)))
        with torch.no_grad():
            found: Array = self.net(rows).cpu().numpy()
        allowed = self.actions.unpack(self.actions.pack(seen.masks))
        numbers = np.where(allowed, found, np.float32(_FORBIDDEN))
        return self.actions.decode(self._explore(numbers) if explore else numbers.argmax(axis=2))

    def policy(self) -> GreedyBranches:
        """Return a copy of the policy as it is played; see :meth:`hmarl_soc.learner.Learner.policy`."""
        arrays: dict[str, Any] = {name: np.atleast_1d(value) for name, value in self.observed.state_dict().items()}
        for name, tensor in self.net.nets.bodies.state_dict().items():
            arrays[name] = tensor.cpu().numpy()[0]  # the first axis counts the members of a stack: one
        return make_policy(self.config, self.interface, arrays, self._joint)

    def state_dict(self) -> State:
        """Return everything; see :meth:`hmarl_soc.learner.Learner.state_dict`."""
        return {
            "method": self.method,
            "layout": self._layout(),
            "steps": self.steps,
            "advised": self.advised,
            "updates": self.updates,
            "generator": self.generator.bit_generator.state,
            "observed": self.observed.state_dict(),
            "judged": self.judged.state_dict(),
            "modules": {name: copied(module.state_dict()) for name, module in self.modules.items()},
            "optimisers": {name: optimiser_state(optimiser) for name, optimiser in self.optimisers.items()},
            "experience": self._experience_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on exactly where the state was taken; see :meth:`hmarl_soc.learner.Learner.load_state_dict`."""
        self._check(state)
        self._load_experience(state["experience"])
        self.steps, self.updates = int(state["steps"]), int(state["updates"])
        self.advised = bool(state["advised"])
        self.generator.bit_generator.state = dict(state["generator"])
        self.observed.load_state_dict(state["observed"])
        self.judged.load_state_dict(state["judged"])
        for name, module in self.modules.items():
            module.load_state_dict({key: torch.as_tensor(value) for key, value in state["modules"][name].items()})
        for name, optimiser in self.optimisers.items():
            load_optimiser(optimiser, state["optimisers"][name])

    # ----------------------------------------------------------------------------------------------- for subclasses
    @abstractmethod
    def _explore(self, numbers: npt.NDArray[np.float32]) -> IntArray:
        """Return choices [N, B] drawn from the generator, given the numbers [N, B, C] of the network."""

    @abstractmethod
    def _experience_state(self) -> State:
        """Return the steps that are kept to learn from."""

    @abstractmethod
    def _load_experience(self, state: State) -> None:
        """Take over what :meth:`_experience_state` returned, or raise ValueError and change nothing."""

    def encode_advice(self, seen: Seen) -> IntArray:
        """Return the choices [N, B] nearest to what the teacher would do; without a teacher they mean nothing."""
        return self.actions.encode(seen.advised(self.interface))

    def pulled(self, away: Tensor) -> Tensor:
        """Return the loss, a scalar, of how far each branch is from its advice, [N, B]; 0 without a teacher."""
        if self.pull is None:
            return away.new_zeros(())
        if not self.config.advice.role_steps:
            return self.pull * away.mean()
        agents = self.interface.agents
        weights = np.array([self.pull_of(agents[owner].name) for owner in self.actions.owner], np.float32)
        return (self.to_tensor(weights) * away).mean()

    @property
    def critic_size(self) -> int:
        """Numbers that a centralised critic sees: the state, or all observations where the environment shows none."""
        return self.interface.state_size or self.observations.size

    def critic_input(self, seen: Seen, joined: Array) -> Array:
        """Return what a centralised critic sees, [N, S] float32; ``joined`` are all observations."""
        if not self.interface.state_size:
            return joined
        if seen.state is None:
            raise ValueError(
                f"{self.method} was made for a state of {self.interface.state_size} numbers; none was given"
            )
        return np.asarray(seen.state, np.float32)

    def to_tensor(self, values: Array) -> Tensor:
        """Return the array on the learner's device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _layout(self) -> dict[str, Any]:
        """Return what must be equal for a state to fit."""
        sizes = {
            f"{name}.{key}": list(tensor.shape)
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
        }
        return {"interface": self.interface.digest, "choices": self.actions.sizes.tolist(), "weights": sizes}

    def _check(self, state: State) -> None:
        if state.get("method") != self.method:
            raise ValueError(f"the state is of method {state.get('method')!r}; this learner is {self.method!r}")
        mine = self.state_dict()
        missing = [name for name in mine if name not in state]
        if missing:
            raise ValueError(f"the state of {self.method} lacks {missing[0]!r}; it is not complete")
        differs = [name for name, value in mine["layout"].items() if state["layout"].get(name) != value]
        if differs:
            raise ValueError(
                f"the state of {self.method} has other {differs[0]}; use the configuration and environment of its run"
            )


def only_allowed(numbers: Tensor, allowed: Tensor) -> Tensor:
    """Return numbers [N, B, C] with those of choices that are not allowed hugely negative."""
    return numbers.masked_fill(~allowed, _FORBIDDEN)
