"""The spaces have the sizes of the tables, and every environment gets its own."""

import numpy as np
import pytest

from cage4 import spec
from cage4.observations.spaces import VectorSpaces, action_spaces, observation_spaces


@pytest.mark.parametrize(
    ("pad", "observations", "actions"),
    [(False, (92, 92, 92, 92, 210), (82, 82, 82, 82, 242)), (True, (210,) * 5, (242,) * 5)],
)
def test_sizes(pad, observations, actions):
    seen, chosen = observation_spaces(pad), action_spaces(pad)
    assert tuple(seen) == tuple(chosen) == spec.BLUE_AGENTS
    assert tuple(space.shape[0] for space in seen.values()) == observations
    assert tuple(space.n for space in chosen.values()) == actions


def test_observations_are_a_phase_and_bits():
    space = observation_spaces()["blue_agent_0"]
    assert space.nvec.tolist() == [3] + [2] * 91
    vector = np.zeros(92, np.int64)
    vector[0] = 2
    assert vector in space
    vector[1] = 2
    assert vector not in space


def test_spaces_are_not_shared_between_environments():
    first, second = action_spaces()["blue_agent_0"], action_spaces()["blue_agent_0"]
    first.seed(0)
    second.seed(0)
    assert [first.sample() for _ in range(5)] == [second.sample() for _ in range(5)]


def test_batched_spaces():
    spaces = VectorSpaces(3, pad_spaces=False)
    batch = {agent: np.zeros((3, *space.shape), np.int8) for agent, space in observation_spaces().items()}
    assert batch in spaces.observation_space
    batch["blue_agent_4"] = np.full((3, 210), 3, np.int8)
    assert batch not in spaces.observation_space
    assert {agent: np.array([0, 81, 5]) for agent in spec.BLUE_AGENTS} in spaces.action_space
    assert {agent: np.array([0, 242, 5]) for agent in spec.BLUE_AGENTS} not in spaces.action_space
    assert spaces.single_observation_space["blue_agent_0"].dtype == np.int8
