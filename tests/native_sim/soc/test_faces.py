"""Single faces pass the standard checkers and play what the vector environment plays."""

import warnings
import xml.etree.ElementTree as ElementTree

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from native_sim import make_vec, parallel_env
from native_sim.soc import spec
from native_sim.soc.config import make_config
from native_sim.soc.faces import SocEnv
from native_sim.soc.policies import Adaptive, RandomActions
from native_sim.soc.timeline import Timeline


@pytest.mark.parametrize("rules", spec.RULES)
def test_pettingzoo_checkers(rules):
    parallel_api_test(parallel_env(rules, hosts_per_segment=4), num_cycles=250)
    parallel_seed_test(lambda: parallel_env(rules, hosts_per_segment=4), num_cycles=20)


@pytest.mark.parametrize("roles", [("hunter",), ("triage", "responder"), spec.AGENTS])
def test_gymnasium_checker(roles):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|infinity|render).*")
        check_env(SocEnv(roles, render_mode="ansi"), skip_render_check=True)


@pytest.mark.parametrize("rules", spec.RULES)
def test_engine_and_faces_declare_the_end_that_they_play(rules):
    vector, single = make_vec(rules), SocEnv(config=make_config(rules=rules, max_steps=3))
    parallel = parallel_env(rules, max_steps=3)
    ends = {vector.time_limit_end, single.metadata["time_limit_end"], parallel.metadata["time_limit_end"]}
    assert ends == {spec.TIME_LIMIT_END} == {"truncated"}
    single.reset(seed=0)
    parallel.reset(seed=0)
    flags = [single.step({})[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    flags = [parallel.step({})[2:4] for _ in range(3)]
    assert [(set(final.values()), set(cut.values())) for final, cut in flags][1:] == [
        ({False}, {False}),
        ({False}, {True}),
    ]


@pytest.mark.parametrize("rules", spec.RULES)
def test_an_end_by_the_rules_in_the_very_last_step_is_no_truncation(rules):
    def play_out(limit):
        env = make_vec(rules, 64, hosts_per_segment=3, max_steps=limit)
        env.reset(seed=0)
        played, over = 0, False
        while not over:  # the attack goes on undisturbed until something is stolen
            batch = env.step({})
            played, over = played + 1, (batch.terminations | batch.truncations).any()
        return played, batch

    last, batch = play_out(500)
    assert last < 500 and batch.terminations.any()
    again, cut = play_out(last)
    assert again == last and np.array_equal(cut.terminations, batch.terminations)
    assert np.array_equal(cut.truncations, ~batch.terminations)


def test_faces_play_what_the_vector_plays():
    vector, single, parallel = make_vec(num_envs=1), SocEnv(), parallel_env()
    rng = np.random.default_rng(0)
    seen, _ = vector.reset(seed=4)
    one, _ = single.reset(seed=4)
    two, _ = parallel.reset(seed=4)
    for _ in range(30):
        for role in spec.AGENTS:
            assert np.array_equal(seen[role][0], one[role]) and np.array_equal(one[role], two[role])
        actions = {role: rng.uniform(-1, 1, n) for role, n in (("coordinator", 8), ("hunter", 16), ("responder", 12))}
        actions["triage"] = int(rng.integers(4))
        batch = vector.step({role: np.asarray(action)[None] for role, action in actions.items()})
        one, reward, *_ = single.step(actions)
        two, rewards, *_ = parallel.step(actions)
        seen = batch.observations
        assert reward == batch.rewards[0] == rewards["triage"]


def test_others_play_by_a_policy():
    env = SocEnv(("triage",), others=Adaptive())
    env.reset(seed=0)
    for _ in range(200):
        *_, terminated, truncated, info = env.step({"triage": 0})
        if terminated or truncated:
            break
    assert info["reward_cost"] > 0  # the adaptive hunter and responder have worked
    assert {"csr", "mttd", "exfiltrated"} <= set(info)


def test_bad_roles_are_refused():
    for roles in ((), ("red",), ("triage", "triage")):
        with pytest.raises(ValueError, match="roles must be some of"):
            SocEnv(roles)
    with pytest.raises(ValueError, match="render_mode must be"):
        SocEnv(render_mode="human")


def test_render_and_figure(tmp_path):
    env = SocEnv(config=make_config(max_steps=100), render_mode="ansi")
    assert isinstance(env, gymnasium.Env)
    env.reset(seed=1)
    assert env.render() == "step 0: nothing has happened yet"
    env.step({})
    assert env.render().startswith("step 1: attacker in reconnaissance with 0 live footholds")
    vector, timeline = make_vec("reference"), Timeline()
    with pytest.raises(ValueError, match="timeline is empty"):
        timeline.svg()
    vector.reset(seed=0)
    for _ in range(40):
        vector.step({})
        timeline.record(vector)
    assert vector.render() == (timeline.text(),)
    timeline.save(tmp_path / "episode.svg")
    root = ElementTree.parse(tmp_path / "episode.svg").getroot()
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 4
    assert max(moment.live for moment in timeline.moments) > 0


class Remembering(Adaptive):
    """Has a memory, which one environment that asks it anew in every step would lose."""

    def initial_memory(self, num_envs):
        return np.zeros(num_envs)


def test_others_have_neither_memory_nor_draws_and_follow_the_callers_directive():
    for others in (Remembering(), RandomActions()):
        with pytest.raises(ValueError, match="others must be a policy without memory and draws"):
            SocEnv(("triage",), others=others)
    given = []

    class Follower(Adaptive):
        def follow(self, directive, *rest):
            given.append(directive)
            return self.act(*rest)

    for roles, action in ((("coordinator",), {"coordinator": np.full(8, 0.5)}), (("triage",), {"triage": 1})):
        env = SocEnv(roles, others=Follower())
        env.reset(seed=0)
        env.step(action)
    assert given[0].shape == (1, 8) and (given[0] == 0.5).all() and np.isnan(given[1]).all()
