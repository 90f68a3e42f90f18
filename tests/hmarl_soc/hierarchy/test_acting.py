"""The policy that plays saved weights."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import adapters
from hmarl_soc.hierarchy.roles import LOWER
from hmarl_soc.registry import load_policy
from hmarl_soc.training.validation import play
from native_sim import make_vec

SHIPPED = Path(adapters.__file__).parent / "bundles" / "hmarl-soc" / "policy"


@pytest.fixture(scope="module")
def policy():
    return load_policy(SHIPPED)


def observations(policy, count, seed):
    generator = np.random.default_rng(seed)
    return {
        role: generator.random((count, policy.interface[role].observation.size), np.float32)
        for role in ("coordinator", *LOWER)
    }


def decide(policy, seen):
    count = len(seen["triage"])
    return policy.act(seen, {}, policy.initial_memory(count), np.zeros((count, 4, 0))).actions


def alone(policy, seen, row):
    return decide(policy, {role: rows[row : row + 1] for role, rows in seen.items()})


def test_a_row_decides_alone_as_it_does_among_others_to_the_last_bit(policy):
    seen = observations(policy, 97, 0)
    together = decide(policy, seen)
    for row in range(97):
        for role, found in alone(policy, seen, row).items():
            assert np.array_equal(found[0], together[role][row]), role


def test_the_number_of_threads_changes_no_bit(policy):
    seen = observations(policy, 256, 2)
    decided = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            decided.append(decide(policy, seen))
    for role, found in decided[0].items():
        assert np.array_equal(found, decided[1][role]), role


def test_in_double_precision_a_row_differs_by_roundings_at_most(policy):
    exact, seen = policy.exact(), observations(policy, 97, 0)
    together = decide(exact, seen)
    for row in range(97):
        for role, found in alone(exact, seen, row).items():
            assert np.abs(found[0] - together[role][row]).max() < 1e-12, role


def test_double_precision_changes_roundings_only_and_not_the_policy_it_was_made_of(policy):
    seen = observations(policy, 64, 1)
    before = decide(policy, seen)
    exact = decide(policy.exact(), seen)
    after = decide(policy, seen)
    assert exact["hunter"].dtype == np.float64 and before["hunter"].dtype == np.float32
    for role in ("hunter", "responder"):
        assert np.array_equal(before[role], after[role])
        assert np.array_equal(before[role], exact[role].astype(np.float32)) and (before[role] != exact[role]).any()


def test_an_episode_does_not_depend_on_how_many_are_played_at_once(policy):
    played = [play(make_vec(num_envs=count, threads=1), policy, range(12))["return"] for count in (12, 5, 1)]
    assert np.array_equal(played[0], played[1]) and np.array_equal(played[0], played[2])
