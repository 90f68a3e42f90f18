"""What a blue agent remembers of its hosts: flags that events raise and that its own commands, once done, lower."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cage4.policies.host_view import NUM_SLOTS, Bools, Ints, Sight
from cage4.spec import Verb


class HostMemory(NamedTuple):
    """One agent's memory of its host slots, in N environments.

    As part of a policy's memory it may come back as a plain tuple; ``HostMemory(*memory)`` restores the names.
    """

    intruded: Bools  # [N, H] an exploit succeeded; until Remove or Restore
    unverified: Bools  # [N, H] an exploit succeeded; until Restore, or an Analyse after the Remove
    unreported: Bools  # [N, H] Analyse found cmd.sh without such a report, so Remove will find nothing; until Restore
    exploited: Bools  # [N, H] cmd.sh lies there, as far as known; until Restore
    escalated: Bools  # [N, H] escalate.sh was found; until Restore
    decoy_hit: Bools  # [N, H] an exploit ran into a decoy; until Remove or Restore
    age: Ints  # [N, H] steps since the last Analyse, Remove or Restore was done
    alarms: Ints  # [N, H] steps with an event, false alarms included, since then
    decoys: Ints  # [N, H] decoys deployed; until Restore

    @classmethod
    def blank(cls, agent: int, num_envs: int) -> HostMemory:
        """Return the memory at the start of an episode: nothing happened yet."""
        shape = (num_envs, NUM_SLOTS[agent])
        arrays: dict[str, Any] = {name: np.zeros(shape, np.bool_) for name in cls._fields}
        arrays |= {name: np.zeros(shape, np.int64) for name in ("age", "alarms", "decoys")}
        return cls(**arrays)

    def after(self, sight: Sight) -> HostMemory:
        """Return the memory once the step just played is taken in; this one stays as it was.

        Blue's commands take effect before red's in a step, so an event beside a Restore is news.
        """
        restored, removed = sight.done(Verb.RESTORE), sight.done(Verb.REMOVE)
        cleaned = restored | removed
        served = cleaned | sight.analysed
        verified = sight.analysed & ~self.intruded
        return HostMemory(
            intruded=(self.intruded & ~cleaned) | sight.intruded,
            unverified=(self.unverified & ~restored & ~verified) | sight.intruded,
            unreported=(self.unreported & ~restored) | (sight.cmd & ~self.exploited),
            exploited=(self.exploited & ~restored) | sight.cmd | sight.intruded,
            escalated=(self.escalated & ~restored) | sight.escalated,
            decoy_hit=(self.decoy_hit & ~cleaned) | sight.decoy_hit,
            age=np.where(served, 0, self.age + 1),
            alarms=np.where(served, 0, self.alarms) + sight.alarmed,
            decoys=np.where(restored, 0, self.decoys + sight.done(Verb.DEPLOY_DECOY)),
        )
