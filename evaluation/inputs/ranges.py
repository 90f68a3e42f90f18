"""What numbers the commands take: every range of an option, and the one check that refuses what lies outside.

The upper ends are far beyond what anyone needs, and small enough that a slip of the keyboard is refused at once instead
of filling memory.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from evaluation.inputs.errors import BadInput
from native_sim.names import shortened


class Range(NamedTuple):
    """The least and the most that is allowed."""

    least: float
    most: float


SEED: Final = Range(0, 2**63 - 1)
WORKERS: Final = Range(1, 1_024)
THREADS: Final = Range(1, 1_024)
ENVS: Final = Range(1, 65_536)
EPISODES: Final = Range(1, 1_000_000)
EPISODE_STEPS: Final = Range(3, 100_000)
"""Of CC4; a variant of the SOC simulator has a range of its own."""
TRAINING_STEPS: Final = Range(1, 10**12)
TRAINING_SEEDS: Final = Range(1, 10_000)
SECONDS: Final = Range(0.001, 3_600)
TIME_LIMIT: Final = Range(0.001, 1e6)
MEMORY_GIB: Final = Range(0.001, 1e6)
MARGIN: Final = Range(0, 1e12)


def check(option: str, value: float | None, allowed: Range) -> None:
    """Refuse a number that is out of range; None, which stands for the default, is in it.

    Args:
        option: As the user writes it, such as ``--episodes``.
        value: What was given.
        allowed: What may be.

    Raises:
        BadInput: One sentence with the option, the bound that is missed and what was given.
    """
    if value is None or allowed.least <= value <= allowed.most:
        return
    given = shortened(f"{value}", 60)
    if value < allowed.least:
        raise BadInput(f"{option} must be at least {_told(allowed.least)}; given {given}")
    if value > allowed.most:
        raise BadInput(f"{option} must be at most {_told(allowed.most)}; given {given}")
    raise BadInput(f"{option} must be from {_told(allowed.least)} to {_told(allowed.most)}; given {given}")


def numbers(option: str, text: str, allowed: Range) -> list[int]:
    """Return the whole numbers of a comma-separated list.

    Raises:
        BadInput: One sentence if one of them is none, or is out of range.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part[:20]) > 0 for part in parts):
        raise BadInput(
            f"{option} must be positive whole numbers separated by commas, such as 1,64; given {shortened(repr(text))}"
        )
    for part in parts:
        check(option, int(part[:20]), allowed)
    return [int(part) for part in parts]


def _told(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,g}"
