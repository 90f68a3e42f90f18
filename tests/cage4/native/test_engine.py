"""The batched face of the native engine: contract, independence of rows and threads, bad input."""

from __future__ import annotations

from typing import Any

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from cage4 import spec
from cage4.actions import SLEEP
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.native.world.state import Sizes
from cage4.variants import VARIANTS, Variant
from native_sim.api import VectorEnv

TINY = Sizes(proc=1024, ses=88, port=110, known=90, suspect=8)
"""Pools that an episode must outgrow, or nearly."""


def random_actions(env: NativeVectorEnv, rng: np.random.Generator, num: int) -> dict[str, Any]:
    return {
        name: rng.integers(0, env.single_action_space[name].n, num)  # type: ignore[attr-defined]
        for name in env.agents
    }


def episode(env: NativeVectorEnv, steps: int, policy_seed: int = 0) -> list[np.ndarray]:
    """Play all rows with actions that depend on the row alone, and return everything shown."""
    rngs = [np.random.default_rng([policy_seed, row]) for row in range(env.num_envs)]
    seen = []
    for _ in range(steps):
        draws = np.array([rng.integers(0, spec.NUM_ACTIONS) for rng in rngs])
        messages = np.array([rng.integers(0, 2, (spec.NUM_BLUE, spec.MESSAGE_BITS)) for rng in rngs])
        batch = env.step({name: draws[:, i] for i, name in enumerate(env.agents)}, messages)
        parts = [batch.observations[name] for name in env.agents]
        infos = batch.infos
        seen.append(
            np.concatenate(
                [
                    *parts,
                    batch.rewards[:, None],
                    batch.terminations[:, None],
                    infos["busy"],
                    infos["phase"][:, None],
                    infos["reward_parts"].reshape(env.num_envs, -1),
                    infos["action_cost"][:, None],
                ],
                axis=1,
            )
        )
    return seen


def test_it_is_the_common_face_and_declares_its_spaces() -> None:
    env = NativeVectorEnv(3, steps=20, seed=0)
    assert isinstance(env, VectorEnv)
    assert env.agents == spec.BLUE_AGENTS
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    observations, infos = env.reset()
    for i, name in enumerate(env.agents):
        space = env.single_observation_space[name]  # type: ignore[index]
        assert isinstance(space, gymnasium.spaces.MultiDiscrete)
        assert space.nvec.tolist() == [3] + [2] * (spec.OBSERVATION_SIZES[i] - 1)
        assert observations[name].shape == (3, spec.OBSERVATION_SIZES[i])
        assert observations[name].dtype == space.dtype == np.int8
        assert all(space.contains(row) for row in observations[name])
        assert infos["action_mask"][name].shape == (3, spec.NUM_ACTIONS[i])
        assert infos["action_mask"][name].dtype == np.int8
        assert env.single_action_space[name].n == spec.NUM_ACTIONS[i]  # type: ignore[index]
    assert infos["reward_parts"].shape == (3, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS)
    assert infos["busy"].shape == (3, spec.NUM_BLUE)
    assert env.observation_space["blue_agent_0"].shape == (3, 92)  # type: ignore[index]


def test_padding_changes_shapes_only() -> None:
    plain, padded = NativeVectorEnv(1, steps=20, seed=3), NativeVectorEnv(1, steps=20, seed=3, pad_spaces=True)
    a, info_a = plain.reset()
    b, info_b = padded.reset()
    for i, name in enumerate(plain.agents):
        size, num = spec.OBSERVATION_SIZES[i], spec.NUM_ACTIONS[i]
        assert b[name].shape == (1, spec.MAX_OBSERVATION)
        assert info_b["action_mask"][name].shape == (1, spec.MAX_ACTIONS)
        assert (b[name][:, :size] == a[name]).all()
        assert not b[name][:, size:].any()
        assert (info_b["action_mask"][name][:, :num] == info_a["action_mask"][name]).all()
        assert not info_b["action_mask"][name][:, num:].any()
    sleep_like = {name: np.array([spec.MAX_ACTIONS - 1]) for name in padded.agents}
    padded.step(sleep_like)  # padding means Sleep


def test_same_seed_same_episode_other_seed_other_episode() -> None:
    plays = []
    for seed in (5, 5, 6):
        env = NativeVectorEnv(2, steps=40, seed=seed)
        env.reset()
        plays.append(np.array(episode(env, 39)))
    assert (plays[0] == plays[1]).all()
    assert (plays[0] != plays[2]).any()
    assert (plays[0][:, 1] == plays[2][:, 0]).sum() < plays[0][:, 1].size  # actions differ by row


def test_reset_continues_the_stream_and_a_seed_replaces_it() -> None:
    env = NativeVectorEnv(1, steps=20, seed=9)
    constructed = env.state.host_octet[0].copy()
    env.reset()
    assert (env.state.host_octet[0] != constructed).any()
    env.reset(seed=9)
    assert (env.state.host_octet[0] == constructed).all()
    assert NativeVectorEnv(1, steps=20, seed=None).generator_state(0) != NativeVectorEnv(1, steps=20).generator_state(0)


def test_a_none_among_seeds_continues_its_row() -> None:
    a, b = NativeVectorEnv(2, steps=20, seed=1), NativeVectorEnv(2, steps=20, seed=1)
    a.reset()
    b.reset(seed=[None, 77])
    assert a.generator_state(0) == b.generator_state(0)
    assert a.generator_state(1) != b.generator_state(1)


def test_rows_do_not_depend_on_their_neighbours() -> None:
    together = NativeVectorEnv(6, VARIANTS["phishing"], steps=40, seed=20)
    together.reset()
    batch = np.array(episode(together, 39))
    for row in (0, 3, 5):
        alone = NativeVectorEnv(1, VARIANTS["phishing"], steps=40, seed=20 + row)
        alone.reset()
        rng = np.random.default_rng([0, row])
        for t in range(39):
            draws = rng.integers(0, spec.NUM_ACTIONS)
            messages = rng.integers(0, 2, (1, spec.NUM_BLUE, spec.MESSAGE_BITS))
            out = alone.step({name: draws[i : i + 1] for i, name in enumerate(alone.agents)}, messages)
            shown = np.concatenate([out.observations[name][0] for name in alone.agents])
            assert (batch[t, row, : len(shown)] == shown).all()
        assert alone.generator_state(0) == together.generator_state(row)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine offers one thread")
def test_threads_change_nothing() -> None:
    plays, states = [], []
    for threads in (1, 2):
        env = NativeVectorEnv(16, VARIANTS["stealthy-red"], steps=60, seed=50, threads=threads)
        env.reset()
        plays.append(np.array(episode(env, 59)))
        states.append([env.generator_state(row) for row in range(16)])
    assert (plays[0] == plays[1]).all()
    assert states[0] == states[1]


def test_rows_can_be_stepped_and_reset_alone() -> None:
    a, b = NativeVectorEnv(3, steps=30, seed=2), NativeVectorEnv(3, steps=30, seed=2)
    a.reset()
    b.reset()
    rng = np.random.default_rng(0)
    actions = random_actions(a, rng, 3)
    whole = a.step(actions)
    order = [2, 0]
    before = b.generator_state(1)
    part = b.step({name: values[order] for name, values in actions.items()}, rows=order)
    assert b.generator_state(1) == before
    for name in a.agents:
        assert (part.observations[name] == whole.observations[name][order]).all()
    assert part.rewards.tolist() == whole.rewards[order].tolist()
    observations, _ = b.reset(rows=[1], seed=[4])
    assert observations["blue_agent_4"].shape == (1, 210)
    assert b.state.time.tolist() == [1, 0, 1]
    b.reset(options={"reset_mask": np.array([True, False, False])})
    assert b.state.time.tolist() == [0, 0, 1]


def test_done_comes_one_step_early_and_a_finished_row_refuses() -> None:
    env = NativeVectorEnv(2, steps=10, seed=0)
    env.reset()
    rng = np.random.default_rng(0)
    done = [env.step(random_actions(env, rng, 2)) for _ in range(9)]
    assert [bool(batch.terminations[0]) for batch in done] == [False] * 8 + [True]
    assert (done[-1].terminations == done[-1].truncations).all()
    env.reset(rows=[1])
    before = env.memory.rows.tobytes()
    with pytest.raises(ValueError, match=r"rows \[0\] are over"):
        env.step(random_actions(env, rng, 2))
    assert env.memory.rows.tobytes() == before
    env.step(random_actions(env, rng, 1), rows=[1])


def test_a_row_must_be_reset_first() -> None:
    env = NativeVectorEnv(1, steps=10, seed=0)
    with pytest.raises(ValueError, match="not been reset"):
        env.step(random_actions(env, np.random.default_rng(0), 1))


def test_phases_and_parts_add_up() -> None:
    env = NativeVectorEnv(4, VARIANTS["phishing"], steps=30, seed=8)
    env.reset()
    rng = np.random.default_rng(1)
    for call in range(29):
        batch = env.step(random_actions(env, rng, 4))
        assert (batch.infos["phase"] == spec.phase_of_step(call, 30)).all()
        assert all((batch.observations[name][:, 0] == batch.infos["phase"]).all() for name in env.agents)
        total = batch.infos["reward_parts"].sum(axis=(1, 2)) + batch.infos["action_cost"]
        assert (total == batch.rewards).all()
        assert (batch.infos["action_cost"] <= 0).all()


def test_results_are_the_callers_own() -> None:
    env = NativeVectorEnv(2, steps=10, seed=0)
    observations, infos = env.reset()
    mask = infos["action_mask"]["blue_agent_0"]
    kept = mask.copy()
    with pytest.raises(ValueError, match="read-only"):
        mask[:] = 0
    part = env.reset(rows=[1])[1]["action_mask"]["blue_agent_0"]
    assert not part.flags.writeable
    env.reset(seed=99)
    assert (mask == kept).all()
    for values in observations.values():
        values[:] = 1
    first = env.step(random_actions(env, np.random.default_rng(0), 2))
    copies = {name: values.copy() for name, values in first.observations.items()}
    env.step(random_actions(env, np.random.default_rng(1), 2))
    assert all((first.observations[name] == copies[name]).all() for name in env.agents)


def test_pools_grow_without_a_trace() -> None:
    plays, states = [], []
    for sizes in (None, TINY):
        env = NativeVectorEnv(3, VARIANTS["phishing"], steps=80, seed=30, sizes=sizes)
        env.reset()
        plays.append(np.array(episode(env, 79)))
        states.append([env.generator_state(row) for row in range(3)])
    assert env.memory.ses.shape[1] > TINY.ses
    assert env.memory.port.shape[1] > TINY.port
    assert env.memory.known.shape[1] > TINY.known
    assert (plays[0] == plays[1]).all()
    assert states[0] == states[1]


def test_suspicious_processes_have_room_or_make_it() -> None:
    env = NativeVectorEnv(8, VARIANTS["aggressive-red"], steps=200, seed=3, sizes=Sizes(suspect=8))
    env.reset()
    episode(env, 199)
    assert env.state.suspects.max() > 8
    assert env.memory.suspect.shape[1] >= env.state.suspects.max()
    assert (env.state.suspects < Sizes().suspect).all(), "the default size should hold an ordinary episode"


def test_decoys_without_end_only_make_pools_grow() -> None:
    env = NativeVectorEnv(1, steps=1300, seed=1)
    env.reset()
    commands = np.zeros((1, 5, 3), np.int64)
    for blue in range(5):
        commands[0, blue] = spec.Verb.DEPLOY_DECOY, env.state.blue_parent[0, blue], 0
    for _ in range(1299):
        batch = env.step_commands(commands)
    assert batch.terminations[0]
    assert env.memory.proc.shape[1] > Sizes().proc
    assert env.state.svc_count.max() <= codes.MAX_SERVICES


def test_a_restore_is_charged_even_when_dropped_or_invalid() -> None:
    env = NativeVectorEnv(1, steps=30, seed=1)
    env.reset()
    commands = np.zeros((1, 5, 3), np.int64)
    commands[:, :, 0] = spec.Verb.SLEEP
    commands[0, 0] = spec.Verb.RESTORE, env.state.blue_parent[0, 0], 0
    costs, busy = [], []
    for _ in range(6):
        batch = env.step_commands(commands)
        costs.append(int(batch.infos["action_cost"][0]))
        busy.append(int(batch.infos["busy"][0, 0]))
    assert costs == [-1] * 6
    assert busy == [4, 3, 2, 1, 0, 4]
    commands[0, 1] = spec.Verb.RESTORE, env.state.blue_parent[0, 2], 0  # another agent's host
    assert env.step_commands(commands).infos["action_cost"][0] == -2
    assert env.state.busy[0, 1] == 0


def test_an_invalid_action_costs_a_tenth_and_holds_no_one_up() -> None:
    env, idle = NativeVectorEnv(1, steps=30, seed=1), NativeVectorEnv(1, steps=30, seed=1)
    env.reset()
    idle.reset()
    commands = np.zeros((1, 5, 3), np.int64)
    commands[:, :, 0] = spec.Verb.SLEEP
    commands[0, 2] = codes.INVALID, 0, 0
    batch, quiet = env.step_commands(commands), idle.step({n: np.array([SLEEP[i]]) for i, n in enumerate(env.agents)})
    assert batch.infos["action_cost"].tolist() == [-0.1]
    assert batch.rewards[0] == quiet.rewards[0] - 0.1
    assert env.state.busy[0].tolist() == [0] * 5
    assert env.generator_state(0) == idle.generator_state(0)
    commands[0, 0] = spec.Verb.RESTORE, env.state.blue_parent[0, 0], 0
    env.step_commands(commands)
    commands[0, 0] = codes.INVALID, 0, 0  # dropped, since the Restore is under way, and charged all the same
    commands[0, 2] = spec.Verb.RESTORE, env.state.blue_parent[0, 0], 0  # another agent's host
    batch = env.step_commands(commands)
    assert batch.infos["action_cost"].tolist() == [-1.1]
    assert env.state.busy[0].tolist() == [3, 0, 0, 0, 0]


GOOD = {name: np.zeros(2, np.int64) for name in spec.BLUE_AGENTS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": {k: v for k, v in GOOD.items() if k != "blue_agent_3"}}, "missing for blue_agent_3"),
        ({"actions": {**GOOD, "red_agent_0": np.zeros(2, np.int64)}}, "unknown agents red_agent_0"),
        ({"actions": {**GOOD, "blue_agent_1": np.zeros(3, np.int64)}}, r"shape \(2,\)"),
        ({"actions": {**GOOD, "blue_agent_1": np.zeros(2)}}, "must be integers"),
        ({"actions": {**GOOD, "blue_agent_1": np.zeros(2, bool)}}, "must be integers"),
        ({"actions": {**GOOD, "blue_agent_1": np.array([0, 82])}}, "0 to 81"),
        ({"actions": {**GOOD, "blue_agent_4": np.array([-1, 0])}}, "0 to 241"),
        ({"actions": {**GOOD, "blue_agent_1": np.full(2, 2**64 - 1, np.uint64)}}, "0 to 81"),
        ({"actions": np.zeros((2, 5), int)}, "must map each blue agent"),
        ({"messages": np.zeros((2, 5, 7), np.int8)}, "messages must have shape"),
        ({"messages": np.full((2, 5, 8), 2)}, "0 and 1 only"),
        ({"messages": np.full((2, 5, 8), 0.5)}, "0 and 1 only"),
        ({"messages": np.full((2, 5, 8), np.nan)}, "0 and 1 only"),
        ({"rows": [0, 2]}, "rows must lie in 0 to 1"),
        ({"rows": [1, 1]}, "must not repeat"),
        ({"rows": [0.0, 1.0]}, "list of integers"),
    ],
)
def test_bad_steps_are_refused_and_change_nothing(change: dict[str, Any], message: str) -> None:
    env = NativeVectorEnv(2, steps=10, seed=0)
    env.reset()
    before = [memory.tobytes() for memory in env.memory]
    with pytest.raises(ValueError, match=message):
        env.step(**{"actions": GOOD, **change})
    assert [memory.tobytes() for memory in env.memory] == before


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (np.zeros((2, 5, 2), np.int64), "shape"),
        (np.zeros((2, 5, 3)), "integers"),
        (np.full((2, 5, 3), -1), "verbs 0 to 8"),
        (np.full((2, 5, 3), 9), "verbs 0 to 8"),
        (np.full((2, 5, 3), (spec.Verb.RESTORE, codes.NUM_HOSTS, 0)), "hosts 0 to 136"),
        (np.full((2, 5, 3), (spec.Verb.BLOCK_TRAFFIC, 9, 0)), "subnets 0 to 8"),
        (np.full((2, 5, 3), (spec.Verb.BLOCK_TRAFFIC, 0, 9)), "subnets 0 to 8"),
    ],
)
def test_bad_commands_are_refused(commands: np.ndarray, message: str) -> None:
    env = NativeVectorEnv(2, steps=10, seed=0)
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step_commands(commands)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must be an integer"),
        ({"num_envs": True}, "num_envs must be an integer"),
        ({"threads": 0}, "threads must be an integer"),
        ({"threads": 10**6}, "threads must be an integer"),
        ({"steps": 2}, "steps must be an integer"),
        ({"steps": 10.5}, "steps must be an integer"),
        ({"seed": -1}, "a seed must be a non-negative integer"),
        ({"seed": [1]}, "2 rows need 2 seeds"),
        ({"seed": [1, 2.5]}, "a seed must be a non-negative integer"),
    ],
)
def test_bad_construction_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NativeVectorEnv(**{"num_envs": 2, "steps": 10, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [5]}, "rows must lie"),
        ({"seed": [1, 2, 3]}, "2 rows need 2 seeds"),
        ({"options": {"reset_mask": np.array([1, 0])}}, "must be a bool array"),
        ({"options": {"reset_mask": np.array([True])}}, "must be a bool array"),
        ({"rows": [0], "options": {"reset_mask": np.array([True, False])}}, "not by both"),
        ({"options": {"rows": [0]}}, "only the option"),
        ({"seed": "12"}, "seed must be"),
    ],
)
def test_bad_resets_are_refused(arguments: dict[str, Any], message: str) -> None:
    env = NativeVectorEnv(2, steps=10, seed=0)
    with pytest.raises(ValueError, match=message):
        env.reset(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"red": "nobody"}, "unknown red agent"),
        ({"green": "nobody"}, "unknown green agent"),
        ({"min_users": 0}, "1 <= min_users"),
        ({"min_servers": 5, "max_servers": 4}, "min_servers"),
        ({"phishing_rate": 1.5}, "between 0 and 1"),
        ({"red_choices": ((1.0,),)}, "8 rows of 9"),
        ({"red_choices": tuple((0.5,) * 9 for _ in range(8))}, "add up to 1"),
        ({"red": "sleep", "red_choices": VARIANTS["singh-impact"].red_choices}, "finite-state"),
    ],
)
def test_impossible_variants_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Variant("test", **arguments)


def test_more_environments_than_memory_are_refused():
    with pytest.raises(ValueError, match=r"num_envs = 1000000000 would take about 200,000.0 GB") as caught:
        NativeVectorEnv(1_000_000_000)
    assert "\n" not in str(caught.value)
