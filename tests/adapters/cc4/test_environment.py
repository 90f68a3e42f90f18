"""The carried environment is CC4: what is played through it is exactly what a carried policy plays."""

from dataclasses import replace

import numpy as np
import pytest

import cage4
from adapters.cc4 import environment
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4.environment import CarriedEnv, observation_layout
from adapters.cc4.mapper_linear import LinearMapper
from adapters.cc4.mapper_table import MapperConfig
from cage4 import spec
from native_sim.checks import check_vector_env
from native_sim.soc import policies as soc_policies

STEPS, ENVS = 25, 3


@pytest.fixture
def learned(bundle):
    weights = np.random.default_rng(2).normal(size=scorer.SIZE)
    return replace(bundle, mapper=MapperConfig(temperature=1.0), mapper_weights=weights)


def make(bundle, count=ENVS, steps=STEPS):
    env = cage4.vector_env("native", num_envs=count, steps=steps, rich=True)
    return CarriedEnv(env, bundle.carrier(), bundle.mapper)


class Witness(LinearMapper):
    """Plays, and keeps the number of the option it took and what triage wanted."""

    def __init__(self, config, weights):
        super().__init__(config, weights)
        self.taken = {}

    def __call__(self, now, orders, draws):
        mapped = super().__call__(now, orders, draws)
        indices, allowed = scorer.options(now)
        same = (indices == mapped.action[:, None]) & allowed
        self.taken[now.agent] = np.column_stack([same.argmax(axis=1), orders.triage])
        return mapped


def random_actions(observations, generator):
    """Return a legal option for every agent, and anything else at random."""
    actions = {}
    for agent, name in enumerate(spec.BLUE_AGENTS):
        allowed = observation_layout(agent).unpack(observations[name])["allowed"]
        option = np.where(allowed > 0, generator.random(allowed.shape), -1.0).argmax(axis=1)
        triage, directive = generator.integers(-1, 4, len(option)), generator.uniform(-1, 1, (len(option), 8))
        actions[name] = np.column_stack([option, triage, directive]).astype(np.float32)
    return actions


@pytest.mark.parametrize("steps", [3, 7])
def test_contract(learned, steps):
    def sample(env, observations, masks, generator):
        return random_actions(observations, generator)

    check_vector_env(lambda count: make(learned, count, steps), 2, 9, sample=sample)


@pytest.mark.parametrize("declared", ["terminated", "truncated", "both"])
def test_its_time_limit_is_that_of_the_environments_behind_it(learned, declared):
    env = cage4.vector_env("native", num_envs=1, steps=5, rich=True)
    env.metadata = {**env.metadata, "time_limit_end": declared}
    carried = CarriedEnv(env, learned.carrier(), learned.mapper)
    assert carried.time_limit_end == carried.metadata["time_limit_end"] == declared


def test_it_plays_what_the_carried_policy_plays(learned):
    policy = learned.policy(lambda *_: soc_policies.RandomActions())
    policy.mapper = witness = Witness(learned.mapper, learned.mapper_weights)
    plain = cage4.vector_env("native", num_envs=ENVS, steps=STEPS, rich=True)
    env = make(learned)
    observations, infos = plain.reset(seed=[5, 6, 7])
    shown, _ = env.reset(seed=[5, 6, 7])
    memory, generator = policy.initial_memory(ENVS), np.random.default_rng(0)
    handled = 0
    for _ in range(spec.episode_length(STEPS)):
        seen = {**observations, "busy": infos["busy"], "rich": infos["rich"]}
        draws = generator.random((ENVS, spec.NUM_BLUE, policy.draws_per_agent))
        decision = policy.act(seen, infos["action_mask"], memory, draws)
        memory = decision.memory
        given = {
            name: np.column_stack([witness.taken[agent], memory["directive"]])
            for agent, name in enumerate(spec.BLUE_AGENTS)
        }
        batch, same = plain.step(decision.actions, decision.messages), env.step(given)
        assert np.array_equal(batch.rewards, same.rewards) and np.array_equal(batch.infos["busy"], same.infos["busy"])
        observations, infos, shown = batch.observations, batch.infos, same.observations
        handled += sum((queue[..., 0] >= 0).sum() for queue in memory["queues"])
    assert handled > 0  # triage had something to do, so that its part was played too
    kept = env._memory
    for name in ("directive", "queues"):
        for one, other in zip(memory[name], kept[name], strict=True):
            assert np.array_equal(one, other)
    assert set(shown) == set(spec.BLUE_AGENTS)


def test_rows_are_independent(learned):
    together, apart = make(learned), make(learned)
    first, _ = together.reset(seed=[1, 2, 3])
    apart.reset(seed=[9, 9, 9])
    some, _ = apart.reset(seed=[2, 3], rows=[1, 2])
    assert all(np.array_equal(first[name][1:], some[name]) for name in spec.BLUE_AGENTS)
    generator = np.random.default_rng(3)
    for _ in range(6):
        actions = random_actions(first, generator)
        batch = together.step(actions)
        part = apart.step({name: value[1:] for name, value in actions.items()}, rows=[1, 2])
        assert np.array_equal(batch.rewards[1:], part.rewards)
        assert all(np.array_equal(batch.observations[name][1:], part.observations[name]) for name in spec.BLUE_AGENTS)
        first = batch.observations


def test_rows_may_be_named_in_any_order(learned):
    plain, mixed, order = make(learned), make(learned), [2, 0, 1]
    seen, _ = plain.reset(seed=[0, 1, 2])
    other, _ = mixed.reset(seed=order, rows=order)
    generator = np.random.default_rng(0)
    for _ in range(4):
        for name in seen:
            np.testing.assert_array_equal(seen[name][order], other[name])
        actions = random_actions(seen, generator)
        seen = plain.step(actions).observations
        other = mixed.step({name: value[order] for name, value in actions.items()}, rows=order).observations


def test_the_reward_is_split_without_a_rest(learned):
    env = make(learned, count=8, steps=100)
    observations, _ = env.reset(seed=0)
    generator = np.random.default_rng(4)
    total, shares = np.zeros(8), np.zeros((8, spec.NUM_BLUE))
    for _ in range(spec.episode_length(100)):
        batch = env.step(random_actions(observations, generator))
        observations = batch.observations
        assert np.allclose(batch.infos["agent_rewards"].sum(axis=1), batch.rewards)
        total += batch.rewards
        shares += batch.infos["agent_rewards"]
    assert (total < 0).all() and (shares.min(axis=0) < 0).all() and len(np.unique(shares.sum(axis=0))) == spec.NUM_BLUE


def test_what_cannot_be_played_is_refused_and_changes_nothing(learned):
    env = make(learned)
    observations, _ = env.reset(seed=0)
    good = random_actions(observations, np.random.default_rng(0))
    with pytest.raises(ValueError, match="call reset before step"):
        make(learned).step(good)
    with pytest.raises(ValueError, match=r"actions must be of blue_agent_0, .* given: blue_agent_1"):
        env.step({"blue_agent_1": good["blue_agent_1"]})
    for change, sentence in (
        (lambda a: a[:, :9], "10 finite numbers"),
        (lambda a: np.where(np.arange(10) == 3, np.nan, a), "10 finite numbers"),
        (lambda a: np.where(np.arange(10) == 0, 1e6, a), "not legal"),
        (lambda a: np.where(np.arange(10) == 0, -1, a), "not legal"),
        (lambda a: np.where(np.arange(10) == 1, 4, a), "triage"),
    ):
        with pytest.raises(ValueError, match=sentence):
            env.step({**good, "blue_agent_2": change(good["blue_agent_2"])})
    illegal = observation_layout(0).unpack(observations["blue_agent_0"])["allowed"].argmin(axis=1)
    with pytest.raises(ValueError, match="not legal"):
        env.step({**good, "blue_agent_0": np.column_stack([illegal, good["blue_agent_0"][:, 1:]])})
    with pytest.raises(ValueError, match="give none"):
        env.step(good, messages=np.zeros((ENVS, 5, 8)))
    fresh = make(learned)
    fresh.reset(seed=0)
    assert np.array_equal(env.step(good).observations["blue_agent_1"], fresh.step(good).observations["blue_agent_1"])


@pytest.mark.parametrize("change", ["assignment", "directive"])
def test_only_a_whole_hierarchy_is_tuned(learned, change):
    carrier = learned.with_assignment("paper").carrier() if change == "assignment" else learned.carrier(np.zeros(8))
    env = cage4.vector_env("native", num_envs=1, steps=5, rich=True)
    with pytest.raises(ValueError, match="natural assignment and with a coordinator"):
        CarriedEnv(env, carrier, learned.mapper)


def test_every_entry_of_an_observation_is_named(learned):
    env = make(learned)
    observations, infos = env.reset(seed=0)
    for agent, name in enumerate(spec.BLUE_AGENTS):
        layout = observation_layout(agent)
        assert observations[name].shape == (ENVS, layout.size) and observations[name].dtype == np.float32
        assert env.single_observation_space[name].contains(observations[name][0])
        assert infos["action_mask"][name].shape == (ENVS, environment.ACTION_SIZE)
        fields = layout.unpack(observations[name])
        assert (fields["segment"].sum(axis=1) == 1).all() and (fields["leads"] == (agent == 4)).all()
