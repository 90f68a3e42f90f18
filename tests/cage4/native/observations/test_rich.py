"""The rich observation of the native engine, as far as it can be checked without CybORG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cage4
from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.native.observations import rich as rich_log
from cage4.native.world import codes
from cage4.native.world.state import Sizes
from cage4.observations import flat as observation
from cage4.observations import rich
from cage4.variants import Variant
from native_sim.api import StepBatch

NOISY = Variant("noisy", phishing_rate=0.3, false_alarm_rate=0.5, red_one_tick=True)


def moves(rng: np.random.Generator, num: int) -> dict[str, Any]:
    return {name: rng.integers(0, n, num) for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)}


def play(env: NativeVectorEnv, steps: int, seed: int = 0) -> list[StepBatch]:
    rng = np.random.default_rng(seed)
    env.reset(seed=7)
    return [env.step(moves(rng, env.num_envs)) for _ in range(steps)]


def test_asking_for_it_changes_nothing_else() -> None:
    plain, asked = NativeVectorEnv(2, NOISY, 60), NativeVectorEnv(2, NOISY, 60, rich=True)
    for one, other in zip(play(plain, 40), play(asked, 40), strict=True):
        assert "rich" not in one.infos
        assert set(other.infos) - set(one.infos) == {"rich"}
        np.testing.assert_array_equal(one.rewards, other.rewards)
        for agent in spec.BLUE_AGENTS:
            np.testing.assert_array_equal(one.observations[agent], other.observations[agent])
    for row in range(2):
        assert plain.generator_state(row) == asked.generator_state(row)


def test_at_reset_only_the_hosts_are_known() -> None:
    env = NativeVectorEnv(3, None, 60, rich=True)
    _, infos = env.reset(seed=1)
    for number, agent in enumerate(spec.BLUE_AGENTS):
        fields = rich.decode(number, infos["rich"][agent])
        assert infos["rich"][agent].dtype == np.int32
        assert fields.present[..., rich.ROUTER_SLOT].all()
        analyse = infos["action_mask"][agent][:, : 16 * len(spec.BLUE_SUBNETS[number])]
        np.testing.assert_array_equal(fields.present[..., :16].reshape(3, -1), analyse)
        assert infos["rich"][agent].sum() == fields.present.sum()


def test_events_agree_with_the_bits_of_the_flat_vector() -> None:
    env = NativeVectorEnv(4, NOISY, 100, rich=True)
    for batch in play(env, 90):
        for number, agent in enumerate(spec.BLUE_AGENTS):
            fields = rich.decode(number, batch.infos["rich"][agent])
            flat = observation.decode(number, batch.observations[agent])
            of_connections = fields.connections[..., :16, :].sum(axis=-1)
            np.testing.assert_array_equal(of_connections > 0, flat.connection == 1)
            of_processes = (fields.process_events + fields.process_alarms)[..., :16]
            np.testing.assert_array_equal(of_processes > 0, flat.process == 1)
            assert not fields.connections[..., rich.Signature.OTHER].any()
            in_progress = fields.success == rich.Success.IN_PROGRESS
            np.testing.assert_array_equal(in_progress, batch.infos["busy"][:, number] > 0)
            assert not fields.verb[in_progress].any()


def test_counts_and_records_agree() -> None:
    env = NativeVectorEnv(4, NOISY, 100, rich=True)
    for batch in play(env, 90, seed=1):
        for number, agent in enumerate(spec.BLUE_AGENTS):
            fields = rich.decode(number, batch.infos["rich"][agent])
            total = fields.connections.sum(axis=-1)
            np.testing.assert_array_equal(fields.remote_subnets.sum(axis=-1), total)
            np.testing.assert_array_equal(
                (fields.records[..., 5] > 0).sum(axis=-1), np.minimum(total, rich.NUM_RECORDS)
            )
            for place in np.argwhere((total > 0) & (total <= rich.NUM_RECORDS)):
                where = tuple(place)
                kinds = [rich.signature(int(r[2]), int(r[5])) for r in fields.records[where][: total[where]]]
                assert np.bincount(kinds, minlength=rich.NUM_SIGNATURES).tolist() == fields.connections[where].tolist()


def test_own_analyse_and_decoy_show_on_the_host_they_went_to() -> None:
    env = NativeVectorEnv(1, None, 60, seed=0, rich=True)
    env.reset()
    router, server = 0, codes.FIRST_SERVER
    for verb, host, number in ((codes.ANALYSE, router, rich.ROUTER_SLOT), (codes.DECOY, server, 0)):
        commands = np.zeros((1, 5, 3), np.int64)
        commands[0, :, 0] = codes.SLEEP
        commands[0, 0] = verb, host, 0
        env.step_commands(commands)
        fields = rich.decode(0, env.step_commands(commands).infos["rich"]["blue_agent_0"])
        assert (fields.success[0], fields.verb[0], fields.target_host[0]) == (rich.Success.TRUE, 1 + verb, 1 + number)
        assert np.argwhere(fields.analysed[0]).tolist() == ([[0, number]] if verb == codes.ANALYSE else [])
        assert np.argwhere(fields.decoy_id[0]).tolist() == ([[0, number]] if verb == codes.DECOY else [])
    assert int(env.state.svc_pid[0, server, env.state.svc_count[0, server] - 1]) == fields.decoy_id[0, 0, 0]


def test_a_block_that_exists_and_a_command_that_is_refused_fail() -> None:
    env = NativeVectorEnv(1, None, 60, seed=0, rich=True)
    env.reset()
    commands = np.zeros((1, 5, 3), np.int64)
    commands[0, :] = codes.BLOCK, 3, 8  # all agents block the same pair: the first one does it
    infos = env.step_commands(commands).infos
    heads = [rich.decode(number, infos["rich"][agent]) for number, agent in enumerate(spec.BLUE_AGENTS)]
    assert [int(head.success[0]) for head in heads] == [rich.Success.TRUE, *[rich.Success.FALSE] * 4]
    assert {(int(head.to_subnet[0]), int(head.from_subnet[0])) for head in heads} == {(1 + 5, 1 + 2)}
    commands[0, :] = codes.RESTORE, codes.CONTRACTOR * codes.SLOTS, 0
    infos = env.step_commands(commands).infos
    head = rich.decode(0, infos["rich"]["blue_agent_0"])
    assert (head.success[0], head.verb[0], head.target_host[0]) == (rich.Success.FALSE, rich.INVALID_VERB, 0)


@pytest.mark.parametrize("local_port", [0, 1, 21, 22, 25, 80, 443, 3390, 4444, 49152, 59999])
@pytest.mark.parametrize("remote_port", [0, 22, 80, 8800, 4444, 49152, 59999])
def test_the_compiled_signature_is_the_documented_one(local_port: int, remote_port: int) -> None:
    assert rich_log.signature.py_func(local_port, remote_port) == rich.signature(local_port, remote_port)


def test_results_do_not_depend_on_threads_rows_or_room() -> None:
    alone = NativeVectorEnv(1, NOISY, 60, sizes=Sizes(suspect=8), rich=True)  # so small that a step is repeated
    together = NativeVectorEnv(3, NOISY, 60, rich=True)
    together.reset(seed=[1, 7, 2])
    alone.reset(seed=[7])
    rng = np.random.default_rng(3)
    for _ in range(50):
        chosen = moves(rng, 3)
        one = alone.step({agent: indices[1:2] for agent, indices in chosen.items()})
        two = together.step({agent: indices[[2, 1]] for agent, indices in chosen.items()}, rows=[2, 1])
        for agent in spec.BLUE_AGENTS:
            np.testing.assert_array_equal(one.infos["rich"][agent][0], two.infos["rich"][agent][1])
    assert alone.memory.suspect.shape[1] > 8


def test_the_faces_pass_it_on_only_when_asked() -> None:
    with pytest.raises(ValueError, match="no option"):
        cage4.vector_env("native", richness=True)
    plain, asked = cage4.parallel_env("native", seed=0), cage4.parallel_env("native", seed=0, rich=True)
    _, without = plain.reset()
    _, infos = asked.reset()
    assert all("rich" not in info for info in without.values())
    for number, agent in enumerate(spec.BLUE_AGENTS):
        assert infos[agent]["rich"].shape == (rich.size(number),)
        assert infos[agent]["rich"].any()


def test_ports_that_hosts_draw_lie_in_the_documented_range() -> None:
    assert codes.FIRST_PORT == rich.FIRST_EPHEMERAL_PORT
    assert codes.FIRST_PORT + codes.NUM_PORTS - 1 == rich.LAST_EPHEMERAL_PORT
