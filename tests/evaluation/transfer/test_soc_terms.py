import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4.soc_terms import HOST_TERMS, ZONE_TERMS, squash
from cage4 import spec
from cage4.observations import true_state
from cage4.spec import Subnet, Verb
from cage4.variants import RED_ACTIONS
from evaluation.transfer import soc_terms
from native_sim.soc.spec import Phase

AGENT, ZONE = 0, Subnet.RESTRICTED_ZONE_A


@pytest.fixture
def truth():
    state = true_state.allocate(1)
    state.exists[0, ZONE, :10] = 1
    state.step[0] = 10
    return state


def known(proven=()):
    hosts = np.zeros((1, 16, features.HOST.size), np.float32)
    hosts[0, list(proven), features.HOST["proof"].start] = 1
    return features.Features(hosts, np.zeros((1, features.ZONE.size)), np.ones((1, 16), bool), np.zeros((1, 16), bool))


def hosts(truth, history, slot, seen=None):
    row = soc_terms.host_terms(AGENT, truth, history, seen or known())[0, slot]
    return {field.name: row[field.start] for field in HOST_TERMS}


def zone(truth, history, seen=None):
    row = soc_terms.zone_terms(AGENT, truth, history, seen or known())[0]
    return {field.name: row[field.start] for field in ZONE_TERMS}


def act(truth, verb, slot, red=1):
    truth.red_verb[0, red] = 1 + RED_ACTIONS.index(verb)
    truth.red_target[0, red] = 1 + 17 * ZONE + slot


def test_a_root_shell_or_a_shell_with_a_file_is_a_foothold_and_a_bare_shell_is_none(truth):
    truth.red_sessions[0, ZONE, 1, 1, 0] = 1
    truth.red_sessions[0, ZONE, 2, 1, 0] = 1
    truth.files[0, ZONE, 2, 0] = 1
    truth.red_sessions[0, ZONE, 3, 1, 1] = 1
    truth.files[0, ZONE, 4, 1] = 1
    history = soc_terms.new_history(1)
    soc_terms.remember(truth, history)
    assert [hosts(truth, history, slot)["belief"] for slot in range(5)] == [0, 0, 1, 1, 0]
    assert zone(truth, history)["beliefs"] == pytest.approx(squash(np.array(2.0)))


def test_confirmed_means_held_and_known(truth):
    truth.red_sessions[0, ZONE, 3, 1, 1] = 1
    history = soc_terms.new_history(1)
    soc_terms.remember(truth, history)
    assert zone(truth, history)["confirmed"] == 0 == zone(truth, history, known((5,)))["confirmed"]
    assert zone(truth, history, known((3, 5)))["confirmed"] == pytest.approx(squash(np.array(1.0)))


def test_what_red_does_becomes_phases_that_fade(truth):
    history = soc_terms.new_history(1)
    act(truth, "PrivilegeEscalate", 6)
    soc_terms.remember(truth, history)
    now = hosts(truth, history, 6)
    assert now["technique"] == pytest.approx((Phase.EXECUTION + 1) / 5) and now["severity"] == pytest.approx(0.5)
    assert (now["confidence"], now["updated"]) == (0.55, 1.0)
    truth.step[0], truth.red_verb[:] = 20, 0
    soc_terms.remember(truth, history)
    later = hosts(truth, history, 6)
    assert later["updated"] == pytest.approx(np.exp(-0.5)) and later["confidence"] == 0.35
    assert zone(truth, history)["campaign"] == pytest.approx(0.2)
    truth.step[0] = 40
    assert zone(truth, history)["campaign"] == 0


def test_an_exploit_next_to_a_foothold_is_lateral_movement(truth):
    for held, phase in ((False, Phase.INITIAL_ACCESS), (True, Phase.LATERAL_MOVEMENT)):
        truth.red_sessions[0, ZONE, 3, 1, 1] = held
        history = soc_terms.new_history(1)
        act(truth, "ExploitRemoteService", 6)
        soc_terms.remember(truth, history)
        assert history.phase[0, ZONE, 6] == phase


def test_a_foothold_is_fresh_from_its_beginning_and_ends(truth):
    history = soc_terms.new_history(1)
    truth.red_sessions[0, ZONE, 3, 1, 1] = 1
    soc_terms.remember(truth, history)
    truth.step[0] = 30
    soc_terms.remember(truth, history)
    assert hosts(truth, history, 3)["opened"] == pytest.approx(np.exp(-1.0))
    truth.red_sessions[:] = 0
    soc_terms.remember(truth, history)
    assert hosts(truth, history, 3)["opened"] == 0


def test_events_heat_up_more_when_they_are_attacks(truth):
    truth.process_events[0, ZONE, 2] = 10
    cool, hot = soc_terms.new_history(1), soc_terms.new_history(1)
    soc_terms.remember(truth, cool)
    truth.red_sessions[0, ZONE, 2, 1, 1] = 1
    soc_terms.remember(truth, hot)
    assert zone(truth, cool)["alerts"] == zone(truth, hot)["alerts"] == pytest.approx(squash(np.array(1.0)))
    assert 0 < zone(truth, cool)["heat"] < zone(truth, hot)["heat"]


def test_blues_own_work_is_containment(truth):
    history = soc_terms.new_history(1)
    for verb, level, name in ((Verb.REMOVE, 0.5, "isolated"), (Verb.RESTORE, 1.0, "remediating")):
        truth.blue_verb[0, AGENT], truth.blue_target[0, AGENT] = 1 + verb, 1 + 17 * ZONE + 4
        assert hosts(truth, history, 4)["containment"] == level and hosts(truth, history, 5)["containment"] == 0
        assert zone(truth, history)[name] == pytest.approx(squash(np.array(1.0)))
    truth.firewall[0, ZONE, :3] = 1
    assert zone(truth, history)["throttled"] == pytest.approx(squash(np.array(3.0)))


def test_other_zones_say_nothing_about_this_one(truth):
    elsewhere = Subnet.OPERATIONAL_ZONE_B
    truth.red_sessions[0, elsewhere, 3, 4, 1] = 1
    truth.process_events[0, elsewhere, 3] = 1
    history = soc_terms.new_history(1)
    soc_terms.remember(truth, history)
    found = zone(truth, history)
    assert found["beliefs"] == found["alerts"] == found["heat"] == 0
    assert spec.BLUE_SUBNETS[3] == (elsewhere,)
    assert soc_terms.host_terms(3, truth, history, known())[0, 3, HOST_TERMS["belief"].start] == 1
