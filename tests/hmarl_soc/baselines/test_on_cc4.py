"""The baselines play CAGE Challenge 4 as they are: discrete actions under a mask, five agents, no state."""

import numpy as np
import pytest

import cage4
from hmarl_soc.baselines.config import PpoConfig, QmixConfig
from hmarl_soc.config import NetworkConfig
from hmarl_soc.interface import describe
from hmarl_soc.playing import Field
from hmarl_soc.registry import make_learner

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
