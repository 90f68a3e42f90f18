"""The coordinator's value as potential: whatever it is, it moves the sum of an episode's rewards by its ends only."""

import numpy as np
import pytest
import torch
from toys import ToyEnv

from hmarl_soc.config import HmarlConfig
from hmarl_soc.hierarchy import Hierarchy
from hmarl_soc.interface import describe
from hmarl_soc.playing import Field
from hmarl_soc.replay import Batch

SPACES = {"coordinator": (3, 1, False), "hunter": (2, 2, False), "triage": (2, 4, True), "responder": (2, 4, False)}
GAMMA, LENGTH, ENVS = 0.9, 5, 3


def any_value(observations, states):
    """An arbitrary function of what the coordinator's value sees."""
    return 3.0 * torch.sin(5.0 * observations.sum(dim=1)) + states[:, 0] * states[:, 2] + 1.0


def played(terminates, **settings):
    """Return a learner after two episodes, and what was seen before each step and after it."""
    env = ToyEnv(SPACES, lambda x, actions: x.sum(axis=1), ENVS, LENGTH, terminates)
    small = {"network": {"hidden": 8, "heads": 2}, "replay": {"capacity": 100, "batch_size": 4}, "gamma": GAMMA}
    learner = Hierarchy(HmarlConfig.model_validate(small | {"warm_up": 100} | settings), describe(env, 4), ENVS, 0)
    learner.coordinator.value = any_value
    field, steps = Field(env, 0), []
    for _ in range(2 * LENGTH + 4):
        step = field.step(learner.act(field.seen()))
        learner.observe(step)
        steps.append((step.before, step.after))
        field.restart(step)
    return learner, steps


def all_of(learner):
    filled = np.arange(learner.replay.size)
    return Batch(filled, np.ones(len(filled)), {name: kept[filled] for name, kept in learner.replay.entries.items()})


def value_of(seen):
    shown = torch.as_tensor(seen.observations["coordinator"]), torch.as_tensor(seen.state)
    return any_value(*shown).numpy().astype(float)


@pytest.mark.parametrize("terminates", [True, False])
@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_gains_add_up_to_the_ends_of_an_episode(terminates, n_steps):
    learner, steps = played(terminates, n_steps=n_steps)
    batch = all_of(learner)
    gains = learner._tensors(batch)[0]["reward"].numpy() - batch.entries["reward"]
    gains = gains.reshape(-1, ENVS)  # transitions begin one after the other
    for start in (0, LENGTH):
        total = sum(GAMMA**t * gains[start + t] for t in range(0, LENGTH, n_steps))
        last = 0.0 if terminates else GAMMA**LENGTH * value_of(steps[start + LENGTH - 1][1])
        assert total == pytest.approx(last - value_of(steps[start][0]), abs=1e-4)
    assert np.abs(gains).max() > 0.5  # a potential that does nothing would prove nothing


def test_without_potential_rewards_are_those_of_the_team():
    learner, _ = played(False, potential=False)
    batch = all_of(learner)
    assert (learner._tensors(batch)[0]["reward"].numpy() == batch.entries["reward"]).all()
