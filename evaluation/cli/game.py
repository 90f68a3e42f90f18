"""``--game`` and ``--engine``: two options, and their old spelling as one. The game itself checks its engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from evaluation.inputs.errors import BadInput

CC4: Final = "cc4"
ENGINES: Final[Mapping[str, tuple[str, ...]]] = {CC4: ("auto", "native", "cyborg"), "soc": ("auto", "native")}
"""Game of ours -> its engines, for help texts and completion; a test compares them with the games."""
Notify = Callable[[str], None]
"""Takes a sentence for standard error."""


def game_to_play(game: str | None, engine: str | None, notify: Notify) -> tuple[str, str]:
    """Return game and engine to play.

    Args:
        game: What ``--game`` says; None for CC4.
        engine: What ``--engine`` says; None for ``auto``. The name of a game is the old spelling.
        notify: Called where the old spelling was used.

    Raises:
        BadInput: If the two name different games.
    """
    if _is_game(engine):
        return _old_spelling(game, str(engine), notify), "auto"
    return CC4 if game is None else game, "auto" if engine is None else engine


def game_to_train(game: str | None, engine: str | None, notify: Notify) -> str | None:
    """Return the game to train in, None for the one that the settings name.

    Args:
        game: What ``--game`` says, if anything.
        engine: What ``--engine`` says, if anything. Training plays on compiled engines; the name of a game is the old
            spelling.
        notify: Called where the old spelling was used.

    Raises:
        BadInput: If the two name different games, or nothing trains on the engine.
    """
    if _is_game(engine):
        return _old_spelling(game, str(engine), notify)
    if engine not in (None, "auto", "native"):
        raise BadInput(f"training plays on the compiled engine; choose native or auto; given {engine!r}")
    return game


def _is_game(engine: str | None) -> bool:
    from evaluation.harness.game import GAMES

    return engine in GAMES.names()


def _old_spelling(game: str | None, engine: str, notify: Notify) -> str:
    if game not in (None, engine):
        raise BadInput(f"--game {game} and --engine {engine} name two games; leave --engine out")
    notify(f"--engine {engine} is the old spelling, which the next version refuses; write --game {engine} instead.")
    return engine
