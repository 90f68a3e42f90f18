"""``list``: the names that the other commands take, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evaluation.cli import options, study
from evaluation.cli.game import CC4, ENGINES, SOC, engine_to_play
from evaluation.cli.output import Output, command
from evaluation.cli.sentences import Members

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
    for name in _games(output, game):
        found = _game(output, name)
        registry = found.registry(_knobs(output, name, found.default_variant))
        rows += [
            {
                "game": name,
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
    for name in _games(output, game):
        found = _game(output, name)
        base = _knobs(output, name, found.default_variant)
        for variant in _variants(name):
            setting = found.resolve(engine_to_play(name, None, output.notice), variant, None)
            changes = {knob: value for knob, value in setting.knobs.items() if value != base.get(knob)}
            rows.append(
                {
                    "game": name,
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
    from cage4 import available_engines

    usable = {CC4: ("auto", *available_engines()), SOC: ENGINES[SOC]}
    rows: list[Row] = [
        {
            "game": name,
            "title": _game(output, name).name,
            "engines": list(engines),
            "installed": [engine for engine in engines if engine in usable[name]],
            "default variant": _game(output, name).default_variant,
        }
        for name, engines in ENGINES.items()
    ]
    _show(output, "games", rows)


@app.command()
@command
def methods(output: Output) -> None:
    """List the learning methods of train --method."""
    from evaluation.games.cc4.training import METHODS as ON_CC4
    from hmarl_soc.registry import METHODS

    rows: list[Row] = [
        {
            "method": name,
            "games": [SOC, CC4] if name in ON_CC4 else [SOC],
            "what learns": options.METHODS.get(name, ""),
        }
        for name in METHODS
    ]
    _show(output, "methods", rows)


@app.command()
@command
def studies(output: Output) -> None:
    """List the studies of study."""
    commands: Mapping[str, Any] = typer.main.get_command(study.app).commands  # type: ignore[attr-defined]
    _show(output, "studies", [{"study": name, "what it does": one.help} for name, one in commands.items()])


def _games(output: Output, game: str | None) -> Sequence[str]:
    """Return the games to list.

    Raises:
        BadInput: If the game is unknown.
    """
    if game is None:
        return tuple(ENGINES)
    engine_to_play(game, None, output.notice)
    return (game,)


def _game(output: Output, name: str) -> Game:
    from evaluation.harness.game import game_of

    return game_of(engine_to_play(name, None, output.notice))


def _knobs(output: Output, name: str, variant: str) -> Mapping[str, Any]:
    return _game(output, name).resolve(engine_to_play(name, None, output.notice), variant, None).knobs


def _variants(game: str) -> Iterable[str]:
    if game == CC4:
        from cage4.variants import VARIANTS

        return VARIANTS
    from native_sim.soc import spec
    from native_sim.soc.config import LEVELS

    return (*spec.RULES, *(f"corrected:{level}" for level in LEVELS))


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
