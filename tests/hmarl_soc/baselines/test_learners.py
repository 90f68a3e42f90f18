"""Every baseline: toy tasks with known answers, exact resumption, masks, and that nothing is left untrained."""

import copy

import numpy as np
import pytest

from hmarl_soc import checkpoint
from hmarl_soc.config import NetworkConfig
from hmarl_soc.interface import describe
from hmarl_soc.learner import Seen, Transition
from hmarl_soc.registry import METHODS, config_class, load_policy, make_learner
from native_sim import make_vec
from native_sim.soc.spec import STATE

torch = pytest.importorskip("torch")

POLICY_GRADIENT = ("single-drl", "mappo", "ippo")
Q_LEARNING = ("iql", "qmix")
BASELINES = (*POLICY_GRADIENT, *Q_LEARNING)
SMALL = NetworkConfig(hidden=16, attention=False)


def make(method, interface, num_envs, seed=0, **settings):
    if method in POLICY_GRADIENT:
        settings = {"rollout": 256, "minibatch": 128, "learning_rate": 5e-3} | settings
    else:
        quick = {"warm_up": 256, "updates_per_step": 1 / 32, "target_every": 25, "epsilon_steps": 3000}
        settings = {"learning_rate": 5e-3, "batch_size": 64, "capacity": 5000, "epsilon_end": 0.05} | quick | settings
    config = config_class(method)(network=SMALL, reward_scale=1.0, **settings)
    return make_learner(method, config, interface, num_envs, seed)


def on_toy(method, toy, **settings):
    return make(method, toy.interface(), toy.num_envs, **settings)


@pytest.mark.parametrize("method", BASELINES)
def test_bandit_is_solved(method, make_toy, learn, score):
    toy = make_toy("bandit")
    learner = on_toy(method, toy, levels=3)
    learn(learner, toy, 200)
    assert score(learner, toy) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("method", BASELINES)
def test_time_limit_is_not_an_end(method, make_toy, learn, score):
    toy = make_toy("chain")
    quick = {"target_every": 10} if method in Q_LEARNING else {}
    learner = on_toy(method, toy, gamma=0.8, **quick)
    learn(learner, toy, 250)
    assert score(learner, toy) == 1.0  # goes on; who takes the limit for an end leaves, for 3


def test_value_of_going_on_is_five(make_toy, learn):
    toy = make_toy("chain")
    learner = on_toy("iql", toy, gamma=0.8, target_every=10, epsilon_end=0.5)
    learn(learner, toy, 400)
    seen = learner.policy().numbers(toy.seen().observations)
    np.testing.assert_allclose(seen[0, 0], [5.0, 3.0], rtol=0.1)


@pytest.mark.parametrize("method", BASELINES)
def test_a_row_is_judged_alone_as_among_others(method):
    env = make_vec(num_envs=40, threads=1)
    policy = make(method, describe(env), 40).policy()
    seen = env.reset(seed=0)[0]
    together = policy.numbers(seen)
    for row in range(40):
        one = policy.numbers({name: values[row : row + 1] for name, values in seen.items()})
        assert np.abs(one[0] - together[row]).max() < 1e-12 * np.abs(together).max()


@pytest.mark.parametrize("method", Q_LEARNING)
def test_time_limit_is_not_an_end_over_several_steps_either(method, make_toy, learn, score):
    toy = make_toy("chain")
    learner = on_toy(method, toy, gamma=0.8, target_every=10, n_steps=4)
    learn(learner, toy, 250)
    assert score(learner, toy) == 1.0


def test_a_target_adds_up_the_rewards_of_its_steps_up_to_the_end(make_toy, learn):
    toy = make_toy("chain")
    learner = on_toy("iql", toy, gamma=0.5, n_steps=3, warm_up=10**6)
    learn(learner, toy, 40)
    kept = {name: values[: learner.replay.size] for name, values in learner.replay.entries.items()}
    found = {tuple(row) for row in zip(kept["reward"], kept["discount"], kept["terminated"], strict=True)}
    # leaves at once; goes on, then leaves; goes on twice, until the limit; begins one step before the limit
    assert found == {(3.0, 0.5, True), (2.5, 0.25, True), (1.5, 0.25, False), (1.0, 0.5, False)}
    following = learner._targets(kept).numpy()[:, 0] - kept["reward"]
    assert not following[kept["terminated"]].any()
    goes_on = ~kept["terminated"]
    values = np.unique((following / kept["discount"])[goes_on].round(5))
    assert 1 <= len(values) <= 2 and values.all()  # one per observation there is, however many steps went before


@pytest.mark.parametrize("method", POLICY_GRADIENT)
def test_teams_find_the_better_of_two_conventions(method, make_toy, learn, score):
    toy = make_toy("matching")
    learner = on_toy(method, toy)
    learn(learner, toy, 100)
    assert score(learner, toy) == 2.0


@pytest.mark.parametrize(("method", "answer"), [("qmix", 8.0), ("iql", 7.0)])
def test_two_step_game_tells_mixed_from_independent_values(method, answer, make_toy, learn, score):
    toy = make_toy("two-steps")
    learner = on_toy(method, toy, epsilon_end=1.0, capacity=20_000)
    learn(learner, toy, 400)
    assert score(learner, toy, 2) == answer


@pytest.mark.parametrize(("method", "settings"), [*((name, {}) for name in BASELINES), ("qmix", {"n_steps": 3})])
def test_resuming_from_a_saved_file_is_exact(method, settings, make_toy, learn, tmp_path):
    whole_toy = make_toy("two-steps")
    whole = on_toy(method, whole_toy, **settings)
    learn(whole, whole_toy, 37)  # in the middle of a rollout
    saved_toy = copy.deepcopy(whole_toy)
    saved = checkpoint.Checkpoint("training", method, whole.interface.to_dict(), {}, dict(whole.state_dict()))
    checkpoint.save(tmp_path, saved)
    resumed = on_toy(method, saved_toy, seed=5, **settings)
    resumed.load_state_dict(checkpoint.load(tmp_path).state)
    learn(whole, whole_toy, 40)
    learn(resumed, saved_toy, 40)
    assert flat(resumed.state_dict()).keys() == flat(whole.state_dict()).keys()
    for name, value in flat(whole.state_dict()).items():
        np.testing.assert_array_equal(flat(resumed.state_dict())[name], value, err_msg=name)
    assert whole.updates > 0


def flat(value, path=""):
    if isinstance(value, dict):
        return {key: leaf for name, part in value.items() for key, leaf in flat(part, f"{path}/{name}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), path)
    return {path: np.asarray(value)}


@pytest.mark.parametrize("method", BASELINES)
def test_wrong_states_are_refused_and_change_nothing(method, make_toy, learn):
    toy, other_toy = make_toy("two-steps"), make_toy("bandit")
    learner = on_toy(method, toy)
    learn(learner, toy, 20)
    before = flat(copy.deepcopy(learner.state_dict()))
    other = "iql" if method != "iql" else "mappo"
    with pytest.raises(ValueError, match=other):
        learner.load_state_dict(on_toy(other, make_toy("two-steps")).state_dict())
    with pytest.raises(ValueError, match="use the configuration and environment"):
        learner.load_state_dict(on_toy(method, other_toy).state_dict())
    with pytest.raises(ValueError, match="lacks 'observed'"):
        learner.load_state_dict({k: v for k, v in learner.state_dict().items() if k != "observed"})
    for name, value in flat(learner.state_dict()).items():
        np.testing.assert_array_equal(before[name], value, err_msg=name)


@pytest.mark.parametrize("method", BASELINES)
def test_same_seed_same_actions_and_another_seed_others(method, make_toy, learn):
    def actions(seed):
        toy = make_toy("matching")
        learner = on_toy(method, toy, seed=seed)
        learn(learner, toy, 30)
        return np.concatenate([learner.act(toy.seen())["left"] for _ in range(8)])

    np.testing.assert_array_equal(actions(1), actions(1))
    assert (actions(1) != actions(2)).any()


@pytest.mark.parametrize("method", BASELINES)
def test_nothing_draws_from_the_global_generators(method, make_toy, learn):
    toy = make_toy("matching")
    before = torch.random.get_rng_state().clone()
    learn(on_toy(method, toy), toy, 20)
    assert torch.equal(before, torch.random.get_rng_state())


# ------------------------------------------------------------------------------------------- in the SOC simulator
ENVS = 8


def soc():
    env = make_vec(num_envs=ENVS, with_state=True, threads=1)
    return env, describe(env, STATE.size)


def play_soc(env, learner, steps):
    rows = np.arange(ENVS)
    observations, infos = env.reset(seed=3)
    seen = Seen(rows, observations, infos["action_mask"], infos["state"])
    for _ in range(steps):
        actions = learner.act(seen)
        batch = env.step(actions)
        after = Seen(rows, batch.observations, batch.infos["action_mask"], batch.infos["state"])
        step = Transition(seen, actions, batch.rewards, after, batch.terminations, batch.truncations, batch.infos)
        learner.observe(step)
        metrics = learner.update()
        assert all(np.isfinite(value) for value in metrics.values())
        if (batch.terminations | batch.truncations).any():
            observations, infos = env.reset(seed=3)
            after = Seen(rows, observations, infos["action_mask"], infos["state"])
        seen = after
    return seen


@pytest.mark.parametrize("method", BASELINES)
def test_every_trainable_tensor_moves(method):
    env, interface = soc()
    learner = (
        make(method, interface, ENVS, rollout=128)
        if method in POLICY_GRADIENT
        else make(method, interface, ENVS, target_every=5)
    )
    before = {
        f"{name}.{key}": value.clone()
        for name, module in learner.modules.items()
        for key, value in module.state_dict().items()
    }
    play_soc(env, learner, 60)
    for name, module in learner.modules.items():
        for key, value in module.state_dict().items():
            assert not torch.equal(before[f"{name}.{key}"], value), f"{name}.{key} never moved"


@pytest.mark.parametrize("method", BASELINES)
def test_saved_policy_is_the_greedy_learner_and_stays_as_it_was(method, tmp_path):
    env, interface = soc()
    learner = make(method, interface, ENVS)
    seen = play_soc(env, learner, 40)
    greedy = learner.act(seen, explore=False)
    policy = learner.policy()
    config = {"method": {"network": SMALL.to_dict()}}
    saved = checkpoint.Checkpoint("weights", method, interface.to_dict(), config, {"arrays": policy.weights()})
    checkpoint.save(tmp_path, saved)
    play_soc(env, learner, 40)
    for chosen in (policy, load_policy(tmp_path)):
        found = chosen.act(seen.observations, seen.masks, None, np.zeros((ENVS, 4, 0))).actions
        for role, action in greedy.items():
            np.testing.assert_array_equal(found[role], action)


@pytest.mark.parametrize("method", BASELINES)
def test_greedy_action_draws_nothing(method, make_toy):
    toy = make_toy("matching")
    learner = on_toy(method, toy)
    before = copy.deepcopy(learner.generator.bit_generator.state)
    learner.act(toy.seen(), explore=False)
    assert learner.generator.bit_generator.state == before


@pytest.mark.parametrize("method", ["mappo", "qmix"])
def test_a_missing_state_is_named(method, make_toy):
    toy = make_toy("two-steps")
    learner = on_toy(method, toy)
    step = toy.step(learner.act(toy.seen()))
    blind = step._replace(before=step.before._replace(state=None))
    with pytest.raises(ValueError, match="state of 3 numbers"):
        learner.observe(blind)


def test_attention_belongs_to_the_full_system():
    with pytest.raises(ValueError, match="attention"):
        config_class("mappo")(network=NetworkConfig())


def test_every_baseline_is_registered():
    assert set(BASELINES) <= set(METHODS)
