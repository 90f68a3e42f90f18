"""What must hold whatever is played: a million steps of random play, and closer looks at single rows."""

import resource

import numpy as np
import pytest

from cage4 import actions, spec
from cage4.native.engine import NativeVectorEnv
from cage4.parity.snapshots import native_world
from cage4.variants import VARIANTS

ENVS = 500


def play(env, generator, steps, check=lambda number, batch: None):
    """Step with random indices and messages, resetting when done; ``check`` sees every batch."""
    env.reset(seed=int(generator.integers(2**31)))
    mask = None
    for number in range(steps):
        chosen = {name: generator.integers(0, spec.NUM_ACTIONS[i], env.num_envs) for i, name in enumerate(env.agents)}
        batch = env.step(chosen, generator.integers(0, 2, (env.num_envs, 5, 8)))
        check(number, batch)
        masks = batch.infos["action_mask"]
        if mask is not None:
            assert all((masks[name] == mask[name]).all() for name in env.agents), "masks are constant in an episode"
        mask = masks
        np.testing.assert_array_equal(
            batch.rewards, batch.infos["reward_parts"].sum(axis=(1, 2)) + batch.infos["action_cost"]
        )
        restores = sum(actions.VERB[i, chosen[name]] == spec.Verb.RESTORE for i, name in enumerate(env.agents))
        legal = sum(masks[name][np.arange(env.num_envs), chosen[name]] for name in env.agents)
        assert (batch.infos["action_cost"] >= -restores).all() and (legal <= 5).all()
        assert (batch.infos["reward_parts"] <= 0).all()
        assert (batch.infos["busy"] >= 0).all() and (batch.infos["busy"] < max(spec.DURATION)).all()
        if batch.terminations.any():
            assert batch.terminations.all()
            env.reset()
            mask = None
    return env


def check_row(env, row):
    """Invariants of one row's full state."""
    snapshot = native_world(env, row)
    for host, processes in snapshot["processes"].items():
        pids = [entry[0] if isinstance(entry, tuple | list) else entry for entry in processes]
        assert len(pids) == len(set(pids)), f"PIDs of {host} are unique: {pids}"
        assert all(pid > 0 for pid in pids)


@pytest.mark.parametrize("name", ["base", "phishing", "aggressive-red"])
def test_process_numbers_stay_unique(name):
    env = NativeVectorEnv(8, VARIANTS[name], 200, 3)
    generator = np.random.default_rng(4)

    def look(number, batch):
        if number % 20 == 0:
            for row in range(env.num_envs):
                check_row(env, row)

    play(env, generator, 180, look)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_million_random_steps(name):
    """A million steps over all variants, and no growth of memory once the first episode has sized the pools."""
    generator = np.random.default_rng(list(VARIANTS).index(name))
    env = NativeVectorEnv(ENVS, VARIANTS[name], 100, 1)
    play(env, generator, 130)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    play(env, generator, 130)
    for row in range(0, ENVS, 50):
        check_row(env, row)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.2 * before
