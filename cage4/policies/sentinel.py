"""Our own rule-based defender: Remove is free and nearly always in time; Restore is for what is proven to be deeper.

What the rules rest on (``docs/heuristics.md`` has the figures):

* Monitor reports nearly every successful exploit with its process id, which no false alarm has. Remove then ends the
  intruder's session without cost, unless red became root in the meantime.
* Whether it did shows in one Analyse afterwards. Only then is a Restore worth its price.
* A phished session gives no sign until its host is exploited or root's, so user hosts are patrolled, those with a
  past exploit more often. An agent with nothing to do waits: what it begins would delay the answer to an exploit.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cage4 import spec
from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import IS_USER, SLOT_SUBNET, Sight
from cage4.policies.rule_based import HostDefender
from cage4.spec import RewardPart, Verb

IMPACT_COST: Final = -spec.REWARDS[:, :, RewardPart.RED_IMPACT]
"""[phase, subnet in generation order] -> cost of one Impact."""
PATROL_AGE: Final = 12
"""Steps after which a user host is looked at again."""
EXPLOITED_AGE: Final = 5
"""The same for a user host that was exploited since its last Restore."""
SERVER_AGE: Final = 30
"""The same for a server, where no user opens phishing mails."""


class Sentinel(HostDefender):
    """Removes at once, verifies, restores what is proven, and patrols; see the module's docstring."""

    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Serve hosts where an Impact costs most first."""
        stake = IMPACT_COST[sight.phase][:, SLOT_SUBNET[sight.agent]]
        orders.host(Verb.RESTORE, memory.escalated, stake)
        orders.host(Verb.REMOVE, memory.intruded, stake)
        orders.host(Verb.ANALYSE, memory.unverified, memory.age)
        orders.host(Verb.RESTORE, memory.unreported, stake)
        user_age = np.where(memory.exploited, EXPLOITED_AGE, PATROL_AGE)
        urgency = memory.age / np.where(IS_USER[sight.agent], user_age, SERVER_AGE)
        orders.host(Verb.ANALYSE, urgency >= 1, urgency)
