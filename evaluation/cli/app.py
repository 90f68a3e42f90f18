"""The command line: arguments in, one call, an exit code out. No logic, and no heavy import before it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from evaluation.cli.sentences import FAILED, KEPT, OK, Commands, finish, finish_run, make_console
from evaluation.cli.sentences import run as run_app
from evaluation.foreign.limits import TIME_LIMIT, Limits
from evaluation.studies.options import Options

app = typer.Typer(
    name="hmarl-transfer",
    cls=Commands,
    help="Evaluate defenders on CAGE Challenge 4 and in the SOC simulator, and report honestly how good they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done, 1 it ran and the result is a failure, 2 bad input, 130 interrupted.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Run = Annotated[Path, typer.Argument(help="A run folder written by evaluate.", show_default=False)]


@app.callback()
def _root() -> None:
    """Keep the commands a group even while there are few."""


@app.command()
def evaluate(
    context: typer.Context,
    episodes: Annotated[int, typer.Option(help="Episodes per policy.")] = 100,
    policies: Annotated[
        str,
        typer.Option(
            help="Comma-separated: registered names, module:object, constant:FILE.json or weights:DIR (soc), "
            "bundle:PATH or paths of submissions (CC4). Default: every registered policy that does not cheat.",
            show_default=False,
        ),
    ] = "",
    engine: Annotated[
        str,
        typer.Option(
            help="CC4: native, cyborg, or auto (native where it is built, else cyborg). The SOC simulator: soc."
        ),
    ] = "auto",
    variant: Annotated[
        str | None,
        typer.Option(
            help="Variant by name, or a TOML file of knobs. soc: corrected, corrected:LEVEL or reference.",
            show_default="base; corrected",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Length of an episode.", show_default="500; the variant's, 200")
    ] = None,
    seed: Annotated[int, typer.Option(help="Base seed of which all episode seeds are spawned.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; changes no result.")] = 1,
    envs: Annotated[
        int | None, typer.Option(help="Environments per process; changes no result.", show_default="by engine")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; the same command resumes there.", show_default="runs/...")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that a policy of your own may take for one decision.")
    ] = TIME_LIMIT,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            help="GiB that a policy of your own may use.", show_default="three quarters of the machine's memory"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Play episodes with several policies on the same seeds, and report how they compare."""
    from evaluation.jobs.evaluate import evaluate as run
    from evaluation.jobs.evaluate import prepare

    console = make_console(as_json)
    limits = Limits(time_limit, memory_limit)
    folder = prepare(engine, variant, steps, policies, episodes, seed, workers, envs, out, limits)
    context.meta[KEPT] = f"What was finished is kept in {folder.path}; the same command goes on from there."
    try:
        result = run(folder, workers, envs, console, limits)
    finally:
        folder.close()
    for failure in result.failures:
        console.print(f"{failure} (traceback in {folder.path / 'run.log'})", style="red", soft_wrap=True)
    finish(as_json, result.to_json(), FAILED if result.failures else OK)


@app.command()
def export(
    policy: Annotated[
        str, typer.Option(help="A registered name, bundle:PATH[@CONTROL] or module:object.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("submission.zip"),
    name: Annotated[str, typer.Option(help="What the leaderboard shows.", show_default="the policy's name")] = "",
    team: Annotated[str, typer.Option(help="Your team.")] = "hmarl-transfer",
    technique: Annotated[str, typer.Option(help="What it does, in a few words.")] = "exported by hmarl-transfer",
    as_json: Json = False,
) -> None:
    """Write a policy as a CC4 leaderboard submission that needs nothing of this project."""
    from evaluation.export.submission import Labels
    from evaluation.export.submission import export as write

    console = make_console(as_json)
    files = write(policy, out, Labels(name or policy, team, technique))
    console.print(f"Wrote {out}: {len(files)} files.", soft_wrap=True)
    finish(as_json, {"out": str(out), "files": files})


@app.command()
def report(run: Run, as_json: Json = False) -> None:
    """Rebuild summary, figures and reports of a run from its rows, without playing."""
    from evaluation.harness.run_folder import RunFolder
    from evaluation.jobs.evaluate import publish

    console = make_console(as_json)
    result = publish(RunFolder.open(run), console)
    finish(as_json, result.to_json())


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="The run compared with.", show_default=False)],
    run_b: Annotated[Path, typer.Argument(help="The run in question.", show_default=False)],
    margin: Annotated[float, typer.Option(help="Difference that does not matter, in units of score.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Print paired differences between two runs; exit 1 if the second is worse."""
    from evaluation.harness.compare import comparison_dict
    from evaluation.jobs.evaluate import compare_runs

    console = make_console(as_json)
    result = compare_runs(run_a, run_b, margin, console)
    finish(as_json, comparison_dict(result), FAILED if result.worse else OK)


@app.command()
def calibrate(
    carry: Annotated[str, typer.Argument(help="A scripted SOC policy by name, or the folder of a trained one.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.", show_default=False)],
    episodes: Annotated[int, typer.Option(help="CC4 episodes per policy and round.")] = 16,
    seed: Annotated[int, typer.Option(help="Base seed, at least 1000; lower ones are for reporting.")] = 1000,
    steps: Annotated[int, typer.Option(help="Length of an episode.")] = 500,
    mapper: Annotated[str, typer.Option(help="table, or learned: a linear scorer that imitates it.")] = "table",
    as_json: Json = False,
) -> None:
    """Learn the projections that carry a SOC policy onto CC4, and write them as a bundle."""
    from evaluation.jobs.calibrate import calibrate_command

    console = make_console(as_json)
    result = calibrate_command(carry, out, episodes, seed, steps, mapper, console)
    finish(as_json, result)


@app.command()
def study(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="table3, table4, k-sweep, reward-weights, apt, scaling, explain or tuning (training); behaviours; "
            "transfer-zero-shot, fine-tuning or cross-simulator (transfer)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of all studies; equal training runs are shared.")] = Path(
        "runs/studies"
    ),
    workers: Annotated[int, typer.Option(help="Processes; changes no result.")] = Options.workers,
    seeds: Annotated[
        int | None, typer.Option(help="Training: seeds per method.", show_default="5; fine-tuning: 3")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training: environment steps per run.", show_default="300000")
    ] = None,
    budgets: Annotated[
        str, typer.Option(help="Fine-tuning: environment steps, comma-separated; each is a run of its own.")
    ] = Options.budgets,
    parts: Annotated[
        str, typer.Option(help="Fine-tuning: what learns, comma-separated: adapters, heads, all.")
    ] = Options.parts,
    starts: Annotated[
        str, typer.Option(help="Fine-tuning: where it begins, comma-separated: transferred, scratch.")
    ] = Options.starts,
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="All but transfer-zero-shot: tiny; shows that all works."),
    ] = Options.smoke,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only", help="Training, fine-tuning, behaviours, roles: play nothing; report what is there."
        ),
    ] = Options.report_only,
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded",
            help="Training, fine-tuning: runs whose results ship with the package are done; the others are trained.",
        ),
    ] = Options.recorded,
    policies: Annotated[
        str,
        typer.Option(
            help="Behaviours, roles: comma-separated policies of the SOC simulator, also weights:DIR and bundle:PATH.",
            show_default="adaptive,best-constant,random,bundle:hmarl-soc; roles: bundle:hmarl-soc",
        ),
    ] = Options.policies,
    bundle: Annotated[
        list[Path] | None, typer.Option(help="Transfer: a bundle; repeat for several.", show_default=False)
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(help="Transfer, behaviours, roles: per row.", show_default="100; behaviours: 500; roles: 1000"),
    ] = None,
    engine: Annotated[str, typer.Option(help="Transfer: native, cyborg or auto.")] = Options.engine,
    variant: Annotated[
        str, typer.Option(help="Transfer: variant by name, or a TOML file; cross-simulator: several, comma-separated.")
    ] = Options.variant,
    seed: Annotated[
        int, typer.Option(help="Transfer: base seed of which all episode seeds are spawned.")
    ] = Options.seed,
    as_json: Json = False,
) -> None:
    """Compare systems with all their controls, and write tables and figures that say what may be claimed."""
    from evaluation.studies.command import run

    console = make_console(as_json)
    bundles = tuple(str(path) for path in bundle or ())
    how = (workers, seeds, steps, budgets, parts, starts, smoke, report_only, recorded)
    asked = Options(out, *how, policies, bundles, episodes, engine, variant, seed)
    context.meta[KEPT] = "The same command goes on from there."
    result = run(name, asked, _given(context, vars(asked)), console)
    finish(as_json, result)


@app.command()
def doctor(
    smoke: Annotated[bool, typer.Option(help="Play five steps on CybORG if it is found.")] = True,
    as_json: Json = False,
) -> None:
    """Look at this installation, and say what to do about each problem."""
    from evaluation.jobs.doctor import diagnose, render

    console = make_console(as_json)
    checks = diagnose(smoke=smoke)
    console.print(render(checks))
    failed = any(check.status == "fail" for check in checks)
    finish(as_json, {"checks": [check.to_json() for check in checks]}, FAILED if failed else OK)


@app.command()
def parity(
    episodes: Annotated[int, typer.Option(help="Episodes per variant, red agent and way of playing.")] = 1,
    variants: Annotated[str, typer.Option(help="Comma-separated variants, or all.")] = "base",
    reds: Annotated[
        str, typer.Option(help="Comma-separated red agents, or all.", show_default="each variant's own")
    ] = "",
    drivers: Annotated[str, typer.Option(help="Comma-separated ways of playing blue, or all.")] = "all",
    steps: Annotated[int, typer.Option(help="Length of an episode.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the first episode; each has its own.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Play the compiled engine beside the real CybORG and compare everything after every step."""
    from evaluation.jobs.parity import parity as compare_engines

    console = make_console(as_json)
    result = compare_engines(variants, reds, drivers, episodes, steps, seed, workers, console)
    finish(as_json, result, FAILED if result["diverged"] else OK)


@app.command()
def train(
    seed: Annotated[int, typer.Option(help="Seed of everything random in the run.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings that differ from the base.", show_default=False)
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Settings to start from: tuned, or table2 (the paper's); not for cc4, which has its own.",
            show_default="tuned",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="What learns: a method by name, or module:object of your own.")
    ] = "hmarl-soc",
    steps: Annotated[
        int | None, typer.Option(help="Environment steps.", show_default="1.2 million, or as configured")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="soc, or cc4 for CAGE Challenge 4.", show_default="soc, or as configured"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Train a defender in the SOC simulator or on CAGE Challenge 4; its best weights are in OUT/best."""
    from evaluation.jobs.train import train as run

    console = make_console(as_json)
    result = run(method, config, base, seed, out, steps, resume, console, engine)
    finish_run(as_json, result)


@app.command()
def finetune(
    bundle: Annotated[
        str, typer.Argument(help="Folder or packaged name of a bundle that carries a trained HMARL-SOC.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of everything random in the run.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings that differ from the defaults.", show_default=False)
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="What learns: adapters (the mapper), heads (also the roles' last layers), or all.",
            show_default="adapters, or as configured",
        ),
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Begin with random roles and an empty mapper, for comparison.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="Environment steps.", show_default="1 million, or as configured")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Let a carried defender learn on CAGE Challenge 4; OUT/bundle is the tuned one."""
    from evaluation.jobs.finetune import finetune as run

    console = make_console(as_json)
    result = run(bundle, seed, out, config, parts, scratch, steps, resume, console)
    finish_run(as_json, result)


@app.command()
def bench(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="What to measure: cage4, native_sim, or train.")] = "cage4",
    envs: Annotated[
        str | None,
        typer.Option(help="Comma-separated numbers of environments.", show_default="1,64,1024; native_sim: 200"),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(help="Comma-separated numbers of threads.", show_default="1,2; native_sim: 1")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time given to each row.")] = 2.0,
    cold: Annotated[bool, typer.Option(help="Time a first start too, which compiles everything anew.")] = True,
    as_json: Json = False,
) -> None:
    """Measure steps per second, start-up and memory of a simulator, or the speed of training, in one run."""
    console = make_console(as_json)
    if what == "train":
        from evaluation.inputs.errors import refuse_options
        from evaluation.jobs.train import bench as measure_training

        refuse_options("bench train", _given(context, ("envs", "threads", "cold")), ("seconds",))
        finish(as_json, measure_training(seconds, console))
    from evaluation.jobs.bench import bench as measure

    result = measure(what, envs, threads, seconds, cold, console)
    finish(as_json, result)


def main() -> None:
    """Start the command; ``python -m hmarl_transfer`` ends here too."""
    from evaluation.inputs.names import settle

    settle()
    run_app(app)


def _given(context: typer.Context, names: Iterable[str]) -> set[str]:
    """Return which of some options were written in the command, and not left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


if __name__ == "__main__":
    main()
