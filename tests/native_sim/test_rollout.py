"""The loop: an episode depends on its seed alone, observers see every step once, draws are the same everywhere."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.games.soc.tally import SocTally
from evaluation.harness import rollout as harness
from evaluation.jobs.calibrate import soc_rows
from evaluation.studies.behaviour import behaviours
from hmarl_soc.training import validation
from native_sim import make_vec, rollout
from native_sim.api import Decision, Policy
from native_sim.rollout import Episode, Finished, Moment, Observer, Rollout, WrongAnswer, draw_stream, measure, play
from native_sim.soc.policies import RandomActions
from tests.builders.toys import ToyEnv

SPACES = {"left": (3, 4, True), "right": (2, 2, False)}


class UnevenEnv(ToyEnv):
    """Episodes last 1 to 9 steps, by their seed; a row that is over may not be stepped."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(SPACES, lambda x, actions: x[:, 0] * (1 + actions["left"]) + actions["right"].sum(1), num_envs)
        self.lengths = np.zeros(num_envs, np.int64)
        self.over = np.ones(num_envs, bool)

    def reset(self, *, seed=None, rows=None, options=None):
        rows = np.arange(self.num_envs) if rows is None else np.asarray(rows)
        assert self.over[rows].all(), "a row that plays was reset"
        self.lengths[rows] = [length_of(one) for one in seed]
        self.over[rows] = False
        observations, infos = super().reset(seed=seed, rows=rows)
        return observations, {**infos, "clock": {"steps": self.time[rows].copy()}}

    def step(self, actions, messages=None, rows=None):
        rows = np.arange(self.num_envs) if rows is None else np.asarray(rows)
        assert not self.over[rows].any(), "a row that is over was stepped"
        batch = super().step(actions, messages, rows)
        late = self.time[rows] >= self.lengths[rows]
        lost = late & (rows % 2 == 0)
        self.over[rows] = late
        infos = {**batch.infos, "clock": {"steps": self.time[rows].copy()}, "place": 10.0 * self.time[rows]}
        return batch._replace(terminations=lost, truncations=late & ~lost, infos=infos)


def length_of(seed: int) -> int:
    return 1 + seed % 9


class Counting(Policy):
    """Acts on all that it is given, remembers all of it, and checks its clock."""

    draws_per_agent = 2
    wants = ("clock",)

    def initial_memory(self, num_envs):
        return {"sum": np.zeros(num_envs), "age": (np.zeros(num_envs, np.int8), None)}

    def act(self, obs, mask, memory, draws):
        age = memory["age"][0]
        assert np.array_equal(age, obs["clock"]["steps"])
        total = memory["sum"] + draws.sum(axis=(1, 2)) + obs["left"].sum(axis=1) + mask["left"].sum(axis=1)
        left = (np.floor(total * 7) % 4).astype(int)
        right = np.clip(np.stack([np.sin(total), draws[:, 1, 1]], axis=1), -1, 1)
        return Decision({"left": left, "right": right}, {"sum": total, "age": ((age + 1).astype(np.int8), None)})

    def fallbacks(self, memory):
        return {"steps": memory["age"][0]}


class Diary(Observer):
    """Writes down, by episode, all that it sees, and that it sees it in order."""

    def __init__(self):
        self.playing: dict[int, int] = {}
        self.lines: dict[int, list] = {}
        self.last = "stepped"

    def started(self, rows, episodes, observations, infos):
        assert self.last == "stepped"
        for place, (row, episode) in enumerate(zip(rows.tolist(), episodes, strict=True)):
            assert row not in self.playing
            assert episode.index not in self.lines, "an episode was played twice"
            self.playing[row] = episode.index
            self.lines[episode.index] = [observations["left"][place].tolist()]

    def deciding(self, now: Moment):
        assert self.last == "stepped" and now.rows.tolist() == sorted(self.playing)
        self.last = "deciding"
        for place, row in enumerate(now.rows.tolist()):
            assert now.obs["left"][place].tolist() == self.lines[self.playing[row]][-1]

    def decided(self, now: Moment, decision: Decision):
        assert self.last == "deciding"
        self.last = "decided"
        for place, row in enumerate(now.rows.tolist()):
            line = (
                now.time[place],
                now.draws[place].tolist(),
                {n: a[place].tolist() for n, a in decision.actions.items()},
            )
            self.lines[self.playing[row]].append(line)

    def stepped(self, now: Moment, batch, done):
        assert self.last == "decided"
        self.last = "stepped"
        for place, row in enumerate(now.rows.tolist()):
            self.lines[self.playing[row]] += [batch.rewards[place], batch.observations["left"][place].tolist()]
            if done[place]:
                del self.playing[row]


def played(policy, num_envs, episodes):
    """Return index -> what happened, and index -> how it ended."""
    diary = Diary()
    ended = {one.episode.index: one for one in play(UnevenEnv(num_envs), policy, episodes, [diary])}
    assert not diary.playing
    return diary.lines, ended


EPISODES = tuple(Episode(i, 17 * i % 23) for i in range(12))


@given(num_envs=st.integers(1, 14), order=st.permutations(EPISODES), count=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_number_of_environments_rows_and_order_change_nothing(num_envs, order, count):
    alone, _ = played(Counting(), 1, EPISODES)
    together, ended = played(Counting(), num_envs, order[:count])
    assert together == {one.index: alone[one.index] for one in order[:count]}
    assert {i: one.length for i, one in ended.items()} == {one.index: length_of(one.seed) for one in order[:count]}


@pytest.mark.parametrize("num_envs", [1, 3, 12, 20])
def test_observers_see_every_step_of_every_episode_once(num_envs):
    lines, ended = played(Counting(), num_envs, EPISODES)
    assert sorted(lines) == sorted(ended) == list(range(12))
    for i, line in lines.items():
        length = length_of(EPISODES[i].seed)
        assert [entry[0] for entry in line[1::3]] == list(range(length))
        assert ended[i].length == length and ended[i].episode == EPISODES[i] and ended[i].wall_s > 0
        assert ended[i].fallbacks == {"steps": length}


def test_the_draws_of_an_episode_are_one_stream_of_its_seed(monkeypatch):
    monkeypatch.setattr(rollout, "_BLOCK", 4)  # episodes go beyond a block
    lines, _ = played(Counting(), 5, EPISODES)
    for i, line in lines.items():
        given_draws = np.array([entry[1] for entry in line[1::3]])
        expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(EPISODES[i].seed, spawn_key=(1,))))
        assert np.array_equal(given_draws, expected.random((len(given_draws), 2, 2)))
        assert np.array_equal(given_draws.ravel(), draw_stream(EPISODES[i].seed).random(given_draws.size))


def test_a_finished_episode_is_handed_out_before_its_row_is_used_again():
    started = []

    class Starts(Observer):
        def started(self, rows, episodes, observations, infos):
            started.extend(episodes)

    for ended in play(UnevenEnv(1), Counting(), EPISODES, [Starts()]):
        assert started[-1] == ended.episode


def test_a_rollout_is_played_step_by_step():
    steps = Rollout(UnevenEnv(2), Counting(), [Episode(0, 0), Episode(1, 8)])
    assert steps.running
    assert [type(one) for one in steps.step()] == [Finished]  # one step
    ended = []
    while steps.running:
        ended += steps.step()
    assert [one.length for one in ended] == [9]
    assert not Rollout(UnevenEnv(2), Counting(), []).running


def test_returns_and_metrics_are_in_the_order_of_the_seeds():
    seeds = [one.seed for one in EPISODES]
    lines, _ = played(Counting(), 1, EPISODES)
    for num_envs in (1, 4, 12):
        found = measure(UnevenEnv(num_envs), Counting(), seeds, ("place",))
        assert found["return"].tolist() == [sum(lines[i][2::3]) for i in range(12)]
        assert found["place"].tolist() == [10.0 * length_of(seed) for seed in seeds]


# ------------------------------------------------------------------------------------------------ who is to blame
@contextlib.contextmanager
def blamed():
    try:
        yield
    except Exception as error:
        raise PermissionError("the policy's") from error


class Wrong(Counting):
    def __init__(self, **changes):
        vars(self).update(changes)


def fails(*_):
    raise LookupError


@pytest.mark.parametrize(
    "policy",
    [
        Wrong(act=fails),
        Wrong(act=lambda *_: None),
        Wrong(act=lambda obs, mask, memory, draws: [1, 2]),
        Wrong(initial_memory=fails),
        Wrong(fallbacks=fails),
        Wrong(fallbacks=lambda memory: {"steps": [1]}),
        Wrong(wants=("crystal ball",)),
        Wrong(draws_per_agent="many"),
        Wrong(initial_memory=lambda count: {"sum": np.zeros(count), "age": (np.zeros(1, np.int8), None)}),
    ],
    ids=range(9),
)
def test_what_a_policy_does_wrong_happens_under_its_guard(policy):
    with pytest.raises(PermissionError, match="the policy's"):
        list(play(UnevenEnv(3), policy, EPISODES, guard=blamed))


def test_a_memory_of_too_few_rows_is_the_policys_fault():
    class Forgetful(Counting):
        def act(self, obs, mask, memory, draws):
            return super().act(obs, mask, memory, draws)._replace(memory={"sum": np.zeros(1), "age": (None, None)})

    with pytest.raises(PermissionError, match="the policy's"):
        list(play(UnevenEnv(3), Forgetful(), EPISODES, guard=blamed))


def test_what_an_environment_or_an_observer_does_wrong_is_not_the_policys_fault():
    class Blind(Observer):
        def stepped(self, now, batch, done):
            raise LookupError

    class Broken(UnevenEnv):
        def step(self, *_, **__):
            raise LookupError

    for env, observers in ((UnevenEnv(3), [Blind()]), (Broken(3), [])):
        with pytest.raises(LookupError):
            list(play(env, Counting(), EPISODES, observers, guard=blamed))


def test_wrong_answers_are_said_in_a_sentence():
    with pytest.raises(WrongAnswer, match=r"wants 'ball', which is not shown; there is action_mask, clock, state"):
        list(play(UnevenEnv(3), Wrong(wants=("ball",)), EPISODES))
    with pytest.raises(WrongAnswer, match=r"act\(\) must return a native_sim.Decision; it returned NoneType"):
        list(play(UnevenEnv(3), Wrong(act=lambda *_: None), EPISODES))


# ------------------------------------------------------------------------------------------ one stream everywhere
class Noting(RandomActions):
    """Notes the draws that it is given while one episode is played, in the places that pass it on as it is."""

    def __init__(self):
        self.noted = []

    def act(self, obs, mask, memory, draws):
        if len(draws) and not (self.noted and np.array_equal(self.noted[-1], draws[0])):  # probes decide again
            self.noted.append(draws[0].copy())
        return super().act(obs, mask, memory, draws)


def in_evaluate(policy):
    env = make_vec(held_out=True, threads=1)
    labels = harness.Labels("noting", "soc", "corrected", env.config.max_steps)
    list(harness.play(env, policy, [Episode(0, 0)], labels, SocTally(env, policy, labels)))


def in_validation(policy):
    validation.play(make_vec(held_out=True, threads=1), policy, [0])


def in_a_study(policy):
    behaviours.play(policy, 1)


def in_calibration(policy):
    soc_rows(policy, 1, 0)


@pytest.mark.parametrize("place", [in_evaluate, in_validation, in_a_study, in_calibration])
def test_a_policy_meets_the_same_draws_for_the_same_seed_everywhere(place):
    policy = Noting()
    place(policy)
    assert len(policy.noted) > 10
    assert np.array_equal(np.stack(policy.noted), draw_stream(0).random((len(policy.noted), 4, 16)))


def test_validation_and_evaluation_find_the_same_rewards_of_a_policy_that_draws():
    env, policy = make_vec(num_envs=4, held_out=True, threads=1), RandomActions()
    labels = harness.Labels("random", "soc", "corrected", env.config.max_steps)
    rows = harness.play(env, policy, [Episode(i, i) for i in range(6)], labels, SocTally(env, policy, labels))
    scores = {row.index: row.score for row in rows}
    assert validation.play(env, policy, range(6), ("reward",))["reward"].tolist() == [scores[i] for i in range(6)]
