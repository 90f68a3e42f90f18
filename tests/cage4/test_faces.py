"""The PettingZoo face and the choice of an engine keep their contract, whichever engine is behind them."""

import importlib.machinery
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import cage4
from cage4 import engines, spec, validate
from cage4.actions import SLEEP
from cage4.faces import CageParallelEnv
from cage4.observations import true_state
from cage4.observations.spaces import VectorSpaces, action_sizes, observation_sizes
from cage4.spec import BLUE_AGENTS
from native_sim.api import StepBatch, VectorEnv
from native_sim.checks import check_vector_env

ROOT = Path(__file__).resolve().parents[2]


class FakeEngine(VectorEnv):
    """Draws random bits; remembers what it was given."""

    metadata = {"autoreset_mode": AutoresetMode.DISABLED, "time_limit_end": "both"}  # noqa: RUF012  # Gymnasium's
    agents = BLUE_AGENTS

    def __init__(self, num_envs=1, variant="base", steps=10, seed=None, pad_spaces=False, rich=False, **options):
        self.num_envs, self.steps, self.pad, self.options = num_envs, steps, pad_spaces, options
        self.arguments = (num_envs, variant, steps, seed, pad_spaces)
        spaces = VectorSpaces(num_envs, pad_spaces)
        self.single_observation_space = spaces.single_observation_space
        self.single_action_space = spaces.single_action_space
        self.rng = np.random.default_rng(seed)
        self.given = self.messages = None

    def _observe(self):
        self.phase = spec.phase_of_step(max(self.played - 1, 0), self.steps)
        return {
            agent: np.concatenate([[self.phase], self.rng.integers(0, 2, size - 1)]).astype(np.int8)[None]
            for agent, size in zip(BLUE_AGENTS, observation_sizes(self.pad), strict=True)
        }

    def _infos(self):
        masks = {agent: np.ones((1, n), np.int8) for agent, n in zip(BLUE_AGENTS, action_sizes(self.pad), strict=True)}
        return {"action_mask": masks, "busy": np.arange(5)[None]}

    def reset(self, *, seed=None, rows=None, options=None):
        (seed,) = validate.check_seeds(seed, 1)
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.played = 0
        return self._observe(), self._infos()

    def step(self, actions, messages=None, rows=None):
        self.given, self.messages = actions, messages
        validate.check_actions(actions, action_sizes(self.pad), 1)
        self.played += 1
        done = np.array([self.played >= self.steps - 1])
        return StepBatch(self._observe(), -self.rng.integers(0, 3, 1).astype(float), done, done.copy(), self._infos())


@pytest.fixture
def env():
    return CageParallelEnv(FakeEngine(steps=5, seed=0))


def play_out(env):
    steps = []
    while env.agents:
        steps.append(env.step({}))
    return steps


# --------------------------------------------------------------------------------------------- PettingZoo's tests
def test_pettingzoos_own_tests_on_the_fake_engine():
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(CageParallelEnv(FakeEngine(steps=8, seed=1)), num_cycles=30)
    parallel_seed_test(lambda: CageParallelEnv(FakeEngine(steps=8)), num_cycles=20)


@pytest.mark.parametrize("pad", [False, True])
def test_the_compiled_engine_passes_pettingzoos_own_tests(pad):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(cage4.parallel_env("native", steps=15, seed=1, pad_spaces=pad), num_cycles=30)
    parallel_seed_test(lambda: cage4.parallel_env("native", steps=15, pad_spaces=pad))


@pytest.mark.cyborg
@pytest.mark.parametrize("pad", [False, True])
def test_pettingzoos_own_tests_on_cyborg(pad):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(cage4.parallel_env("cyborg", steps=15, seed=1, pad_spaces=pad), num_cycles=30)
    parallel_seed_test(lambda: cage4.parallel_env("cyborg", steps=15, pad_spaces=pad), num_cycles=15)


# ------------------------------------------------------------------------------------------------------- contract
@pytest.mark.parametrize("pad", [False, True])
def test_the_compiled_engine_keeps_the_contract_past_the_end_of_episodes(pad):
    check_vector_env(lambda count: cage4.vector_env("native", count, steps=7, pad_spaces=pad, rich=pad), 3, 15)


@pytest.mark.cyborg
@pytest.mark.parametrize("pad", [False, True])
def test_cyborg_keeps_the_contract_past_the_end_of_episodes(pad):
    def make(count):
        return cage4.vector_env("cyborg", count, steps=5, pad_spaces=pad, rich=pad, processes=0)

    check_vector_env(make, 2, 9)


@pytest.mark.parametrize("engine", ["native", pytest.param("cyborg", marks=pytest.mark.cyborg)])
def test_engines_and_face_declare_the_end_that_they_play(engine):
    face = cage4.parallel_env(engine, steps=4, seed=0)
    assert face.metadata["time_limit_end"] == face.engine.time_limit_end == spec.TIME_LIMIT_END == "both"
    face.reset(seed=0)
    steps = play_out(face)
    assert [{*step[2].values(), *step[3].values()} for step in steps] == [{False}, {False}, {True}]


def test_what_reset_returns(env):
    observations, infos = env.reset(seed=3)
    assert env.agents == env.possible_agents == list(BLUE_AGENTS) == list(observations) == list(infos)
    for number, agent in enumerate(BLUE_AGENTS):
        assert observations[agent].dtype == np.int64 and observations[agent] in env.observation_space(agent)
        assert infos[agent]["action_mask"].dtype == np.int8
        assert infos[agent]["action_mask"].shape == (spec.NUM_ACTIONS[number],)
        assert infos[agent]["busy"] == number and type(infos[agent]["busy"]) is int


def test_a_seed_starts_a_stream_and_no_seed_continues_it(env):
    first, _ = env.reset(seed=3)
    second, _ = env.reset()
    again, _ = env.reset(seed=3)
    same = [all((one[a] == first[a]).all() for a in BLUE_AGENTS) for one in (second, again)]
    assert same == [False, True]


def test_all_agents_share_the_reward_and_the_end(env):
    env.reset(seed=0)
    steps = play_out(env)
    assert len(steps) == 4  # done comes one step before the length
    for number, (observations, rewards, terminations, truncations, infos) in enumerate(steps):
        for part in (observations, rewards, terminations, truncations, infos):
            assert list(part) == list(BLUE_AGENTS)
        assert len(set(rewards.values())) == 1 and type(rewards["blue_agent_0"]) is float
        assert set(terminations.values()) == set(truncations.values()) == {number == 3}
    assert env.agents == []
    assert env.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(ValueError, match="call reset before step"):
        env.step({"blue_agent_0": 0})
    env.reset()
    assert env.agents == list(BLUE_AGENTS)


def test_agents_left_out_play_sleep(env):
    env.reset()
    env.step({"blue_agent_1": np.int64(7)})
    given = {agent: column.tolist() for agent, column in env.engine.given.items()}
    expected = dict(zip(BLUE_AGENTS, ([n] for n in SLEEP), strict=True))
    assert given == {**expected, "blue_agent_1": [7]}
    assert (SLEEP[0], SLEEP[4]) == (49, 145)


@pytest.mark.parametrize(
    ("actions", "messages", "told"),
    [
        ({"red_agent_0": 0}, None, "unknown agents red_agent_0"),
        ({"blue_agent_0": 82}, None, "blue_agent_0 must lie in 0 to 81; given 82"),
        ({"blue_agent_0": -1}, None, "must lie in 0 to 81"),
        ({"blue_agent_0": 1.5}, None, "must be an integer; given 1.5"),
        ({"blue_agent_0": True}, None, "must be an integer"),
        ({"blue_agent_0": None}, None, "must be an integer"),
        ({}, np.zeros((4, 8)), "shape"),
        ({}, np.full((5, 8), 2), "0 and 1 only"),
        ({}, {"blue_agent_0": np.zeros(7)}, "message of blue_agent_0 must have 8 bits"),
        ({}, {"green_agent_0": np.zeros(8)}, "unknown agents green_agent_0"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(env, actions, messages, told):
    env.reset()
    with pytest.raises(ValueError, match=told) as caught:
        env.step(actions, messages)
    assert "\n" not in str(caught.value)
    assert env.engine.given is None and env.agents


def test_messages_reach_the_engine_in_agent_order(env):
    env.reset()
    bits = np.random.default_rng(0).integers(0, 2, (5, 8))
    env.step({}, bits)
    assert (env.engine.messages == bits[None]).all()
    env.step({}, {"blue_agent_3": bits[3].astype(bool)})
    assert (env.engine.messages[0, 3] == bits[3]).all() and env.engine.messages.sum() == bits[3].sum()
    env.step({})
    assert env.engine.messages is None


def test_spaces_are_the_same_objects_at_every_call(env):
    for agent in BLUE_AGENTS:
        assert env.observation_space(agent) is env.observation_space(agent)
        assert env.action_space(agent) is env.action_space(agent)
    with pytest.raises(ValueError, match="unknown agents nobody"):
        env.action_space("nobody")


def _play_and_compare_states(env):
    env.reset(seed=3)
    seen = []
    while env.agents:
        state = env.state()
        assert state.dtype == np.int32 and state in env.state_space
        named = env.true_state()
        np.testing.assert_array_equal(state, true_state.flatten(named)[0])
        state[:] = -1
        assert env.state().min() == 0, "the vector given out is the caller's own"
        assert named.step.tolist() == [len(seen)]
        seen.append(env.state())
        env.step({"blue_agent_0": 3})
    assert env.state()[true_state.LAYOUT["step"].start] == len(seen), "the last state can still be read"
    return np.array(seen)


def test_state_is_the_true_state_as_one_vector():
    env = cage4.parallel_env("native", steps=40, seed=1)
    assert env.state_space.shape == (true_state.LAYOUT.size,)
    with pytest.raises(ValueError, match="not been reset"):
        env.state()
    states = _play_and_compare_states(env)
    sessions = states[:, true_state.LAYOUT["red_sessions"].slice].sum(axis=1)
    assert sessions[0] == 1 and sessions[-1] > 1, "red's foothold is there, though no agent sees it"


@pytest.mark.cyborg
def test_state_is_the_same_on_both_engines():
    states = [_play_and_compare_states(cage4.parallel_env(name, steps=20)) for name in ("native", "cyborg")]
    np.testing.assert_array_equal(*states)


def test_an_engine_without_truth_says_so(env):
    env.reset()
    with pytest.raises(ValueError, match="FakeEngine does not tell the true state"):
        env.state()


def test_render_and_close(env):
    env.reset()
    assert env.render() is None
    env.close()
    assert env.engine.closed and env.agents == []
    assert env.metadata["name"] == "cage4_v1" and env.metadata["is_parallelizable"]
    with pytest.raises(ValueError, match="plays one environment"):
        CageParallelEnv(FakeEngine(num_envs=2))


# -------------------------------------------------------------------------------------------------------- engines
def test_auto_prefers_the_compiled_engine(monkeypatch):
    module = types.ModuleType("fake_native_engine")
    module.NativeVectorEnv, module.__spec__ = FakeEngine, importlib.machinery.ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(engines.ENGINES, "native", engines.ENGINES["native"]._replace(module=module.__name__))
    assert cage4.available_engines()[0] == "native"
    made = cage4.vector_env(num_envs=3, steps=9, seed=4, pad_spaces=True, threads=2)
    assert isinstance(made, FakeEngine) and made.options == {"threads": 2}
    number, variant, *others = made.arguments
    assert (number, variant.name, others) == (3, "base", [9, 4, True])
    face = cage4.parallel_env("native", steps=9, seed=4)
    assert face.engine.arguments[0] == 1
    with pytest.raises(ValueError, match="engine 'native' has no option processes; it has threads"):
        cage4.vector_env(processes=1)


def test_the_compiled_engine_may_be_absent(monkeypatch):
    monkeypatch.setattr(engines, "_is_present", lambda module: "native" not in module)
    monkeypatch.setattr(engines.cyborg_locate, "available", lambda: True)
    assert cage4.available_engines() == ("cyborg",)
    monkeypatch.setattr(engines.cyborg_locate, "locate", lambda: types.SimpleNamespace(available=True))
    assert engines.resolve_engine("auto") == "cyborg"
    with pytest.raises(ValueError, match="'native' is not part of this installation"):
        cage4.vector_env("native")
    monkeypatch.setattr(engines.cyborg_locate, "available", lambda: False)
    assert cage4.available_engines() == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"engine": "jax"}, "unknown engine 'jax'; choose auto, native or cyborg"),
        ({"engine": "native", "processes": 2}, "engine 'native' has no option processes; it has threads"),
        ({"engine": "cyborg", "num_envs": 0}, "num_envs must be an integer of at least 1; given 0"),
        ({"engine": "cyborg", "steps": 2}, "steps must be an integer of at least 3"),
        ({"engine": "cyborg", "variant": "nothing"}, "unknown variant 'nothing'"),
        ({"engine": "cyborg", "seed": -1}, "seed must be a non-negative integer"),
    ],
)
def test_bad_arguments(arguments, told):
    with pytest.raises(ValueError, match=told) as caught:
        cage4.vector_env(**arguments)
    assert "\n" not in str(caught.value)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, cage4\n"
        "print(sorted({'pettingzoo', 'gymnasium', 'numba', 'CybORG', 'numpy'} & set(sys.modules)))\n"
        "cage4.available_engines()\n"
        "print(sorted({'pettingzoo', 'numba', 'CybORG', 'cage4.native'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    first, second = done.stdout.splitlines()
    assert first == "[]" and set(eval(second)) <= {"cage4.native"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cage4.nothing  # noqa: B018


@pytest.mark.cyborg
def test_both_faces_of_cyborg_show_the_same_episode():
    face, vector = cage4.parallel_env("cyborg", steps=12, seed=7), cage4.vector_env("cyborg", steps=12, seed=7)
    (seen, infos), (batch, _) = face.reset(), vector.reset()
    rng = np.random.default_rng(0)
    while face.agents:
        for agent in BLUE_AGENTS:
            np.testing.assert_array_equal(seen[agent], batch[agent][0])
        actions = {a: int(rng.choice(np.flatnonzero(infos[a]["action_mask"]))) for a in BLUE_AGENTS}
        messages = rng.integers(0, 2, (5, 8))
        stepped = vector.step({a: np.array([i]) for a, i in actions.items()}, messages[None])
        batch = stepped.observations
        seen, rewards, _, _, infos = face.step(actions, messages)
        assert rewards["blue_agent_2"] == stepped.rewards[0]
        assert [infos[a]["busy"] for a in BLUE_AGENTS] == stepped.infos["busy"][0].tolist()
    # What each agent hears are the four others, in order, in the same step.
    heard = seen["blue_agent_1"][60:92].reshape(4, 8)
    np.testing.assert_array_equal(heard, messages[[0, 2, 3, 4]])
