"""World generation against topologies recorded from CybORG."""

from __future__ import annotations

import numpy as np
import pytest

from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.variants import VARIANTS

# seed, reset() calls after construction: (third octet, users, servers) per subnet, red's host, its process id
RECORDED = [
    (0, 0, "217,10,3 162,7,5 129,10,1 68,8,2 78,7,5 10,9,2 19,6,6 4,6,1 46,0,0", 97, "user_host_2", 8569),
    (0, 1, "244,9,2 157,4,2 234,5,6 68,8,3 134,10,5 97,7,5 184,6,2 43,10,2 200,0,0", 95, "user_host_6", 8809),
    (1, 0, "121,6,6 131,5,4 193,10,4 243,6,4 8,9,2 37,7,3 210,6,2 242,6,4 63,0,0", 93, "user_host_8", 9893),
    (1, 1, "206,10,2 91,10,2 126,6,6 139,4,5 36,5,4 155,9,4 109,6,4 165,9,4 191,0,0", 99, "user_host_4", 6041),
    (2, 0, "214,8,4 66,10,5 27,8,3 77,3,5 107,8,2 208,5,5 116,3,1 22,6,1 87,0,0", 86, "user_host_1", 8844),
    (2, 1, "201,6,6 110,3,5 155,7,3 125,6,4 217,4,6 98,5,4 99,6,1 48,10,4 216,0,0", 89, "server_host_1", 5756),
]
# Hosts of the five blue parent sessions after construction and one reset().
PARENTS = {
    0: ("RZA server_host_1", "OZA user_host_1", "RZB user_host_3", "OZB user_host_5", "PAZ server_host_0"),
    1: ("RZA server_host_0", "OZA user_host_3", "RZB server_host_4", "OZB router", "ADM user_host_3"),
}


@pytest.mark.parametrize(("seed", "resets", "zones", "hosts", "red_host", "red_pid"), RECORDED)
def test_worlds_equal_the_recorded_ones(
    seed: int, resets: int, zones: str, hosts: int, red_host: str, red_pid: int
) -> None:
    env = NativeVectorEnv(1, seed=seed)
    for _ in range(resets):
        env.reset()
    s = env.state
    expected = [tuple(map(int, zone.split(","))) for zone in zones.split()]
    assert list(zip(s.subnet_octet[0], s.num_users[0], s.num_servers[0], strict=True)) == expected
    assert (s.host_octet[0] > 0).sum() == hosts
    node = s.ses_head[0, 0]
    assert codes.host_name(s.ses_host[0, node]) == f"contractor_network_subnet_{red_host}"
    assert s.ses_pid[0, node] == red_pid


@pytest.mark.parametrize("seed", PARENTS)
def test_blue_parents_equal_the_recorded_ones(seed: int) -> None:
    env = NativeVectorEnv(1, seed=seed)
    env.reset()
    names = []
    for host in env.state.blue_parent[0]:
        subnet = spec.Subnet(host // codes.SLOTS)
        names.append(f"{subnet.short} {codes.host_name(host).removeprefix(subnet.cyborg_name + '_')}")
    assert tuple(names) == PARENTS[seed]


def test_host_numbers_follow_cyborgs_host_order() -> None:
    names = [codes.host_name(host) for host in range(codes.NUM_HOSTS)]
    assert len(set(names)) == codes.NUM_HOSTS
    assert names[0] == "restricted_zone_a_subnet_router"
    assert names[1] == "restricted_zone_a_subnet_user_host_0"
    assert names[codes.FIRST_SERVER] == "restricted_zone_a_subnet_server_host_0"
    assert names[-1] == "root_internet_host_0"


def test_limits_hold_in_many_worlds() -> None:
    env = NativeVectorEnv(200, seed=1000)
    s = env.state
    zones = slice(0, codes.INTERNET)
    assert s.num_users[:, zones].min() == spec.MIN_USERS
    assert s.num_users[:, zones].max() == spec.MAX_USERS
    assert s.num_servers[:, zones].min() == spec.MIN_SERVERS
    assert s.num_servers[:, zones].max() == spec.MAX_SERVERS
    assert (s.num_green == s.num_users.sum(axis=1)).all()
    assert (s.fault == 0).all()
    assert s.proc_pool[:, 1].min() > 100


def test_constant_size_fills_every_slot() -> None:
    env = NativeVectorEnv(3, VARIANTS["const-size"], seed=0)
    assert (env.state.host_octet > 0).all()
    assert (env.state.num_green == codes.MAX_GREEN).all()
    _, infos = env.reset()
    assert all(mask.all() for mask in infos["action_mask"].values())


def test_addresses_are_unique_within_a_subnet() -> None:
    env = NativeVectorEnv(20, seed=5)
    for row in env.state.host_octet:
        for zone in range(codes.INTERNET):
            octets = row[zone * codes.SLOTS : (zone + 1) * codes.SLOTS]
            present = octets[octets > 0]
            assert len(np.unique(present)) == len(present)
            assert present.max() <= 254
