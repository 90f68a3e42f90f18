"""The rich observation and the true state of the native engine against the real CybORG, entry by entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from cage4 import cyborg_state, rich, spec, true_state
from cage4.cyborg_rich import RichRecorder
from cage4.native.engine import NativeVectorEnv
from cage4.parity import DRIVERS, _step_cyborg, _step_native
from cage4.variants import VARIANTS, Variant
from native_sim.api import Array, Layout

pytestmark = [pytest.mark.cyborg]

NOISY = Variant("noisy", phishing_rate=0.5, false_alarm_rate=0.75)
WITHDRAWING = Variant("withdrawing", red="random-select")


class Played(NamedTuple):
    steps: int
    divergence: str
    seen: frozenset[str]
    """Names of the entries that were ever not 0, without their subnet and host."""


def difference(where: str, layout: Layout, cyborg: Array, native: Array) -> str:
    if (cyborg == native).all():
        return ""
    index = int(np.flatnonzero(cyborg != native)[0])
    field = next(f for f in layout if f.start <= index < f.slice.stop)
    return f"{where} {field.name}[{index - field.start}]: CybORG {cyborg[index]}, native {native[index]}"


def compare(recorder: RichRecorder, controller: Any, infos: dict[str, Any], env: NativeVectorEnv) -> str:
    for number, vector in enumerate(recorder.vectors()):
        agent = spec.BLUE_AGENTS[number]
        if found := difference(agent, rich.layout(number), vector, infos["rich"][agent][0]):
            return found
    states = (true_state.flatten(state)[0] for state in (cyborg_state.read(controller), env.true_state()))
    return difference("true state", true_state.LAYOUT, *states)


def entries_in(infos: dict[str, Any]) -> set[str]:
    names = set()
    for number, agent in enumerate(spec.BLUE_AGENTS):
        fields = rich.decode(number, infos["rich"][agent])
        names |= {name for name in fields._fields if getattr(fields, name).any()}
        by_signature = fields.connections.reshape(-1, rich.NUM_SIGNATURES).any(axis=0)
        names |= {rich.Signature(i).name for i in np.flatnonzero(by_signature)}
        names |= {rich.Success(int(fields.success[0])).name}
    return names


def play(cyborg_factory: Any, variant: Variant, driver: str, seed: int, steps: int = 100, episodes: int = 1) -> Played:
    wrapper = cyborg_factory(variant, steps, seed)
    recorder = RichRecorder(wrapper)
    controller = wrapper.env.environment_controller
    env = NativeVectorEnv(1, variant, steps, seed, pad_spaces=True, rich=True)
    captured: dict[str, Any] = {}
    original = env._infos
    env._infos = lambda out, rows: captured.update(original(out, rows)) or captured  # type: ignore[method-assign]
    rng = np.random.default_rng([seed, 2])
    equal, seen = 0, set()
    for _ in range(episodes):
        recorder.begin_episode()
        wrapper.reset()
        env.reset()
        found = compare(recorder, controller, captured, env)
        for _ in range(spec.episode_length(steps)):
            if found:
                return Played(equal, found, frozenset(seen))
            move = DRIVERS[driver](rng, env)
            _step_cyborg(wrapper, move)
            _step_native(env, move)
            found = compare(recorder, controller, captured, env)
            seen |= entries_in(captured)
            equal += not found
        if found:
            return Played(equal, found, frozenset(seen))
    return Played(equal, "", frozenset(seen))


@pytest.mark.parametrize("driver", [name for name in DRIVERS if name != "sleep"])
def test_every_way_of_playing_blue_shows_the_same(cyborg_factory: Any, driver: str) -> None:
    played = play(cyborg_factory, VARIANTS["base"], driver, 21, steps=50, episodes=2)
    assert not played.divergence
    assert played.steps == 2 * 49


@pytest.mark.parametrize("variant", [*(v for v in VARIANTS.values() if v.name != "base"), NOISY, WITHDRAWING])
def test_every_variant_shows_the_same(cyborg_factory: Any, variant: Variant) -> None:
    played = play(cyborg_factory, variant, "analyse", 22, steps=60)
    assert not played.divergence


def test_all_kinds_of_entries_were_compared(cyborg_factory: Any) -> None:
    busy = replace(NOISY, red_one_tick=True, phishing_rate=0.01)
    seen: set[str] = set()
    for driver in ("analyse", "deploy_decoy", "any"):
        played = play(cyborg_factory, busy, driver, 31, steps=100)
        assert not played.divergence
        seen |= played.seen
    expected = {*rich.RichObservation._fields, *rich.Signature.__members__, *rich.Success.__members__}
    assert expected - seen == {"OTHER"}


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["valid", "analyse", "deploy_decoy", "restore", "remove"])
@pytest.mark.parametrize("variant", [VARIANTS["base"], NOISY])
def test_a_full_episode_shows_the_same(cyborg_factory: Any, variant: Variant, driver: str) -> None:
    played = play(cyborg_factory, variant, driver, 23, steps=500)
    assert not played.divergence
