"""One legal order per blue agent and environment, given rule by rule: the first rule that applies wins."""

from __future__ import annotations

import numpy as np

from cage4 import actions
from cage4.actions import BlueAction
from cage4.policies.host_view import Bools, Ints, Sight
from cage4.spec import Subnet, Verb
from native_sim.api import Array


class Orders:
    """The orders of one agent in N environments.

    Rules are called from the most to the least urgent; each gives an order where there is none yet. Who is busy, and
    who is left over, sleeps. Orders to hosts go to existing hosts only.
    """

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._index = np.full(len(sight.free), actions.SLEEP[sight.agent], np.int64)
        self._open: Bools = sight.free.copy()

    @property
    def undecided(self) -> Bools:
        """[N] where no order has been given yet."""
        return self._open

    def host(self, verb: Verb, where: Bools, rank: Array | None = None) -> Bools:
        """Order ``verb`` on the host of highest rank among those eligible; ties go to the lowest slot.

        Args:
            verb: A command that names a host.
            where: [N, H] eligible hosts.
            rank: [N, H] or [H], finite; None ranks all alike.

        Returns:
            [N, H], True where the order was given.
        """
        eligible = where & self._sight.exists & self._open[:, None]
        score = np.where(eligible, 0.0 if rank is None else rank, -np.inf)
        best = score.argmax(axis=1)
        rows: Bools = np.logical_or.reduce(eligible, axis=1)
        self._index = np.where(rows, actions.HOST_INDEX[self._sight.agent][verb, best], self._index)
        self._open = self._open & ~rows
        ordered: Bools = rows[:, None] & (np.arange(eligible.shape[1]) == best[:, None])
        return ordered

    def traffic(self, verb: Verb, to: Subnet, source: Subnet, where: Bools) -> None:
        """Order ``verb`` on traffic into one of the agent's subnets, in environments ``where`` [N]."""
        index = actions.encode(self._sight.agent, BlueAction(verb, to, source=source))
        self._index = np.where(where & self._open, index, self._index)
        self._open = self._open & ~where

    @property
    def indices(self) -> Ints:
        """[N] action indices."""
        return self._index
