"""The native engine against the real CybORG, step by step, tolerance zero."""

from __future__ import annotations

from typing import Any

import pytest

from cage4.parity.drivers import DRIVERS
from cage4.parity.lockstep import play_side_by_side
from cage4.variants import FINITE_STATE_CHOICES, RED_STATES, VARIANTS, Variant

pytestmark = [pytest.mark.cyborg]


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_way_of_playing_blue_stays_in_lockstep(cyborg_factory: Any, driver: str) -> None:
    padded = driver in ("any", "valid")
    result = play_side_by_side(cyborg_factory, VARIANTS["base"], 60, 11, driver, pad_spaces=padded)
    assert not result.divergence, str(result)
    assert result.steps == 59


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "base"])
def test_every_variant_stays_in_lockstep(cyborg_factory: Any, name: str) -> None:
    result = play_side_by_side(cyborg_factory, VARIANTS[name], 60, 12, "restore")
    assert not result.divergence, str(result)


@pytest.mark.parametrize("red", ["discovery", "verbose", "random-select", "sleep"])
def test_every_red_agent_stays_in_lockstep(cyborg_factory: Any, red: str) -> None:
    result = play_side_by_side(cyborg_factory, Variant("test", red=red), 60, 13, "valid", episodes=2)
    assert not result.divergence, str(result)


def test_sleeping_green_stays_in_lockstep(cyborg_factory: Any) -> None:
    result = play_side_by_side(cyborg_factory, Variant("test", green="none"), 60, 14)
    assert not result.divergence, str(result)


def test_later_episodes_continue_the_random_stream(cyborg_factory: Any) -> None:
    result = play_side_by_side(cyborg_factory, VARIANTS["base"], 30, 16, "valid", episodes=3)
    assert not result.divergence, str(result)
    assert result.steps == 3 * 29


WITHDRAWING = tuple(
    (*(0.8 * p for p in row[:-1]), 0.2) if state in ("U", "UD", "R", "RD") else row
    for state, row in zip(RED_STATES, FINITE_STATE_CHOICES, strict=True)
)


def test_a_red_that_gives_hosts_up_stays_in_lockstep(cyborg_factory: Any) -> None:
    result = play_side_by_side(cyborg_factory, Variant("test", red_choices=WITHDRAWING), 100, 1, "restore")
    assert not result.divergence, str(result)


@pytest.mark.slow
def test_a_full_episode_stays_in_lockstep(cyborg_factory: Any) -> None:
    result = play_side_by_side(cyborg_factory, VARIANTS["base"], 500, 15, "remove")
    assert not result.divergence, str(result)
