"""The policy that plays saved weights."""

from pathlib import Path

import numpy as np
import pytest

import adapters
from hmarl_soc.registry import load_policy
from hmarl_soc.roles import LOWER

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


def test_in_double_precision_a_row_decides_alone_as_it_does_among_others(policy):
    exact, seen = policy.exact(), observations(policy, 97, 0)
    together = decide(exact, seen)
    for row in range(97):
        alone = decide(exact, {role: rows[row : row + 1] for role, rows in seen.items()})
        for role, allowed in {"coordinator": 1e-6, "hunter": 1e-12, "responder": 1e-12}.items():  # directives: float32
            assert np.abs(alone[role][0] - together[role][row]).max() < allowed
        assert alone["triage"][0] == together["triage"][row]


def test_double_precision_changes_roundings_only_and_not_the_policy_it_was_made_of(policy):
    seen = observations(policy, 64, 1)
    before = decide(policy, seen)
    exact = decide(policy.exact(), seen)
    after = decide(policy, seen)
    assert exact["hunter"].dtype == np.float64 and before["hunter"].dtype == np.float32
    for role in ("coordinator", "hunter", "responder"):
        assert np.array_equal(before[role], after[role])
        assert 0 < np.abs(exact[role] - before[role]).max() < 1e-4
