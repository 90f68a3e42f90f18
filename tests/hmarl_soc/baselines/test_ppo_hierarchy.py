"""The hierarchy with PPO for every agent: it learns, resumes exactly, and acts as it was trained."""

import copy

import numpy as np
import pytest

from hmarl_soc import checkpoint
from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import CoordinatorConfig
from hmarl_soc.interface import describe
from hmarl_soc.registry import config_class, load_policy, make_learner
from hmarl_soc.training.playing import Field
from native_sim import make_vec
from native_sim.soc.spec import STATE

torch = pytest.importorskip("torch")

ENVS = 8
METHOD = "hmarl-soc-ppo"
QUICK = {"rollout": 64, "minibatch": 32, "epochs": 2, "learning_rate": 1e-3}


def make(seed=0):
    env = make_vec(num_envs=ENVS, with_state=True, threads=1)
    network = NetworkConfig(hidden=16, heads=2, key_size=4)
    config = config_class(METHOD)(
        network=network, coordinator=CoordinatorConfig(every=3, **QUICK), lower=CoordinatorConfig(**QUICK)
    )
    interface = describe(env, STATE.size)
    return make_learner(METHOD, config, interface, ENVS, seed), Field(env, seed), config


def play(learner, field, steps):
    updated = set()
    for _ in range(steps):
        actions = learner.act(field.seen())
        step = field.step(actions)
        learner.observe(step)
        updated |= {name.partition("/")[0] for name in learner.update()}
        field.restart(step)
    return updated


def tensors(learner):
    return {
        f"{role}.{part}.{name}": tensor.detach().clone()
        for role, agent in learner.agents.items()
        for part in ("actor", "critic")
        for name, tensor in getattr(agent, part).state_dict().items()
        if name not in ("attention.gather", "attention.member")
    } | {f"{role}.log_std": agent.log_std.detach().clone() for role, agent in learner.agents.items()}


def test_every_agent_learns_and_every_trainable_tensor_moves():
    learner, field, _ = make()
    before = tensors(learner)
    assert play(learner, field, 60) == {"coordinator", "hunter", "triage", "responder"}
    after = tensors(learner)
    still = [name for name in before if torch.equal(before[name], after[name]) and len(before[name])]
    assert not still


def test_log_density_kept_is_that_of_what_was_executed():
    learner, field, _ = make()
    play(learner, field, 3)
    for role in ("hunter", "triage", "responder"):
        agent = learner.agents[role]
        rows = agent._open
        outputs = agent.actor(torch.from_numpy(rows["observation"]))[0]
        found = agent._judge(outputs, torch.from_numpy(rows["raw"]))[0]
        np.testing.assert_allclose(found.detach().numpy(), rows["log_prob"], rtol=1e-4, atol=1e-4)


def test_resuming_from_a_saved_file_is_exact(tmp_path):
    whole, field, _ = make()
    play(whole, field, 13)
    saved = checkpoint.Checkpoint("training", METHOD, whole.interface.to_dict(), {}, dict(whole.state_dict()))
    checkpoint.save(tmp_path, saved)
    resumed, _, _ = make(seed=4)
    resumed.load_state_dict(checkpoint.load(tmp_path).state)
    twin = copy.deepcopy(field)
    play(whole, field, 15)
    play(resumed, twin, 15)
    for name, tensor in tensors(whole).items():
        assert torch.equal(tensor, tensors(resumed)[name]), name


def test_saved_policy_repeats_the_greedy_actors(tmp_path):
    learner, field, config = make()
    play(learner, field, 20)
    run = {"method": config.to_dict()}
    arrays = dict(learner.policy().weights())
    saved = checkpoint.Checkpoint("weights", METHOD, learner.interface.to_dict(), run, {"arrays": arrays})
    checkpoint.save(tmp_path, saved)
    policy = load_policy(tmp_path)
    seen = field.seen()
    decision = policy.act(seen.observations, seen.masks, policy.initial_memory(ENVS), np.zeros((ENVS, 4, 0)))
    directives = decision.actions["coordinator"]
    for role, view in learner.views.items():
        rows = torch.from_numpy(view(seen.observations[role], directives))
        np.testing.assert_allclose(
            decision.actions[role], learner.agents[role].act(rows, explore=False)[0], atol=1e-5, err_msg=role
        )


def test_states_of_others_are_refused():
    learner, _, _ = make()
    with pytest.raises(ValueError, match="PPO for every agent"):
        learner.load_state_dict({"hunter": {}})
