"""The potential of the lower agents' rewards: whatever it is, it moves an episode's sum of rewards by its ends only."""

import itertools

import numpy as np
import pytest
import torch

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import HmarlConfig, PotentialConfig
from hmarl_soc.hierarchy.learner import Hierarchy
from hmarl_soc.hierarchy.potential import Potential
from hmarl_soc.interface import describe
from hmarl_soc.training.playing import Field
from hmarl_soc.training.replay import Batch
from tests.builders.toys import ToyEnv

SPACES = {"coordinator": (3, 1, False), "hunter": (2, 2, False), "triage": (2, 4, True), "responder": (2, 4, False)}
GAMMA, LENGTH, ENVS = 0.9, 5, 3


def any_value(situations):
    """An arbitrary function of what the coordinator sees and of the truth."""
    return 3.0 * torch.sin(5.0 * situations[:, :3].sum(dim=1)) + situations[:, 3] * situations[:, 5] + 1.0


def played(terminates, **settings):
    """Return a learner after two episodes, and what was seen before each step and after it."""
    env = ToyEnv(SPACES, lambda x, actions: x.sum(axis=1), ENVS, LENGTH, terminates)
    small = {"network": {"hidden": 8, "heads": 2}, "replay": {"capacity": 100, "batch_size": 4}, "gamma": GAMMA}
    learner = Hierarchy(HmarlConfig.model_validate(small | {"warm_up": 100} | settings), describe(env, 4), ENVS, 0)
    learner.potential.value = any_value
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
    situations = np.concatenate([seen.observations["coordinator"], seen.state], axis=1)
    return any_value(torch.as_tensor(situations)).numpy().astype(float)


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
    learner, _ = played(False, potential={"enabled": False})
    batch = all_of(learner)
    assert (learner._tensors(batch)[0]["reward"].numpy() == batch.entries["reward"]).all()
    assert len(learner.potential.rollout) == 0


@pytest.mark.parametrize(("terminates", "worth"), [(True, 1.0), (False, 2.0)])
def test_it_learns_that_a_time_limit_is_no_end(terminates, worth):
    config = PotentialConfig(rollout=32, minibatch=32, epochs=4, learning_rate=0.01)
    potential = Potential(2, 8, config, NetworkConfig(hidden=8, heads=2), 0.5, torch.Generator(), torch.device("cpu"))
    rng, every, none = np.random.default_rng(0), np.ones(8, bool), np.zeros(8, bool)
    situations = rng.normal(size=(400, 8, 2)).astype(np.float32)
    for now, after in itertools.pairwise(situations):  # episodes of one step that earns 1
        potential.watch(now, np.ones(8), after, every if terminates else none, every)
        potential.update()
    found = potential.value(torch.as_tensor(situations[0]))
    assert found.numpy() == pytest.approx(worth, abs=0.1)
