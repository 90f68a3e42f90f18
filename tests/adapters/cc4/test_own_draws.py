"""Draws made from what was seen: uniform, the same everywhere, and never twice the same."""

import numpy as np
import pytest

from adapters.cc4.own_draws import OwnDraws, digest, mix, uniform
from cage4 import spec
from native_sim.api import Decision, Policy


class Echo(Policy):
    """Remembers the draws of every step; counts steps."""

    wants = ("busy", "rich")
    draws_per_agent = 3

    def __init__(self):
        self.given = []

    def initial_memory(self, num_envs):
        return np.zeros(num_envs, np.int64)

    def fallbacks(self, memory):
        return {"steps": memory}

    def act(self, obs, mask, memory, draws):
        self.given.append(draws)
        return Decision({}, memory + 1)


def play(steps, rows=slice(None), dtype=None):
    echo = Echo()
    policy, memory = OwnDraws(echo), None
    for obs, mask in steps:
        shown = {name: (obs[name] if dtype is None else obs[name].astype(dtype))[rows] for name in spec.BLUE_AGENTS}
        shown |= {"busy": obs["busy"][rows], "rich": {name: full[rows] for name, full in obs["rich"].items()}}
        count = len(shown["busy"])
        memory = policy.initial_memory(count) if memory is None else memory
        memory = policy.act(shown, mask, memory, np.zeros((count, 5, 0))).memory
    return np.stack(echo.given, axis=1), policy, memory  # [N, T, 5, 3]


def test_draws_follow_from_what_a_row_has_seen_alone(stream):
    steps = stream(0, 6, 5)
    draws, policy, memory = play(steps)
    assert draws.shape == (6, 5, 5, 3) and ((draws >= 0) & (draws < 1)).all()
    assert len(np.unique(draws)) == draws.size
    alone, _, _ = play(steps, slice(4, 5), np.int64)
    np.testing.assert_array_equal(alone[0], draws[4])
    np.testing.assert_array_equal(policy.fallbacks(memory)["steps"], np.full(6, 5))


@pytest.mark.parametrize("where", ["flat", "rich"])
def test_one_number_changes_all_later_draws_and_none_before(stream, where):
    steps = stream(0, 2, 4)
    before, _, _ = play(steps)
    obs = steps[2][0]
    (obs if where == "flat" else obs["rich"])["blue_agent_3"][1, 7] += 1
    after, _, _ = play(steps)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1, :2], before[1, :2])
    assert (after[1, 2:] != before[1, 2:]).all()


def test_draws_are_uniform():
    draws = uniform(mix(np.arange(2000, dtype=np.uint64)), 50)
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert abs(draws.mean() - 0.5) < 0.005 and np.abs(counts / counts.mean() - 1).max() < 0.06
    assert np.abs(np.corrcoef(draws[:, :6].T) - np.eye(6)).max() < 0.1


def test_places_count():
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [-1, 0, 0]])
    assert len(set(digest(rows).tolist())) == len(rows)


def test_a_policy_without_the_rich_observation_is_refused():
    class Flat(Echo):
        wants = ("busy",)

    with pytest.raises(ValueError, match="must want the rich observation"):
        OwnDraws(Flat())
