"""The whole hierarchy on a task that needs all four agents and the directive, with a known best score."""

import numpy as np
import pytest

from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.learner import Hierarchy
from hmarl_soc.interface import describe
from hmarl_soc.training.playing import Field
from hmarl_soc.training.validation import Validator
from tests.builders.toys import ToyEnv

SPACES = {
    "coordinator": (3, 1, False),
    "hunter": (3, 2, False),
    "triage": (3, 4, True),
    "responder": (3, 4, False),
}
LENGTH = 5
QUICK = {"slow_tau": 0.1, "proximity": 0.0}  # the defaults hold an actor back for longer than this task takes


def reward(x, actions):
    """At best 1 per step: the directive names x of the coordinator, which the hunter alone cannot see, and so on."""
    secret, _, doubt, alarm = x.T
    directive = 1.0 - np.abs(actions["coordinator"][:, 0] - secret)
    obeyed = 1.0 - np.abs(actions["hunter"] - actions["coordinator"]).mean(axis=1)
    sorted_right = actions["triage"] == np.where(doubt > 0, 3, 1)
    wanted = np.where(alarm > 0, 1.0, -1.0)
    responded = 1.0 - np.abs(actions["responder"][:, 0] - wanted) / 2
    return 0.25 * (directive + obeyed + sorted_right + responded)


@pytest.mark.parametrize("shared", [True, False])
def test_the_hierarchy_solves_a_task_that_needs_every_agent(shared):
    config = HmarlConfig.model_validate(
        {
            "network": {"hidden": 32, "heads": 2},
            "gamma": 0.5,
            "reward_scale": 1.0,
            "replay": {"capacity": 4000, "batch_size": 64, "beta_updates": 1500, "shared": shared},
            "coordinator": {"every": 1, "rollout": 256, "minibatch": 128, "learning_rate": 3e-3, "entropy": 0.0},
            "hunter": {
                "actor_learning_rate": 3e-3,
                "critic_learning_rate": 3e-3,
                "tau": 0.02,
                "initial_mean": 0.0,
                "target_entropy": -4.0,
                **QUICK,
            },
            "triage": {"learning_rate": 3e-3, "epsilon_steps": 6000, "target_every": 50},
            "responder": {"actor_learning_rate": 1e-3, "critic_learning_rate": 3e-3, "tau": 0.02, **QUICK},
            "warm_up": 256,
            "updates_per_step": 1 / 16,
        }
    )
    env = ToyEnv(SPACES, reward, num_envs=16, length=LENGTH)
    learner, field = Hierarchy(config, describe(env, 4), 16, 0), Field(env, 0)
    validator = Validator(ToyEnv(SPACES, reward, num_envs=100, length=LENGTH), 100)
    before = validator(learner.policy())["score"] / LENGTH
    for _ in range(1200):
        step = field.step(learner.act(field.seen()))
        learner.observe(step)
        learner.update()
        field.restart(step)
    after = validator(learner.policy())["score"] / LENGTH
    assert before < 0.65  # constants reach 0.56
    assert after > 0.8, after
