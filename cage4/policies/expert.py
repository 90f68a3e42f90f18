"""A defender that works like H-MARL Expert with rules in the place of its learned sub-policies."""

from __future__ import annotations

from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import Sight
from cage4.policies.rule_based import HostDefender
from cage4.spec import Verb


class Expert(HostDefender):
    """The master's rule: with any indicator of compromise in the agent's zones recover, otherwise investigate."""

    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Choose between the two sub-policies; the first leaves no environment with an indicator undecided."""
        self.recover(orders, sight, memory)
        self.investigate(orders, sight, memory)

    def recover(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Restore hosts with escalate.sh; Remove where another file, a process or a touched decoy accuses."""
        orders.host(Verb.RESTORE, memory.escalated)
        orders.host(Verb.REMOVE, memory.intruded | memory.decoy_hit | sight.cmd)

    def investigate(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Give every host a decoy, then analyse the host not looked at for longest."""
        orders.host(Verb.DEPLOY_DECOY, memory.decoys == 0)
        orders.host(Verb.ANALYSE, sight.exists, memory.age)
