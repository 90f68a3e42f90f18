"""The rich observation and the true state in lockstep: games in which every kind of entry occurs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.observations import rich
from cage4.parity.drivers import DRIVERS
from cage4.parity.lockstep import play_side_by_side, step_native
from cage4.variants import VARIANTS, Variant

NOISY = Variant("noisy", phishing_rate=0.5, false_alarm_rate=0.75)
BUSY = replace(NOISY, red_one_tick=True, phishing_rate=0.01)
DRIVEN = ("analyse", "deploy_decoy", "any")


@pytest.mark.cyborg
@pytest.mark.parametrize("driver", DRIVEN)
def test_games_in_which_everything_is_seen_stay_in_lockstep(cyborg_factory: Any, driver: str) -> None:
    result = play_side_by_side(cyborg_factory, BUSY, 100, 31, driver)
    assert not result.divergence, str(result)


@pytest.mark.cyborg
@pytest.mark.parametrize("variant", [NOISY, Variant("withdrawing", red="random-select")], ids=lambda v: v.name)
def test_custom_variants_stay_in_lockstep(cyborg_factory: Any, variant: Variant) -> None:
    result = play_side_by_side(cyborg_factory, variant, 60, 22, "analyse")
    assert not result.divergence, str(result)


@pytest.mark.slow
@pytest.mark.cyborg
@pytest.mark.parametrize("driver", ["valid", "analyse", "deploy_decoy", "restore", "remove"])
@pytest.mark.parametrize("variant", [VARIANTS["base"], NOISY], ids=lambda v: v.name)
def test_full_episodes_stay_in_lockstep(cyborg_factory: Any, variant: Variant, driver: str) -> None:
    result = play_side_by_side(cyborg_factory, variant, 500, 23, driver)
    assert not result.divergence, str(result)


def entries_in(snapshot: dict[str, Any]) -> set[str]:
    """Names of the entries that are not 0, without their subnet and host."""
    names = set()
    for number, agent in enumerate(spec.BLUE_AGENTS):
        fields = rich.decode(number, snapshot["rich"][agent])
        names |= {name for name in fields._fields if np.any(getattr(fields, name))}
        by_signature = fields.connections.reshape(-1, rich.NUM_SIGNATURES).any(axis=0)
        names |= {rich.Signature(i).name for i in np.flatnonzero(by_signature)}
        names.add(rich.Success(int(fields.success)).name)
    return names


def test_those_games_show_every_kind_of_entry() -> None:
    seen: set[str] = set()
    for driver in DRIVEN:
        env = NativeVectorEnv(1, BUSY, 100, 31, pad_spaces=True, rich=True)
        env.reset()
        rng = np.random.default_rng([31, 2])
        for _ in range(spec.episode_length(100)):
            seen |= entries_in(step_native(env, DRIVERS[driver](rng, env)))
    expected = {*rich.RichObservation._fields, *rich.Signature.__members__, *rich.Success.__members__}
    assert expected - seen == {"OTHER"}
