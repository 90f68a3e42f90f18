"""The action codec: exact inverse, documented indices, tables that agree with the words."""

import re

import numpy as np
import pytest

from cage4 import actions, spec
from cage4.actions import BlueAction
from cage4.spec import Subnet, Verb


@pytest.mark.parametrize("agent", range(5))
def test_decode_and_encode_are_exact_inverses(agent):
    entries = actions.catalogue(agent)
    assert len(entries) == len(set(entries)) == spec.NUM_ACTIONS[agent]
    for index, action in enumerate(entries):
        assert actions.decode(agent, index) == action
        assert actions.encode(agent, action) == index


@pytest.mark.parametrize(
    ("agent", "index", "text"),
    [
        (0, 0, "Analyse restricted_zone_a_subnet_server_host_0"),
        (0, 6, "Analyse restricted_zone_a_subnet_user_host_0"),
        (0, 16, "Monitor"),
        (1, 32, "Remove operational_zone_a_subnet_user_host_9"),
        (2, 33, "Restore restricted_zone_b_subnet_server_host_0"),
        (0, 49, "Sleep"),
        (0, 50, "AllowTrafficZone restricted_zone_a_subnet <- admin_network_subnet"),
        (0, 57, "AllowTrafficZone restricted_zone_a_subnet <- restricted_zone_b_subnet"),
        (0, 58, "BlockTrafficZone restricted_zone_a_subnet <- admin_network_subnet"),
        (3, 81, "DeployDecoy operational_zone_b_subnet_user_host_9"),
        (4, 48, "Monitor"),
        (4, 65, "Remove office_network_subnet_server_host_0"),
        (4, 145, "Sleep"),
        (4, 146, "AllowTrafficZone admin_network_subnet <- contractor_network_subnet"),
        (4, 193, "BlockTrafficZone public_access_zone_subnet <- restricted_zone_b_subnet"),
        (4, 241, "DeployDecoy public_access_zone_subnet_user_host_9"),
    ],
)
def test_documented_indices(agent, index, text):
    assert actions.label(agent, index) == text


def test_sleep_and_monitor_indices():
    assert actions.SLEEP == (49, 49, 49, 49, 145)
    assert actions.MONITOR == (16, 16, 16, 16, 48)


def test_tables_say_the_same_as_the_catalogue():
    for agent in range(5):
        for index, action in enumerate(actions.catalogue(agent)):
            assert actions.VERB[agent, index] == action.verb
            assert actions.SUBNET[agent, index] == (-1 if action.subnet is None else action.subnet)
            assert actions.SLOT[agent, index] == (-1 if action.slot is None else action.slot)
            assert actions.SOURCE[agent, index] == (-1 if action.source is None else action.source)
        assert (actions.VERB[agent, spec.NUM_ACTIONS[agent] :] == Verb.SLEEP).all()
    with pytest.raises(ValueError, match="read-only"):
        actions.VERB[0, 0] = 1


@pytest.mark.parametrize(("agent", "index"), [(0, -1), (0, 82), (4, 242), (5, 0), (-1, 0)])
def test_indices_outside_the_catalogue_are_refused(agent, index):
    with pytest.raises(ValueError, match="does not exist"):
        actions.decode(agent, index)


def test_foreign_and_malformed_actions_are_refused():
    with pytest.raises(ValueError, match="blue_agent_0 has no action Restore office"):
        actions.encode(0, BlueAction(Verb.RESTORE, Subnet.OFFICE_NETWORK, 3))
    own = BlueAction(Verb.BLOCK_TRAFFIC, Subnet.RESTRICTED_ZONE_A, source=Subnet.RESTRICTED_ZONE_A)
    with pytest.raises(ValueError, match="has no action"):
        actions.encode(0, own)
    for bad in (
        lambda: BlueAction(Verb.SLEEP, Subnet.OFFICE_NETWORK),
        lambda: BlueAction(Verb.RESTORE, Subnet.OFFICE_NETWORK),
        lambda: BlueAction(Verb.BLOCK_TRAFFIC, Subnet.OFFICE_NETWORK, 3),
    ):
        with pytest.raises(ValueError, match="takes"):
            bad()


def test_one_table_says_what_every_command_is_aimed_at_and_how_long_it_takes():
    assert list(spec.COMMANDS) == list(Verb)
    told = {verb.cyborg_name: (spec.COMMANDS[verb].target, spec.DURATION[verb]) for verb in Verb}
    assert told == {
        "Analyse": ("host", 2),
        "Monitor": ("nothing", 1),
        "Remove": ("host", 3),
        "Restore": ("host", 5),
        "Sleep": ("nothing", 1),
        "AllowTrafficZone": ("traffic", 1),
        "BlockTrafficZone": ("traffic", 1),
        "DeployDecoy": ("host", 2),
    }


@pytest.mark.parametrize("agent", range(5))
def test_tables_by_target_hold_every_index_once(agent):
    hosts, traffic = actions.HOST_INDEX[agent], actions.TRAFFIC_INDEX[agent]
    found = sorted([*hosts[hosts >= 0].tolist(), *traffic[traffic >= 0].tolist()])
    rest = {actions.MONITOR[agent], actions.SLEEP[agent]}
    assert found == [index for index in range(spec.NUM_ACTIONS[agent]) if index not in rest]
    for (verb, place), index in np.ndenumerate(hosts):
        if index >= 0:
            subnet = spec.BLUE_SUBNETS[agent][place // 16]
            assert actions.decode(agent, int(index)) == BlueAction(Verb(verb), subnet, place % 16)
    for (verb, place, source), index in np.ndenumerate(traffic):
        if index >= 0:
            command = BlueAction(
                (Verb.ALLOW_TRAFFIC, Verb.BLOCK_TRAFFIC)[verb],
                spec.BLUE_SUBNETS[agent][place],
                source=spec.SORTED_SUBNETS[source],
            )
            assert actions.decode(agent, int(index)) == command


def test_the_engine_plays_what_the_catalogue_says():
    from cage4.native.agents.blue import CATALOGUE

    for agent in range(spec.NUM_BLUE):
        assert (CATALOGUE[agent, :, 0] == actions.VERB[agent]).all()
        moves = np.isin(actions.VERB[agent], spec.TRAFFIC_VERBS)
        assert (CATALOGUE[agent, moves, 1] == actions.SUBNET[agent, moves]).all()
        assert (CATALOGUE[agent, moves, 2] == actions.SOURCE[agent, moves]).all()


@pytest.mark.cyborg
def test_labels_are_cyborgs_own():
    from cage4.cyborg.engine import CyborgEpisode

    game = CyborgEpisode("base", 30, 1)
    game.reset(seed=3)
    for agent, name in enumerate(spec.BLUE_AGENTS):
        theirs = [re.sub(r" \([^)]*\)|^\[Invalid\] ", "", label) for label in game.wrapper.action_labels(name)]
        assert theirs == [actions.label(agent, index) for index in range(spec.NUM_ACTIONS[agent])]
