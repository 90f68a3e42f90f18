"""The corrected rules: no truth in observations, live footholds, neutral zero, an effect of every action."""

from pathlib import Path

import numpy as np
import pytest
from numba import njit

from native_sim import make_vec
from native_sim.soc import spec
from native_sim.soc.config import LEVELS
from native_sim.soc.corrected import observe, state
from native_sim.soc.corrected.engine import CorrectedEngine
from native_sim.soc.frames import allocate_frame
from native_sim.soc.policies import POLICIES, Adaptive, ConstantActions, make_policy
from tests.builders.playing import play_soc as play

HUNT = [1.0] * 5 + [-0.8] * 5 + [-1.0] * 6
RESPOND = [1.0] * 12


@njit
def write_observations(row, knobs, frame, i):
    """Call the kernel from Python."""
    observe.write_observations(row, knobs, frame, i)


BASE = {"coordinator": [0.0] * 8, "hunter": HUNT, "triage": 0, "responder": RESPOND}


def advance(env, actions, steps, seed=0):
    """Play steps with constant actions; return the rows still playing."""
    env.reset(seed=seed)
    policy, rows = ConstantActions(actions), np.arange(env.num_envs)
    for _ in range(steps):
        chosen = policy.choose({}, np.zeros((len(rows), 4, 0)))
        batch = env.step(chosen, rows=rows)
        rows = rows[~(batch.terminations | batch.truncations)]
    return rows


def mean(actions, metric, episodes=400, **knobs):
    result = play(make_vec(num_envs=episodes, **knobs), ConstantActions(actions), range(episodes))[metric]
    kept = result[np.isfinite(result)]
    return kept.mean(), kept.std() / np.sqrt(len(kept))


def differs(one, two, sigmas=3.0):
    return abs(one[0] - two[0]) > sigmas * np.hypot(one[1], two[1])


# What observations show


@pytest.mark.parametrize("steps", [10, 60])
def test_observations_do_not_read_the_truth(steps):
    """Replace the truth by that of other rows and by noise: observations stay the same to the last bit."""
    env = make_vec(num_envs=60)
    rows = advance(env, BASE, steps)
    world = env.engine.state
    before, after = (allocate_frame(1, 1) for _ in range(2))
    changed = world._replace(truth=world.truth.copy(), hosts=world.hosts.copy(), ledger=world.ledger.copy())
    rng = np.random.default_rng(0)
    changed.truth.view(np.uint8)[:] = rng.permutation(changed.truth.view(np.uint8))
    changed.hosts["foothold"] = rng.permutation(changed.hosts["foothold"], axis=1)
    changed.ledger["tally"], changed.ledger["total"] = 7, 7.0
    assert not np.array_equal(changed.truth, world.truth)
    for row in rows:
        for which, frame in ((world, before), (changed, after)):
            one = state.Row(which.rng[row], which.truth[row], which.evidence[row], which.ledger[row], which.hosts[row])
            write_observations(one, env.engine._knobs[0], frame, 0)
        for role in range(4):
            assert np.array_equal(before[role], after[role])


def test_the_two_classes_of_alerts_overlap():
    """No threshold on confidence separates attack from background; both exceed one half at times."""
    env = make_vec(num_envs=400)
    rows = advance(env, {}, 90)
    world = env.engine.state
    labels, confidences = [], []
    for row in rows:
        count = world.evidence["queued"][row]
        labels += world.truth["queue_true"][row, :count].tolist()
        confidences += world.evidence["queue"][row, :count, state.CONFIDENCE].tolist()
    labels, confidences = np.array(labels, bool), np.array(confidences)
    attack, background = confidences[labels], confidences[~labels]
    assert 0.15 < attack.mean() - background.mean() < 0.25
    errors = [(attack < cut).mean() + (background >= cut).mean() for cut in np.linspace(0, 1, 101)]
    assert 0.3 < min(errors) < 0.7
    segments = world.evidence["queue"][rows, 0, state.SEGMENT]
    assert len(np.unique(segments)) == 5


def test_background_follows_office_hours():
    env = make_vec(num_envs=500, start_window=200)
    counts = {True: [], False: []}
    env.reset(seed=0)
    for _ in range(20):
        before = env.engine.state.evidence["num_pending"] + env.engine.state.evidence["queued"]
        batch = env.step({})
        after = env.engine.state.evidence["num_pending"] + env.engine.state.evidence["queued"]
        office = batch.observations["coordinator"][:, 3] > 0
        quiet = env.engine.state.truth["start"] > 21
        for hours in (True, False):
            counts[hours] += (after - before)[(office == hours) & quiet].tolist()
    assert np.mean(counts[True]) == pytest.approx(0.9, abs=0.06)
    assert np.mean(counts[False]) == pytest.approx(0.35, abs=0.04)


# The attacker


def check_world(env):
    """Tables and per-host marks agree, and nothing is held that is clean."""
    world = env.engine.state
    for truth, evidence, hosts in zip(world.truth, world.evidence, world.hosts, strict=True):
        held, cases = truth["host"][: truth["count"]], evidence["host"][: evidence["count"]]
        assert len(set(held)) == len(held) and len(set(cases)) == len(cases)
        assert np.array_equal(np.flatnonzero(hosts["foothold"]), np.sort(held))
        assert np.array_equal(np.flatnonzero(hosts["case"]), np.sort(cases))
        assert np.array_equal(hosts["foothold"][held], np.arange(1, len(held) + 1))
        assert np.array_equal(hosts["case"][cases], np.arange(1, len(cases) + 1))
        assert ((truth["stage"][: len(held)] >= 1) & (truth["stage"][: len(held)] <= 4)).all()
        assert ((evidence["status"][: len(cases)] >= 0) & (evidence["status"][: len(cases)] <= 2)).all()


@pytest.mark.parametrize("hosts", [2, 40])
@pytest.mark.parametrize("steps", [15, 50, 120])
def test_states_of_hosts_are_conserved(hosts, steps):
    rng = np.random.default_rng(steps)
    env = make_vec(num_envs=60, hosts_per_segment=hosts, false_flag_rate=0.1)
    env.reset(seed=steps)
    rows = np.arange(60)
    for _ in range(steps):
        actions = {
            "coordinator": rng.uniform(-1, 1, (len(rows), 8)),
            "hunter": rng.uniform(-1, 1, (len(rows), 16)),
            "triage": rng.integers(0, 4, len(rows)),
            "responder": rng.uniform(-1, 1, (len(rows), 12)),
        }
        batch = env.step(actions, rows=rows)
        rows = rows[~(batch.terminations | batch.truncations)]
    check_world(env)


def test_the_undefended_network_loses_its_data():
    result = play(make_vec(num_envs=500, held_out=True), make_policy("no-defense"), range(500))
    assert result["exfiltrated"].mean() >= 0.8
    assert result["csr"].mean() == 0.0


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_is_dangerous_and_no_campaign_stalls(level):
    env = make_vec(num_envs=300, level=level, max_steps=2000)
    result = play(env, make_policy("no-defense"), range(300))
    assert result["exfiltrated"].mean() == 1.0  # given time, every campaign gets there: no deadlock


def test_levels_differ_in_difficulty():
    wins = {level: play(make_vec(num_envs=400, level=level), Adaptive(), range(400))["csr"].mean() for level in LEVELS}
    assert wins["basic"] > wins["default"] > wins["low-and-slow"] - 0.05


def test_the_apt_level_needs_three_segments():
    env = make_vec(num_envs=100, level="apt", with_state=True)
    env.reset(seed=0)
    rows, seen = np.arange(100), 0
    while len(rows):
        before = env._truth(rows)
        batch = env.step({}, rows=rows)
        stealing = batch.infos["state"][:, spec.STATE["progress"].slice][:, 0] > before[:, 35]
        held = (before[:, :30].reshape(-1, 5, 6)[:, :, :4].sum(axis=2) > 0).sum(axis=1)
        assert (held[stealing] >= 3).all()
        seen += stealing.sum()
        rows = rows[~(batch.terminations | batch.truncations)]
    assert seen > 100


def test_an_isolated_attacker_does_nothing_until_released():
    """With every foothold isolated the campaign has no live one; remediation ends footholds for good."""
    env = make_vec(num_envs=300, return_steps=10_000.0)
    result = play(env, ConstantActions(BASE), range(300))
    contained = result["csr"] == 1
    assert contained.any()
    assert (result["compromised"][contained] == 0).all()
    assert (result["returns"] == 0).all()


def test_eviction_must_hold():
    """An attacker who returns at once undoes containment that one who stays away would have granted."""
    gone = mean(BASE, "csr", return_steps=10_000.0)
    back = mean(BASE, "csr", return_steps=1.0)
    assert differs(gone, back) and gone[0] > back[0]


# What the defender can do


def test_zero_directive_is_neutral():
    """A zero directive and no directive at all play the same episode."""
    absent = {role: value for role, value in BASE.items() if role != "coordinator"}
    one, two = (play(make_vec(num_envs=50), ConstantActions(a), range(50)) for a in (BASE, absent))
    for name in one:
        assert np.array_equal(one[name], two[name], equal_nan=True), name


def directive(entry, value):
    return {**BASE, "coordinator": [value if i == entry else 0.0 for i in range(8)]}


@pytest.mark.parametrize("segment", range(5))
def test_priority_moves_people_to_a_segment(segment):
    env = make_vec(num_envs=50)
    shown = []
    for value in (-1.0, 0.0, 1.0):
        env.reset(seed=0)
        batch = env.step(ConstantActions(directive(segment, value)).choose({}, np.zeros((50, 4, 0))))
        power = batch.observations["hunter"][:, 12:72].reshape(50, 5, 12)[:, :, 8].mean(axis=0) * 5
        assert power.sum() == pytest.approx(5.0, abs=1e-4)  # people are moved, not made
        shown.append(power[segment])
    assert shown[1] == pytest.approx(1.0, abs=1e-5)
    assert shown[0] < 0.5 and shown[2] > 2.0


def test_priority_decides_which_alert_is_handled_first():
    env = make_vec(num_envs=200)
    advance(env, {}, 30)
    rows = np.flatnonzero(~env._finished)
    batch = env.step({"coordinator": np.tile([0.0, 0, 0, 0, 1, 0, 0, 0], (len(rows), 1))}, rows=rows)
    alerts = batch.observations["triage"][:, 10:].reshape(len(rows), 6, 9)
    queue = env.engine.state.evidence["queue"][rows, :, state.SEGMENT]
    queued = env.engine.state.evidence["queued"][rows]
    cloud = np.array([spec.CLOUD in queue[i, : queued[i]] for i in range(len(rows))])
    assert cloud.sum() > 20 and (alerts[cloud, 0, 3] == 1.0).all()


@pytest.mark.parametrize(
    ("entry", "value", "metric", "sign"),
    [
        (5, 1.0, "background_handled", +1),  # dropping alerts below a threshold handles more of the background
        (5, -1.0, "detected_share", +1),  # opening cases at sight detects more
        (6, 1.0, "isolations", +1),  # an eager posture isolates more
        (6, -1.0, "isolations", -1),
        (7, 1.0, "footholds", -1),  # a tight filter hampers lateral movement
        (7, -1.0, "footholds", +1),
    ],
)
def test_other_directives_have_their_effect(entry, value, metric, sign):
    neutral, shifted = mean(BASE, metric, 1500), mean(directive(entry, value), metric, 1500)
    assert differs(neutral, shifted) and sign * (shifted[0] - neutral[0]) > 0


def test_an_idle_role_costs_nothing():
    idle = {"hunter": [-1.0] * 16, "responder": [-1.0] * 12, "coordinator": [0.0] * 8}
    one, two = (play(make_vec(num_envs=50), ConstantActions(a), range(50)) for a in (idle, {}))
    assert np.array_equal(one["reward"], two["reward"])


def test_false_flags_grow_smoothly_with_intensity():
    """No cliff: with the square of intensity times scope."""
    rates = []
    for level in (0.25, 0.5, 1.0):
        hunter = [2 * level - 1] * 5 + [1.0] * 5 + [-1.0] * 6
        result = play(
            make_vec(num_envs=300, start_window=200, max_steps=20), ConstantActions({"hunter": hunter}), range(300)
        )
        rates.append(result["false_flags"].sum())
    assert rates[1] / rates[0] == pytest.approx(4.0, rel=0.35)
    assert rates[2] / rates[1] == pytest.approx(4.0, rel=0.35)


def test_triage_matters_to_detection():
    """Escalation finds what nobody suspected; suppressing everything finds nothing and mutes the attacker."""
    found = {choice: mean({**BASE, "triage": choice}, "detected_share")[0] for choice in range(4)}
    assert found[0] > found[2] + 0.1 and found[0] > found[1] + 0.1
    assert mean({"triage": 1}, "length")[0] <= mean({}, "length")[0] + 2


def test_throttling_slows_the_attacker():
    respond = [-1.0] * 12
    hands_off = mean({**BASE, "responder": respond}, "length")
    throttled = mean({**BASE, "responder": [*respond[:10], 1.0, -1.0]}, "length")
    assert differs(hands_off, throttled) and throttled[0] > hands_off[0]


def test_verbose_telemetry_shows_more_of_both_classes():
    """Full telemetry doubles the traces of an attack and adds two fifths to the background."""
    counts = []
    for level in (-1.0, 1.0):
        env = make_vec(num_envs=800, exfiltration_steps=200.0)
        rows = advance(env, {"hunter": [-1.0] * 10 + [level] * 5 + [-1.0]}, 55)
        world = env.engine.state
        shown = np.arange(50) < world.evidence["queued"][rows, None]
        true = (world.truth["queue_true"][rows] > 0) & shown
        counts.append((true.sum(), (shown & ~true).sum()))
    assert counts[1][0] / counts[0][0] > 1.5
    assert 1.1 < counts[1][1] / counts[0][1] < 1.5


def test_parts_add_up_to_the_reward():
    env = make_vec(num_envs=60, alpha=2.0, beta=0.5, delta=-1.0, lambda_fp=-3.0)
    env.reset(seed=1)
    rows, total = np.arange(60), np.zeros(60)
    policy = ConstantActions(BASE)
    while len(rows):
        batch = env.step(policy.choose({}, np.zeros((len(rows), 4, 0))), rows=rows)
        assert np.allclose(batch.infos["reward_parts"] @ [2.0, 0.5, -1.0, -3.0], batch.rewards)
        total[rows] += batch.rewards
        done = batch.terminations | batch.truncations
        assert np.allclose(batch.infos["reward"][done], total[rows[done]])
        assert np.isnan(batch.infos["reward"][~done]).all()
        rows = rows[~done]


# Evidence that there is something to learn


def test_the_order_of_the_defenders():
    """Held-out networks, paired seeds: the full table is in docs/soc-simulator.md."""
    env = make_vec(num_envs=1000, held_out=True, with_state=True)
    names = ("no-defense", "rule-soar", "best-constant", "adaptive", "oracle")
    scores = {name: play(env, POLICIES["corrected"][name](), range(1000)) for name in names}
    rewards = {name: result["reward"].mean() for name, result in scores.items()}
    assert rewards["no-defense"] < rewards["adaptive"] - 5
    assert rewards["adaptive"] < rewards["oracle"] - 2
    assert rewards["rule-soar"] < rewards["adaptive"] - 5
    assert rewards["best-constant"] < rewards["adaptive"] - 2
    assert scores["no-defense"]["csr"].mean() < scores["adaptive"]["csr"].mean() < scores["oracle"]["csr"].mean()
    for role in spec.AGENTS:
        less = play(env, Adaptive((role,)), range(1000))["reward"] - scores["adaptive"]["reward"]
        assert less.mean() < -2 * less.std() / np.sqrt(1000), role


# Scale


def test_state_of_a_hundred_thousand_hosts_is_small():
    world = state.allocate(64, 20_000)
    assert sum(array.nbytes for array in world) < 64e6


def test_large_networks_play():
    env = make_vec(num_envs=2, hosts_per_segment=20_000)
    rows = advance(env, BASE, 100)
    check_world(env)
    assert env.engine.state.truth["first_held"][rows].max() > 0


def test_engine_declares_its_layouts():
    for layouts, sizes in ((CorrectedEngine.observation_layouts, spec.OBSERVATION_SIZES),):
        assert [layouts[role].size for role in spec.AGENTS] == list(sizes)
    assert len(spec.TOOLS) == 15


def test_the_document_lists_the_tools():
    document = (Path(__file__).resolve().parents[3] / "docs" / "soc-simulator.md").read_text(encoding="utf-8")
    assert len({(tool.system, tool.name) for tool in spec.TOOLS}) == 15
    for tool in spec.TOOLS:
        assert "| " + " | ".join(tool) + " |" in document
