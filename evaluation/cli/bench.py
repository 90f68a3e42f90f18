"""Commands that measure and check an installation: bench, parity and doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from evaluation.cli import options
from evaluation.cli.output import FAILED, OK, Output, command
from evaluation.cli.sentences import Members


class Benches(Members):
    """The benches; CC4 is measured unless another is named."""

    noun = "bench"
    default = "cage4"


app = typer.Typer(
    cls=Benches,
    help="Measure the speed of a simulator or of training.",
    epilog="Without a name, bench measures cage4.",
)


@app.command("cage4")
@command
def cage4(
    output: Output,
    envs: options.Environments = "1,64,1024",
    threads: options.Threads = "1,2",
    seconds: options.Seconds = 2.0,
    cold: options.Cold = True,
) -> None:
    """Measure steps per second, start-up and memory of every CC4 engine."""
    _simulator(output, "cage4", envs, threads, seconds, cold)


@app.command("native_sim")
@command
def native_sim(
    output: Output,
    envs: options.Environments = "200",
    threads: options.Threads = "1",
    seconds: options.Seconds = 2.0,
    cold: options.Cold = True,
) -> None:
    """Measure steps per second, start-up and memory of the SOC simulator."""
    _simulator(output, "native_sim", envs, threads, seconds, cold)


@app.command("train")
@command
def train(output: Output, seconds: options.Seconds = 2.0) -> None:
    """Measure the speed of training and of deciding."""
    from evaluation.jobs.train import bench

    console = output.console()
    output.finish(bench(seconds, console))


def _simulator(output: Output, name: str, envs: str, threads: str, seconds: float, cold: bool) -> None:
    from evaluation.jobs.bench import bench

    console = output.console()
    output.finish(bench(name, envs, threads, seconds, cold, console))


@command
def parity(
    output: Output,
    episodes: Annotated[int, typer.Option(help="Episodes per variant, red agent and driver.")] = 1,
    variants: Annotated[
        str,
        typer.Option(
            help="Variants, comma-separated, or all.", autocompletion=options.completes((*options.CC4_VARIANTS, "all"))
        ),
    ] = "base",
    reds: Annotated[
        str, typer.Option(help="Red agents, comma-separated, or all.", show_default="each variant's own")
    ] = "",
    drivers: Annotated[
        str, typer.Option(help="Drivers, which choose the blue actions; comma-separated, or all.")
    ] = "all",
    steps: options.EpisodeSteps = 100,
    seed: Annotated[int, typer.Option(help="Seed of the first episode. Every episode has its own.")] = 0,
    workers: options.Workers = 1,
) -> None:
    """Play the compiled engine beside the real CybORG, and compare everything after every step."""
    from evaluation.jobs.parity import parity as compare_engines

    console = output.console()
    result = compare_engines(variants, reds, drivers, episodes, steps, seed, workers, console)
    output.finish(result, FAILED if result["diverged"] else OK)


@command
def doctor(
    output: Output,
    smoke: Annotated[bool, typer.Option(help="Play five steps on CybORG if it is found.")] = True,
) -> None:
    """Check this installation, and say what to do about each problem."""
    from evaluation.jobs.doctor import diagnose, render

    console = output.console()
    checks = diagnose(smoke=smoke)
    console.print(render(checks))
    failed = any(check.status == "fail" for check in checks)
    output.finish({"checks": [check.to_json() for check in checks]}, FAILED if failed else OK)
