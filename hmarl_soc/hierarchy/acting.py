"""Greedy HMARL-SOC from saved weights, in NumPy: the numbers of the training networks, without their library.

Networks compute in double precision, because a sum in single precision depends on how many rows and threads it is
made with, and an episode must not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hmarl_soc.hierarchy.roles import LOWER, OUTPUTS, TYPES, VOTES
from hmarl_soc.hierarchy.views import make_view
from hmarl_soc.interface import Agent, Interface
from hmarl_soc.nn.tokens import FLOOR, LARGEST, Tokens, make_tokens
from native_sim.api import ActionBatch, Array, Decision, FloatArray, Layout, ObservationBatch, Policy

if TYPE_CHECKING:
    from hmarl_soc.config import MethodConfig
    from hmarl_soc.hierarchy.config import HmarlConfig


def width(arrays: Mapping[str, Array], name: str) -> int:
    """Return the length of the last axis of one of the arrays.

    Raises:
        ValueError: If it is missing, or empty.
    """
    array = np.asarray(arrays.get(name, 0.0))
    if not array.ndim or not array.size:
        raise ValueError(f"weights lack {name!r}")
    return len(array.T)


def fitting(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    """Return a copy of one of the arrays as float64.

    Raises:
        ValueError: If it is missing, of another shape, or holds what is no finite number.
    """
    if name not in arrays:
        raise ValueError(f"weights lack {name!r}")
    array = np.array(arrays[name], np.float64, order="C")
    if array.shape != shape:
        raise ValueError(f"weights {name!r} have shape {array.shape}; needed is {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"weights {name!r} hold numbers that are not finite")
    return array


class Net:
    """A perceptron with two hidden layers, with attention or without: see :mod:`hmarl_soc.nn.networks`.

    Args:
        arrays: Its weights by name, each with a first axis of length 1.
        layout: Of its input.
        heads: Attention heads.

    Raises:
        ValueError: If a weight is missing or does not fit.
    """

    def __init__(self, arrays: Mapping[str, Array], layout: Layout, heads: int) -> None:
        inputs, hidden = layout.size, width(arrays, "first.bias")
        self.outputs = width(arrays, "last.bias")
        self._shift, self._scale = (fitting(arrays, f"scaler.{name}", (inputs,)) for name in ("shift", "scale"))
        sizes = zip(_LAYERS, (inputs, hidden, hidden), (hidden, hidden, self.outputs), strict=True)
        (self._first, self._first_bias), *self._rest = [
            (fitting(arrays, f"{name}.weight", (1, a, b))[0], fitting(arrays, f"{name}.bias", (1, 1, b))[0])
            for name, a, b in sizes
        ]
        self.attention: Attention | None = None
        if any(name.startswith("attention.") for name in arrays):
            if hidden % heads:
                raise ValueError(f"{hidden} hidden units do not part into {heads} attention heads")
            self.attention = Attention(arrays, make_tokens(layout), heads)
            split = self._first.reshape(inputs, heads, hidden // heads)
            self._first = np.ascontiguousarray(split.transpose(1, 0, 2))  # [H, F, hidden / H]

    def __call__(self, x: Array) -> Array:
        """Return outputs [N, U] of inputs [N, F]."""
        now: Array
        x = self.scaled(x)
        if self.attention is None:
            now = x @ self._first
        else:
            shares = self.attention.weigh(x) @ self._first  # [H, N, hidden / H]
            now = shares.transpose(1, 0, 2).reshape(len(x), -1)
        now += self._first_bias
        for weight, bias in self._rest:
            now = np.maximum(now, 0.0, out=now) @ weight
            now += bias
        return now

    def scaled(self, x: Array) -> Array:
        """Return inputs [N, F] as the layers see them: see :class:`hmarl_soc.nn.networks.Scaler`."""
        scaled: Array = np.clip((np.asarray(x, np.float64) - self._shift) * self._scale, -LARGEST, LARGEST)
        return scaled

    def attend(self, x: Array) -> Array:
        """Return the attention weights [H, N, T] of inputs [N, F].

        Raises:
            ValueError: If the network has no attention.
        """
        if self.attention is None:
            raise ValueError("this policy was trained without attention: it has no weights to explain")
        return self.attention.weights(self.scaled(x))


_LAYERS = ("first", "second", "last")


class Attention:
    """Multi-head attention over tokens: see :class:`hmarl_soc.nn.networks.FeatureAttention`."""

    def __init__(self, arrays: Mapping[str, Array], tokens: Tokens, heads: int) -> None:
        self.tokens, self.heads = tokens, heads
        self._member = tokens.member.astype(np.float64)
        size = width(arrays, "attention.query.bias")
        self.query = fitting(arrays, "attention.query.weight", (heads, tokens.size, size))
        self.query_bias = fitting(arrays, "attention.query.bias", (heads, 1, size))
        self.key = fitting(arrays, "attention.key", (heads, size, tokens.size)) / np.sqrt(size)
        self.key_bias = fitting(arrays, "attention.key_bias", (heads, size, len(tokens.names))) / np.sqrt(size)
        self._sums = np.ascontiguousarray(self._member.T)

    def weights(self, x: Array) -> Array:
        """Return a [H, N, T] of inputs [N, F]; each head's weights sum to 1."""
        query = x @ self.query
        query += self.query_bias
        per_feature = query @ self.key
        per_feature *= x
        scores: Array = per_feature @ self._sums
        scores += query @ self.key_bias
        scores -= scores.max(axis=2, keepdims=True)
        np.exp(scores, out=scores)
        scores *= (1.0 - FLOOR) / scores.sum(axis=2, keepdims=True)
        scores += FLOOR / len(self.tokens.names)
        return scores

    def weigh(self, x: Array) -> Array:
        """Return inputs [N, F] as each head sees them, [H, N, F]: x itself for equal weights."""
        weighed: Array = self.weights(x) @ self._member
        weighed *= len(self.tokens.names) * x
        return weighed


class HierarchyPolicy(Policy):
    """The greedy hierarchy. Its memory: the directive in force [N, D] and the steps since it was given [N].

    Args:
        config: Settings.
        interface: Of the environment it was trained in.
        arrays: Weights, "role.name" -> array.

    Raises:
        ValueError: If the weights do not fit settings and interface.
    """

    def __init__(self, config: HmarlConfig, interface: Interface, arrays: Mapping[str, Array]) -> None:
        self.config, self.interface, self._arrays = config, interface, dict(arrays)
        self.directive_size = interface["coordinator"].actions
        self.views = {name: make_view(interface[name], self.directive_size) for name in LOWER}
        layouts = {"coordinator": interface["coordinator"].observation}
        layouts |= {name: view.layout for name, view in self.views.items()}
        self.layouts = layouts
        heads = config.network.heads
        self.nets = {role: Net(self._own(role), layout, heads) for role, layout in layouts.items()}
        for role, net in self.nets.items():
            needed = _outputs_of(interface[role])
            if net.outputs not in needed:
                raise ValueError(f"the {role}'s weights put out {net.outputs} numbers; needed are {needed[-1]}")
        self._dtype: type[np.floating[Any]] = np.float32  # of actions, as the environment has them: the last bits go

    def exact(self) -> HierarchyPolicy:
        """Return this policy with actions in double precision."""
        twin = copy.copy(self)
        twin._dtype = np.float64
        return twin

    def _own(self, role: str) -> dict[str, Array]:
        return {name.partition(".")[2]: array for name, array in self._arrays.items() if name.startswith(f"{role}.")}

    def weights(self) -> Mapping[str, Array]:
        """Return name -> array of all weights."""
        return self._arrays

    def with_weights(self, arrays: Mapping[str, Array]) -> HierarchyPolicy:
        """Return this policy with other weights."""
        return HierarchyPolicy(self.config, self.interface, arrays)

    def initial_memory(self, num_envs: int) -> dict[str, Array]:
        """Return no directive, and one due."""
        return {
            "directive": np.zeros((num_envs, self.directive_size), np.float32),
            "age": np.zeros(num_envs, np.int64),
        }

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Let the coordinator decide where a directive is due, then the others."""
        return self._decide(self.direct(obs, memory), obs, memory)

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Let the others decide under the given directive; the coordinator leads the rows without one."""
        decision = self._decide(self.direct(obs, memory, directive), obs, memory)
        if not self.config.coordinator.enabled:
            del decision.actions["coordinator"]
        return decision

    def _decide(self, directives: Array, obs: ObservationBatch, memory: Any) -> Decision:
        views = {name: view(obs[name], directives) for name, view in self.views.items()}
        actions = {
            "coordinator": directives,
            "hunter": np.tanh(self.nets["hunter"](views["hunter"])[:, : self.interface["hunter"].actions]),
            "triage": self.nets["triage"](views["triage"]).argmax(axis=1),
            "responder": respond(self.nets["responder"](views["responder"])),
        }
        actions |= {name: actions[name].astype(self._dtype) for name in ("hunter", "responder")}
        ages = (memory["age"] + 1) % self.config.coordinator.every
        return Decision(actions, {"directive": directives, "age": ages})

    def direct(self, obs: ObservationBatch, memory: Any, given: Array | None = None) -> Array:
        """Return the directives in force [N, D] for this decision.

        Args:
            obs: Agent -> [N, F].
            memory: What the policy is handed with them.
            given: [N, D] directives that others give, NaN in rows that the coordinator leads; None if it leads all.
        """
        directives: Array = memory["directive"].copy()
        led = np.ones(len(directives), bool) if given is None else np.isnan(given).all(axis=1)
        if given is not None:
            directives[~led] = given[~led]
        if self.config.coordinator.enabled:
            due = np.flatnonzero(led & (memory["age"] == 0))
            if len(due):
                directives[due] = np.tanh(self.nets["coordinator"](np.asarray(obs["coordinator"], np.float32)[due]))
        return directives


def _outputs_of(agent: Agent) -> tuple[int, ...]:
    """Return how many numbers a role's network may put out."""
    if agent.name == "hunter":
        return agent.actions, 2 * agent.actions  # means, and with SAC spreads
    if agent.name == "responder":
        return ((agent.actions - VOTES) // 2 * OUTPUTS,)  # two intensities per segment, and the votes
    return (agent.actions,)


def respond(outputs: Array) -> Array:
    """Return the responder's action [N, 2 S + 2] of outputs [N, 8 S]; see :mod:`hmarl_soc.hierarchy.responder`."""
    each = outputs.reshape(len(outputs), -1, OUTPUTS)
    logits = each[..., : len(TYPES)]
    types = np.exp(logits - logits.max(axis=2, keepdims=True))
    types /= types.sum(axis=2, keepdims=True)
    numbers = np.tanh(each[..., len(TYPES) :])
    isolate = (types[..., 1] + types[..., 3]) * (numbers[..., 0] + 1.0) - 1.0
    remediate = (types[..., 2] + types[..., 3]) * (numbers[..., 1] + 1.0) - 1.0
    return np.concatenate([isolate, remediate, numbers[..., 2:].mean(axis=1)], axis=1).clip(-1.0, 1.0)


def make_policy(config: MethodConfig, interface: Interface, arrays: Mapping[str, Array]) -> HierarchyPolicy:
    """Make the policy whose :meth:`HierarchyPolicy.weights` are given."""
    # Here, because an exported policy acts without the library that checks settings.
    from hmarl_soc.hierarchy.config import HmarlConfig

    if not isinstance(config, HmarlConfig):
        raise ValueError(f"settings are of {type(config).__name__}; the hierarchy needs HmarlConfig")
    return HierarchyPolicy(config, interface, arrays)
