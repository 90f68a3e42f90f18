"""Conduct: what is recorded of a defender is what happened, against observations, counts and cases made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from native_sim import make_vec
from native_sim.soc import conduct, spec
from native_sim.soc.conduct import Conduct
from native_sim.soc.corrected.state import EVIDENCE, HOST, ISOLATED, ISOLATIONS, SEGMENT, TECHNIQUE, TIME
from native_sim.soc.policies import make_policy

STEPS = 120
LAYOUTS = spec.OBSERVATIONS


@pytest.fixture(scope="module")
def played():
    """Episodes of random actions: (tables, what was seen before each step, isolations by the simulator's own count)."""
    env = make_vec(num_envs=6, threads=1, max_steps=STEPS)
    policy, rng = make_policy("random"), np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    recorder, rows, seen = Conduct(env, observations), np.arange(6), []
    isolations = np.zeros(6)
    while len(rows):
        actions = policy.act(observations, {}, None, rng.random((len(rows), 4, 16))).actions
        evidence = env.engine.state.evidence[rows].copy()
        seen.append((rows, observations, actions, evidence))
        recorder.decided(rows, actions)
        batch = env.step(actions, rows=rows.tolist())
        recorder.stepped(rows)
        isolations[rows] = env.engine.state.ledger["tally"][rows, ISOLATIONS]
        kept = ~(batch.terminations | batch.truncations)
        rows, observations = rows[kept], {name: value[kept] for name, value in batch.observations.items()}
    return recorder.tables(), seen, isolations


def test_effort_is_the_mean_intensity_until_the_episode_ends(played):
    tables, seen, _ = played
    for step, (rows, _, actions, _) in enumerate(seen):
        np.testing.assert_allclose(tables["effort"][rows, step], (actions["hunter"][:, :5].mean(axis=1) + 1) / 2, 1e-5)
    assert np.isfinite(tables["effort"]).sum() == sum(len(rows) for rows, *_ in seen)


def test_the_clock_of_an_episode_follows_from_its_first_hour(played):
    tables, seen, _ = played
    for step, (rows, observations, *_) in enumerate(seen):
        hours = (tables["start_hour"][rows] + 24.0 / spec.EPISODE_STEPS * step) % 24.0
        shown = conduct.hour_of(LAYOUTS["triage"], observations["triage"])
        apart = np.abs(hours - shown)
        assert np.minimum(apart, 24.0 - apart).max() < 1e-3
        clear = np.minimum(np.abs(hours - 8.0), np.abs(hours - 18.0)) > 1e-3
        office = (hours >= 8.0) & (hours < 18.0)
        np.testing.assert_array_equal(observations["triage"][clear, LAYOUTS["triage"]["office"].start], office[clear])


def test_the_alert_in_hand_is_the_first_that_triage_is_shown(played):
    _, seen, _ = played
    checked = 0
    for _, observations, _, evidence in seen:
        full = evidence["queued"] > 0
        if full.any():
            head = conduct.heads(evidence[full])
            alert = evidence["queue"][full][np.arange(len(head)), head]
            shown = observations["triage"][full, LAYOUTS["triage"]["alerts"].start :]
            np.testing.assert_array_equal(shown[:, 3], ((alert[:, SEGMENT] + 1.0) / spec.NUM_SEGMENTS).astype("f4"))
            np.testing.assert_array_equal(shown[:, 4], ((alert[:, TECHNIQUE] + 1.0) / spec.NUM_PHASES).astype("f4"))
            checked += (head > 0).sum()
    assert checked > 20  # not always the oldest


def test_every_isolation_is_there_once(played):
    tables, _, isolations = played
    episodes = tables["isolations"][:, 0].astype(int)
    np.testing.assert_array_equal(np.bincount(episodes, minlength=6), isolations)
    assert isolations.sum() > 10


def test_suspects_are_those_who_could_be_throttled(played):
    tables, _, _ = played
    marks = tables["suspects"][:, 3]
    assert set(marks) == {0.0, 1.0}
    assert 0.4 < marks.mean() < 0.6  # of a throttle that is drawn uniformly


def world(alerts, step):
    """An environment of one row whose queue holds ``alerts``: (host, time, technique)."""
    evidence = np.zeros(1, EVIDENCE)
    evidence["step"], evidence["queued"] = step, len(alerts)
    for index, (host, time, technique) in enumerate(alerts):
        evidence["queue"][0, index, [HOST, TIME, TECHNIQUE, SEGMENT]] = host, time, technique, 0
    return SimpleNamespace(
        num_envs=1,
        config=SimpleNamespace(rules="corrected", max_steps=50, num_hosts=200),
        observation_layouts=LAYOUTS,
        engine=SimpleNamespace(state=SimpleNamespace(evidence=evidence)),
    )


def repeated(*queues):
    """Return whether each decision is on a repeated alert, when triage is shown these queues one after the other."""
    env = world((), 0)
    recorder = Conduct(env, {"hunter": np.zeros((1, 128), np.float32)})
    for step, queue in enumerate(queues, 20):
        env.engine.state = world(queue, step).engine.state
        recorder.decided(np.array([0]), {"triage": np.array([1])})
        recorder.stepped(np.array([0]))
    return recorder.tables()["triage"][:, 2].astype(bool).tolist()


def test_alerts_about_one_host_within_the_window_are_repeated():
    alert, soon, late, other = (3, 10, 0), (3, 15, 2), (3, 16, 2), (4, 10, 0)
    assert repeated([alert]) == [False]
    assert repeated([alert, soon]) == [True]  # waiting together
    assert repeated([alert, late]) == [False]
    assert repeated([alert, other]) == [False]
    assert repeated([alert, (3, 10, 0)]) == [True]  # alike, but two
    assert repeated([alert], [soon]) == [False, True]  # one after the other
    assert repeated([alert], [late]) == [False, False]
    assert repeated([alert], [alert], [alert]) == [False, False, False]  # one alert in hand for long
    assert repeated([alert, soon], [alert]) == [True, True]  # merged: still of several
    assert repeated([alert], [], [soon]) == [False, True]


def test_a_busy_analyst_decides_nothing():
    env = world([(3, 10, 0)], 20)
    env.engine.state.evidence["busy_until"] = 21
    recorder = Conduct(env, {"hunter": np.zeros((1, 128), np.float32)})
    recorder.decided(np.array([0]), {"triage": np.array([1])})
    assert len(recorder.tables()["triage"]) == 0
    assert recorder.tables()["effort"][0, 0] == 0.0  # without a hunter nobody hunts


def test_an_isolation_counts_when_it_begins():
    env = world((), 0)
    recorder = Conduct(env, {"hunter": np.zeros((1, 128), np.float32)})
    evidence, row = env.engine.state.evidence, np.array([0])
    evidence["count"], evidence["host"][0, 0], evidence["score"][0, 0] = 1, 7, 2.0
    recorder.stepped(row)
    evidence["throttled"][0, 0] = True
    recorder.stepped(row)
    evidence["status"][0, 0] = ISOLATED
    recorder.stepped(row)
    recorder.stepped(row)
    tables = recorder.tables()
    assert tables["suspects"].tolist() == [[0, 0, 7, 0], [0, 1, 7, 1]]
    assert tables["isolations"].tolist() == [[0, 2, 7]]


def test_clocks_are_set_and_nothing_else():
    rng = np.random.default_rng(0)
    before = {role: rng.random((2, layout.size), np.float32) for role, layout in LAYOUTS.items()}
    kept = {role: values.copy() for role, values in before.items()}
    night, noon = (conduct.set_clock(LAYOUTS, before, hour, (8.0, 18.0)) for hour in (3.0, 13.0))
    for role, layout in LAYOUTS.items():
        np.testing.assert_array_equal(before[role], kept[role])
        np.testing.assert_allclose(conduct.hour_of(layout, night[role]), 3.0, rtol=1e-5)
        np.testing.assert_allclose(conduct.hour_of(layout, noon[role]), 13.0, rtol=1e-5)
        assert (night[role][:, layout["office"].start] == 0.0).all() and (
            noon[role][:, layout["office"].start] == 1
        ).all()
        changed = {*range(layout["hour"].start, layout["hour"].start + 2), layout["office"].start}
        rest = [index for index in range(layout.size) if index not in changed]
        np.testing.assert_array_equal(night[role][:, rest], before[role][:, rest])


def test_the_reference_rules_have_no_clock():
    env = SimpleNamespace(config=SimpleNamespace(rules="reference"))
    with pytest.raises(ValueError, match="neither a clock nor a throttle"):
        Conduct(env, {})
