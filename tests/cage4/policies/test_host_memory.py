"""What agents see, remember and order: each rule on hand-made observations, masks and busy states never broken."""

import numpy as np
import pytest

from cage4 import actions, spec
from cage4.observations import rich
from cage4.policies.host_commands import Orders
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import IS_USER, NUM_SLOTS, SLOT_SUBNET, look
from cage4.spec import Subnet, Verb


def see(agent=0, busy=0, verb=None, target=None, absent=(), **events):
    """One agent's sight; ``events`` names fields of the rich observation and the slots (0-47) where they are 1."""
    fields = rich.decode(agent, np.zeros((1, rich.size(agent)), np.int32))
    for slot in range(NUM_SLOTS[agent]):
        fields.present[0, slot // 16, slot % 16] = slot not in absent
    if verb is not None:
        fields.verb[0] = 1 + verb
        fields.target_host[0] = 1 + 17 * (target // 16) + target % 16
    for name, slots in events.items():
        for slot in slots:
            if name == "decoys":
                fields.connections[0, slot // 16, slot % 16, rich.Signature.DECOY] = 1
            else:
                getattr(fields, name)[0, slot // 16, slot % 16] = 1
    name = spec.BLUE_AGENTS[agent]
    flat = np.zeros((1, spec.OBSERVATION_SIZES[agent]), np.int8)
    return look(agent, {name: flat, "rich": {name: rich.encode(agent, fields)}, "busy": np.full((1, 5), busy)})


def slots(flags):
    return np.flatnonzero(flags[0]).tolist()


def test_slots_are_those_of_the_catalogue():
    for agent in range(spec.NUM_BLUE):
        for verb in spec.HOST_VERBS:
            for slot in range(NUM_SLOTS[agent]):
                action = actions.decode(agent, actions.HOST_INDEX[agent][verb, slot])
                assert (action.verb, action.subnet, action.slot) == (verb, SLOT_SUBNET[agent][slot], slot % 16)
                assert IS_USER[agent][slot] == ("user" in str(action))


@pytest.mark.parametrize(("agent", "slot"), [(0, 0), (1, 15), (4, 20), (4, 47)])
def test_sight_finds_the_host(agent, slot):
    sight = see(agent, verb=Verb.RESTORE, target=slot, process_events=[slot], file_escalate=[slot], decoys=[slot])
    assert slots(sight.done(Verb.RESTORE)) == [slot]
    assert slots(sight.done(Verb.REMOVE)) == []
    assert slots(sight.intruded) == slots(sight.escalated) == slots(sight.decoy_hit) == slots(sight.alarmed) == [slot]


def test_routers_are_left_out():
    fields = rich.decode(0, np.zeros((1, rich.size(0)), np.int32))
    fields.process_events[0, 0, rich.ROUTER_SLOT] = 1
    obs = {
        "blue_agent_0": np.zeros((1, 92)),
        "rich": {"blue_agent_0": rich.encode(0, fields)},
        "busy": np.zeros((1, 5)),
    }
    assert slots(look(0, obs).intruded) == []


def test_an_exploit_is_remembered_until_removed_and_verified():
    memory = HostMemory.blank(0, 1).after(see(process_events=[3]))
    memory = memory.after(see(analysed=[3], file_cmd=[3]))
    assert slots(memory.intruded) == slots(memory.unverified) == [3]  # looking does not clean
    memory = memory.after(see(verb=Verb.REMOVE, target=3))
    assert slots(memory.intruded) == []
    assert slots(memory.unverified) == [3]
    memory = memory.after(see(analysed=[3], file_cmd=[3]))
    assert slots(memory.unverified) == slots(memory.unreported) == []
    assert slots(memory.exploited) == [3]
    memory = memory.after(see(verb=Verb.RESTORE, target=3))
    assert slots(memory.exploited) == []


def test_news_beside_a_restore_is_kept():
    memory = HostMemory.blank(0, 1).after(see(verb=Verb.RESTORE, target=3, process_events=[3]))
    assert slots(memory.intruded) == slots(memory.unverified) == [3]


def test_a_file_without_a_report_is_told_apart():
    memory = HostMemory.blank(4, 1).after(see(4, analysed=[20], file_cmd=[20]))
    assert slots(memory.unreported) == [20]
    memory = memory.after(see(4, verb=Verb.REMOVE, target=20))
    assert slots(memory.unreported) == [20]
    assert slots(memory.after(see(4, verb=Verb.RESTORE, target=20)).unreported) == []


def test_counters():
    memory = HostMemory.blank(0, 1)
    for _ in range(3):
        memory = memory.after(see(process_alarms=[5]))
    assert memory.age[0].tolist() == [3] * 16
    assert memory.alarms[0, 5] == 3
    memory = memory.after(see(verb=Verb.DEPLOY_DECOY, target=5)).after(see(analysed=[5], process_alarms=[5]))
    assert (memory.age[0, 5], memory.alarms[0, 5], memory.decoys[0, 5]) == (0, 1, 1)
    assert memory.after(see(verb=Verb.RESTORE, target=5)).decoys[0, 5] == 0


def test_the_first_rule_that_applies_wins():
    sight = see(absent=[0, 2])
    every = np.ones((1, 16), bool)
    orders = Orders(sight)
    assert slots(orders.host(Verb.RESTORE, ~every)) == []
    rank = np.arange(16.0)[None]
    rank[0, 2] = 99
    assert slots(orders.host(Verb.REMOVE, every, rank)) == [15]
    assert slots(orders.host(Verb.ANALYSE, every)) == []
    assert str(actions.decode(0, orders.indices[0])) == "Remove restricted_zone_a_subnet_user_host_9"
    lowest = Orders(sight)
    assert slots(lowest.host(Verb.ANALYSE, every)) == [1]


def test_busy_agents_sleep():
    orders = Orders(see(busy=1))
    orders.host(Verb.RESTORE, np.ones((1, 16), bool))
    orders.traffic(Verb.BLOCK_TRAFFIC, Subnet.RESTRICTED_ZONE_A, Subnet.INTERNET, np.ones(1, bool))
    assert orders.indices.tolist() == [actions.SLEEP[0]]
    assert not orders.undecided.any()


def test_traffic_orders():
    orders = Orders(see())
    orders.traffic(Verb.ALLOW_TRAFFIC, Subnet.RESTRICTED_ZONE_A, Subnet.INTERNET, np.zeros(1, bool))
    orders.traffic(Verb.BLOCK_TRAFFIC, Subnet.RESTRICTED_ZONE_A, Subnet.INTERNET, np.ones(1, bool))
    assert str(actions.decode(0, orders.indices[0])) == "BlockTrafficZone restricted_zone_a_subnet <- internet_subnet"
