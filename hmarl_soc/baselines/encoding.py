"""One action encoding for every learned baseline: an action is a row of choices, one per branch.

A number of a box becomes a branch whose choices are evenly spaced levels from -1 to 1; a discrete action is one
branch. benchmarks/action_levels.py measures what the scripted adaptive defender of the SOC simulator loses when its
actions are rounded to such levels: with three (off, neutral, full) hardly anything, so that is the default.

Letters for shapes: N environments, F numbers of all observations together, B branches, C choices of the widest branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hmarl_soc.interface import Interface
from native_sim.api import ActionBatch, Array, ObservationBatch

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class ActionEncoding:
    """Translates between the actions of all agents and choices [N, B].

    Args:
        interface: The agents; numbers of a box are taken to lie in [-1, 1].
        levels: Levels of each number of a box, at least 2.

    Attributes:
        sizes: [B] int64, choices of each branch.
        owner: [B] int64, index of the agent to whom each branch belongs.
    """

    def __init__(self, interface: Interface, levels: int) -> None:
        self.levels = levels
        self._agents = interface.agents
        self._slices: list[slice] = []
        sizes: list[int] = []
        for agent in self._agents:
            branches = [agent.actions] if agent.discrete else [levels] * agent.actions
            self._slices.append(slice(len(sizes), len(sizes) + len(branches)))
            sizes += branches
        self.sizes: IntArray = np.array(sizes, np.int64)
        counts = [there.stop - there.start for there in self._slices]
        self.owner: IntArray = np.repeat(np.arange(len(self._agents)), counts)
        self._exists: BoolArray = np.arange(self.sizes.max()) < self.sizes[:, None]

    @property
    def num_branches(self) -> int:
        """B."""
        return len(self.sizes)

    @property
    def widest(self) -> int:
        """C."""
        return int(self.sizes.max())

    @property
    def mask_size(self) -> int:
        """Length of a packed mask: the choices of all discrete agents."""
        return sum(agent.actions for agent in self._agents if agent.discrete)

    def places(self) -> IntArray:
        """Return where each choice of each branch stands in a flattened [B, C], without those that do not exist."""
        return np.flatnonzero(self._exists)

    def decode(self, choices: IntArray) -> dict[str, Array]:
        """Return agent -> actions: [N] int64, or [N, U] float64 in [-1, 1] where the agent's space is a box."""
        actions: dict[str, Array] = {}
        for agent, there in zip(self._agents, self._slices, strict=True):
            mine = choices[:, there]
            actions[agent.name] = mine[:, 0].copy() if agent.discrete else 2.0 * mine / (self.levels - 1) - 1.0
        return actions

    def encode(self, actions: ActionBatch) -> IntArray:
        """Return the choices [N, B] nearest to the actions: the inverse of :meth:`decode`."""
        columns = []
        for agent in self._agents:
            given = np.asarray(actions[agent.name])
            if agent.discrete:
                columns.append(given.astype(np.int64).reshape(-1, 1))
            else:
                columns.append(np.rint((given + 1.0) / 2.0 * (self.levels - 1)).astype(np.int64))
        return np.concatenate(columns, axis=1)

    def pack(self, masks: ActionBatch) -> BoolArray:
        """Return the masks of the discrete agents side by side, [N, mask_size]; numbers of a box are always allowed."""
        parts = [np.asarray(masks[agent.name]) > 0 for agent in self._agents if agent.discrete]
        if parts:
            return np.concatenate(parts, axis=1)
        return np.zeros((len(masks[self._agents[0].name]), 0), np.bool_)

    def unpack(self, packed: BoolArray) -> BoolArray:
        """Return which choices are allowed, [N, B, C]; those beyond a branch's size never are."""
        allowed: BoolArray = np.broadcast_to(self._exists, (len(packed), *self._exists.shape))
        if not packed.shape[1]:
            return allowed
        allowed = allowed.copy()
        start = 0
        for agent, there in zip(self._agents, self._slices, strict=True):
            if agent.discrete:
                allowed[:, there.start, : agent.actions] = packed[:, start : start + agent.actions]
                start += agent.actions
        return allowed


class Kind(NamedTuple):
    """Agents whose observations and outputs have the same sizes; one network speaks for them all."""

    members: tuple[int, ...]  # indices of the agents
    inputs: int  # numbers of one agent's observation, and one per member that says who it is if there are several
    outputs: int

    @property
    def named(self) -> bool:
        """Whether the network must be told who it speaks for."""
        return len(self.members) > 1


def make_kinds(slices: Sequence[slice], outputs: Sequence[int]) -> tuple[Kind, ...]:
    """Group agents by the sizes of their observations and outputs."""
    groups: dict[tuple[int, int], list[int]] = {}
    for agent, (part, size) in enumerate(zip(slices, outputs, strict=True)):
        groups.setdefault((part.stop - part.start, size), []).append(agent)
    return tuple(
        Kind(tuple(members), width + (len(members) if len(members) > 1 else 0), size)
        for (width, size), members in groups.items()
    )


class ObservationEncoding:
    """Joins the observations of all agents into one row [N, F] float32, and says where each agent's part lies."""

    def __init__(self, interface: Interface) -> None:
        self._names = [agent.name for agent in interface.agents]
        sizes = [agent.observation.size for agent in interface.agents]
        ends = np.cumsum(sizes).tolist()
        self.size = int(ends[-1])
        self.slices = tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))

    def join(self, observations: ObservationBatch) -> Array:
        """Return [N, F] float32 in the order of the agents."""
        return np.concatenate([np.asarray(observations[name], np.float32) for name in self._names], axis=1)


def parts_and_outputs(
    observations: ObservationEncoding, actions: ActionEncoding, joint: bool
) -> tuple[tuple[slice, ...], list[int]]:
    """Return which part of the observations each acting network sees and how many numbers it puts out.

    With ``joint`` there is one network that sees everything and decides for all.
    """
    slices = (slice(0, observations.size),) if joint else observations.slices
    return slices, [int(actions.sizes[(actions.owner == agent) | joint].sum()) for agent in range(len(slices))]
