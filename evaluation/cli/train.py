"""Commands that learn: train, finetune and calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evaluation.cli import options
from evaluation.cli.game import ENGINES, game_to_train
from evaluation.cli.output import Output, command


@command
def train(
    output: Output,
    seed: options.TrainingSeed,
    out: options.RunFolder,
    method: Annotated[
        str,
        typer.Option(
            help=f"Learning method: {', '.join(options.METHODS)}; one of an installed package; or module:object.",
            autocompletion=options.completes(options.METHODS),
        ),
    ] = "hmarl-soc",
    game: Annotated[
        str | None,
        typer.Option(
            help="Game to train in: soc (the SOC simulator) or cc4 (CAGE Challenge 4).",
            autocompletion=options.completes(ENGINES),
            show_default="soc, or as configured",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine: native (compiled). Training uses no other.",
            autocompletion=options.completes(("native", "auto")),
            show_default="native",
        ),
    ] = None,
    config: options.Settings = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Settings to start from: tuned, or table2 (the paper's). cc4 has settings of its own.",
            autocompletion=options.completes(("tuned", "table2")),
            show_default="tuned",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps.", show_default="1.2 million, or as configured")
    ] = None,
    resume: options.Resume = False,
) -> None:
    """Train a defender. OUT/best holds its best weights."""
    from evaluation.jobs.train import train as run

    console = output.console()
    chosen = game_to_train(game, engine, output.notice)
    output.finish_run(run(method, config, base, seed, out, steps, resume, console, chosen))


@command
def finetune(
    output: Output,
    bundle: Annotated[
        str, typer.Argument(help="Bundle with a trained HMARL-SOC: its folder, or a packaged name.", show_default=False)
    ],
    seed: options.TrainingSeed,
    out: options.RunFolder,
    config: options.Settings = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Parts that learn: adapters (the mapper), heads (also the roles' last layers), or all.",
            autocompletion=options.completes(("adapters", "heads", "all")),
            show_default="adapters, or as configured",
        ),
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Start with random roles and an empty mapper, for comparison.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps.", show_default="1 million, or as configured")
    ] = None,
    resume: options.Resume = False,
) -> None:
    """Train a carried defender further on CAGE Challenge 4. OUT/bundle is the new bundle."""
    from evaluation.jobs.finetune import finetune as run

    console = output.console()
    output.finish_run(run(bundle, seed, out, config, parts, scratch, steps, resume, console))


@command
def calibrate(
    output: Output,
    carry: Annotated[
        str,
        typer.Argument(help="A scripted SOC policy by name, or the folder of a trained one.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.", show_default=False)],
    episodes: Annotated[int, typer.Option(help="CC4 episodes per policy and round.")] = 16,
    seed: Annotated[int, typer.Option(help="Base seed, at least 1000. Lower seeds are for reporting.")] = 1000,
    steps: options.EpisodeSteps = 500,
    mapper: Annotated[
        str,
        typer.Option(
            help="Action mapper: table, or learned (a linear scorer that imitates the table).",
            autocompletion=options.completes(("table", "learned")),
        ),
    ] = "table",
) -> None:
    """Learn the projections that carry a SOC policy onto CC4, and write them as a bundle."""
    from evaluation.jobs.calibrate import calibrate_command

    console = output.console()
    output.finish(calibrate_command(carry, out, episodes, seed, steps, mapper, console))
