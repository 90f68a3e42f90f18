"""A defender that works like UC: flags per host that stay until the host is clean, and the phase's traffic policy."""

from __future__ import annotations

from cage4 import spec
from cage4.observations import flat as observation
from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import Sight
from cage4.policies.rule_based import HostDefender
from cage4.spec import SORTED_SUBNETS, Verb


def keep_traffic_policy(orders: Orders, sight: Sight) -> None:
    """Block what the phase's policy does not allow, and allow what it does, one pair of subnets per step."""
    flat = observation.decode(sight.agent, sight.flat)
    for number, to in enumerate(spec.BLUE_SUBNETS[sight.agent]):
        for rank, source in enumerate(SORTED_SUBNETS):
            if source is not to:
                blocked = flat.blocked[:, number, rank] == 1
                wanted = flat.policy[:, number, rank] == 1
                orders.traffic(Verb.ALLOW_TRAFFIC, to, source, blocked & ~wanted)
                orders.traffic(Verb.BLOCK_TRAFFIC, to, source, wanted & ~blocked)


class UC(HostDefender):
    """Cleans hosts whose flags are set, keeps the traffic policy, and otherwise places decoys and examines hosts.

    Which connections UC's flag stands for is not published; here it is an exploit that ran into a decoy, the only
    connection that is surely hostile.
    """

    def command(self, orders: Orders, sight: Sight, memory: HostMemory) -> None:
        """Serve connection flags first, then files and processes, then traffic, then quiet work."""
        orders.host(Verb.RESTORE, memory.decoy_hit)
        orders.host(Verb.RESTORE, memory.escalated | memory.unreported)
        orders.host(Verb.REMOVE, memory.intruded)
        keep_traffic_policy(orders, sight)
        orders.host(Verb.DEPLOY_DECOY, memory.decoys == 0)
        orders.host(Verb.ANALYSE, sight.exists, memory.age)
