import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4 import mapper_table as mappers
from adapters.cc4 import soc_terms as terms
from adapters.cc4.mapper_table import MapperConfig, Orders, Situation, TableMapper, attention
from cage4 import actions, spec
from cage4.spec import Subnet, Verb
from native_sim.soc import spec as soc

AGENT = 0
OFF = Orders(np.zeros((1, 8)), *np.zeros((7, 1)), triage=np.array([-1]))
NOW = np.zeros((1, mappers.DRAWS))
"""Draws with which every rate above 0 acts."""


def situation(agent=AGENT, alert=-1, free=True, **beliefs):
    """A zone in which all hosts exist; ``s3=0.9`` sets the belief of slot 3."""
    slots = features.num_slots(agent)
    known = features.Features(
        np.zeros((1, slots, features.HOST.size), np.float32),
        np.zeros((1, features.ZONE.size), np.float32),
        np.ones((1, slots), bool),
        np.zeros((1, slots), bool),
    )
    found = np.zeros((1, slots, terms.HOST_TERMS.size))
    for name, belief in beliefs.items():
        found[0, int(name[1:]), terms.HOST_TERMS["belief"].start] = belief
    subnets = len(spec.BLUE_SUBNETS[agent])
    shut = np.zeros((1, subnets, spec.NUM_SUBNETS), int)
    mask = np.ones((1, spec.NUM_ACTIONS[agent]), np.int8)
    return Situation(agent, known, found, np.array([alert]), shut, shut.copy(), np.array([free]), mask)


def set_feature(now, slot, **values):
    for name, value in values.items():
        now.known.hosts[0, slot, features.HOST[name].start] = value
    return now


def play(now, draws=NOW, config=None, **orders):
    given = {name: np.array([value]) for name, value in orders.items()}
    mapped = TableMapper(config)(now, OFF._replace(**given), draws)
    return (
        actions.label(now.agent, int(mapped.action[0])).split()[0],
        actions.decode(now.agent, int(mapped.action[0])),
        mapped,
    )


def test_nothing_asked_is_monitor_and_no_fallback():
    verb, _, mapped = play(situation(s3=0.99))
    assert verb == "Monitor" and mapped.fallback[0] == -1


def test_who_has_nothing_to_do_or_no_target_looks_at_the_most_overdue_host():
    now = set_feature(set_feature(situation(s3=0.2), 3, unwatched=0.2), 6, unwatched=0.9)
    verb, action, mapped = play(now)
    assert (verb, action.slot, mapped.fallback[0]) == ("Analyse", 6, -1)
    assert play(now, config=MapperConfig(watch=False))[0] == "Monitor"
    decoyed = set_feature(now, slice(None), decoys=1)
    verb, action, mapped = play(decoyed, telemetry=1.0)
    assert (verb, action.slot) == ("Analyse", 6) and mappers.FALLBACKS[mapped.fallback[0]] == "no target"
    assert play(set_feature(situation(s6=0.99), 6, unwatched=0.9))[0] == "Monitor", "a confirmed host awaits a response"
    now.mask[0, mappers.host_indices(AGENT)[Verb.ANALYSE, 6]] = 0
    assert play(now)[0] == "Monitor"


def test_only_hunters_keep_watch():
    now = set_feature(situation(), 6, unwatched=0.9)
    assert actions.label(AGENT, int(TableMapper()(now, OFF, NOW).action[0])).startswith("Analyse")
    assert TableMapper()(now, OFF._replace(hunts=False), NOW).action[0] == actions.MONITOR[AGENT]


def test_a_busy_agent_sleeps():
    verb, _, mapped = play(situation(free=False, s3=0.99, alert=3), remediate=1.0, triage=soc.Triage.ESCALATE)
    assert verb == "Sleep" and mapped.handled[0] == -1 and mapped.fallback[0] == -1


def test_a_confirmed_host_is_restored_and_only_the_confirmed_one():
    verb, action, _ = play(situation(s3=0.95, s4=0.9), remediate=1.0)
    assert (verb, action.slot) == ("Restore", 3)
    assert play(situation(s4=0.9), remediate=1.0)[0] == "Monitor"


def test_posture_moves_the_threshold():
    assert play(situation(s4=0.9), remediate=1.0, directive=np.eye(8)[6])[0] == "Restore"
    assert play(situation(s4=0.95), remediate=1.0, directive=-np.eye(8)[6])[0] == "Monitor"


def test_a_reported_process_is_removed_as_often_as_it_comes_and_root_is_restored():
    seen = set_feature(situation(s3=0.95), 3, process_seen=1)
    again = set_feature(set_feature(situation(s3=0.95), 3, process_seen=1), 3, removes=1)
    for now in (seen, again):
        assert play(now, isolate=1.0)[0] == "Remove" and play(now, remediate=1.0)[0] == "Monitor"
    deeper = set_feature(set_feature(situation(s3=0.95), 3, process_seen=1), 3, file_escalate=1)
    assert play(deeper, remediate=1.0)[0] == "Restore" and play(deeper, isolate=1.0)[0] == "Monitor"


def test_after_a_remove_a_host_is_looked_at_before_it_is_restored():
    def removed(look, remove):
        return set_feature(situation(s3=0.95), 3, removes=1, look_freshness=look, remove_freshness=remove)

    verb, action, _ = play(removed(look=0.5, remove=0.9), remediate=1.0)
    assert (verb, action.slot) == ("Analyse", 3)
    assert play(removed(look=1.0, remove=0.9), remediate=1.0)[0] == "Restore"
    assert play(set_feature(removed(0.5, 0.9), 3, file_escalate=1), remediate=1.0)[0] == "Restore"


def test_levels_are_rates_and_priority_multiplies_them():
    now = situation(s3=0.95)
    at = [np.full((1, mappers.DRAWS), draw) for draw in (0.34, 0.36)]
    config = MapperConfig(pace=0.35)
    assert [play(now, draw, config, remediate=1.0)[0] for draw in at] == ["Restore", "Monitor"]
    assert play(now, at[0], config, remediate=0.5)[0] == "Monitor"
    priority = np.eye(8)[terms.SEGMENT_OF_AGENT[AGENT]]
    assert play(now, at[1], config, remediate=1.0, directive=priority)[0] == "Restore"


def test_attention_is_one_when_neutral_at_most_four_and_never_taken_away():
    generator = np.random.default_rng(0)
    assert np.allclose(attention(np.zeros((1, 8)), 2), 1.0)
    drawn = attention(generator.uniform(-1, 1, (1000, 8)), 2)
    assert drawn.min() >= 1.0 and drawn.max() <= 4.0
    most = np.full((1, 8), -1.0)
    most[0, terms.SEGMENT_OF_AGENT[2]] = 1.0
    assert attention(most, 2)[0] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("choice", "seen", "verb"),
    [("ESCALATE", 0, "Analyse"), ("ESCALATE", 1, "Remove"), ("ENRICH", 1, "Analyse"), ("SUPPRESS", 1, "Monitor"),
     ("CORRELATE", 0, "Monitor")],
)  # fmt: skip
def test_triage_acts_on_the_alert_at_the_head_of_the_queue(choice, seen, verb):
    now = set_feature(situation(alert=7), 7, process_seen=seen)
    played, action, mapped = play(now, triage=soc.Triage[choice])
    assert played == verb and (action.slot == 7 or verb == "Monitor")
    assert mapped.handled[0] == soc.Triage[choice]


def test_an_alert_waits_while_the_agent_responds():
    _, _, mapped = play(situation(alert=7, s3=0.99), remediate=1.0, triage=soc.Triage.ESCALATE)
    assert mapped.handled[0] == -1


def test_the_filter_blocks_what_the_mission_forbids_and_release_reopens_what_it_allows():
    now = situation()
    source = spec.SORTED_RANK[Subnet.CONTRACTOR_NETWORK]
    now.forbidden[0, 0, source] = 1
    verb, action, _ = play(now, directive=np.eye(8)[7])
    assert (verb, action.subnet, action.source) == (
        "BlockTrafficZone",
        Subnet.RESTRICTED_ZONE_A,
        Subnet.CONTRACTOR_NETWORK,
    )
    assert play(now)[0] == play(now, directive=-np.eye(8)[7])[0] == play(now, throttle=1.0)[0] == "Monitor"
    now.terms[0, 2, terms.HOST_TERMS["belief"].start] = 0.8
    assert play(now, throttle=1.0)[0] == "BlockTrafficZone"
    reopened = situation()
    reopened.blocked[0, 0, source] = 1
    assert play(reopened, release=1.0)[0] == "AllowTrafficZone" and play(reopened)[0] == "Monitor"
    own = situation()
    own.forbidden[0, 0, spec.SORTED_RANK[Subnet.RESTRICTED_ZONE_A]] = 1
    assert play(own, directive=np.eye(8)[7])[0] == "Monitor"


def test_hunting_looks_at_the_worst_suspect_that_was_not_just_looked_at():
    now = situation(s3=0.5, s4=0.4, s9=0.99)
    for slot, unwatched in ((3, 0.0), (4, 0.3), (9, 0.9)):
        set_feature(now, slot, unwatched=unwatched)
    verb, action, _ = play(now, intensity=1.0)
    assert (verb, action.slot) == ("Analyse", 4)


def test_at_full_scope_a_host_that_was_long_left_alone_outweighs_a_fresh_suspicion():
    now = set_feature(set_feature(situation(s3=0.2), 3, unwatched=0.2), 6, unwatched=0.9)
    assert play(now, intensity=1.0)[1].slot == 3 and play(now, intensity=1.0, scope=1.0)[1].slot == 6
    certain = MapperConfig(suspicion=100.0)
    assert play(now, config=certain, intensity=1.0, scope=1.0)[1].slot == 3


def test_scope_looks_where_nobody_suspects_and_telemetry_places_decoys():
    now = set_feature(situation(), 6, unwatched=0.9)
    verb, _, mapped = play(now, config=MapperConfig(watch=False), intensity=1.0)
    assert verb == "Monitor" and mappers.FALLBACKS[mapped.fallback[0]] == "no target"
    verb, action, _ = play(now, intensity=1.0, scope=1.0)
    assert (verb, action.slot) == ("Analyse", 6)
    decoyed = set_feature(situation(s0=0.04, s1=0.03), 0, decoys=1)
    verb, action, _ = play(decoyed, telemetry=1.0)
    assert (verb, action.slot) == ("DeployDecoy", 1)


def test_an_action_under_a_zero_of_the_mask_becomes_a_counted_monitor():
    now = situation(s3=0.99)
    now.mask[:] = 0
    verb, _, mapped = play(now, remediate=1.0)
    assert verb == "Monitor" and mappers.FALLBACKS[mapped.fallback[0]] == "not valid"


@pytest.mark.parametrize("agent", range(5))
def test_tables_name_the_commands_of_the_catalogue(agent):
    table = mappers.host_indices(agent)
    for verb in spec.HOST_VERBS:
        for slot, index in enumerate(table[verb]):
            action = actions.decode(agent, int(index))
            assert (action.verb, spec.BLUE_SUBNETS[agent].index(action.subnet) * 16 + action.slot) == (verb, slot)
    assert (table[Verb.MONITOR] == -1).all()
    traffic = mappers.traffic_indices(agent)
    assert (traffic >= 0).sum() == 2 * 8 * len(spec.BLUE_SUBNETS[agent])
    action = actions.decode(agent, int(traffic[1, 0].max()))
    assert action.verb == Verb.BLOCK_TRAFFIC and action.subnet == spec.BLUE_SUBNETS[agent][0]
