"""The vector environment: the contract, refusals at the door, determinism over threads and rows, held-out networks."""

import json

import numpy as np
import pytest

from native_sim import make_vec
from native_sim.checks import check_vector_env
from native_sim.soc import spec
from native_sim.soc.config import LEVELS, SocConfig, make_config
from native_sim.soc.policies import ConstantActions, make_policy
from tests.builders.playing import play_soc as play

RULES = pytest.mark.parametrize("rules", spec.RULES)


def idle(count, role=None, value=None):
    actions = {
        "coordinator": np.zeros((count, 8)),
        "hunter": np.zeros((count, 16)),
        "triage": np.zeros(count, np.int64),
        "responder": np.zeros((count, 12)),
    }
    return actions if role is None else {**actions, role: value}


@RULES
def test_contract(rules):
    check_vector_env(lambda count: make_vec(rules, count, hosts_per_segment=3, max_steps=30), steps=40)


@RULES
def test_layouts_cover_every_index(rules):
    env = make_vec(rules, 1)
    for role, size in zip(spec.AGENTS, spec.OBSERVATION_SIZES, strict=True):
        assert env.observation_layouts[role].size == size == env.single_observation_space[role].shape[0]
    for role, layout in env.action_layouts.items():
        assert (layout.size,) == env.single_action_space[role].shape
    assert env.single_action_space["triage"].n == 4


@RULES
def test_threads_and_number_of_environments_do_not_matter(rules):
    knobs = {"networks": "episode", "hosts_per_segment": 10, "max_steps": 80}
    policy = ConstantActions({"hunter": [0.2] * 16, "triage": 0, "responder": [0.8] * 12})
    results = [
        play(make_vec(rules, count, threads=threads, **knobs), policy, range(192))
        for count, threads in ((192, 1), (192, 6), (64, 2), (7, 1))
    ]
    for other in results[1:]:
        for name, values in results[0].items():
            assert np.array_equal(values, other[name], equal_nan=True), name


@RULES
def test_seed_and_episode(rules):
    """A seed starts the same episode again; no seed goes on to the next one; the network follows the episode."""
    env = make_vec(rules, 1, networks="episode")

    def episode(seed):
        observations, _ = env.reset(seed=seed)
        traces = [observations["coordinator"]]
        for _ in range(10):
            traces.append(env.step(idle(1)).observations["coordinator"])
        return np.concatenate(traces)

    first, second, third = episode(5), episode(None), episode(None)
    assert not np.array_equal(first, second) and not np.array_equal(second, third)
    assert np.array_equal(episode(5), first) and np.array_equal(episode(None), second)


@RULES
def test_two_resets_with_one_seed_are_equal_to_the_last_step(rules):
    """A whole episode of random actions, in every role's observation, the reward and the end."""

    def episode(env):
        rng = np.random.default_rng(0)
        observations, _ = env.reset(seed=11)
        trace = [*observations.values()]
        while True:
            actions = {
                role: rng.integers(0, 4, 1)
                if role == "triage"
                else rng.uniform(-1, 1, (1, env.action_layouts[role].size))
                for role in spec.AGENTS
            }
            batch = env.step(actions)
            trace += [*batch.observations.values(), batch.rewards]
            if batch.terminations[0] or batch.truncations[0]:
                return np.concatenate([entry.ravel() for entry in trace])

    env = make_vec(rules, 1)
    first = episode(env)
    assert np.array_equal(episode(env), first)
    assert np.array_equal(episode(make_vec(rules, 1)), first)


def test_held_out_networks_differ_from_training_networks():
    train, held_out = make_vec(num_envs=1), make_vec(num_envs=1, held_out=True)
    train.reset(seed=3)
    held_out.reset(seed=3)
    assert train.engine.state.truth["network"] != held_out.engine.state.truth["network"]


def test_a_fixed_network_is_shared_by_all_episodes():
    env = make_vec(num_envs=3, networks="fixed", network_seed=9)
    env.reset(seed=[1, 2, 3])
    assert len(set(env.engine.state.truth["network"])) == 1
    env.reset()
    other = make_vec(num_envs=1, networks="fixed", network_seed=9)
    other.reset(seed=77)
    assert set(env.engine.state.truth["network"]) == set(other.engine.state.truth["network"])


@RULES
def test_missing_roles_and_directives_do_nothing(rules):
    env = make_vec(rules, 4)
    env.reset(seed=0)
    env.step({})
    env.step({"coordinator": None, "triage": np.zeros(4, int)})
    table = env.engine.state.rows if rules == "reference" else env.engine.state.evidence
    directive = np.full((4, 8), 0.5)
    env.step({"coordinator": directive})
    directive[1:3] = np.nan
    directive[0] = -0.25
    env.step({"coordinator": directive})
    assert np.array_equal(table["directive"][:, 0], [-0.25, 0.5, 0.5, 0.5])


NAN = np.full((2, 16), np.nan)
BAD_ACTIONS = [
    ("hunter", NAN, "hunter contains NaN; leave the role out"),
    ("coordinator", np.array([[np.nan] + [0.0] * 7] * 2), "coordinator contains NaN"),
    ("hunter", np.zeros((2, 15)), r"hunter must have shape \(2, 16\); given \(2, 15\)"),
    ("responder", np.zeros(12), r"responder must have shape \(2, 12\)"),
    ("responder", np.full((2, 12), 1.5), "responder must lie in -1 to 1; given 1.5"),
    ("hunter", np.full((2, 16), -np.inf), "hunter must lie in -1 to 1"),
    ("hunter", np.array([["a"] * 16] * 2), "hunter must consist of numbers"),
    ("hunter", np.zeros((2, 16), bool), "hunter must consist of numbers; given bool"),
    ("responder", np.zeros((2, 12), complex), "responder must consist of numbers; given complex128"),
    ("coordinator", np.full((2, 8), None), "coordinator must consist of numbers; given object"),
    ("triage", np.array([0, 4]), "triage must lie in 0 to 3; given 0 to 4"),
    ("triage", np.zeros(2), "triage must be an integer per row; given float64"),
    ("triage", np.zeros((2, 1), int), r"triage must have shape \(2,\)"),
    ("red", np.zeros(2), "unknown role 'red'"),
]


@RULES
@pytest.mark.parametrize(("role", "value", "sentence"), BAD_ACTIONS)
def test_bad_actions_are_refused_and_change_nothing(rules, role, value, sentence):
    env, twin = make_vec(rules, 2), make_vec(rules, 2)
    env.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match=sentence):
        env.step(idle(2, role, value))
    assert np.array_equal(env.step(idle(2)).observations["triage"], twin.step(idle(2)).observations["triage"])


BAD_KNOBS = [
    ({"hosts_per_segment": -4}, "hosts_per_segment must lie in 2 to 20000; given -4"),
    ({"hosts_per_segment": 40.0}, "hosts_per_segment must be of type int"),
    ({"stealth": 1.2}, "stealth must lie in 0 to 1; given 1.2"),
    ({"misattribution": float("nan")}, "misattribution must lie in 0 to 1"),
    ({"speed": "fast"}, "speed must be of type float; given 'fast'"),
    ({"hosts": 40}, "unknown knob 'hosts'"),
    ({"level": "nightmare"}, "level must be one of basic, default"),
    ({"networks": "random"}, "networks must be one of episode, fixed"),
    ({"rules": "mine"}, "rules must be one of corrected, reference"),
    ({"max_steps": True}, "max_steps must be of type int"),
    ({"speed": -0.1}, "speed must lie in 0 to 1; given -0.1"),
    ({"reaches": [[1], [0], [], [], []]}, "reaches cuts Data Center off from DMZ, an entry segment; connect them"),
    ({"reaches": [[1, 2], [3], [4], [4], [1]]}, None),
    ({"reaches": [[3], [3], [3], [4], []], "segments_needed": 4}, "segments_needed is 4, but only 3 segments"),
    ({"reaches": [[1, 2], [3], [4], [4], [5]]}, "reaches must list for each of the five segments"),
    ({"reaches": [[1, 1], [3], [4], [4], [1]]}, "reaches must list for each of the five segments"),
    ({"reaches": [[0], [3], [4], [4], [1]]}, "reaches must list for each of the five segments"),
    ({"reaches": [[1.0], [3], [4], [4], [1]]}, "reaches must list for each of the five segments"),
    ({"reaches": 3}, "reaches must list for each of the five segments"),
]


@pytest.mark.parametrize(("knobs", "sentence"), BAD_KNOBS)
def test_bad_settings_are_refused(knobs, sentence):
    if sentence is None:  # a control: not refused
        make_config(**knobs)
        return
    with pytest.raises(ValueError, match=sentence):
        make_config(**knobs)


def test_bad_counts_are_refused():
    with pytest.raises(ValueError, match="num_envs must be a positive integer; given 0"):
        make_vec(num_envs=0)
    with pytest.raises(ValueError, match="threads must be a positive integer or None; given -1"):
        make_vec(threads=-1)
    env = make_vec(num_envs=1)
    with pytest.raises(ValueError, match="seeds must lie in 0 to"):
        env.reset(seed=-1)
    with pytest.raises(ValueError, match="send no messages"):
        env.step({}, messages=np.zeros((1, 4, 8)))


def test_finished_rows_are_refused():
    env = make_vec(num_envs=2, max_steps=2)
    env.reset(seed=0)
    env.step({})
    batch = env.step({})
    assert batch.truncations.all() and not batch.terminations.any()
    assert (batch.infos["length"] == 2).all()
    with pytest.raises(ValueError, match=r"rows \[0, 1\] are over"):
        env.step({})


@pytest.mark.parametrize("level", LEVELS)
def test_settings_survive_json(level):
    config = make_config(level, reaches=[[1], [2], [3], [4], []])
    knobs = json.loads(json.dumps(config.to_dict()))
    assert knobs == config.to_dict() and SocConfig(**knobs) == config


def test_policies_by_name(tmp_path):
    path = tmp_path / "constant.json"
    path.write_text('{"triage": 2, "responder": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]}')
    policy = make_policy(f"constant:{path}")
    chosen = policy.act({}, {}, None, np.zeros((3, 4, 0))).actions
    assert set(chosen) == {"triage", "responder"} and chosen["responder"].shape == (3, 12)
    for text, sentence in [
        ('{"triage": 4}', "triage of a constant policy must be an integer from 0 to 3"),
        ('{"hunter": [0]}', "hunter of a constant policy must be 16 numbers"),
        ('{"red": 1}', "unknown role 'red'"),
        ("[1]", "must be a JSON object"),
        ("{", "cannot be read"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            make_policy(f"constant:{path}")
    with pytest.raises(ValueError, match="unknown policy 'best'"):
        make_policy("best")
    with pytest.raises(ValueError, match="unknown rules"):
        make_policy("random", "other")


def test_kernels_compile_once():
    """Whatever the layout and type of the arrays given, there is one compiled version of the step."""
    from native_sim.soc.corrected import kernel

    env = make_vec(num_envs=4)
    env.reset(seed=0)
    env.step(idle(4))
    versions = len(kernel.step_batch.signatures)
    env.step({})
    env.step({"hunter": np.broadcast_to(np.zeros(16, np.float32), (4, 16)), "triage": np.zeros((1, 4), np.int8)[0]})
    env.step({"responder": np.asfortranarray(np.zeros((4, 12))), "coordinator": np.zeros((4, 16))[:, ::2]})
    env.step(idle(2), rows=[3, 1])
    assert len(kernel.step_batch.signatures) == versions
