"""``list``: the names that the other commands take, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evaluation.cli import options, study
from evaluation.cli.game import ENGINES
from evaluation.cli.output import Output, command
from evaluation.cli.sentences import Members
from evaluation.inputs.errors import BadInput

if TYPE_CHECKING:
    from evaluation.harness.game import Game

Row = dict[str, Any]
OneGame = Annotated[
    str | None,
    typer.Option(
        "--game", help="List this game only: cc4 or soc.", autocompletion=options.completes(ENGINES), show_default="all"
    ),
]


class Lists(Members):
    """The kinds of names."""

    noun = "list"


app = typer.Typer(cls=Lists, help="List the names that other commands take.", no_args_is_help=True)


@app.command()
@command
def policies(output: Output, game: OneGame = None) -> None:
    """List the registered policies of evaluate --policies."""
    rows: list[Row] = []
    for found in _games(output, game):
        registry = found.registry(found.resolve(found.engines[0], found.default_variant, None).knobs)
        rows += [
            {
                "game": found.key,
                "policy": policy,
                "played by default": policy in registry.defaults,
                "what it does": _summary(make),
            }
            for policy, make in registry.named.items()
        ]
    _show(output, "policies", rows)


@app.command()
@command
def variants(output: Output, game: OneGame = None) -> None:
    """List the variants of evaluate --variant."""
    rows: list[Row] = []
    for found in _games(output, game):
        base = found.resolve(found.engines[0], found.default_variant, None).knobs
        for variant in found.variant_names():
            setting = found.resolve(found.engines[0], variant, None)
            changes = {knob: value for knob, value in setting.knobs.items() if value != base.get(knob)}
            rows.append(
                {
                    "game": found.key,
                    "variant": variant,
                    "id": setting.variant,
                    "steps": setting.steps,
                    "changes": {knob: value for knob, value in changes.items() if knob not in ("name", "version")},
                }
            )
    _show(output, "variants", rows)


@app.command()
@command
def games(output: Output) -> None:
    """List the games of evaluate --game and train --game, and their engines."""
    rows: list[Row] = [
        {
            "game": found.key,
            "title": found.name,
            "engines": list(found.engines),
            "usable here": [engine for engine in found.engines if _is_usable(found, engine)],
            "default variant": found.default_variant,
        }
        for found in _games(output, None)
    ]
    _show(output, "games", rows)


@app.command()
@command
def methods(output: Output) -> None:
    """List the learning methods of train --method."""
    from hmarl_soc.registry import METHODS

    found = _games(output, None)
    rows: list[Row] = [
        {
            "method": name,
            "games": [game.key for game in found if _learns(game, name)],
            "what learns": options.METHODS.get(name) or METHODS.origin(name),
        }
        for name in METHODS.names()
    ]
    _show(output, "methods", rows)


@app.command()
@command
def studies(output: Output) -> None:
    """List the studies of study."""
    commands: Mapping[str, Any] = typer.main.get_command(study.app).commands  # type: ignore[attr-defined]
    _show(output, "studies", [{"study": name, "what it does": one.help} for name, one in commands.items()])


def _games(output: Output, game: str | None) -> list[Game]:
    """Return the game asked for, or all games; a broken one of another package is told and left out.

    Raises:
        BadInput: If the game asked for is unknown or broken.
    """
    from evaluation.harness.game import GAMES, find_game

    if game is not None:
        return [find_game(game)]
    found = []
    for name in GAMES.names():
        try:
            found.append(find_game(name))
        except BadInput as error:
            output.notice(f"{error}.")
    return found


def _is_usable(game: Game, engine: str) -> bool:
    from cage4.cyborg.locate import CyborgUnavailable

    try:
        game.resolve(engine, game.default_variant, None)
    except (ValueError, CyborgUnavailable):
        return False
    return True


def _learns(game: Game, method: str) -> bool:
    """Return whether a method can be trained in a game."""
    try:
        return game.training() is not None and bool(game.training_settings(method, {}, None))
    except ValueError:
        return False


def _summary(make: Callable[[], Any]) -> str:
    """Return what a policy does: the first paragraph of its class's docstring, and what it is made of."""
    kind = make if isinstance(make, type) else type(make())
    told = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return f"{told} ({make.args[0]})" if isinstance(make, partial) and make.args else told


def _show(output: Output, kind: str, rows: Sequence[Row]) -> None:
    """Print rows as a table, or as ``{kind: rows}``."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=kind)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, no_wrap=number < min(2, len(rows[0]) - 1), overflow="fold")  # names stay whole
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    output.console().print(table)
    output.finish({kind: list(rows)})


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        plain = {name: entry for name, entry in value.items() if not isinstance(entry, list | tuple)}
        return ", ".join([*(f"{name} = {entry}" for name, entry in plain.items()), *(set(value) - set(plain))])
    return ", ".join(value) if isinstance(value, list) else str(value)
