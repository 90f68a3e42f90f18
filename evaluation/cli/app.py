"""The command line: it puts the groups of commands together. No logic, and no heavy import before it is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from evaluation.cli import bench, listing, play, study, train
from evaluation.cli.output import NoColor, Quiet
from evaluation.cli.sentences import Commands
from evaluation.cli.sentences import run as run_app
from evaluation.inputs.names import DISTRIBUTION, settle, version


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"{DISTRIBUTION} {version()}")
        raise typer.Exit


app = typer.Typer(
    name=DISTRIBUTION,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done; 1 the command ran and the result is a failure; 2 bad input; 130 interrupted.",
)


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> None:
    """Evaluate defenders on CAGE Challenge 4 and in the SOC simulator, and report how they compare."""


for _panel, _commands in {
    "Play and report": (play.evaluate, play.report, play.compare, play.export),
    "Train": (train.train, train.finetune, train.calibrate),
}.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(study.app, name="study", rich_help_panel="Train")
app.add_typer(listing.app, name="list", rich_help_panel="Look up and check")
for _command in (bench.doctor, bench.parity):
    app.command(rich_help_panel="Look up and check")(_command)
app.add_typer(bench.app, name="bench", rich_help_panel="Look up and check")


def main() -> None:
    """Start the command; ``python -m hmarl_transfer`` ends here too."""
    settle()
    run_app(app)
