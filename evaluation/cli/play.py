"""Commands that play and judge policies: evaluate, report, compare and export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evaluation.cli import options
from evaluation.cli.game import game_to_play
from evaluation.cli.output import FAILED, OK, Output, command
from evaluation.foreign.limits import TIME_LIMIT, Limits


@command
def evaluate(
    output: Output,
    episodes: Annotated[int, typer.Option(help="Number of episodes per policy.")] = 100,
    policies: Annotated[
        str,
        typer.Option(
            help="Policies, comma-separated: names (see list policies), module:object, weights:DIR, bundle:PATH (cc4), "
            "paths of submissions (cc4) or constant:FILE.json (soc). all stands for all registered policies.",
            show_default="those that list policies marks",
        ),
    ] = "",
    game: options.Game = None,
    engine: options.Engine = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Variant of the game: a name (see list variants) or a TOML file of knobs.",
            autocompletion=options.completes((*options.CC4_VARIANTS, *options.SOC_VARIANTS)),
            show_default="cc4: base; soc: corrected",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Length of an episode, in steps.", show_default="cc4: 500; soc: as the variant says, 200"),
    ] = None,
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    envs: Annotated[
        int | None,
        typer.Option(help="Parallel environments per process. It changes no result.", show_default="by game"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder. The same command resumes the run in it.", show_default="runs/..."),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that a policy of your own may take for one decision.")
    ] = TIME_LIMIT,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            help="Memory that a policy of your own may use, in GiB.",
            show_default="three quarters of the machine's memory",
        ),
    ] = None,
) -> None:
    """Play episodes with several policies on the same seeds, and report how the policies compare."""
    from evaluation.jobs.evaluate import evaluate as run
    from evaluation.jobs.evaluate import prepare

    console = output.console()
    played, played_on = game_to_play(game, engine, output.notice)
    limits = Limits(time_limit, memory_limit)
    folder = prepare(played_on, variant, steps, policies, episodes, seed, workers, envs, out, limits, played)
    output.keep(f"What was finished is kept in {folder.path}; the same command goes on from there.")
    try:
        result = run(folder, workers, envs, console, limits)
    finally:
        folder.close()
    for failure in result.failures:
        console.print(f"{failure} (traceback in {folder.path / 'run.log'})", style="red", soft_wrap=True)
    output.finish(result.to_json(), FAILED if result.failures else OK)


@command
def report(
    output: Output,
    run: Annotated[Path, typer.Argument(help="A run folder that evaluate wrote.", show_default=False)],
) -> None:
    """Rebuild summary, figures and reports of a run from its episode rows. It plays nothing."""
    from evaluation.harness.run_folder import RunFolder
    from evaluation.jobs.evaluate import publish

    console = output.console()
    output.finish(publish(RunFolder.open(run), console).to_json())


@command
def compare(
    output: Output,
    run_a: Annotated[Path, typer.Argument(help="Run folder to compare with.", show_default=False)],
    run_b: Annotated[Path, typer.Argument(help="Run folder in question.", show_default=False)],
    margin: Annotated[float, typer.Option(help="Difference that does not matter, in units of the score.")] = 0.0,
) -> None:
    """Print the paired differences between two runs. The exit code is 1 if the second run is worse."""
    from evaluation.harness.compare import comparison_dict
    from evaluation.jobs.evaluate import compare_runs

    console = output.console()
    result = compare_runs(run_a, run_b, margin, console)
    output.finish(comparison_dict(result), FAILED if result.worse else OK)


@command
def export(
    output: Output,
    policy: Annotated[
        str, typer.Option(help="A registered name, bundle:PATH[@CONTROL] or module:object.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Zip file to write.")] = Path("submission.zip"),
    name: Annotated[str, typer.Option(help="Name on the leaderboard.", show_default="the policy's name")] = "",
    team: Annotated[str, typer.Option(help="Your team.")] = "hmarl-transfer",
    technique: Annotated[
        str, typer.Option(help="Technique of the policy, in a few words.")
    ] = "exported by hmarl-transfer",
) -> None:
    """Write a policy as a CC4 leaderboard submission. The submission does not need this project."""
    from evaluation.export.submission import Labels
    from evaluation.export.submission import export as write

    console = output.console()
    files = write(policy, out, Labels(name or policy, team, technique))
    console.print(f"Wrote {out}: {len(files)} files.", soft_wrap=True)
    output.finish({"out": str(out), "files": files})
