"""The contracts every engine, policy and codec of the project keeps: names and shapes, no behaviour.

Letters used for shapes everywhere: E environments, A agents, F features of one observation, U actions of one
agent, D uniform draws of one agent and step, T steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, cast, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]
ObservationBatch = Mapping[str, Any]
ActionBatch = Mapping[str, Array]
TimeLimitEnd = Literal["terminated", "truncated", "both"]
"""How an environment reports an episode that its time limit ended, and what a learner makes of it.

* ``"truncated"``, Gymnasium's meaning and the default: the limit interrupts an episode that would go on. Such a step
  sets the truncation alone, and a learner bootstraps from the last observation.
* ``"terminated"``: the horizon belongs to the game, and no reward follows it. Such a step sets the termination alone,
  and a learner does not bootstrap.
* ``"both"``: as ``"terminated"``, but the step sets both flags, as CybORG does. A learner does not bootstrap.

An end by the game's own rules sets the termination alone, whatever is declared. An environment declares its answer as
``metadata["time_limit_end"]``; its PettingZoo and Gymnasium faces repeat it there.
"""
_TIME_LIMIT_END: Final = "time_limit_end"


def time_limit_end_of(metadata: Mapping[str, Any]) -> TimeLimitEnd:
    """Return what an environment's metadata declare: see :data:`TimeLimitEnd`.

    Raises:
        ValueError: If it is none of the three.
    """
    declared = metadata.get(_TIME_LIMIT_END, "truncated")
    if declared not in get_args(TimeLimitEnd):
        allowed = ", ".join(map(repr, get_args(TimeLimitEnd)))
        raise ValueError(f"metadata[{_TIME_LIMIT_END!r}] must be one of {allowed}; it is {declared!r}")
    return cast(TimeLimitEnd, declared)


class Ends(NamedTuple):
    """How the episodes of N environments ended in a step, as a learner needs it; at most one of the two per row."""

    final: npt.NDArray[np.bool_]  # [N], nothing follows: do not bootstrap
    interrupted: npt.NDArray[np.bool_]  # [N], the time limit cut the episode off: bootstrap from the last observation


def split_ends(declared: TimeLimitEnd, terminations: Array, truncations: Array) -> Ends:
    """Return what the flags of a step [N] mean under what the environment declares; every learner goes by it.

    Raises:
        ValueError: If a row sets flags that contradict what is declared.
    """
    refused = {
        "truncated": terminations & truncations,
        "terminated": truncations,
        "both": truncations & ~terminations,
    }[declared]
    if refused.any():
        row = int(np.flatnonzero(refused)[0])
        flags = "both terminated and truncated" if terminations[row] else "truncated only"
        raise ValueError(
            f"environment {row} of this step is {flags}, but its metadata declare {_TIME_LIMIT_END!r} as {declared!r}; "
            "set the flags as declared, or declare what they are"
        )
    interrupted = truncations if declared == "truncated" else np.zeros_like(truncations)
    return Ends(terminations, interrupted)


class StepBatch(NamedTuple):
    """What one batched step returns; unpacks like Gymnasium's five-tuple.

    N is the number of environments stepped: E, or the length of ``rows`` when only some were stepped.
    """

    observations: dict[str, Array]  # agent -> [N, F]
    rewards: FloatArray  # [N], reward of the team in this step
    terminations: npt.NDArray[np.bool_]  # [N], the episode ended and nothing follows
    truncations: npt.NDArray[np.bool_]  # [N], the time limit ended the episode; see TimeLimitEnd
    infos: dict[str, Any]  # "action_mask": agent -> [N, U] int8, and what the engine documents


class VectorEnv(GymnasiumVectorEnv[Any, Any, Any], ABC):
    """Several independent copies of one multi-agent environment, advanced together.

    This is a Gymnasium ``VectorEnv`` whose observations and actions are dictionaries from agent name to array,
    with two additions: ``reset`` and ``step`` accept ``rows``, so that a free row can be given the next seed of
    a list while the others play on, and ``agents`` names the agents in their fixed order.

    Auto-reset is disabled (``metadata["autoreset_mode"]``): stepping a finished row raises ``ValueError`` and
    changes nothing. Returned arrays are fresh or read-only; writing to them never changes the environment.
    ``metadata["time_limit_end"]`` declares what the time limit is (:data:`TimeLimitEnd`).

    What only some environments can do are protocols of this module: :class:`HasLayouts`, :class:`HasMetrics` and
    :class:`HasTrueState`, each asked for with ``isinstance``.
    """

    agents: tuple[str, ...]

    @property
    def time_limit_end(self) -> TimeLimitEnd:
        """How an episode that the time limit ended is reported, as the metadata declare it.

        Raises:
            ValueError: If they declare what does not exist.
        """
        return time_limit_end_of(self.metadata)

    @abstractmethod
    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        rows: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start new episodes in ``rows`` (default: all).

        Args:
            seed: One seed per row to reset; an int ``s`` means ``s, s + 1, ...`` as in Gymnasium; None continues
                each row's own random stream.
            rows: Indices of the rows to reset, without repetition.
            options: ``{"reset_mask": bool array [E]}`` is Gymnasium's way of naming rows, and is accepted too.

        Returns:
            Observations (agent -> [N, F]) and infos of the rows that were reset.

        Raises:
            ValueError: If a row does not exist or the number of seeds differs from the number of rows.
        """

    @abstractmethod
    def step(
        self,
        actions: ActionBatch,
        messages: Array | None = None,
        rows: Sequence[int] | None = None,
    ) -> StepBatch:
        """Advance ``rows`` (default: all) by one step.

        Args:
            actions: Agent -> [N] integers, or [N, U] numbers where the agent's space is a box.
            messages: [N, A, bits] of 0/1, or None for silence.
            rows: Indices of the rows to step, without repetition.

        Raises:
            ValueError: If an agent is missing, a shape or dtype is wrong, an action is out of range, or a row has
                finished; the state is then unchanged.
        """


@runtime_checkable
class HasLayouts(Protocol):
    """An environment that names the entries of its observations."""

    observation_layouts: Mapping[str, Layout]
    """Agent -> what the F entries of its observation mean."""


@runtime_checkable
class HasMetrics(Protocol):
    """An environment whose steps tell more of an ended episode than its reward."""

    metric_names: Sequence[str]
    """Entries of the ``infos`` of a step, [N] float64 each, NaN where the episode goes on."""


@runtime_checkable
class HasTrueState(Protocol):
    """An environment that tells the truth behind its observations, for training and tests only."""

    def true_state(self, rows: Sequence[int] | None = None) -> Any:
        """Return the true state of rows (default: all) in named arrays [N, ...], of the engine's own type.

        Raises:
            ValueError: If a row does not exist, is repeated, or was never reset.
        """


class Decision(NamedTuple):
    """What a policy decides for N environments."""

    actions: dict[str, Array]  # agent -> [N] integers, or [N, U] numbers where the agent's space is a box
    memory: Any  # whatever the policy wants to be handed at the next step
    messages: Array | None = None  # [N, A, bits] of 0/1


class Policy(ABC):
    """Decides for all agents of N environments at once.

    A policy holds no state that changes between calls and no random generator: what it remembers goes through
    ``memory``, and randomness arrives as ``draws``. So the same episode seed gives the same episode whatever the
    number of environments, rows or worker processes.
    """

    draws_per_agent: int = 0
    """Number D of uniform draws in [0, 1) that ``act`` receives per agent and step."""

    wants: tuple[str, ...] = ()
    """Entries of ``infos`` to be added to the observations under the same name, such as "busy" or "rich"."""

    @abstractmethod
    def initial_memory(self, num_envs: int) -> Any:
        """Return the memory of ``num_envs`` environments at the start of an episode.

        A memory is None, an array whose first axis is the environment, or a dict or tuple of these.
        """

    def exact(self) -> Policy:
        """Return this policy with actions in double precision, if it rounds them to single precision.

        Who computes further with actions compares and adds them, and then a rounding that is off by one in the last
        bit would turn a decision now and then, which a comparison of whole episodes across engines does not forgive.
        """
        return self

    def fallbacks(self, memory: Any) -> Mapping[str, Array]:
        """Return reason -> [N] decisions of this episode that could not be expressed as an action; none by default."""
        return {}

    @abstractmethod
    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose one action per agent and environment.

        Args:
            obs: Agent -> [N, F], and the arrays named by ``wants``.
            mask: Agent -> [N, U] int8, 1 where the action is valid.
            memory: What ``initial_memory`` or the previous call returned.
            draws: [N, A, D] uniform floats in [0, 1).
        """

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Choose as :meth:`act` does, under a directive that somebody else gives.

        A team whose members know its directive from what they observe, as the environment shows it, has nothing to do
        for that, and need not override this. One whose members are told it within a decision has to: they follow the
        given one, and their own leader has no part in the row. Who calls this answers for the directive, and does not
        play what is returned for the leader there. A policy without a leader leaves it out.

        Args:
            directive: [N, K], float64 or float32, in the range of the leader's action. A row of NaN: none is given,
                the policy's own leader leads.
            obs: As of :meth:`act`, and so are ``mask``, ``memory`` and ``draws``.
        """
        return self.act(obs, mask, memory, draws)


@runtime_checkable
class Exportable(Protocol):
    """A policy whose weights can be saved; its method's entry in the registry tells how it is made from them again."""

    def weights(self) -> Mapping[str, Array]:
        """Return name -> array of all that acting needs beside the settings and the interface."""

    def with_weights(self, arrays: Mapping[str, Array]) -> Policy:
        """Return this policy with other weights."""


@dataclass(frozen=True)
class Field:
    """A named run of entries in a flat vector."""

    name: str
    start: int
    shape: tuple[int, ...]
    high: float
    """Largest value; infinity where there is none."""
    meaning: str
    low: float = 0
    """Smallest value."""

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Where the field lies in the vector."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class Layout:
    """What each index of a flat vector means. Fields are contiguous, in order, and cover the vector.

    Raises:
        ValueError: If the fields leave a gap, overlap, or share a name.
    """

    name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        position = 0
        for field in self.fields:
            if field.start != position:
                raise ValueError(f"layout {self.name}: field {field.name} starts at {field.start}, not {position}")
            position += field.size
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError(f"layout {self.name}: two fields share a name")

    @classmethod
    def of(cls, name: str, entries: Iterable[tuple[str, tuple[int, ...], float, float, str]]) -> Layout:
        """Return a layout of fields one after the other: (name, shape, smallest value, largest value, meaning) each."""
        fields: list[Field] = []
        start = 0
        for field, shape, low, high, meaning in entries:
            fields.append(Field(field, start, shape, high, meaning, low))
            start += fields[-1].size
        return cls(name, tuple(fields))

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name!r}; it has {', '.join(f.name for f in self.fields)}")

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(field.size for field in self.fields)

    def unpack(self, vector: Array) -> dict[str, Array]:
        """Split [..., size] into named fields [..., *shape]; views where NumPy allows it."""
        vector = np.asarray(vector)
        if vector.shape[-1:] != (self.size,):
            raise ValueError(f"{self.name} has {self.size} entries; the vector given has shape {vector.shape}")
        return {f.name: vector[..., f.slice].reshape((*vector.shape[:-1], *f.shape)) for f in self.fields}

    def pack(self, values: Mapping[str, Array], dtype: npt.DTypeLike = np.int64) -> Array:
        """Join named fields into one vector: the exact inverse of :meth:`unpack`."""
        unknown = sorted(set(values) - {f.name for f in self.fields})
        missing = sorted({f.name for f in self.fields} - set(values))
        if unknown or missing:
            raise ValueError(f"{self.name}: unknown fields {unknown}, missing fields {missing}")
        parts = []
        lead: tuple[int, ...] | None = None
        for field in self.fields:
            value = np.asarray(values[field.name])
            depth = value.ndim - len(field.shape)
            if depth < 0 or value.shape[depth:] != field.shape:
                raise ValueError(f"{self.name}.{field.name} has shape {field.shape}; given {value.shape}")
            lead = value.shape[:depth] if lead is None else lead
            if value.shape[:depth] != lead:
                raise ValueError(f"{self.name}.{field.name}: leading axes {value.shape[:depth]} differ from {lead}")
            parts.append(value.reshape(*lead, field.size))
        return np.concatenate(parts, axis=-1).astype(dtype)
