"""The engine plays CybORG exactly: recorded episodes, lockstep with the untouched original, variants side by side."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cage4 import spec
from cage4.actions import SLEEP, BlueAction, encode
from cage4.cyborg.engine import CyborgEpisode, CyborgUnavailable, CyborgVectorEnv, load_cyborg
from cage4.cyborg.workers import WorkerError
from cage4.spec import BLUE_AGENTS, Verb
from cage4.variants import Variant

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.cyborg

BUSY = Variant(
    name="busy",
    min_users=9,
    max_servers=2,
    phishing_rate=0.3,
    false_alarm_rate=0.4,
    aggressive_scan_detection=0.9,
    stealth_scan_detection=0.1,
)
SLEEPING = dict(zip(BLUE_AGENTS, SLEEP, strict=True))


def random_actions(frame, rng):
    return {agent: int(rng.choice(np.flatnonzero(frame.action_mask[agent]))) for agent in BLUE_AGENTS}


def digest(frames):
    """Hash what the frames show and pay."""
    total = hashlib.sha256()
    for frame in frames:
        for agent in BLUE_AGENTS:
            total.update(frame.observations[agent].astype("<i8").tobytes())
        total.update(str(int(frame.reward)).encode())
    return total.hexdigest()


def played(episode, steps, seed=0):
    """Reset and play some steps with a random policy; returns the frames."""
    frame, rng, frames = episode.reset(), np.random.default_rng(seed), []
    for _ in range(steps):
        frame = episode.step(random_actions(frame, rng))
        frames.append(frame)
    return frames


# ------------------------------------------------------------------------------------------- recorded episodes
@pytest.mark.parametrize(
    ("seed", "moves", "score", "expected", "state"),
    [
        (
            0,
            False,
            -8,
            "78ad863df648f434045d0d09b2f38932f1684e56b7d4a017ff3438778b50e946",
            95435200861599080214482707498707854969,
        ),
        (
            5,
            True,
            -367,
            "627dcae2bbd869d4426826d990b83b096ef8fcf3312c706dc1bde76f1c4d1167",
            242972563346798957967180180750859941377,
        ),
    ],
)
def test_recorded_episodes_through_the_vector_face(seed, moves, score, expected, state):
    env = CyborgVectorEnv(1, steps=60, seed=seed)
    _, infos = env.reset()
    rng, total, rewards = np.random.default_rng(0), hashlib.sha256(), []
    for step in range(59):
        masks = infos["action_mask"]
        choices = {a: rng.choice(np.flatnonzero(masks[a][0])) if moves else SLEEPING[a] for a in BLUE_AGENTS}
        batch = env.step({agent: np.array([choice]) for agent, choice in choices.items()})
        infos = batch.infos
        for agent in BLUE_AGENTS:
            total.update(batch.observations[agent][0].astype("<i8").tobytes())
        total.update(str(int(batch.rewards[0])).encode())
        rewards.append(batch.rewards[0])
        assert batch.rewards[0] == infos["reward_parts"][0].sum() + infos["action_cost"][0]
        assert infos["phase"][0] == spec.phase_of_step(step, 60) == batch.observations["blue_agent_0"][0, 0]
        assert batch.terminations[0] == batch.truncations[0] == (step == 58)
    assert sum(rewards) == score
    assert total.hexdigest() == expected
    generator = env._pool._players[0]._episode.generator.bit_generator.state
    assert (generator["state"]["state"], generator["has_uint32"]) == (state, 0)


# --------------------------------------------------------------------------------------- lockstep, no shortcuts
class Original:
    """CybORG and its own wrapper without any of our hooks; variants by hand, as its users would."""

    def __init__(self, variant, steps, seed, pad_spaces=False):
        names = load_cyborg()
        generator = names.EnterpriseScenarioGenerator(
            names.blue, names.red[variant.red], names.green[variant.green], steps
        )
        generator.MIN_USER_HOSTS, generator.MAX_USER_HOSTS = variant.min_users, variant.max_users
        generator.MIN_SERVER_HOSTS, generator.MAX_SERVER_HOSTS = variant.min_servers, variant.max_servers
        self.cyborg = names.CybORG(generator, seed=seed)
        self.wrapper = names.BlueFlatWrapper(self.cyborg, pad_spaces=pad_spaces)
        self.variant = variant

    def reset(self, seed=None):
        result = self.wrapper.reset(seed=seed)
        for interface in self.cyborg.environment_controller.agent_interfaces.values():
            if hasattr(interface.agent, "phishing_error_rate"):
                interface.agent.phishing_error_rate = self.variant.phishing_rate
                interface.agent.fp_detection_rate = self.variant.false_alarm_rate
        return result

    def state(self):
        return self.cyborg.np_random.bit_generator.state


@pytest.mark.parametrize(
    ("variant", "seed", "pad"),
    [
        (Variant(), 11, False),
        (Variant(red="discovery", phishing_rate=0.3, false_alarm_rate=0.4, min_users=9, max_servers=2), 12, True),
        (Variant(red="random-select", green="none"), 13, False),
    ],
    ids=["base", "discovery", "random red, no green"],
)
def test_lockstep_with_the_untouched_original(variant, seed, pad):
    steps = 48
    original = Original(variant, steps, seed, pad)
    ours = CyborgEpisode(variant, steps, seed, pad)
    observations, _ = original.reset()
    frame = ours.reset()
    rng = np.random.default_rng(seed)
    for step in range(steps - 1):
        actions = random_actions(frame, rng)
        bits = rng.integers(0, 2, (5, 8)) if step % 3 else None
        spoken = None if bits is None else dict(zip(BLUE_AGENTS, bits, strict=True))
        observations, rewards, done, _, infos = original.wrapper.step(actions, messages=spoken)
        frame = ours.step(actions, bits)
        for agent in BLUE_AGENTS:
            np.testing.assert_array_equal(frame.observations[agent], observations[agent], f"{agent}, step {step}")
            assert frame.action_mask[agent].tolist() == infos[agent]["action_mask"]
            assert frame.reward == rewards[agent] and frame.done == done[agent]
        assert ours.generator.bit_generator.state == original.state(), f"random streams part in step {step}"
    assert frame.done
    # The next world of the stream, and the first one of another stream, are the same too.
    for again in (None, 99):
        observations, _ = original.reset(again)
        frame = ours.reset(again)
        assert all((frame.observations[agent] == observations[agent]).all() for agent in BLUE_AGENTS)
        assert ours.generator.bit_generator.state == original.state()


def test_shortcuts_change_nothing_but_time():
    with_shortcuts = played(CyborgEpisode(BUSY, 30, 4), 29)
    without = played(CyborgEpisode(BUSY, 30, 4, shortcuts=False), 29)
    for one, other in zip(with_shortcuts, without, strict=True):
        assert one.reward == other.reward and one.action_cost == other.action_cost
        assert (one.reward_parts == other.reward_parts).all() and (one.busy == other.busy).all()
    assert digest(with_shortcuts) == digest(without)


# ------------------------------------------------------------------------------------------------------ variants
def test_variants_do_not_leak_into_each_other():
    alone = {v.name: digest(played(CyborgEpisode(v, 30, 8), 20)) for v in (Variant(), BUSY)}
    assert alone["base"] != alone["busy"]
    episodes = [CyborgEpisode(Variant(), 30, 8), CyborgEpisode(BUSY, 30, 8)]
    policies = [np.random.default_rng(0) for _ in episodes]
    frames = [[episode.reset()] for episode in episodes]
    for _ in range(20):  # turn and turn about
        for episode, policy, seen in zip(episodes, policies, frames, strict=True):
            seen.append(episode.step(random_actions(seen[-1], policy)))
    assert [digest(seen[1:]) for seen in frames] == [alone["base"], alone["busy"]]


def test_variants_leave_cyborgs_classes_alone():
    names = load_cyborg()
    from CybORG.Simulator.Actions.AbstractActions import AggressiveServiceDiscovery

    def defaults():
        scan = AggressiveServiceDiscovery(session=0, agent="red_agent_0", ip_address=None)
        green = names.green["enterprise"]("green_agent_0", None)
        generator = names.EnterpriseScenarioGenerator
        return generator.MIN_USER_HOSTS, generator.MAX_SERVER_HOSTS, scan.detection_rate, green.phishing_error_rate

    before = defaults()
    played(CyborgEpisode(BUSY, 30, 0), 5)
    assert defaults() == before == (3, 6, 0.75, 0.01)


def test_every_rate_of_a_variant_arrives():
    episode = CyborgEpisode(BUSY, 90, 3)
    controller, rates = episode.cyborg.environment_controller, {}
    for seed in (3, None):  # agents are made anew at every reset
        episode.reset(seed)
        for _ in range(40):
            episode.step({})
            for action, *_ in controller.action.values():
                for name in ("phishing_error_rate", "fp_detection_rate", "detection_rate"):
                    if hasattr(action, name):
                        rates.setdefault((type(action).__name__, name), set()).add(getattr(action, name))
        hosts = [
            len([h for h in controller.state.hosts if z.cyborg_name in h and "user" in h])
            for z in list(spec.Subnet)[:-1]
        ]
        assert min(hosts) >= 9
    assert rates["GreenLocalWork", "phishing_error_rate"] == {0.3}
    assert rates["GreenLocalWork", "fp_detection_rate"] == {0.4}
    assert rates["GreenAccessService", "fp_detection_rate"] == {0.4}
    assert rates["AggressiveServiceDiscovery", "detection_rate"] == {0.9}
    assert rates["StealthServiceDiscovery", "detection_rate"] == {0.1}


@pytest.mark.parametrize(("red", "green"), [("sleep", "none"), ("sleep", "enterprise"), ("finite-state", "none")])
def test_sleeping_teams(red, green):
    quiet = Variant(red=red, green=green, phishing_rate=0.0)
    frames = played(CyborgEpisode(quiet, 20, 2), 19)
    if red == "sleep" and green == "none":
        assert all(frame.reward_parts.sum() == 0 for frame in frames)
    assert frames[-1].done


# ------------------------------------------------------------------------------------- rewards, slots, submissions
def test_reward_parts_agree_with_an_independent_count():
    episode = CyborgEpisode(BUSY, 100, 21)
    frame, rng = episode.reset(), np.random.default_rng(1)
    controller = episode.cyborg.environment_controller
    index = {zone.cyborg_name: int(zone) for zone in spec.Subnet}
    kinds = set()
    for _ in range(80):
        frame = episode.step(random_actions(frame, rng))
        counted = np.zeros((9, 3))
        state = controller.state
        for agent, (action, *_) in controller.action.items():
            name = type(action).__name__
            if name == "Impact" and state.sessions[agent]:
                zone, part = state.hostname_subnet_map[action.hostname], spec.RewardPart.RED_IMPACT
            elif agent.startswith("green") and name != "Sleep":
                if controller.observation[agent].observations[0].data["success"].name != "FALSE":
                    continue
                zone = state.hostname_subnet_map[state.ip_addresses[action.ip_address]]
                part = spec.RewardPart[{"GreenLocalWork": "LOCAL_WORK_FAILED"}.get(name, "ACCESS_SERVICE_FAILED")]
            else:
                continue
            kinds.add(part)
            counted[index[zone.value], part] += spec.REWARDS[frame.phase, index[zone.value], part]
        np.testing.assert_array_equal(frame.reward_parts, counted)
        assert frame.reward == counted.sum() + frame.action_cost
    assert kinds == set(spec.RewardPart)


def test_busy_counts_down_and_restore_costs_each_time_it_is_submitted():
    episode = CyborgEpisode(steps=20, seed=1)
    frame = episode.reset()
    restore = encode(0, BlueAction(Verb.RESTORE, spec.Subnet.RESTRICTED_ZONE_A, 0))
    assert frame.action_mask["blue_agent_0"][restore] and frame.busy.tolist() == [0] * 5
    seen = []
    for action in (restore, restore, SLEEP[0], SLEEP[0], SLEEP[0], SLEEP[0]):
        frame = episode.step({"blue_agent_0": action})
        seen.append((int(frame.busy[0]), frame.action_cost))
    assert seen == [(4, -1.0), (3, -1.0), (2, 0.0), (1, 0.0), (0, 0.0), (0, 0.0)]
    assert frame.busy[1:].tolist() == [0] * 4


def test_cyborgs_own_action_objects_and_missing_agents_play_the_same():
    by_index, by_object = CyborgEpisode(steps=30, seed=6), CyborgEpisode(steps=30, seed=6)
    frame, rng = by_index.reset(), np.random.default_rng(3)
    by_object.reset()
    for _ in range(15):
        actions = {**random_actions(frame, rng), "blue_agent_3": SLEEP[3]}
        objects = {a: by_object.wrapper.actions(a)[i] for a, i in actions.items() if a != "blue_agent_3"}
        frame, other = by_index.step(actions), by_object.step(objects)
        assert digest([frame]) == digest([other])
    assert by_index.generator.bit_generator.state == by_object.generator.bit_generator.state


def test_an_episode_refuses_what_it_cannot_play():
    with pytest.raises(ValueError, match="call reset before step"):
        CyborgEpisode(steps=5, seed=0).step({})
    episode = CyborgEpisode(steps=5, seed=0)
    episode.reset()
    before = episode.generator.bit_generator.state
    for actions, messages in (
        ({"blue_agent_0": 82}, None),
        ({"blue_agent_0": -1}, None),
        ({"blue_agent_0": 1.0}, None),
        ({"blue_agent_0": "Sleep"}, None),
        ({"red_agent_0": 0}, None),
        ({}, np.zeros((4, 8))),
        ({}, np.full((5, 8), 2)),
    ):
        with pytest.raises(ValueError):
            episode.step(actions, messages)
    assert episode.generator.bit_generator.state == before
    while not episode.step({}).done:
        pass
    with pytest.raises(ValueError, match="is over"):
        episode.step({})
    with pytest.raises(ValueError, match="at least 3"):
        CyborgEpisode(steps=2)
    with pytest.raises(ValueError, match="seed must be"):
        episode.reset(-1)


# -------------------------------------------------------------------------------------------------- vector face
def batch_actions(rows, rng, infos):
    masks = infos["action_mask"]
    return {a: np.array([rng.choice(np.flatnonzero(masks[a][n])) for n in range(rows)]) for a in BLUE_AGENTS}


def same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        if isinstance(one[key], dict):
            same(one[key], other[key])
        else:
            np.testing.assert_array_equal(one[key], other[key])
            assert one[key].dtype == other[key].dtype


def test_worker_processes_play_the_same_as_this_process():
    here, there = (CyborgVectorEnv(3, steps=12, seed=40, pad_spaces=True, processes=n) for n in (0, 2))
    try:
        (seen, infos), (other, other_infos) = here.reset(), there.reset()
        same(seen, other)
        same(infos, other_infos)
        rng = np.random.default_rng(0)
        for _ in range(11):
            actions, messages = batch_actions(3, rng, infos), rng.integers(0, 2, (3, 5, 8))
            one, two = here.step(actions, messages), there.step(actions, messages)
            same(one._asdict()["observations"], two.observations)
            same(one.infos, two.infos)
            assert (one.rewards == two.rewards).all() and one.rewards.dtype == np.float64
            infos = one.infos
            assert one.observations in here.observation_space and actions in here.action_space
        assert two.terminations.all() and (two.terminations == two.truncations).all()
        with pytest.raises(ValueError, match=r"rows \[0, 1, 2\] are over"):
            there.step(actions)
    finally:
        there.close()
        here.close()


def test_rows_are_independent_episodes():
    env = CyborgVectorEnv(3, steps=8, seed=0, processes=0)
    env.reset(seed=[5, 6, 7])
    lone = CyborgEpisode(steps=8, seed=123)
    frame = lone.reset(6)
    rng = np.random.default_rng(2)
    for _ in range(7):  # only row 1 plays on
        actions = random_actions(frame, rng)
        frame = lone.step(actions)
        batch = env.step({a: np.array([i]) for a, i in actions.items()}, rows=[1])
        assert batch.rewards.tolist() == [frame.reward] and batch.infos["busy"].tolist() == [frame.busy.tolist()]
        for agent in BLUE_AGENTS:
            assert batch.observations[agent].dtype == np.int8
            np.testing.assert_array_equal(batch.observations[agent][0], frame.observations[agent])
            np.testing.assert_array_equal(batch.infos["action_mask"][agent][0], frame.action_mask[agent])
    with pytest.raises(ValueError, match=r"rows \[1\] are over"):
        env.step({a: np.full(3, SLEEPING[a]) for a in BLUE_AGENTS})
    env.step({a: np.full(2, SLEEPING[a]) for a in BLUE_AGENTS}, rows=[2, 0])  # rows 0 and 2 were not touched
    seen, _ = env.reset(seed=9, options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(seen["blue_agent_4"][0], lone.reset(9).observations["blue_agent_4"])
    env.step({a: np.full(1, SLEEPING[a]) for a in BLUE_AGENTS}, rows=[1])


def test_writing_to_what_was_returned_changes_nothing():
    env = CyborgVectorEnv(1, steps=8, seed=0)
    _, infos = env.reset()
    mask = infos["action_mask"]["blue_agent_0"]
    before = mask.copy()
    mask[:] = 0
    batch = env.step({a: np.array([SLEEPING[a]]) for a in BLUE_AGENTS})
    np.testing.assert_array_equal(batch.infos["action_mask"]["blue_agent_0"], before)
    assert env.single_action_space is env.single_action_space
    assert env.metadata["autoreset_mode"].name == "DISABLED"


def test_bad_input_to_the_vector_face_changes_nothing():
    env = CyborgVectorEnv(2, steps=8, seed=0, processes=0)
    with pytest.raises(ValueError, match="have not been reset"):
        env.step({a: np.zeros(2, int) for a in BLUE_AGENTS})
    env.reset()
    states = [player._episode.generator.bit_generator.state for player in env._pool._players]
    good = {a: np.zeros(2, int) for a in BLUE_AGENTS}
    for actions, messages, rows in (
        ({**good, "blue_agent_0": np.array([0, 82])}, None, None),
        ({**good, "blue_agent_0": np.zeros(2)}, None, None),
        ({"blue_agent_0": np.zeros(2, int)}, None, None),
        (good, np.zeros((2, 5, 7)), None),
        (good, None, [0]),
        (good, None, [0, 2]),
    ):
        with pytest.raises(ValueError):
            env.step(actions, messages, rows)
    with pytest.raises(ValueError, match="need 2 seeds"):
        env.reset(seed=[1])
    assert states == [player._episode.generator.bit_generator.state for player in env._pool._players]
    for settings in ({"num_envs": 0}, {"steps": 2}, {"variant": "x"}, {"processes": -1}, {"seed": 0.5}):
        with pytest.raises(ValueError):
            CyborgVectorEnv(**settings)


def test_a_failing_worker_ends_the_environment_with_its_traceback():
    env = CyborgVectorEnv(2, steps=8, seed=0, processes=1)
    env.reset()
    env._pool._processes[0].kill()
    with pytest.raises(WorkerError, match="died unexpectedly"):
        env.step({a: np.zeros(2, int) for a in BLUE_AGENTS})
    env.close()
    env.close()


def test_no_cyborg_is_told_by_the_constructor(monkeypatch, tmp_path):
    monkeypatch.setenv("CYBORG_PATH", str(tmp_path))
    with pytest.raises(CyborgUnavailable, match="holds no CybORG package"):
        CyborgVectorEnv(1)


# ---------------------------------------------------------------------------------------- processes of their own
HASHED = """
import hashlib, sys
import numpy as np
from cage4.cyborg.engine import CyborgEpisode
episode = CyborgEpisode(steps=62, seed=17)
frame, rng, total = episode.reset(), np.random.default_rng(0), hashlib.sha256()
for _ in range(60):
    actions = {agent: int(rng.choice(np.flatnonzero(mask))) for agent, mask in frame.action_mask.items()}
    frame = episode.step(actions, rng.integers(0, 2, (5, 8)))
    for vector in (*frame.observations.values(), frame.busy, frame.reward_parts):
        total.update(vector.tobytes())
    total.update(str(frame.reward).encode())
print(total.hexdigest(), episode.generator.bit_generator.state["state"]["state"])
assert not [name for name in sys.modules if name.split(".")[0] == "ray"]
"""


def test_results_do_not_depend_on_the_hash_seed_and_nothing_is_printed():
    printed = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "default", "-c", HASHED]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
        assert done.stderr == ""
        printed.add(done.stdout)
    assert len(printed) == 1 and len(printed.pop().splitlines()) == 1
