"""The comparison itself: it must see every kind of difference. Needs no CybORG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cage4 import spec
from cage4.native.agents.blue import CATALOGUE
from cage4.native.engine import NativeVectorEnv
from cage4.observations import rich
from cage4.parity import lockstep as parity
from cage4.parity.drivers import DRIVERS
from cage4.parity.snapshots import Snapshot, snapshot_native
from cage4.variants import VARIANTS, Variant

BUSY = Variant("busy", phishing_rate=0.75, red_one_tick=True)


def played(steps: int = 30) -> tuple[NativeVectorEnv, dict[str, Any], dict[str, Any]]:
    """Return an engine in mid-episode and copies of what its last step returned."""
    env = NativeVectorEnv(1, BUSY, steps=60, seed=3, pad_spaces=True, rich=True)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(steps):
        play = DRIVERS["remove"](rng, env)
        assert play.indices is not None
        batch = env.step({name: play.indices[i : i + 1] for i, name in enumerate(env.agents)})
    seen = {name: {agent: batch.infos[name][agent].copy() for agent in env.agents} for name in ("action_mask", "rich")}
    return env, {agent: batch.observations[agent].copy() for agent in env.agents}, seen


@pytest.fixture(scope="module")
def truth() -> Snapshot:
    return snapshot_native(*played())


def test_equal_engines_show_no_difference(truth: Snapshot) -> None:
    assert parity.differences(truth, snapshot_native(*played())) == []


@pytest.mark.parametrize(
    ("field", "reported"),
    [
        ("rng", "generator"),
        ("parts", "reward"),
        ("cost", "action cost"),
        ("ses_pid", "red sessions"),
        ("ses_child", "red sessions"),
        ("proc_pid", "processes"),
        ("svc_reliability", "services"),
        ("files", "files"),
        ("net_events", "events"),
        ("proc_events", "events"),
        ("suspect_pid", "suspicious processes"),
        ("blocked", "blocks"),
        ("port_value", "ephemeral ports"),
        ("known_id", "known session ids"),
        ("known_zone", "known subnets"),
        ("known_address", "known addresses"),
        ("known_name", "known names"),
        ("red_active", "red active"),
        ("fsm_named", "red tables"),
        ("life", "done"),
    ],
)
def test_every_kind_of_difference_is_seen(truth: Snapshot, field: str, reported: str) -> None:
    env, observations, infos = played()
    array: Any = getattr(env.state, field)
    flags = ("blocked", "red_active", "fsm_named", "known_zone", "known_address", "known_name")
    array[...] = 1 - array if field in (*flags, "ses_child") else array + 1
    found = parity.differences(truth, snapshot_native(env, observations, infos))
    assert any(difference.field.startswith(reported) for difference in found), [d.field for d in found]


@pytest.mark.parametrize("agent", [0, 4])
def test_what_an_agent_sees_is_compared(truth: Snapshot, agent: int) -> None:
    env, observations, infos = played()
    name = env.agents[agent]
    for vectors in (observations, infos["action_mask"], infos["rich"]):
        vectors[name][0, 7] += 1
    fields = [difference.field for difference in parity.differences(truth, snapshot_native(env, observations, infos))]
    entry = next(f for f in rich.layout(agent) if f.start <= 7 < f.slice.stop)
    assert fields == [f"observations[{name}]", f"action masks[{name}]", f"rich[{name}] {entry.name}[{7 - entry.start}]"]


def test_the_true_state_is_compared(truth: Snapshot) -> None:
    other = {**truth, "true state": {"": truth["true state"][""].copy()}}
    other["true state"][""][0] += 1
    assert [d.field for d in parity.differences(truth, other)] == ["true state[] step[0]"]
    short = {**truth, "true state": {"": truth["true state"][""][1:]}}
    assert [d.field for d in parity.differences(truth, short)] == ["true state[] shape"]


def test_the_first_difference_is_told_with_both_values() -> None:
    found = parity.differences({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"x": 1, "y": 5}, "b": 3})
    assert found == [parity.Difference("a[y]", 2, 5)]
    text = str(parity.Lockstep(7, 1, tuple(found)))
    assert "after 7 equal steps" in text
    assert "CybORG: 2" in text
    assert "native: 5" in text


def test_a_missing_entry_is_a_difference() -> None:
    assert parity.differences({"a": {"x": 1}}, {"a": {}}) == [parity.Difference("a[x]", 1, None)]
    assert parity.differences({"a": {}}, {"a": {"x": 1}}) == [parity.Difference("a[x]", None, 1)]


@pytest.mark.parametrize("name", DRIVERS)
def test_drivers_play_what_the_engine_accepts(name: str) -> None:
    env = NativeVectorEnv(1, steps=30, seed=1, pad_spaces=True)
    env.reset()
    rng = np.random.default_rng(2)
    verbs = []
    for _ in range(20):
        play = DRIVERS[name](rng, env)
        if play.commands is not None:
            env.step_commands(play.commands[None])
            continue
        assert play.indices is not None
        verbs += [int(CATALOGUE[i, index, 0]) for i, index in enumerate(play.indices)]
        messages = None if play.messages is None else play.messages[None]
        env.step({agent: play.indices[i : i + 1] for i, agent in enumerate(env.agents)}, messages)
    if name.upper() in spec.Verb.__members__:
        assert verbs.count(spec.Verb[name.upper()]) > 50


def test_unknown_drivers_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown driver"):
        parity.play_side_by_side(lambda *_: None, VARIANTS["base"], 10, 0, "nobody")
