"""The baselines play CAGE Challenge 4 as they are: discrete actions under a mask, five agents, no state."""

import numpy as np
import pytest

import cage4
from hmarl_soc.baselines.config import PpoConfig, QmixConfig
from hmarl_soc.config import NetworkConfig
from hmarl_soc.interface import describe
from hmarl_soc.registry import make_learner
from hmarl_soc.training.playing import Field
from native_sim import make_vec

pytest.importorskip("torch")

ENVS = 4
SMALL = {"network": NetworkConfig(hidden=16, attention=False), "reward_scale": 0.01}
PPO = PpoConfig(**SMALL, rollout=48, minibatch=24, epochs=1)
CONFIGS = {"mappo": PPO, "ippo": PPO, "qmix": QmixConfig(**SMALL, warm_up=24, batch_size=8, capacity=256)}


@pytest.mark.parametrize("method", CONFIGS)
def test_masks_are_never_violated_and_four_agents_share_a_network(method):
    env = cage4.vector_env(engine="native", num_envs=ENVS, steps=20)
    learner = make_learner(method, CONFIGS[method], describe(env), ENVS, seed=0)
    assert [kind.members for kind in learner.policy()._kinds] == [(0, 1, 2, 3), (4,)]
    field, rows, metrics = Field(env, 0), np.arange(ENVS), {}
    for _ in range(30):
        seen = field.seen()
        actions = learner.act(seen)
        for agent, action in actions.items():
            assert seen.masks[agent][rows, action].all(), agent
        step = field.step(actions)
        learner.observe(step)
        metrics |= learner.update()
        field.restart(step)
    assert metrics and all(np.isfinite(value) for value in metrics.values())
    seen = field.seen()
    greedy = learner.policy().act(seen.observations, seen.masks, None, np.zeros((ENVS, 5, 0))).actions
    assert all(seen.masks[agent][rows, action].all() for agent, action in greedy.items())


@pytest.mark.parametrize("method", ["mappo", "single-drl"])
def test_a_drawn_policy_plays_every_choice_as_often_as_its_softmax_says(method):
    env = cage4.vector_env(engine="native", num_envs=ENVS, steps=20)
    learner = make_learner(method, PPO.model_copy(update={"drawn": True}), describe(env), ENVS, seed=0)
    policy, seen = learner.policy(), Field(env, 0).seen()
    assert policy.draws_per_agent == 1
    count = 20_000
    obs = {name: np.repeat(value[:1], count, axis=0) for name, value in seen.observations.items()}
    mask = {name: np.repeat(value[:1], count, axis=0) for name, value in seen.masks.items()}
    draws = np.random.default_rng(0).random((count, 5, 1))
    draws[0] = 0.0
    draws[1] = np.nextafter(1.0, 0.0)
    played = policy.act(obs, mask, None, draws).actions
    numbers = policy.numbers({name: value[:1] for name, value in obs.items()})[0]
    for branch, (name, action) in enumerate(played.items()):
        assert mask[name][np.arange(count), action].all()
        legal = mask[name][0] > 0
        chances = np.where(legal, np.exp(numbers[branch, : len(legal)]), 0.0)
        expected = chances / chances.sum()
        found = np.bincount(action, minlength=len(legal)) / count
        assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max() / count)
    again = policy.act(obs, mask, None, draws).actions
    assert all((again[name] == action).all() for name, action in played.items())


def test_a_drawn_policy_of_many_branches_takes_a_draw_for_each():
    env = make_vec(num_envs=2)
    learner = make_learner("mappo", PPO.model_copy(update={"drawn": True}), describe(env), 2, seed=0)
    policy, seen = learner.policy(), Field(env, 0).seen()
    assert policy.draws_per_agent == 16  # the hunter's numbers
    draws = np.zeros((2, 4, 16))
    low = policy.act(seen.observations, seen.masks, None, draws).actions
    assert all((low[name] == -1.0).all() for name in ("coordinator", "hunter", "responder"))
    draws[:, 1, 3] = np.nextafter(1.0, 0.0)
    changed = policy.act(seen.observations, seen.masks, None, draws).actions
    assert (changed["hunter"][:, 3] == 1.0).all() and (np.delete(changed["hunter"], 3, axis=1) == -1.0).all()
    assert (changed["responder"] == low["responder"]).all()
