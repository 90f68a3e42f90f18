"""``study``: one sub-command per study, each with the options that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from evaluation.cli import options
from evaluation.cli.game import CC4, game_to_play
from evaluation.cli.output import Output, command
from evaluation.cli.sentences import Members
from evaluation.studies.options import Options

_OUT: Final = Path("runs/studies")
_TRAINING: Final = {
    "table3": "Compare HMARL-SOC with Single-DRL, IQL, QMIX, MAPPO and the scripted defenders.",
    "table4": "Compare HMARL-SOC with its ablations. Each ablation changes one setting.",
    "k-sweep": "Vary the number of steps between two directives.",
    "reward-weights": "Halve and double each weight of the reward in training.",
    "apt": "Score the runs of table3 on campaigns of the level apt.",
}
"""Study that trains the arms of a plan -> its help."""


class Studies(Members):
    """The studies."""

    noun = "study"


app = typer.Typer(
    cls=Studies,
    help="Compare systems with all their controls, and write tables and figures of the results.",
    no_args_is_help=True,
)
Out = Annotated[Path, typer.Option(help="Folder of all studies. Equal training runs are shared.")]
Seeds = Annotated[int, typer.Option(help="Number of training seeds per arm.")]
Steps = Annotated[int | None, typer.Option(help="Environment steps per training run.", show_default="300000")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Run everything once at a tiny size. The numbers mean nothing.")]
ReportOnly = Annotated[
    bool, typer.Option("--report-only", help="Play and train nothing. Report the results in the folder.")
]
Recorded = Annotated[
    bool,
    typer.Option("--recorded", help="Use the results that ship with the package. Train only the missing runs."),
]
Bundle = Annotated[
    Path | None, typer.Option(help="Bundle: its folder, or a packaged name.", show_default="soc-adaptive")
]
Episodes = Annotated[int, typer.Option(help="CC4 episodes per policy.")]
Engine = Annotated[
    str,
    typer.Option(
        help="Engine of CC4: native (compiled), cyborg (the real CybORG) or auto.",
        autocompletion=options.completes(("native", "cyborg", "auto")),
    ),
]
_VARIANTS: Final = options.completes(options.CC4_VARIANTS)


def _run(output: Output, name: str, asked: Options) -> None:
    from evaluation.studies.command import run

    console = output.console()
    output.keep("The same command goes on from there.")
    output.finish(run(name, asked, console))


def _training(name: str) -> Any:
    @command
    def study(
        output: Output,
        out: Out = _OUT,
        seeds: Seeds = 5,
        steps: Steps = None,
        workers: options.Workers = 1,
        smoke: Smoke = False,
        report_only: ReportOnly = False,
        recorded: Recorded = False,
    ) -> None:
        _run(
            output,
            name,
            Options(
                out, seeds=seeds, steps=steps, workers=workers, smoke=smoke, report_only=report_only, recorded=recorded
            ),
        )

    return study


for _name, _help in _TRAINING.items():
    app.command(_name, help=_help)(_training(_name))


@app.command()
@command
def scaling(output: Output, out: Out = _OUT, smoke: Smoke = False, report_only: ReportOnly = False) -> None:
    """Measure the time of a decision and of a simulator step, from 50 to 10,000 hosts."""
    _run(output, "scaling", Options(out, smoke=smoke, report_only=report_only))


@app.command()
@command
def explain(
    output: Output,
    out: Out = _OUT,
    seeds: Seeds = 5,
    steps: Steps = None,
    workers: options.Workers = 1,
    smoke: Smoke = False,
    report_only: ReportOnly = False,
) -> None:
    """Test whether the attention weights name the inputs that a decision depends on."""
    _run(
        output, "explain", Options(out, seeds=seeds, steps=steps, workers=workers, smoke=smoke, report_only=report_only)
    )


@app.command()
@command
def tuning(
    output: Output,
    out: Out = _OUT,
    steps: Steps = None,
    workers: options.Workers = 1,
    smoke: Smoke = False,
    report_only: ReportOnly = False,
    recorded: Recorded = False,
) -> None:
    """Search the settings of all learning methods with the same number of trials."""
    _run(
        output,
        "tuning",
        Options(out, steps=steps, workers=workers, smoke=smoke, report_only=report_only, recorded=recorded),
    )


@app.command()
@command
def behaviours(
    output: Output,
    out: Out = _OUT,
    policies: Annotated[
        str,
        typer.Option(
            help="Policies of the SOC simulator, comma-separated; also weights:DIR and bundle:PATH.",
            show_default="adaptive,best-constant,random,bundle:hmarl-soc",
        ),
    ] = "",
    episodes: Annotated[int | None, typer.Option(help="Episodes per policy.", show_default="500")] = None,
    smoke: Smoke = False,
    report_only: ReportOnly = False,
) -> None:
    """Measure when defenders hunt, how triage treats repeated alerts, and whether throttling precedes isolation."""
    _run(output, "behaviours", Options(out, policies=policies, episodes=episodes, smoke=smoke, report_only=report_only))


@app.command()
@command
def roles(
    output: Output,
    out: Out = _OUT,
    policies: Annotated[
        str,
        typer.Option(
            help="Policies of the SOC simulator, comma-separated; also weights:DIR and bundle:PATH.",
            show_default="bundle:hmarl-soc",
        ),
    ] = "",
    episodes: Annotated[
        int | None, typer.Option(help="Episodes per combination of roles.", show_default="1000")
    ] = None,
    smoke: Smoke = False,
    report_only: ReportOnly = False,
) -> None:
    """Find the role that a policy's lead over its teacher comes from, by exchanging one role at a time."""
    _run(output, "roles", Options(out, policies=policies, episodes=episodes, smoke=smoke, report_only=report_only))


@app.command("transfer-zero-shot")
@command
def transfer_zero_shot(
    output: Output,
    out: Out = _OUT,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle: its folder, or a packaged name. Repeat it for several.", show_default=False),
    ] = None,
    episodes: Episodes = 100,
    engine: Engine = "auto",
    variant: Annotated[
        str, typer.Option(help="Variant of CC4: a name, or a TOML file of knobs.", autocompletion=_VARIANTS)
    ] = "base",
    seed: options.Seed = 0,
    workers: options.Workers = 1,
) -> None:
    """Score carried policies on CC4 without training there, beside all controls."""
    _, played = game_to_play(CC4, engine, output.notice)
    bundles = tuple(str(path) for path in bundle or ())
    _run(
        output,
        "transfer-zero-shot",
        Options(out, bundle=bundles, episodes=episodes, seed=seed, workers=workers, engine=played, variant=variant),
    )


@app.command("fine-tuning")
@command
def fine_tuning(
    output: Output,
    out: Out = _OUT,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle: its folder, or a packaged name.", show_default="hmarl-soc")
    ] = None,
    budgets: Annotated[
        str, typer.Option(help="Environment steps, comma-separated. Each number is a run of its own.")
    ] = Options.budgets,
    parts: Annotated[str, typer.Option(help="Parts that learn, comma-separated: adapters, heads, all.")] = (
        Options.parts
    ),
    starts: Annotated[str, typer.Option(help="Starting points, comma-separated: transferred, scratch.")] = (
        Options.starts
    ),
    seeds: Seeds = 3,
    episodes: Episodes = 100,
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    smoke: Smoke = False,
    report_only: ReportOnly = False,
    recorded: Recorded = False,
) -> None:
    """Train on CC4 from the transferred defender and from scratch, and compare the two at equal budgets."""
    _run(
        output,
        "fine-tuning",
        Options(
            out,
            bundle=_one(bundle),
            seeds=seeds,
            episodes=episodes,
            seed=seed,
            workers=workers,
            budgets=budgets,
            parts=parts,
            starts=starts,
            smoke=smoke,
            report_only=report_only,
            recorded=recorded,
        ),
    )


@app.command("cross-simulator")
@command
def cross_simulator(
    output: Output,
    out: Out = _OUT,
    bundle: Bundle = None,
    episodes: Episodes = 100,
    engine: Engine = "auto",
    variant: Annotated[
        str,
        typer.Option(help="Variants of CC4, comma-separated: names, or TOML files of knobs.", autocompletion=_VARIANTS),
    ] = "base",
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    smoke: Smoke = False,
) -> None:
    """Test whether policies rank on CC4 as they rank in the SOC simulator."""
    _, played = game_to_play(CC4, engine, output.notice)
    _run(
        output,
        "cross-simulator",
        Options(
            out,
            bundle=_one(bundle),
            episodes=episodes,
            seed=seed,
            workers=workers,
            smoke=smoke,
            engine=played,
            variant=variant,
        ),
    )


def _one(bundle: Path | None) -> tuple[str, ...]:
    return () if bundle is None else (str(bundle),)
