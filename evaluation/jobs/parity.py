"""The ``parity`` command: both engines side by side over many episodes, as a table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput, split_list

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cage4.parity.lockstep import Lockstep
    from cage4.variants import Variant

_EPISODES: Final = ranges.Range(1, 10_000)
"""Of each combination; they are listed before the first is played."""
_SEED: Final = ranges.Range(0, 2**62)
"""Every episode has one of its own, counted up from here."""


@dataclass(frozen=True)
class Game:
    """One comparison: an episode of a variant, with one way of playing blue."""

    variant: Variant
    driver: str
    steps: int
    seed: int
    pad_spaces: bool


def parity(
    variants: str, reds: str, drivers: str, episodes: int, steps: int, seed: int, workers: int, console: Console
) -> dict[str, Any]:
    """Play every combination on both engines and print how far they went together.

    Returns:
        ``{"rows": [{"variant", "red", "driver", "episodes", "steps", "divergence"}], "diverged": bool}``; steps are
        those compared and found equal.

    Raises:
        BadInput: For an unknown variant, red agent or driver, or numbers that are not possible.
        CyborgUnavailable: If there is no CybORG to compare with.
    """
    from rich.progress import track

    from cage4.engines import resolve_engine

    games = plan(variants, reds, drivers, episodes, steps, seed, workers)
    resolve_engine("cyborg")
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    played = track(_results(games, workers), "comparing", total=len(games), console=console, transient=True)
    for game, result in played:
        names = (game.variant.name, game.variant.red, game.driver)
        row = rows.setdefault(
            names, dict(zip(("variant", "red", "driver"), names, strict=True)) | {"episodes": 0, "steps": 0}
        )
        row["episodes"] += 1
        row["steps"] += result.steps
        row.setdefault("divergence", None)
        if result.divergence and row["divergence"] is None:
            row["divergence"] = f"seed {game.seed}: {result}"
    found = list(rows.values())
    console.print(_table(found))
    for row in found:
        if row["divergence"]:
            console.print(f"{row['variant']}, {row['red']}, {row['driver']}: {row['divergence']}", markup=False)
    return {"rows": found, "diverged": any(row["divergence"] for row in found)}


def plan(variants: str, reds: str, drivers: str, episodes: int, steps: int, seed: int, workers: int) -> list[Game]:
    """Check what was asked and list every episode to play; no two share a seed, every other one is padded."""
    from dataclasses import replace

    from cage4.parity.drivers import DRIVERS
    from cage4.variants import RED_AGENTS, VARIANTS, get_variant

    ranges.check("--episodes", episodes, _EPISODES)
    ranges.check("--steps", steps, ranges.EPISODE_STEPS)
    ranges.check("--workers", workers, ranges.WORKERS)
    ranges.check("--seed", seed, _SEED)
    try:
        chosen = [get_variant(name) for name in _split("--variants", variants, VARIANTS)]
        if reds:
            wanted = _split("--reds", reds, RED_AGENTS)
            chosen = [replace(variant, red=red) for variant in chosen for red in wanted]
    except ValueError as error:
        raise BadInput(str(error)) from error
    ways = _split("--drivers", drivers, DRIVERS)
    for way in ways:
        if way not in DRIVERS:
            raise BadInput(f"unknown driver {way!r}; known drivers: {', '.join(DRIVERS)}")
    pairs = [(variant, way) for variant in chosen for way in ways for _ in range(episodes)]
    return [Game(variant, way, steps, seed + number, number % 2 == 1) for number, (variant, way) in enumerate(pairs)]


def _split(option: str, text: str, everything: Any) -> list[str]:
    return list(everything) if text == "all" else split_list(option, text)


def _results(games: list[Game], workers: int) -> Iterator[tuple[Game, Lockstep]]:
    from evaluation.harness.runner import parallel

    yield from parallel(_play, games, workers)


def _play(game: Game) -> tuple[Game, Lockstep]:
    from cage4.parity.lockstep import play_side_by_side, untouched_cyborg

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        result = play_side_by_side(  # the verbose red prints all it sees
            untouched_cyborg, game.variant, game.steps, game.seed, game.driver, pad_spaces=game.pad_spaces
        )
    return game, result


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("variant", "red", "blue plays", box=SIMPLE_HEAD, title="Native engine beside CybORG")
    for name in ("episodes", "equal steps", "divergences"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["variant"],
            row["red"],
            row["driver"],
            str(row["episodes"]),
            f"{row['steps']:,}",
            "yes" if row["divergence"] else "0",
        )
    total = sum(row["episodes"] for row in rows), sum(row["steps"] for row in rows)
    table.add_section()
    table.add_row("all", "", "", str(total[0]), f"{total[1]:,}", str(sum(bool(row["divergence"]) for row in rows)))
    return table
