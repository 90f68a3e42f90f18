"""The tool interfaces: what each costs and how long it takes, and the ladder of throttling, isolating, releasing."""

import numpy as np
import pytest
from scipy import stats

from native_sim import make_vec
from native_sim.soc import spec
from native_sim.soc.corrected import state

OFF_HUNTER, OFF_RESPONDER = np.full(16, -1.0), np.full(12, -1.0)
QUIET = {"office_rate": 0.0, "night_rate": 0.0, "start_window": 200}


def quiet(count=1, **knobs):
    """Return environments in which nothing happens by itself, at night, and their state."""
    env = make_vec(num_envs=count, **{**QUIET, **knobs})
    env.reset(seed=0)
    world = env.engine.state
    world.truth["start"] = 10_000
    world.evidence["start_hour"] = 20.0
    return env, world


def suspect(world, host, score, status=state.OPEN):
    """Open a case against a host in every row."""
    evidence = world.evidence
    evidence["host"][:, 0], evidence["score"][:, 0], evidence["count"] = host, score, 1
    evidence["status"][:, 0], evidence["throttled"][:, 0], evidence["confirmed"][:, 0] = status, 0, 0
    evidence["updated"][:, 0], evidence["opened"][:, 0] = evidence["step"], evidence["step"]
    world.hosts["case"][:, host] = 1


def alert(world, index, host, technique=2, confidence=0.6, true=False):
    """Put an alert into the queue of every row."""
    evidence = world.evidence
    row = evidence["queue"][:, index]
    row[:, state.CONFIDENCE], row[:, state.HOST], row[:, state.SEGMENT] = confidence, host, host // 40
    row[:, state.TECHNIQUE], row[:, state.TIME] = technique, np.maximum(evidence["step"], 1)
    row[:, state.MERGED], row[:, state.READINGS] = 1, 1
    world.truth["queue_true"][:, index] = true
    evidence["queued"] = index + 1


def changed(off, index, value):
    out = off.copy()
    out[index] = value
    return out


def step(env, **actions):
    batch = env.step({role: np.tile(value, (env.num_envs, 1)) for role, value in actions.items() if role != "triage"})
    return batch.infos["reward_parts"]


FILTER = np.array([0.0] * 7 + [1.0])
COSTS = [
    ("sweep", {"hunter": changed(changed(OFF_HUNTER, 1, 1.0), 6, 1.0)}, 0.1 * 1.2),
    ("half a sweep", {"hunter": changed(changed(OFF_HUNTER, 1, 0.0), 6, 0.0)}, 0.1 * 0.5 * 0.7),
    ("telemetry", {"hunter": changed(OFF_HUNTER, slice(10, 15), 1.0)}, 0.25),
    ("search without a confirmed case", {"hunter": changed(OFF_HUNTER, 15, 1.0)}, 0.0),
    ("filter", {"coordinator": FILTER}, 0.08),
    ("relaxed filter", {"coordinator": -FILTER}, -0.02),
]


@pytest.mark.parametrize(("name", "actions", "cost"), COSTS, ids=[case[0] for case in COSTS])
def test_cost_of_a_step(name, actions, cost):
    env, _ = quiet()
    assert step(env, **actions)[0, 2] == pytest.approx(cost, abs=1e-9)


def test_office_hours_double_disruption():
    env, world = quiet()
    world.evidence["start_hour"] = 10.0
    assert step(env, coordinator=FILTER)[0, 2] == pytest.approx(0.16)
    suspect(world, 3 * 40, 3.0, state.ISOLATED)
    assert step(env, coordinator=np.zeros(8))[0, 2] == pytest.approx(0.1)


def test_throttle_isolate_remediate_and_their_costs():
    """The ladder of containment on one clean host of the Data Center, value 1."""
    env, world = quiet(400)
    suspect(world, 3 * 40, 1.5)  # a suspect, not confirmed: only throttled
    parts = step(env, responder=np.ones(12))
    assert (world.evidence["throttled"][:, 0] == 1).all() and (world.evidence["status"][:, 0] == state.OPEN).all()
    assert parts[:, 2] == pytest.approx(0.0125)
    suspect(world, 3 * 40, 3.0)
    parts = step(env, responder=changed(OFF_RESPONDER, slice(0, 5), 1.0))
    isolated = world.evidence["status"][:, 0] == state.ISOLATED
    assert isolated.mean() == pytest.approx(0.35, abs=0.08)  # three steps of waiting on average
    assert parts[isolated, 2] == pytest.approx(0.15) and parts[isolated, 3] == pytest.approx(0.5)  # it was clean
    assert parts[~isolated, 2:] == pytest.approx(0.0)
    suspect(world, 3 * 40, 3.0, state.ISOLATED)
    parts = step(env, responder=changed(OFF_RESPONDER, slice(5, 10), 1.0))
    working = world.evidence["status"][:, 0] == state.REMEDIATING
    assert parts[working, 2] == pytest.approx(0.3 + 0.05)
    for _ in range(4):
        assert (world.evidence["count"][working] == 1).all()
        step(env)
    assert (world.evidence["count"][working] == 0).all() and world.hosts["patched"][working, 3 * 40].all()
    assert (world.evidence["count"][~working] == 1).all()


def test_a_cleared_host_returns_to_service_and_costs_no_more():
    env, world = quiet(200)
    suspect(world, 40, 3.0, state.ISOLATED)
    release = changed(OFF_RESPONDER, 11, 1.0)
    step(env, responder=release)
    assert (world.evidence["count"] == 1).all()  # still under strong suspicion
    world.evidence["score"][:, 0] = 0.5
    parts = step(env, responder=release)
    assert (world.evidence["count"] == 0).all() and not world.hosts["case"].any()
    assert parts[:, 2] == pytest.approx(0.0)
    assert not world.hosts["patched"].any()


def test_alerts_arrive_within_two_steps():
    env, world = quiet(500, office_rate=2.0, night_rate=2.0)
    waits = []
    for _ in range(10):
        before = world.evidence["queued"].copy()
        env.step({})
        for row in range(500):
            new = world.evidence["queue"][row, before[row] : world.evidence["queued"][row], state.TIME]
            waits += (world.evidence["step"][row] - new).tolist()
    assert set(waits) == {0, 1, 2}


def test_enrichment_costs_and_adds_a_reading():
    env, world = quiet(300)
    alert(world, 0, 45, confidence=0.9, true=False)
    parts = env.step({"triage": np.full(300, 3)}).infos["reward_parts"]
    assert parts[:, 2] == pytest.approx(0.02)
    assert (world.evidence["queue"][:, 0, state.READINGS] == 2).all()
    assert world.evidence["queue"][:, 0, state.CONFIDENCE].mean() == pytest.approx((0.9 + 0.35) / 2, abs=0.03)


def test_escalation_takes_time_and_the_wrong_one_costs():
    env, world = quiet(1)
    for index in range(3):
        alert(world, index, 45 + index)
    charged = [env.step({"triage": np.zeros(1, int)}).infos["reward_parts"][0, 3] for _ in range(4)]
    assert charged == pytest.approx([0.2, 0.0, 0.2, 0.0])  # busy in between


def test_dropping_an_alert_about_an_attack_costs():
    env, world = quiet(1)
    alert(world, 0, 45, true=True)
    alert(world, 1, 45, true=False)
    charged = [env.step({"triage": np.ones(1, int)}).infos["reward_parts"][0] for _ in range(2)]
    assert charged[0] == pytest.approx([-0.1, 0, 0, 0]) and charged[1] == pytest.approx([0, 0, 0, 0])


def test_alerts_assemble_into_a_campaign_that_is_forgotten_after_the_window():
    env, world = quiet(1, campaign_window=10)
    for index, technique in enumerate((0, 1, 3)):
        alert(world, index, 2 * 40 + index, technique)
    alert(world, 3, 2 * 40, 4)  # about the first host again
    alert(world, 4, 4 * 40, 2)  # of another segment
    env.step({"triage": np.full(1, int(spec.Triage.CORRELATE))})
    evidence = world.evidence[0]
    assert evidence["queued"] == 4 and evidence["queue"][0, state.MERGED] == 2  # merged, none of another host lost
    shown = []
    for _ in range(12):
        seen = env.step({}).observations["coordinator"]
        shown.append(spec.OBSERVATIONS["coordinator"].unpack(seen)["campaign"][0])
    assert shown[0] == pytest.approx(4 / 5) and shown[-1] == 0.0


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_false_flags_of_a_sweep_have_the_distribution_of_a_loop_over_clean_hosts(rate):
    """A loop would flag each of 40 clean hosts with one probability; the kernel draws how many, then which."""
    env, world = quiet(3000, false_flag_rate=rate)
    step(env, hunter=changed(changed(OFF_HUNTER, 2, 1.0), 7, 1.0))
    counts = world.ledger["tally"][:, state.FALSE_FLAGS]
    law = stats.binom(40, rate)
    top = int(law.ppf(0.995))
    seen = np.bincount(np.minimum(counts, top), minlength=top + 1)
    expected = 3000 * np.append(law.pmf(np.arange(top)), law.sf(top - 1))
    kept = expected > 5
    seen, expected = np.append(seen[kept], seen[~kept].sum()), np.append(expected[kept], expected[~kept].sum())
    assert stats.chisquare(seen[expected > 0], expected[expected > 0]).pvalue > 1e-3
    segments = world.evidence["host"][world.evidence["count"] > 0, 0] // 40
    assert (segments == spec.DEVELOPMENT).all()
