"""A defender that works like Punch: one host after another, whatever the alarms say."""

from __future__ import annotations

from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import Sight
from cage4.policies.rule_based import HostDefender
from cage4.spec import Verb


class Punch(HostDefender):
    """Analyses the next host, and restores it if there is a malicious file. No decoys, no Remove, no traffic."""

    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Restore what the last Analyse showed to be infected, or go on to the next host."""
        orders.host(Verb.RESTORE, sight.cmd | sight.escalated)
        orders.host(Verb.ANALYSE, sight.exists, memory.age)
