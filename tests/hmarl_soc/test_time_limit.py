"""What learners bootstrap at the time limit follows from what the environment declares, for every method.

The toy is the same under every declaration: episodes of one step that earns 1. So a target holds the value of what
follows where the limit interrupts, and nothing beside the reward where it is the end.
"""

import numpy as np
import pytest

from hmarl_soc.baselines import q_learning
from hmarl_soc.finetuning import learner as finetuning
from hmarl_soc.interface import describe
from hmarl_soc.nn import losses
from hmarl_soc.registry import METHODS, config_class, make_learner
from hmarl_soc.training.playing import Field
from tests.builders.toys import ToyEnv

SPACES = {"coordinator": (3, 1, False), "hunter": (2, 2, False), "triage": (2, 4, True), "responder": (2, 4, False)}
ENVS = 8
PPO = {"rollout": 16, "minibatch": 8, "epochs": 1}
Q = {"warm_up": 16, "batch_size": 8, "capacity": 64, "updates_per_step": 1 / 8}
OTHERS = {
    "hmarl-soc": {
        **{"replay": {"capacity": 64, "batch_size": 8}, "warm_up": 16, "updates_per_step": 1 / 8},
        **{"coordinator": PPO | {"every": 2}, "potential": PPO | {"bootstrap": 1.0}},
    },
    "hmarl-soc-ppo": {"coordinator": PPO | {"every": 2}, "lower": PPO},
    "iql": Q,
    "qmix": Q,
}
DECLARED = pytest.mark.parametrize(
    ("declared", "follows"), [("truncated", True), ("terminated", False), ("both", False)]
)


@pytest.fixture
def counted(monkeypatch):
    """Return the list of what targets count of what follows: arrays, one of every call, at the ends of episodes."""
    found = []

    def advantages(rewards, values, next_values, discounts, ends, mix):
        found.append(np.asarray(next_values)[np.asarray(ends)])
        return before(rewards, values, next_values, discounts, ends, mix)

    def target(rewards, terminated, next_values, discount):
        result = target_before(rewards, terminated, next_values, discount)
        found.append((result - rewards).detach().cpu().numpy().ravel())
        return result

    before, target_before = losses.generalized_advantages, losses.td_target
    for module in (losses, finetuning):
        monkeypatch.setattr(module, "generalized_advantages", advantages)
    for module in (losses, q_learning):
        monkeypatch.setattr(module, "td_target", target)
    return found


def make_env(declared):
    return ToyEnv(SPACES, lambda x, actions: np.ones(len(x)), ENVS, length=1, time_limit_end=declared)


def learn(method, env, steps=12):
    attention = method.startswith("hmarl")
    small = {"network": {"hidden": 16, "heads": 2, "attention": attention}, "reward_scale": 1.0}
    config = config_class(method).model_validate(small | OTHERS.get(method, PPO))
    learner, field = make_learner(method, config, describe(env, 4), ENVS, 0), Field(env, 0)
    metrics = {}
    for _ in range(steps):
        step = field.step(learner.act(field.seen()))
        learner.observe(step)
        metrics |= learner.update()
        field.restart(step)
    return metrics


@DECLARED
@pytest.mark.parametrize("method", METHODS)
def test_every_method_bootstraps_as_declared(method, declared, follows, counted):
    assert learn(method, make_env(declared))
    assert counted and all(len(values) for values in counted)
    for values in counted:
        share = (values != 0).mean()  # a tiny network may well put out a 0 now and then
        assert share > 0.8 if follows else share == 0


def test_flags_that_contradict_the_declaration_stop_training():
    env = make_env("both")
    env.metadata = {**env.metadata, "time_limit_end": "truncated"}
    field, rows = Field(env, 0), ENVS
    zeros = {name: np.zeros(rows if discrete else (rows, size)) for name, (_, size, discrete) in SPACES.items()}
    field.seen()
    env.terminates, flags = False, env.step
    env.step = lambda actions: flags(actions)._replace(terminations=np.ones(rows, bool))
    with pytest.raises(ValueError, match="both terminated and truncated, but its metadata declare"):
        field.step(zeros)
