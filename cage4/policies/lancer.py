"""A defender that works like Lancer: decoys first, then the host of highest priority, which alarms raise."""

from __future__ import annotations

from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import Sight
from cage4.policies.rule_based import HostDefender
from cage4.spec import Verb

ALARM_WEIGHT = 10
"""Steps of waiting that one step with an alarm is worth."""


class Lancer(HostDefender):
    """Puts a decoy on every host, then analyses by priority and answers the files that it finds.

    A host's priority grows with every step and faster with every alarm, and is 0 again after a command. Remove leaves
    cmd.sh where it is, so the file accuses again only after another exploit.
    """

    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Restore on escalate.sh, Remove on cmd.sh, else decoys and Analyse."""
        orders.host(Verb.RESTORE, sight.escalated)
        orders.host(Verb.REMOVE, sight.cmd & (memory.intruded | memory.unreported))
        orders.host(Verb.DEPLOY_DECOY, memory.decoys == 0)
        orders.host(Verb.ANALYSE, sight.exists, memory.age + ALARM_WEIGHT * memory.alarms)
