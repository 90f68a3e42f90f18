"""The tables against facts written down by hand, and rewards and policies against CybORG where it is present."""

import numpy as np
import pytest

from cage4 import spec
from cage4.spec import Subnet


def test_orders():
    assert " ".join(subnet.short for subnet in spec.SORTED_SUBNETS) == "ADM CON INT OFF OZA OZB PAZ RZA RZB"
    assert [spec.SORTED_SUBNETS[spec.SORTED_RANK[subnet]] for subnet in Subnet] == list(Subnet)


def test_sizes():
    assert spec.NUM_ACTIONS == (82, 82, 82, 82, 242)
    assert spec.OBSERVATION_SIZES == (92, 92, 92, 92, 210)


@pytest.mark.parametrize(
    ("steps", "lengths"), [(500, (167, 167, 166)), (100, (34, 33, 33)), (60, (20, 20, 20)), (10, (4, 3, 3))]
)
def test_phase_lengths(steps, lengths):
    assert spec.phase_lengths(steps) == lengths
    phases = [spec.phase_of_step(step, steps) for step in range(steps)]
    assert tuple(phases.count(phase) for phase in range(3)) == lengths
    assert phases == sorted(phases)


def test_phase_outside_the_episode():
    with pytest.raises(ValueError, match="outside"):
        spec.phase_of_step(500, 500)


def test_slots_are_servers_then_users():
    assert spec.slot_name(Subnet.ADMIN_NETWORK, 5) == "admin_network_subnet_server_host_5"
    assert spec.slot_name(Subnet.ADMIN_NETWORK, 6) == "admin_network_subnet_user_host_0"
    with pytest.raises(ValueError, match="slot 16"):
        spec.slot_name(Subnet.ADMIN_NETWORK, 16)


def test_green_partners_are_mutual():
    for table in spec.GREEN_PARTNERS:
        for subnet, partners in table.items():
            assert all(subnet in table[partner] for partner in partners), subnet


def test_policy_bits_by_hand():
    bits = spec.COMMS_POLICY[1, Subnet.RESTRICTED_ZONE_A]
    assert "".join(map(str, bits)) == "011011011"
    assert "".join(map(str, spec.COMMS_POLICY[2, Subnet.OPERATIONAL_ZONE_B])) == "111111111"
    own = spec.COMMS_POLICY[:, np.arange(9), np.array(spec.SORTED_RANK)]
    assert (own == 1).all()


def test_tables_cannot_be_written():
    for table in (spec.REWARDS, spec.COMMS_POLICY):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0


@pytest.mark.cyborg
def test_rewards_and_green_policy_are_cyborgs():
    from cage4.cyborg.engine import CyborgEpisode

    game = CyborgEpisode("base", 30, 1)
    controller = game.cyborg.environment_controller
    calculator = controller.team_reward_calculators["Blue"]["BlueRewardMachine"]
    for phase in range(3):
        table = type(calculator).get_phase_rewards(calculator, phase)
        for subnet in Subnet:
            entry = table[subnet.cyborg_name]
            assert [entry[part.short] for part in spec.RewardPart] == spec.REWARDS[phase, subnet].tolist()
    game.reset(seed=2)
    for step in range(spec.episode_length(30)):
        game.step({})
        phase = spec.phase_of_step(step, 30)
        for name, interface in controller.agent_interfaces.items():
            if name.startswith("green"):
                (session,) = controller.state.sessions[name].values()
                own = Subnet[str(controller.state.hostname_subnet_map[session.hostname].value)[:-7].upper()]
                allowed = {str(getattr(subnet, "value", subnet)) for subnet in interface.allowed_subnets}
                expected = {own, *spec.GREEN_PARTNERS[phase][own]}
                assert allowed == {subnet.cyborg_name for subnet in expected}
