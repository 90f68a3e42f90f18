import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4.features import HOST, HOST_MEMORY, Memory
from cage4 import spec
from cage4.observations import rich
from cage4.observations.rich import Signature
from cage4.spec import Verb


def blank(agent=0, count=1):
    vector = np.zeros((count, rich.size(agent)), np.int32)
    fields = rich.decode(agent, vector)
    present = np.ones_like(fields.present)
    flat = np.zeros((count, spec.OBSERVATION_SIZES[agent]), np.int8)
    return flat, fields._replace(present=present)


def see(fields, memory, agent=0, flat=None, count=1):
    flat = blank(agent, count)[0] if flat is None else flat
    return features.observe(agent, flat, rich.encode(agent, fields), np.zeros(count), memory)


def value(known, slot, name):
    return known.hosts[0, slot, HOST[name].start]


def with_event(field, slot, agent=0, index=()):
    _, fields = blank(agent)
    array = getattr(fields, field).copy()
    array[(0, 0, slot, *index)] = 1
    return fields._replace(**{field: array})


def carried_out(fields, verb, slot):
    return fields._replace(verb=np.array([1 + verb]), target_host=np.array([1 + slot]))


def test_events_are_counted_once_per_kind_and_fade():
    memory = features.initial_memory(0, 1)
    known, memory = see(with_event("connections", 3, index=(Signature.PORT_22,)), memory)
    assert value(known, 3, "scan_fast") == 1 and known.events[0].tolist() == [slot == 3 for slot in range(16)]
    known, memory = see(blank()[1], memory)
    assert value(known, 3, "scan_fast") == pytest.approx(0.7) and value(known, 3, "scan_slow") == pytest.approx(0.95)
    assert not known.events.any() and value(known, 4, "scan_slow") == 0


def test_a_file_stays_known_until_a_restore_and_an_analyse_that_finds_none_clears_it():
    memory = features.initial_memory(0, 1)
    found = with_event("file_cmd", 5)._replace(analysed=with_event("analysed", 5).analysed)
    known, memory = see(found, memory)
    assert value(known, 5, "file_cmd") == value(known, 5, "proof") == value(known, 5, "look_freshness") == 1
    known, later = see(blank()[1], memory)
    assert value(known, 5, "proof") == 1 and value(known, 5, "look_freshness") == pytest.approx(np.exp(-0.05))
    assert value(see(carried_out(blank()[1], Verb.RESTORE, 5), later)[0], 5, "proof") == 0
    assert value(see(with_event("analysed", 5), later)[0], 5, "proof") == 0
    removed = see(carried_out(blank()[1], Verb.REMOVE, 5), later)[0]
    assert (
        value(removed, 5, "proof") == 1 and value(removed, 5, "stale_proof") == 1 and value(removed, 5, "removes") == 1
    )


def test_what_happens_right_after_a_restore_is_not_lost():
    memory = features.initial_memory(0, 1)
    both = carried_out(with_event("process_events", 2), Verb.RESTORE, 2)
    known, _ = see(both, memory)
    assert value(known, 2, "process_seen") == 1 and value(known, 2, "clean_freshness") == 1


def test_absent_hosts_and_routers_have_no_features():
    memory = features.initial_memory(0, 1)
    fields = with_event("process_events", 4)
    present = fields.present.copy()
    present[0, 0, 4] = 0
    known, _ = see(fields._replace(present=present), memory)
    assert not known.hosts[0, 4].any() and not known.exists[0, 4]
    router = with_event("process_events", rich.ROUTER_SLOT)
    assert not see(router, memory)[0].events.any()


def test_memory_is_not_changed_in_place_and_starts_without_events():
    memory = features.initial_memory(4, 3)
    before = Memory(memory.hosts.copy(), memory.zone.copy())
    see(with_event("process_events", 1, agent=4), features.initial_memory(4, 1), agent=4)
    generator = np.random.default_rng(0)
    vector = generator.integers(0, 2, (3, rich.size(4))).astype(np.int32)
    features.observe(4, np.zeros((3, 210), np.int8), vector, np.zeros(3), memory)
    assert (memory.hosts == before.hosts).all() and (memory.zone == before.zone).all()
    assert memory.hosts[..., HOST_MEMORY["since_look"].start].min() == features.LONG_AGO


def test_zone_features_do_not_depend_on_the_order_of_hosts():
    generator = np.random.default_rng(3)
    fields = blank()[1]
    connections = generator.integers(0, 2, fields.connections.shape)
    order = np.concatenate([generator.permutation(6), 6 + generator.permutation(10), [16]])
    first, second = (
        see(fields._replace(connections=array), features.initial_memory(0, 1))[0]
        for array in (connections, connections[:, :, order])
    )
    assert np.allclose(first.zone, second.zone)
    assert np.allclose(first.hosts[:, order[:16]], second.hosts)


def test_the_same_events_look_the_same_to_every_agent_of_one_subnet():
    views = [
        see(with_event("process_events", 7, agent=agent), features.initial_memory(agent, 1), agent=agent)[0]
        for agent in range(4)
    ]
    for view in views[1:]:
        assert np.array_equal(view.hosts, views[0].hosts) and np.array_equal(view.zone, views[0].zone)


def test_missions_are_those_of_the_zones():
    assert features.MISSION.astype(int).tolist() == [[0] * 5, [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    flat = blank()[0]
    flat[0, 0] = 1
    known, _ = see(blank()[1], features.initial_memory(0, 1), flat=flat)
    assert value(known, 0, "mission") == 1
