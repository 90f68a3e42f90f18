"""The campaign: where it enters and moves, how long it takes, and what its footholds need to live."""

import numpy as np
import pytest

from native_sim import make_vec
from native_sim.soc import spec
from native_sim.soc.corrected import state
from native_sim.soc.policies import make_policy
from tests.builders.playing import play_soc as play


def random_actions(rng, count):
    return {
        "coordinator": rng.uniform(-1, 1, (count, 8)),
        "hunter": rng.uniform(-1, 1, (count, 16)),
        "triage": rng.integers(0, 4, count),
        "responder": rng.uniform(-1, 1, (count, 12)),
    }


def snapshot(env, row):
    """Return the hosts held, those off the network, those under remediation, and the patched ones, as sets."""
    evidence, hosts = env.engine.state.evidence[row], env.engine.state.hosts[row]
    cases, status = evidence["host"][: evidence["count"]], evidence["status"][: evidence["count"]]
    return (
        set(np.flatnonzero(hosts["foothold"])),
        set(cases[status != state.OPEN]),
        set(cases[status == state.REMEDIATING]),
        set(np.flatnonzero(hosts["patched"])),
    )


@pytest.mark.parametrize("hosts", [2, 40])
def test_footholds_are_conserved_from_step_to_step(hosts):
    """Hosts are taken only when clean and on the network, and lost only by remediation, which patches them."""
    rng = np.random.default_rng(hosts)
    env = make_vec(num_envs=40, hosts_per_segment=hosts, alarm=1.0, false_flag_rate=0.05)
    env.reset(seed=hosts)
    rows, taken, lost = np.arange(40), 0, 0
    for _ in range(200):
        before = {row: snapshot(env, row) for row in rows}
        batch = env.step(random_actions(rng, len(rows)), rows=rows)
        for row in rows:
            held, off, remediated, patched = before[row]
            now_held, _, _, now_patched = snapshot(env, row)
            assert not (now_held - held) & (off - remediated)
            assert held - now_held <= remediated & now_patched
            assert patched <= now_patched
            taken += len(now_held - held)
            lost += len(held - now_held)
        rows = rows[~(batch.terminations | batch.truncations)]
        if not len(rows):
            break
    assert taken > 50 and lost > 20


def test_the_state_vector_counts_every_foothold_once():
    env = make_vec(num_envs=100, with_state=True)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    rows = np.arange(100)
    for _ in range(80):
        batch = env.step(random_actions(rng, len(rows)), rows=rows)
        truth = spec.STATE.unpack(batch.infos["state"])
        assert np.array_equal(truth["segments"][:, :, :5].sum(axis=(1, 2)), truth["footholds"])
        rows = rows[~(batch.terminations | batch.truncations)]


def first_segments(entry_points):
    """Return the segments that campaigns take first, and in how many segments one campaign starts."""
    env = make_vec(num_envs=300, entry_points=entry_points)
    env.reset(seed=0)
    entries = env.engine.state.truth["entries"]
    for _ in range(120):
        rows = np.flatnonzero(~env._finished)
        env.step({}, rows=rows)
    return np.bincount(entries[:, 0], minlength=5), np.array([len(set(row)) for row in entries])


@pytest.mark.parametrize("entry_points", [1, 2, 3])
def test_a_campaign_enters_through_its_entry_points(entry_points):
    first, spread = first_segments(entry_points)
    assert (first[list(spec.ENTRIES)] > 60).all() and first.sum() == first[list(spec.ENTRIES)].sum()
    assert (spread == entry_points).all()


def test_footholds_follow_the_paths_of_the_network():
    """In a chain DMZ, Corporate, Development, Data Center, Cloud a segment is held only after the one before it."""
    chain = ((1,), (2,), (3,), (4,), ())
    env = make_vec(num_envs=100, reaches=chain, entry_points=1, with_state=True)
    env.reset(seed=0)
    entry = env.engine.state.truth["entries"][:, 0]
    rows, ever = np.arange(100), np.zeros((100, 5), bool)
    while len(rows):
        batch = env.step({}, rows=rows)
        ever[rows] |= spec.STATE.unpack(batch.infos["state"])["segments"][:, :, :5].sum(axis=2) > 0
        rows = rows[~(batch.terminations | batch.truncations)]
    for row in range(100):
        held = np.flatnonzero(ever[row])
        if len(held):
            assert np.array_equal(held, np.arange(entry[row], held[-1] + 1))
    assert ever[:, spec.CLOUD].sum() > 10


def test_cleaning_every_host_contains():
    """No foothold at all for long enough is containment, just as no live one is."""
    env = make_vec(num_envs=300, return_steps=10_000.0)
    env.reset(seed=0)
    respond = np.ones((300, 12))
    respond[:, 11] = -1.0
    rows, cleaned = np.arange(300), 0
    while len(rows):
        hunt = np.tile([1.0] * 5 + [-0.8] * 5 + [-1.0] * 6, (len(rows), 1))
        actions = {"hunter": hunt, "triage": np.zeros(len(rows), int), "responder": respond[: len(rows)]}
        batch = env.step(actions, rows=rows)
        empty = env.engine.state.truth["count"][rows] == 0
        cleaned += (batch.terminations & empty & (batch.infos["csr"] == 1)).sum()
        rows = rows[~(batch.terminations | batch.truncations)]
    assert cleaned > 20


def test_a_low_and_slow_campaign_shows_less_and_acts_less():
    """Fewer of its actions raise an alert, and it acts in fewer of the steps, than a basic campaign."""
    shown = {}
    for level in ("basic", "low-and-slow"):
        env = make_vec(num_envs=400, level=level, office_rate=0.0, night_rate=0.0)
        env.reset(seed=0)
        for _ in range(60):
            env.step({}, rows=np.flatnonzero(~env._finished))
        world = env.engine.state
        active = world.evidence["step"] - world.truth["start"]
        shown[level] = world.evidence["queued"].sum() / active[active > 0].sum()
    assert shown["low-and-slow"] < 0.75 * shown["basic"]


def test_slow_campaigns_spread_over_the_whole_episode():
    """The knobs of speed and patience stretch the phases: at a tenth of the speed few are done in 200 steps."""
    lengths = {}
    for speed in (0.8, 0.4, 0.1):
        result = play(make_vec(num_envs=300, speed=speed, start_window=1), make_policy("no-defense"), range(300))
        lengths[speed] = result["length"].mean()
    assert lengths[0.8] < lengths[0.4] < lengths[0.1]
    assert lengths[0.1] > 190
