"""The policies of all baselines in plain NumPy: saved weights play without the tensor library.

Networks compute in double precision; see :mod:`hmarl_soc.hierarchy.acting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hmarl_soc.baselines.config import BaselineConfig, PpoConfig
from hmarl_soc.baselines.encoding import ActionEncoding, ObservationEncoding, make_kinds, parts_and_outputs
from hmarl_soc.hierarchy.acting import fitting, width
from hmarl_soc.interface import Interface
from hmarl_soc.nn.normalise import Moments
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy

_LAYERS = ("first", "second", "last")


class GreedyBranches(Policy):
    """The best choice of every branch; remembers nothing and draws nothing.

    Args:
        interface: The agents.
        levels: Levels of each number of a box.
        joint: One network sees and decides everything.
        arrays: Weights and the scale of observations, as :meth:`weights` returns them; copied.

    Raises:
        ValueError: If an array is missing, has another shape than the interface asks for, or is not finite.
    """

    def __init__(self, interface: Interface, levels: int, joint: bool, arrays: Mapping[str, Any]) -> None:
        self._made_of = interface, levels, joint
        self._observations = ObservationEncoding(interface)
        self._actions = ActionEncoding(interface, levels)
        self._slices, choices = parts_and_outputs(self._observations, self._actions, joint)
        self._kinds = make_kinds(self._slices, choices)
        self._places = self._actions.places()
        self._moments = Moments(self._observations.size)
        shapes = {"count": (1,)} | dict.fromkeys(("mean", "variance"), (self._observations.size,))
        self._moments.load_state_dict({name: fitting(arrays, name, shape) for name, shape in shapes.items()})
        self._weights: dict[str, Array] = {}
        for index, kind in enumerate(self._kinds):
            hidden = width(arrays, f"{index}.first.bias")
            sizes = (kind.inputs, hidden, hidden, kind.outputs)
            for layer, inputs, outputs in zip(_LAYERS, sizes, sizes[1:], strict=False):
                for part, rows in (("weight", inputs), ("bias", 1)):
                    name = f"{index}.{layer}.{part}"
                    self._weights[name] = fitting(arrays, name, (rows, outputs))

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Take one of the choices allowed for each branch."""
        allowed = self._actions.unpack(self._actions.pack(mask))
        numbers = np.where(allowed, self.numbers(obs), -np.inf)
        return Decision(self._actions.decode(self._choose(numbers, draws)), None)

    def _choose(self, numbers: Array, draws: FloatArray) -> Array:
        """Return the choice with the largest number, [N, B] of [N, B, C]."""
        return np.asarray(numbers.argmax(axis=2))

    def numbers(self, obs: ObservationBatch) -> FloatArray:
        """Return a number for each choice of each branch, [N, B, C]; 0 beyond a branch's size."""
        rows = self._moments.scale(self._observations.join(obs)).astype(np.float64)
        outputs: list[Array] = [rows] * len(self._slices)
        for index, kind in enumerate(self._kinds):
            for place, agent in enumerate(kind.members):
                part = rows[:, self._slices[agent]]
                if kind.named:
                    name = np.zeros((len(rows), len(kind.members)))
                    name[:, place] = 1.0
                    part = np.concatenate([part, name], axis=1)
                outputs[agent] = self._forward(index, part)
        numbers = np.zeros((len(rows), self._actions.num_branches * self._actions.widest))
        numbers[:, self._places] = np.concatenate(outputs, axis=1)
        return numbers.reshape(len(rows), self._actions.num_branches, self._actions.widest)

    def weights(self) -> dict[str, Array]:
        """Return name -> array of all that acting needs beside the settings and the interface."""
        moments = {name: np.atleast_1d(value) for name, value in self._moments.state_dict().items()}
        return {name: value.astype(np.float32) for name, value in self._weights.items()} | moments

    def with_weights(self, arrays: Mapping[str, Array]) -> GreedyBranches:
        """Return this policy with other weights."""
        return type(self)(*self._made_of, arrays)

    def _forward(self, index: int, x: Array) -> Array:
        for layer in _LAYERS:
            x = x @ self._weights[f"{index}.{layer}.weight"] + self._weights[f"{index}.{layer}.bias"]
            if layer != "last":
                x = np.maximum(x, 0.0)
        return x


class DrawnBranches(GreedyBranches):
    """Draws the choice of every branch by a softmax of its numbers, as PPO does in training.

    Each branch of an agent takes a uniform draw of its own; arguments are those of :class:`GreedyBranches`.
    """

    def __init__(self, interface: Interface, levels: int, joint: bool, arrays: Mapping[str, Any]) -> None:
        super().__init__(interface, levels, joint, arrays)
        owner = self._actions.owner
        self._draw_of = owner, np.array([(owner[:branch] == agent).sum() for branch, agent in enumerate(owner)])
        self.draws_per_agent = int(np.bincount(owner).max())

    def _choose(self, numbers: Array, draws: FloatArray) -> Array:
        chances = np.exp(numbers - numbers.max(axis=2, keepdims=True))
        below = chances.cumsum(axis=2)
        total = below[..., -1:]
        agents, places = self._draw_of
        target = np.minimum(draws[:, agents, places][..., None] * total, np.nextafter(total, 0.0))
        return np.asarray((below <= target).sum(axis=2))  # never a forbidden choice: its chance adds nothing


def make_policy(
    config: BaselineConfig, interface: Interface, arrays: Mapping[str, Array], joint: bool = False
) -> GreedyBranches:
    """Make the policy of a baseline from its saved weights: one network per agent, or one for everything."""
    kind = DrawnBranches if isinstance(config, PpoConfig) and config.drawn else GreedyBranches
    return kind(interface, config.levels, joint, arrays)


def make_joint_policy(config: BaselineConfig, interface: Interface, arrays: Mapping[str, Array]) -> GreedyBranches:
    """Make the policy of a baseline with one network for everything from its saved weights."""
    return make_policy(config, interface, arrays, joint=True)
