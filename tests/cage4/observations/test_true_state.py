"""The true state: its layout, its flat form, and what the native engine and the faces tell."""

import numpy as np
import pytest

import cage4
from cage4 import spec
from cage4.actions import SLEEP
from cage4.faces import CageParallelEnv
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.observations import true_state
from cage4.observations.true_state import LAYOUT, RUNNING, SERVICES, STOPPED, TrueState
from cage4.variants import RED_ACTIONS, Variant


def played(num=3, steps=80, **settings):
    env = NativeVectorEnv(num, Variant("test", **settings), 200)
    env.reset(seed=4)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        env.step({name: rng.integers(0, n, num) for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)})
    return env


def test_the_layout_and_the_fields_agree():
    assert tuple(field.name for field in LAYOUT) == TrueState._fields
    state = true_state.allocate(2)
    for field, array in zip(LAYOUT, state, strict=True):
        assert array.shape == (2, *field.shape)
        assert array.dtype == np.int32


def test_flat_form_and_back():
    vectors = np.arange(2 * LAYOUT.size, dtype=np.int32).reshape(2, -1)
    state = true_state.unflatten(vectors)
    assert state.red_sessions.shape == (2, 9, 17, 6, 2)
    np.testing.assert_array_equal(true_state.flatten(state), vectors)
    with pytest.raises(ValueError, match="entries"):
        true_state.unflatten(vectors[:, 1:])


def test_stack():
    one, two = true_state.allocate(1), true_state.allocate(2)
    one.step[:] = 5
    joined = true_state.stack([one, two])
    assert joined.step.tolist() == [5, 0, 0]
    assert true_state.stack([]).firewall.shape == (0, 9, 9)


def test_every_host_has_one_place():
    names = [codes.host_name(host) for host in range(codes.NUM_HOSTS)]
    places = [true_state.host_place(name) for name in names]
    assert len(set(places)) == len(names)
    assert true_state.host_place("root_internet_host_0") == (8, 16)
    assert true_state.host_place("office_network_subnet_user_host_9") == (7, 15)
    assert true_state.host_place("office_network_subnet_server_host_0") == (7, 0)


def test_ranges_and_sums():
    env = played(red_one_tick=True, phishing_rate=0.2)
    state = env.true_state()
    for field, array in zip(LAYOUT, state, strict=True):
        assert array.min() >= 0, field.name
        assert array.max() <= field.high, field.name
    np.testing.assert_array_equal(state.step, 80)
    np.testing.assert_array_equal(state.red_sessions.sum(axis=(1, 2, 4)), env.state.ses_count)
    np.testing.assert_array_equal(state.red_active, env.state.ses_count > 0)
    np.testing.assert_array_equal(state.suspicious_ids.sum(axis=(1, 2)), env.state.suspects)
    np.testing.assert_array_equal(state.firewall, env.state.blocked)
    np.testing.assert_array_equal(state.blue_ticks, env.state.busy)
    np.testing.assert_array_equal(state.ot_stopped == 1, state.services[..., SERVICES.index("OTSERVICE")] == STOPPED)
    hosts = state.exists[:, :8, :16].sum(axis=(1, 2))
    np.testing.assert_array_equal(hosts, env.state.num_users.sum(axis=1) + env.state.num_servers.sum(axis=1))
    nowhere = state.exists == 0
    assert not state.services[nowhere].any()
    assert not state.red_sessions[nowhere].any()
    assert state.red_sessions[..., 1].any()
    assert state.decoy_processes.any()


def test_what_blue_does_shows():
    env = NativeVectorEnv(1, Variant("test", red="sleep", green="none"), 60, seed=0)
    env.reset()
    commands = np.zeros((1, 5, 3), np.int64)
    commands[0, :, 0] = codes.SLEEP
    commands[0, 0] = codes.DECOY, codes.FIRST_SERVER, 0
    commands[0, 1] = codes.BLOCK, 1, 8
    commands[0, 2] = codes.RESTORE, 2 * codes.SLOTS + codes.FIRST_USER, 0
    env.step_commands(commands)
    state = env.true_state()
    assert state.blue_verb[0].tolist() == [1 + codes.DECOY, 0, 1 + codes.RESTORE, 0, 0]
    assert state.blue_target[0].tolist() == [1, 0, 1 + 2 * 17 + 6, 0, 0]
    assert state.blue_ticks[0].tolist() == [1, 0, 4, 0, 0]
    assert np.argwhere(state.firewall[0]).tolist() == [[1, 8]]
    env.step_commands(commands)
    state = env.true_state()
    assert np.argwhere(state.decoy_processes[0])[:, :2].tolist() == [[0, 0]]
    kind = int(np.flatnonzero(state.decoy_processes[0, 0, 0])[0])
    assert state.services[0, 0, 0, 5 + kind] == RUNNING
    assert state.reliability[0, 0, 0, 5 + kind] == 100


def test_red_is_named_as_in_a_choice_table():
    seen = set()
    env = NativeVectorEnv(4, None, 100)
    env.reset(seed=0)
    sleep = {name: np.full(4, index) for name, index in zip(spec.BLUE_AGENTS, SLEEP, strict=True)}
    for _ in range(80):
        env.step(sleep)
        state = env.true_state()
        verbs = state.red_verb[state.red_ticks > 0]
        seen |= {RED_ACTIONS[verb - 1] for verb in verbs}
        assert (verbs > 0).all()
        targets = state.red_target[state.red_ticks > 0] - 1
        rows = np.argwhere(state.red_ticks > 0)[:, 0]
        assert state.exists[rows, targets // 17, targets % 17].all()
    assert {"StealthServiceDiscovery", "ExploitRemoteService", "PrivilegeEscalate"} <= seen
    assert "DiscoverRemoteSystems" not in seen  # takes one tick, so it is never in progress


def test_rows_and_refusals():
    env = NativeVectorEnv(3, None, 60, seed=0)
    with pytest.raises(ValueError, match=r"rows \[0, 1, 2\] have not been reset"):
        env.true_state()
    env.reset(rows=[2, 1])
    state, swapped = env.true_state([1, 2]), env.true_state([2, 1])
    for one, other in zip(state, swapped, strict=True):
        np.testing.assert_array_equal(one, other[::-1])
    state.exists[:] = 5
    assert env.true_state([1]).exists.max() == 1
    with pytest.raises(ValueError, match="rows must"):
        env.true_state([3])


def test_the_pettingzoo_face_tells_it_apart_from_its_observations():
    env = cage4.parallel_env("native", seed=0)
    observations, infos = env.reset()
    state = env.true_state()
    assert state.step.tolist() == [0]
    assert true_state.flatten(state).shape == (1, LAYOUT.size)
    assert "true_state" not in infos["blue_agent_0"]
    assert all(vector.shape != env.state().shape for vector in observations.values())


def test_an_engine_without_a_true_state_says_so():
    class Plain:
        num_envs = 1

    with pytest.raises(ValueError, match="Plain does not tell the true state"):
        CageParallelEnv(Plain()).true_state()
