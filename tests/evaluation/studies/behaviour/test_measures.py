"""Measures of behaviour on made-up records: found where they were put in, and not found where they were not."""

import numpy as np
import pytest

from evaluation.studies.behaviour import measures
from native_sim.soc.spec import EPISODE_STEPS, Triage

EPISODES, STEPS = 60, 100


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(measures, "RESAMPLES", 300)
    monkeypatch.setattr(measures, "PERMUTATIONS", 199)


def rng(seed=0):
    return np.random.default_rng(seed)


def tables(**given):
    empty = {
        "start_hour": np.zeros(EPISODES),
        "effort": np.full((EPISODES, STEPS), 0.5, np.float32),
        "triage": np.zeros((0, 4)),
        "suspects": np.zeros((0, 4)),
        "isolations": np.zeros((0, 3)),
        "clock": np.zeros((0, 3)),
    }
    return empty | given


def rarely_shown(measure, make):
    """At 5 % one of 20 samples without the behaviour shows it; five or more are a fault of the measure (p = 0.003)."""
    assert sum(measure(make(seed), rng(seed))["p"] < 0.05 for seed in range(20)) <= 4


# ------------------------------------------------------------------------------------------- hunting by the hour
def hunting(by_night, seed=1):
    """Episodes whose effort is noise of its own level per episode, and ``by_night`` more outside office hours."""
    draw = rng(seed)
    start = draw.uniform(0, 24, EPISODES)
    clock = (start[:, None] + 24.0 / EPISODE_STEPS * np.arange(STEPS)) % 24.0
    effort = 0.3 + 0.2 * draw.random((EPISODES, 1)) + 0.05 * draw.standard_normal((EPISODES, STEPS))
    effort += by_night * ((clock < 8) | (clock >= 18))
    effort[np.arange(STEPS) >= draw.integers(20, STEPS, EPISODES)[:, None]] = np.nan
    return tables(start_hour=start, effort=effort.astype(np.float32))


def test_hunting_at_night_is_found_with_its_size_and_sign():
    more = measures.hours(hunting(0.2), rng())
    assert more["difference"] == pytest.approx(0.2, abs=0.05)
    assert more["night"] - more["office"] == pytest.approx(more["difference"])
    assert more["ci95"][0] > 0.0 and more["p"] < 0.02
    less = measures.hours(hunting(-0.2), rng())
    assert less["ci95"][1] < 0.0 and less["p"] < 0.02


def test_hunting_regardless_of_the_hour_is_not_taken_for_it():
    rarely_shown(measures.hours, lambda seed: hunting(0.0, seed))
    constant = measures.hours(tables(start_hour=rng().uniform(0, 24, EPISODES)), rng())
    assert constant["difference"] == pytest.approx(0.0, abs=1e-9)
    assert constant["p"] == 1.0


def test_hunting_late_in_an_episode_is_not_hunting_at_night():
    """Effort follows the step: an analysis that took every step for itself would find hours in some samples."""
    rarely_shown(measures.hours, lambda seed: tables(start_hour=rng(seed).uniform(0, 24, EPISODES), effort=late()))


def late():
    return np.broadcast_to(np.linspace(0, 1, STEPS, dtype=np.float32), (EPISODES, STEPS))


def test_the_profile_by_hour_is_the_mean_effort_of_each_hour():
    found = measures.hours(hunting(0.2), rng())["by_hour"]
    assert len(found) == 24
    assert min(found[:8] + found[18:]) > max(found[8:18])


def test_the_clock_alone():
    lines = np.stack(
        [np.repeat(np.arange(EPISODES), 4), np.full(4 * EPISODES, 0.7), np.full(4 * EPISODES, 0.5)], axis=1
    )
    found = measures.clock(tables(clock=lines), rng())
    assert found["difference"] == pytest.approx(0.2)
    assert found["p"] < 0.02
    lines[:, 1] = lines[:, 2]
    assert measures.clock(tables(clock=lines), rng()) == {"difference": 0.0, "ci95": [0.0, 0.0], "p": 1.0}
    assert measures.clock(tables(), rng())["difference"] is None


# --------------------------------------------------------------------------------------------- repeated alerts
def triage(p_aside, decisions=40, seed=2):
    """Decisions on alerts; ``p_aside(confidence, repeated)`` is the probability of setting aside."""
    draw = rng(seed)
    episode = np.repeat(np.arange(EPISODES), decisions)
    repeated = draw.random(len(episode)) < 0.3
    confidence = np.clip(0.4 + 0.2 * repeated + 0.15 * draw.standard_normal(len(episode)), 0, 1)  # repeated: higher
    aside = draw.random(len(episode)) < p_aside(confidence, repeated)
    choice = np.where(aside, draw.choice((Triage.SUPPRESS, Triage.CORRELATE), len(episode)), Triage.ESCALATE)
    return tables(triage=np.stack([episode, confidence, repeated, choice], axis=1).astype(float))


def test_setting_repeated_alerts_aside_is_found():
    found = measures.repeats(triage(lambda confidence, repeated: 0.4 + 0.3 * repeated), rng())
    assert found["difference"] == pytest.approx(0.3, abs=0.07)
    assert found["ci95"][0] > 0.0 and found["p"] < 0.02
    assert found["repeated"] == pytest.approx(0.7, abs=0.05) and found["single"] == pytest.approx(0.4, abs=0.05)


def test_following_confidence_is_not_taken_for_it():
    """Repeated alerts are more confident, so shares differ; at like confidence they do not."""

    def follow(confidence, repeated):
        return np.floor(10 * confidence) / 10

    found = measures.repeats(triage(follow), rng())
    assert found["repeated"] - found["single"] > 0.1
    rarely_shown(measures.repeats, lambda seed: triage(follow, seed=seed))


def test_blind_choices_are_not_taken_for_it():
    rarely_shown(measures.repeats, lambda seed: triage(lambda confidence, _: np.full(len(confidence), 0.5), seed=seed))
    always = measures.repeats(triage(lambda confidence, repeated: np.ones(len(confidence))), rng())
    assert always["difference"] == 0.0 and always["p"] == 1.0


def test_shares_are_those_worked_by_hand():
    lines = [[0, 0.5, 1, 1], [0, 0.5, 1, 0], [0, 0.5, 0, 0], [1, 0.9, 0, 2], [1, 0.55, 0, 3]]
    found = measures.repeats(tables(triage=np.array(lines, float)), rng())
    assert (found["repeated"], found["single"]) == (0.5, 1 / 3)
    assert found["difference"] == 0.5  # the confident alert has no repeated one to be compared with
    assert found["decisions"] == {"repeated": 2, "single": 3}
    without = measures.repeats(tables(triage=np.array(lines[2:], float)), rng())
    assert without["repeated"] is None and without["difference"] is None and without["p"] is None


# ------------------------------------------------------------------------------------------------- throttling
def responses(p_before, p_other, seed=3):
    """Suspects of which one host is isolated at step 20; ``p_before`` throttles it just before, ``p_other`` else."""
    draw = rng(seed)
    suspects, isolations = [], []
    for episode in range(EPISODES):
        for step in range(40):
            suspects += [[episode, step, host, draw.random() < p_other] for host in (1, 2)]
        before = [[episode, step, 9, draw.random() < (p_before if step >= 15 else p_other)] for step in range(10, 20)]
        suspects += before
        isolations.append([episode, 20, 9])
    return tables(suspects=np.array(suspects, float), isolations=np.array(isolations, float))


def test_throttling_before_isolation_is_found():
    found = measures.throttle(responses(0.9, 0.05), rng())
    assert found["share"] > 0.9 and found["chance"] < 0.5
    assert found["difference"] == pytest.approx(found["share"] - found["chance"])
    assert found["ci95"][0] > 0.0 and found["p"] < 0.02


def test_throttling_regardless_of_what_comes_is_not_taken_for_it():
    """Most isolations follow a throttle all the same, which is why the share alone says nothing."""
    found = measures.throttle(responses(0.5, 0.5), rng())
    assert found["share"] > 0.7
    rarely_shown(measures.throttle, lambda seed: responses(0.5, 0.5, seed))
    always = measures.throttle(responses(1.0, 1.0), rng())
    assert always["share"] == 1.0 and always["difference"] == pytest.approx(0.0) and always["p"] == 1.0


def test_avoiding_it_counts_against_it():
    found = measures.throttle(responses(0.0, 0.6), rng())
    assert found["ci95"][1] < 0.0 and found["p"] < 0.02


def test_only_the_steps_just_before_count():
    suspects = [[0, step, 9, step == 3] for step in range(12)]
    for step, share in ((8, 1.0), (9, 0.0), (3, 0.0)):
        found = measures.throttle(
            tables(suspects=np.array(suspects, float), isolations=np.array([[0, step, 9.0]])), rng()
        )
        assert found["share"] == share
    other = measures.throttle(tables(suspects=np.array(suspects, float), isolations=np.array([[1, 8, 9.0]])), rng())
    assert other["share"] == 0.0


def test_nobody_isolated_nothing_said():
    assert measures.throttle(tables(), rng()) == {
        "share": None,
        "chance": None,
        "difference": None,
        "ci95": None,
        "p": None,
        "isolations": 0,
    }


def test_measures_do_not_depend_on_the_order_of_lines():
    one = triage(lambda confidence, repeated: 0.4 + 0.3 * repeated)
    other = one | {"triage": one["triage"][rng().permutation(len(one["triage"]))]}
    first, second = measures.repeats(one, rng()), measures.repeats(other, rng())
    assert first["ci95"] == pytest.approx(second["ci95"])
    assert first["difference"] == pytest.approx(second["difference"])


def test_shuffling_stays_within_groups():
    marks, group = rng().random(300), rng(1).integers(0, 7, 300)
    for shuffled in measures._shuffles(marks, group, rng()):
        assert (shuffled != marks).any()
        for one in range(7):
            np.testing.assert_array_equal(np.sort(shuffled[group == one]), np.sort(marks[group == one]))


def test_habits_that_differ_between_episodes_are_not_timing():
    """Half the episodes throttle everything and isolate; the others do neither: nothing is timed."""
    suspects = [[e, step, 9, e % 2] for e in range(EPISODES) for step in range(20)]
    isolations = [[e, 20, 9] for e in range(1, EPISODES, 2)]
    found = measures.throttle(tables(suspects=np.array(suspects, float), isolations=np.array(isolations, float)), rng())
    assert found["share"] == 1.0 and found["chance"] == pytest.approx(1.0) and found["p"] == 1.0
