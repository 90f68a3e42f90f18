"""The reward: what a foothold costs, that spreading never pays, and that it ranks defenders as success does."""

from itertools import pairwise

import numpy as np
import pytest

from native_sim import make_vec
from native_sim.soc import spec
from native_sim.soc.corrected import state
from native_sim.soc.policies import POLICIES, Oracle
from tests.builders.playing import play_soc as play

HOST = 3 * 40  # the first host of the Data Center
DWELL = 0.02 * 1.0 * 3 / 5  # of a foothold of stage 3 there


class Filtered(Oracle):
    """The oracle with the boundary filter held at one setting."""

    def __init__(self, setting):
        self.setting = setting

    def choose(self, obs, draws):
        actions = super().choose(obs, draws)
        actions["coordinator"][:, 7] = self.setting
        return actions


@pytest.fixture
def world():
    """Return an environment in office-free silence before any attack, and its state."""
    env = make_vec(num_envs=1, office_rate=0.0, night_rate=0.0, stealth=1.0)
    env.reset(seed=0)
    env.engine.state.truth["start"] = 200
    return env, env.engine.state


def take(world, stage):
    """Let the attacker take the host in the next step."""
    truth, step = world.truth[0], world.evidence[0]["step"]
    truth["host"][0], truth["stage"][0], truth["since"][0], truth["count"] = HOST, stage, step + 1, 1
    truth["was_held"] = True
    world.hosts["foothold"][0, HOST] = 1


def accuse(world, score):
    """Open a case against the host, confirmed if the score says so, and note its confirmation as the kernel does."""
    evidence = world.evidence[0]
    evidence["host"][0], evidence["score"][0], evidence["count"] = HOST, score, 1
    evidence["status"][0], evidence["updated"][0] = state.OPEN, evidence["step"]
    world.hosts["case"][0, HOST] = 1


def parts(env, **actions):
    batch = env.step({role: np.array([value]) for role, value in actions.items()})
    return batch.infos["reward_parts"][0]


ISOLATE = [1.0] * 5 + [-1.0] * 7
RELEASE = [-1.0] * 11 + [1.0]


def test_a_foothold_is_charged_when_taken_and_for_every_step_it_lives(world):
    env, truth = world
    take(truth, 3)
    assert parts(env)[:2] == pytest.approx([-3 / 5 - DWELL, -0.5])
    assert parts(env)[:2] == pytest.approx([-DWELL, 0.0])
    truth.truth["stage"][0, 0] = 4
    assert parts(env)[:2] == pytest.approx([-1 / 5 - 0.02 * 4 / 5, 0.0])


def test_confirmation_pays_back_and_isolation_pays_once(world):
    env, truth = world
    take(truth, 3)
    parts(env)
    accuse(truth, 3.0)
    while truth.evidence["status"][0, 0] == state.OPEN:
        detection, response = parts(env, responder=ISOLATE)[:2]
    # Isolated unconfirmed: found in the same step, no longer live, the hidden stage is paid back.
    assert (detection, response) == pytest.approx((3 / 5, 0.5))
    truth.evidence["score"][0, 0] = 0.0
    while truth.evidence["count"][0] > 0:
        released = parts(env, responder=RELEASE)[:2]
    assert released == pytest.approx([-DWELL, 0.0])  # live again
    accuse(truth, 3.0)
    while truth.evidence["status"][0, 0] == state.OPEN:
        again = parts(env, responder=ISOLATE)[:2]
    assert again == pytest.approx([0.0, 0.0])


def test_late_isolation_pays_less(world):
    env, truth = world
    take(truth, 3)
    parts(env)
    accuse(truth, 3.0)
    truth.truth["found"][0, 0] = truth.evidence["step"][0]
    waited = 0
    while truth.evidence["status"][0, 0] == state.OPEN:
        waited += 1
        response = parts(env, responder=ISOLATE if waited > 3 else [-1.0] * 12)[1]
    assert response == pytest.approx(0.5 / waited)


def test_theft_charges_what_is_live_for_the_steps_left(world):
    env, truth = world
    take(truth, 3)
    parts(env)
    truth.truth["stolen"] = True
    batch = env.step({})
    assert batch.terminations[0]
    assert batch.infos["reward_parts"][0, 0] == pytest.approx(-10 - DWELL * (1 + 198))


@pytest.mark.parametrize("name", ["random", "best-constant", "rule-soar", "adaptive", "oracle"])
@pytest.mark.parametrize("level", ["default", "apt"])
def test_no_foothold_earns_more_than_it_costs(name, level):
    """Nothing but containment, once an episode, ever adds to the reward."""
    env = make_vec(num_envs=200, level=level, with_state=True)
    result = play(env, POLICIES["corrected"][name](), range(200))
    assert (result["reward_detection"] <= 1e-9).all()
    assert (result["reward_response"] <= 5.0 * result["csr"] + 1e-9).all()
    assert (result["reward_cost"] >= -0.02 * 2 * result["length"]).all()  # a relaxed filter, in office hours


def test_spreading_never_pays():
    """Paired: the oracle that lets the attacker spread earns less, and contains less, than the one that hampers it."""
    env = make_vec(num_envs=600, with_state=True)
    opened, closed = (play(env, Filtered(setting), range(600)) for setting in (-1.0, 1.0))
    assert opened["footholds"].mean() > 1.5 * closed["footholds"].mean()
    assert opened["csr"].mean() < closed["csr"].mean()
    gap = opened["reward"] - closed["reward"]
    assert gap.mean() + 3 * gap.std() / np.sqrt(600) < 0


@pytest.mark.parametrize("name", ["no-defense", "best-constant", "rule-soar", "adaptive", "oracle"])
def test_episodes_with_more_footholds_earn_less(name):
    result = play(make_vec(num_envs=500, with_state=True), POLICIES["corrected"][name](), range(500))
    assert np.corrcoef(result["reward"], result["footholds"])[0, 1] < -0.3


def test_reward_ranks_defenders_as_success_does():
    env = make_vec(num_envs=600, with_state=True)
    names = ("no-defense", "rule-soar", "adaptive", "oracle")
    results = [play(env, POLICIES["corrected"][name](), range(600)) for name in names]
    for worse, better in pairwise(results):
        assert worse["csr"].mean() < better["csr"].mean()
        assert worse["exfiltrated"].mean() > better["exfiltrated"].mean()
        gap = better["reward"] - worse["reward"]
        assert gap.mean() - 3 * gap.std() / np.sqrt(600) > 0
    assert all(-60 < result["reward"].mean() < 30 for result in results)
    assert spec.REWARD_PARTS == ("detection", "response", "cost", "false_positive")


def test_times_and_shares_are_what_a_witness_of_every_step_notes():
    """MTTD, MTTR, length and the shares, recomputed from the truth of each step."""
    env = make_vec(num_envs=150)
    env.reset(seed=0)
    policy, rows = POLICIES["corrected"]["adaptive"](), np.arange(150)
    held_at, found_at, free_from = np.zeros(150), np.zeros(150), np.zeros(150)
    observations, checked = env.reset(seed=0)[0], 0
    for step in range(1, 201):
        batch = env.step(policy.choose(observations, np.zeros((len(rows), 4, 0))), rows=rows)
        done = batch.terminations | batch.truncations
        for place, row in enumerate(rows):
            truth = env.engine.state.truth[row]
            live = _count_live(env.engine.state, row)
            held_at[row] = held_at[row] or (step if truth["count"] else 0)
            found_at[row] = found_at[row] or (step if truth["found"][: truth["count"]].any() else 0)
            free_from[row] = 0 if live else free_from[row] or step
            if not done[place]:
                continue
            info = {name: batch.infos[name][place] for name in env.metric_names}
            assert info["length"] == step and info["compromised"] == live
            if held_at[row]:
                assert info["mttd"] == (found_at[row] or step) - held_at[row]
            if found_at[row]:
                ended = free_from[row] if info["csr"] else step
                assert info["mttr"] == ended - found_at[row]
                checked += 1
            else:
                assert np.isnan(info["mttr"])
            assert info["csr"] + info["exfiltrated"] <= 1 and info["csr"] == (batch.terminations[place] and not live)
        observations = {role: seen[~done] for role, seen in batch.observations.items()}
        rows = rows[~done]
    assert checked > 100


def _count_live(world, row):
    """Count the footholds of a row that are on the network, from the tables."""
    truth, evidence = world.truth[row], world.evidence[row]
    shut = evidence["host"][: evidence["count"]][evidence["status"][: evidence["count"]] != state.OPEN]
    return int((~np.isin(truth["host"][: truth["count"]], shut)).sum())
