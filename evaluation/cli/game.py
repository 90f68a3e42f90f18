"""``--game`` and ``--engine``: what the two options mean together, and their old spelling as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from evaluation.inputs.errors import BadInput

CC4, SOC = "cc4", "soc"
ENGINES: Final[Mapping[str, tuple[str, ...]]] = {CC4: ("auto", "native", "cyborg"), SOC: ("auto", "native")}
"""Game -> its engines; ``auto`` takes the first that is installed."""
Notify = Callable[[str], None]
"""Takes a sentence for standard error."""


def engine_to_play(game: str | None, engine: str | None, notify: Notify) -> str:
    """Return the engine as :func:`evaluation.jobs.evaluate.prepare` takes it: one of CC4, or ``soc`` for that game.

    Args:
        game: What ``--game`` says; None for CC4.
        engine: What ``--engine`` says; None for ``auto``. A game's name is its old spelling.
        notify: Called where the old spelling was used.

    Raises:
        BadInput: If a name is unknown, the two contradict each other, or the game has no such engine.
    """
    if engine == SOC:
        return _old_spelling(game, engine, notify)
    name = _known(CC4 if game is None else game)
    chosen = "auto" if engine is None else engine
    if chosen not in ENGINES[name]:
        raise BadInput(f"unknown engine {chosen!r} of the game {name}; choose {_either(ENGINES[name])}")
    return SOC if name == SOC else chosen


def game_to_train(game: str | None, engine: str | None, notify: Notify) -> str | None:
    """Return the game to train in, None for the one that the settings name.

    Args:
        game: What ``--game`` says, if anything.
        engine: What ``--engine`` says, if anything. Training plays on compiled engines; a game's name is the old
            spelling.
        notify: Called where the old spelling was used.

    Raises:
        BadInput: If a name is unknown, the two contradict each other, or nothing trains on the engine.
    """
    if engine is not None and engine in ENGINES:
        return _old_spelling(game, engine, notify)
    if engine not in (None, "auto", "native"):
        raise BadInput(f"training plays on the compiled engine; choose native or auto; given {engine!r}")
    return None if game is None else _known(game)


def _old_spelling(game: str | None, engine: str, notify: Notify) -> str:
    if game not in (None, engine):
        raise BadInput(f"--game {game} and --engine {engine} name two games; leave --engine out")
    notify(f"--engine {engine} is the old spelling, which the next version refuses; write --game {engine} instead.")
    return engine


def _known(game: str) -> str:
    if game not in ENGINES:
        raise BadInput(f"unknown game {game!r}; choose {_either(tuple(ENGINES))}")
    return game


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
