"""Each agent solves a small task whose answer is known, in seconds, from a fixed seed."""

import numpy as np
import pytest
import torch

from hmarl_soc.config import NetworkConfig
from hmarl_soc.hierarchy.config import CoordinatorConfig, HunterConfig, ResponderConfig, TriageConfig
from hmarl_soc.hierarchy.coordinator import Coordinator
from hmarl_soc.hierarchy.hunter import Hunter
from hmarl_soc.hierarchy.responder import Responder, emit
from hmarl_soc.hierarchy.roles import OUTPUTS
from hmarl_soc.hierarchy.triage import Triage
from hmarl_soc.interface import make_layout

LAYOUT = make_layout("view", {"x": (), "other": (3,)})
CPU = torch.device("cpu")
FAST = {"learning_rate": 3e-3}


@pytest.fixture(params=[True, False], ids=["attention", "plain"])
def network(request):
    return NetworkConfig(hidden=32, heads=2, attention=request.param)


def generator():
    return torch.Generator().manual_seed(0)


def views(count, noise):
    return 2.0 * torch.rand(count, LAYOUT.size, generator=noise) - 1.0


def batch(view, action, reward, **more):
    """Return one-step episodes."""
    count = len(view)
    none = torch.zeros(count, 0)
    return {
        **{"view": view, "next_view": view, "state": none, "next_state": none},
        **{"action": action, "reward": reward, "terminated": torch.ones(count), "discount": torch.ones(count)},
        **more,
    }


def test_hunter_finds_the_action_that_pays(network):
    fast = {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "slow_tau": 0.05, "proximity": 0.1}
    config = HunterConfig(tau=0.05, initial_entropy_weight=0.05, target_entropy=-4.0, **fast)
    agent, noise = Hunter(LAYOUT, 2, 0, config, network, generator(), CPU), generator()
    for _ in range(400):
        view = views(64, noise)
        action = agent.act(view)
        agent.update(batch(view, action, -2.0 * (action - view[:, :1]).square().sum(dim=1)), torch.ones(64))
    test = views(200, noise)
    assert (agent.act(test, explore=False) - test[:, :1]).abs().mean() < 0.15  # doing nothing is 0.5 off


def test_triage_learns_which_choice_pays_beside_a_state_it_cannot_influence(network):
    config = TriageConfig(target_every=20, epsilon_steps=2000, **FAST)
    agent, noise = Triage(LAYOUT, 4, 1, config, network, generator(), CPU), generator()

    def best(view):
        return (view[:, 0] > 0).long() * 2 + (view[:, 1] > 0).long()

    for _ in range(350):
        view, state = views(64, noise), 3.0 * torch.rand(64, 1, generator=noise)
        action = torch.from_numpy(agent.act(view))
        reward = (action == best(view)).float() + state[:, 0]  # more noise than signal, which the truth explains
        given = batch(view, action, reward) | {"state": state, "next_state": state}
        agent.update(given, torch.ones(64))
    test = views(400, noise)
    assert (torch.from_numpy(agent.act(test, explore=False)) == best(test)).float().mean() > 0.85
    assert agent.epsilon == pytest.approx(0.05)


def test_responder_learns_a_type_and_an_intensity_per_segment(network):
    config = ResponderConfig(
        actor_learning_rate=1e-3, critic_learning_rate=3e-3, tau=0.05, noise=0.3, slow_tau=0.1, proximity=0.02
    )
    agent, noise = Responder(LAYOUT, 2, 1, 0, config, network, generator(), CPU), generator()

    def wanted(view):
        on = (view[:, :1] > 0).float()
        isolate = torch.cat([2.0 * on - 1.0, 1.0 - 2.0 * on], dim=1)  # segment 0 where x > 0, segment 1 elsewhere
        return torch.cat([isolate, torch.full((len(view), 2), -1.0), torch.full((len(view), 2), 0.5)], dim=1)

    for _ in range(900):
        view = views(64, noise)
        action, none = agent.act(view), torch.zeros(64, 1)
        reward = -(action - wanted(view)).square().sum(dim=1)
        agent.update(batch(view, action, reward, others=none, next_others=none), torch.ones(64))
    test = views(400, noise)
    test = test[test[:, 0].abs() > 0.2]
    found = agent.act(test, explore=False)
    assert (found - wanted(test)).abs()[:, :4].mean() < 0.2  # chance is about 1
    assert (found[:, 4:] - 0.5).abs().mean() < 0.3


def test_types_decide_what_is_on_and_gradients_reach_every_output():
    outputs = torch.zeros(2, 3, OUTPUTS, requires_grad=True)
    types = torch.zeros(2, 3, 4)
    types[0, :, 0] = types[1, :, 3] = 1.0
    action = emit(outputs, types)
    assert action[0].tolist() == [-1.0, 0.0, -1.0, 0.0, 0.0, 0.0]  # segment 0 holds, segment 1 does both
    action = emit(outputs, outputs[..., :4].softmax(dim=-1))
    (action * torch.arange(1.0, 7.0)).sum().backward()
    assert (outputs.grad[:, :, 4:] != 0).all() and (outputs.grad[:, :, :4] != 0).any(dim=2).all()


def make_coordinator(network, num_envs=16, **changes):
    settings = {"rollout": 128, "minibatch": 64, "entropy": 0.0, "initial_log_std": -1.0, **FAST, **changes}
    return Coordinator(LAYOUT, 2, 0, num_envs, CoordinatorConfig(**settings), network, 0.9, generator(), CPU)


def test_the_first_rollout_tells_the_scale_of_inputs_and_nothing_is_learned_from_it(network):
    agent, noise = make_coordinator(network, rollout=32), generator()
    before = {name: tensor.clone() for name, tensor in agent.actor.state_dict().items()}
    none, never = np.zeros((16, 0), np.float32), np.zeros(16, bool)
    shown = []
    while not agent.fitted:
        shown.append(5.0 + 3.0 * views(16, noise).numpy())
        agent.decide(np.arange(16), shown[-1], none)
        agent.credit(np.ones(16), shown[-1], none, never, never)
        assert agent.update() == {}
    moved = {name for name, tensor in agent.actor.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"scaler.shift", "scaler.scale"}
    used = np.concatenate(shown[:2])  # the third macro step of each row is still running
    assert agent.actor.scaler.shift.numpy() == pytest.approx(used.mean(axis=0), abs=1e-4)
    assert agent.critic.scaler.scale.numpy() == pytest.approx(1.0 / used.std(axis=0), rel=1e-3)
    assert agent._open["value"] == pytest.approx(agent._values(shown[-1], none))


def test_coordinator_finds_the_directive_that_pays(network):
    agent, noise = make_coordinator(network), generator()
    rows, none = np.arange(16), np.zeros((16, 0), np.float32)
    for _ in range(60 * 8):
        seen = views(16, noise).numpy()
        directives = agent.decide(rows, seen, none)
        rewards = -np.square(directives - seen[:, :1]).sum(axis=1).astype(np.float64)
        agent.credit(rewards, seen, none, np.ones(16, bool), np.zeros(16, bool))
        agent.update()
    test = views(200, noise)
    found, _, _ = agent.act(test, explore=False)
    assert np.abs(found - test[:, :1].numpy()).mean() < 0.2  # doing nothing is 0.5 off


def test_executed_directives_are_the_credited_ones_and_the_first_pass_has_ratio_one(network):
    agent, noise = make_coordinator(network, num_envs=2), generator()
    rows, none = np.arange(2), np.zeros((2, 0), np.float32)
    seen = views(2, noise).numpy()
    directives = agent.decide(rows, seen, none)
    agent.credit(np.zeros(2), seen, none, np.ones(2, bool), np.zeros(2, bool))
    grid, filled = agent.rollout.take()
    assert np.tanh(grid["raw"][filled]) == pytest.approx(directives)
    batch = [torch.as_tensor(grid[name][filled]) for name in ("observation", "state", "raw", "advice", "log_prob")]
    metrics = agent._learn([*batch, torch.ones(2), torch.zeros(2)], None)
    assert metrics["policy_loss"] == pytest.approx(-1.0, abs=1e-5)  # ratio 1 times advantage 1
    assert metrics["clipped"] == 0.0


def test_macro_steps_discount_within_and_bootstrap_where_time_ran_out(network):
    agent, noise = make_coordinator(network, num_envs=3), generator()
    rows, none = np.arange(3), np.zeros((3, 0), np.float32)
    first, last = views(3, noise).numpy(), views(3, noise).numpy()
    flags = np.zeros((2, 3), bool)
    agent.decide(rows, first, none)
    agent.credit(np.ones(3), first, none, *flags)
    flags[:, :2] = [[True, False], [False, True]]  # row 0 terminates, row 1 is truncated, row 2 goes on
    agent.credit(np.full(3, 2.0), last, none, *flags)
    agent.decide(rows[2:], last[2:], none[2:])
    grid, filled = agent.rollout.take()
    assert filled.all() and grid["reward"][0] == pytest.approx([1 + 0.9 * 2] * 3)
    assert grid["discount"][0] == pytest.approx([0.81] * 3)
    values = agent._values(last, none)
    assert grid["next_value"][0] == pytest.approx([0.0, values[1], values[2]])
    assert grid["ended"][0].tolist() == [True, True, False]
