"""Whole episodes against numbers recorded from CybORG, without CybORG."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cage4.native import rng
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.native.world.state import RED_HOST, RED_LEFT, RED_SESSION, RED_VERB, RED_ZONE, SEEN_TRUE
from cage4.variants import VARIANTS

SLEEP = (49, 49, 49, 49, 145)

VALID_PLAY_REWARDS = (
    "-1 0 -1 -2 -1 -1 -7 -6 -2 -6 -8 -23 -17 -2 -12 -4 -11 -5 -11 -6 -5 0 -9 -2 -4 -4 -5 0 -2 -4 -7 -4 -6 -3 -2 -5 "
    "-3 -3 -7 -7 -7 -13 -6 -3 -4 -7 -8 -2 -7 -11 -6 -4 -16 -9 -13 -10 -11 -13 -9"
)
RECORDED = {
    # seed: (rewards by step counted from 1, hash of all observations and rewards, PCG64 state at the end)
    0: (
        {43: -3, 51: -1, 52: -1, 56: -3},
        "78ad863df648f434045d0d09b2f38932f1684e56b7d4a017ff3438778b50e946",
        95435200861599080214482707498707854969,
    ),
    5: (
        {i: int(word) for i, word in enumerate(VALID_PLAY_REWARDS.split(), 1) if word != "0"},
        "627dcae2bbd869d4426826d990b83b096ef8fcf3312c706dc1bde76f1c4d1167",
        242972563346798957967180180750859941377,
    ),
}


def play_recorded(seed: int, steps: int = 60) -> tuple[dict[int, int], str, int]:
    """Seed 0 sleeps; seed 5 plays valid actions of one policy generator, as the recording did."""
    env = NativeVectorEnv(1, steps=steps, seed=seed)
    _, infos = env.reset()
    digest, policy, rewards = hashlib.sha256(), np.random.default_rng(0), {}
    for call in range(1, steps):
        chosen = SLEEP
        if seed == 5:
            chosen = tuple(policy.choice(np.flatnonzero(infos["action_mask"][name][0])) for name in env.agents)
        actions = {name: np.array([chosen[i]]) for i, name in enumerate(env.agents)}
        observations, reward, _, _, infos = env.step(actions)
        for name in env.agents:
            digest.update(observations[name][0].astype("<i8").tobytes())
        digest.update(str(int(reward[0])).encode())
        if reward[0]:
            rewards[call] = int(reward[0])
    return rewards, digest.hexdigest(), env.generator_state(0)["state"]["state"]


@pytest.mark.parametrize("seed", RECORDED)
def test_episodes_equal_the_recorded_ones(seed: int) -> None:
    assert play_recorded(seed) == RECORDED[seed]


# Seed 12, 100 steps, sleeping blue: (call, red agent, command, target, session id, succeeded)
TRACE = """2 0 PrivilegeEscalate CON.s0 0 T; 3 0 DiscoverRemoteSystems CON 0 T; 4 0 DiscoverRemoteSystems CON 0 T
5 0 AggressiveServiceDiscovery PAZ.s0 0 T; 8 3 DiscoverRemoteSystems RZB 0 T; 9 0 ExploitRemoteService PAZ.s0 0 T
9 3 DiscoverRemoteSystems RZB 0 T; 10 0 AggressiveServiceDiscovery CON.u4 0 T; 11 5 PrivilegeEscalate PAZ.s0 0 T
12 3 StealthServiceDiscovery RZB.u3 0 T; 13 0 StealthServiceDiscovery CON.u0 0 T
14 5 StealthServiceDiscovery ADM.s0 0 T; 15 3 StealthServiceDiscovery RZB.s2 0 T; 15 5 DiscoverRemoteSystems PAZ 0 T
16 0 StealthServiceDiscovery CON.u2 0 T; 16 5 DiscoverRemoteSystems PAZ 0 T; 19 0 StealthServiceDiscovery CON.u1 0 T
19 3 ExploitRemoteService RZB.s2 0 T; 19 5 StealthServiceDiscovery PAZ.u4 0 T
20 3 AggressiveServiceDiscovery RZB.u1 0 T; 21 3 AggressiveServiceDiscovery RZB.s3 0 T
22 0 StealthServiceDiscovery CON.u3 0 T; 22 5 StealthServiceDiscovery PAZ.s1 0 T; 23 3 PrivilegeEscalate RZB.u2 0 T
23 5 DiscoverRemoteSystems PAZ 0 T; 25 0 StealthServiceDiscovery RZA.s0 0 T; 25 3 DiscoverDeception RZB.u1 0 T
26 5 StealthServiceDiscovery PAZ.u1 0 T; 28 0 StealthServiceDiscovery RZB.s0 0 T
28 3 StealthServiceDiscovery RZB.u0 0 T; 28 5 DiscoverDeception PAZ.u1 0 T; 30 5 Impact PAZ.s0 0 F"""
SESSIONS = {
    0: "0 CON.s0 root A, 1 CON.u1 root O, 2 CON.u0 root O, 3 CON.u2 root O",
    1: "0 RZA.u5 root A, 1 RZA.u1 user A, 2 RZA.s0 user A",
    2: "",
    3: "0 RZB.u2 root A, 1 RZB.s2 root O, 2 RZB.u1 root O, 3 RZB.s1 root O, 4 RZB.s3 user O, 5 RZB.u0 user O",
    4: "",
    5: "0 PAZ.s0 root A, 1 OFF.u3 user A, 2 PAZ.u4 user A, 3 OFF.u6 user A",
}
_SHORT = ("RZA", "OZA", "RZB", "OZB", "CON", "PAZ", "ADM", "OFF", "INT")


def _short_host(host: int) -> str:
    zone, slot = divmod(int(host), codes.SLOTS)
    kind = f"s{slot - codes.FIRST_SERVER}" if slot >= codes.FIRST_SERVER else f"u{slot - codes.FIRST_USER}"
    return f"{_SHORT[zone]}.{kind}"


def _executed(env: NativeVectorEnv, call: int) -> list[str]:
    lines = []
    for agent, due in enumerate(env.state.red_due[0]):
        if due[RED_VERB] == codes.RED_SLEEP or due[RED_LEFT] < 0:
            continue
        is_sweep = due[RED_VERB] == codes.DISCOVER
        target = _SHORT[due[RED_ZONE]] if is_sweep else _short_host(due[RED_HOST])
        succeeded = "T" if env.state.red_seen[0, agent, SEEN_TRUE] else "F"
        lines.append(f"{call} {agent} {codes.RED_VERB_NAMES[due[RED_VERB]]} {target} {due[RED_SESSION]} {succeeded}")
    return lines


def _sessions(env: NativeVectorEnv, agent: int) -> str:
    s, texts, node = env.state, [], env.state.ses_head[0, agent]
    while node >= 0:
        kind = "A" if s.ses_abstract[0, node] else "O"
        user = codes.USER_NAMES[s.ses_user[0, node]].replace("ubuntu", "user")
        texts.append(f"{s.ses_id[0, node]} {_short_host(s.ses_host[0, node])} {user} {kind}")
        node = s.ses_next[0, node]
    return ", ".join(texts)


def test_red_trace_equals_the_recorded_one() -> None:
    env = NativeVectorEnv(1, steps=100, seed=12)
    env.reset()
    actions = {name: np.array([SLEEP[i]]) for i, name in enumerate(env.agents)}
    trace, rewards = [], {}
    for call in range(1, 61):
        batch = env.step(actions)
        trace += _executed(env, call) if call <= 30 else []
        if batch.rewards[0]:
            rewards[call] = int(batch.rewards[0])
    assert sorted(trace) == sorted(TRACE.replace("\n", "; ").split("; "))
    assert rewards == {30: -3, 41: -1, 54: -1, 55: -1, 59: -1}
    assert {agent: _sessions(env, agent) for agent in SESSIONS} == SESSIONS
    assert env.generator_state(0)["state"]["state"] % 10**12 == 945442973568


_SCRIPT = """
import json, sys
import numpy as np
from cage4.native.engine import NativeVectorEnv
from cage4.variants import VARIANTS
env = NativeVectorEnv(2, VARIANTS["phishing"], steps=30, seed=4)
env.reset()
policy = np.random.default_rng(1)
rewards = []
for _ in range(29):
    batch = env.step({name: policy.integers(0, 82, 2) for name in env.agents})
    rewards.append(batch.rewards.tolist())
print(json.dumps([rewards, [env.generator_state(i) for i in range(2)], int(env.state.observation.sum())]))
"""


@pytest.mark.slow
def test_without_the_compiler_the_episode_is_the_same() -> None:
    results = []
    for flag in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": flag, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", _SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        results.append(json.loads(done.stdout))
    assert results[0] == results[1]


def test_seeds_of_numpy_and_engine_agree() -> None:
    env = NativeVectorEnv(1, VARIANTS["const-size"], seed=7)
    fresh = rng.state_of_row(rng.seed_row(7))
    assert env.generator_state(0)["state"]["inc"] == fresh["state"]["inc"]
    assert env.generator_state(0) != fresh
