"""The main job, from a question to a report: prepare, play, publish; and the comparison of two runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evaluation.errors import BadInput, PolicyFailure
from evaluation.policies import POLICIES, check_policies
from evaluation.records import RunFolder, write_atomically
from evaluation.schema import EpisodeRecord, EvalSpec, Summary

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.compare import Comparison


@dataclass
class Result:
    """What an evaluation or a rebuilt report comes to."""

    summary: Summary
    path: Path
    failures: list[PolicyFailure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints; scores are on the official scale."""
        return {
            "policies": {
                name: {"mean": row.mean, "std": row.std, "ci95": row.ci95, "n": row.n}
                for name, row in self.summary.policies.items()
            },
            "engine": self.summary.engine,
            "variant": self.summary.variant,
            "run": str(self.path),
        }


def resolve(engine: str, variant: str, steps: int, policies: str, episodes: int, seed: int) -> EvalSpec:
    """Turn what was asked into a full specification, or refuse it.

    Raises:
        BadInput: One sentence on the first thing that cannot be done.
        CyborgUnavailable: If CybORG is asked for, or needed, and is not there.
    """
    from cage4.engines import resolve_engine
    from cage4.variants import get_variant

    for name, value, least in (("--episodes", episodes, 1), ("--steps", steps, 3), ("--seed", seed, 0)):
        if value < least:
            raise BadInput(f"{name} must be at least {least}; given {value}")
    try:
        chosen = resolve_engine(engine)
        knobs = get_variant(variant)
    except ValueError as error:
        raise BadInput(str(error)) from error
    names = tuple(name.strip() for name in policies.split(",") if name.strip()) or tuple(POLICIES)
    check_policies(names, chosen)
    try:
        return EvalSpec(
            engine=chosen,  # type: ignore[arg-type]  # checked by pydantic
            variant=knobs.id,
            variant_knobs=knobs.to_dict(),
            steps=steps,
            policies=names,
            episodes=episodes,
            seed=seed,
        )
    except ValidationError as error:
        raise BadInput(f"the evaluation asked for is not possible: {error.errors()[0]['msg']}") from error


def prepare(
    engine: str,
    variant: str,
    steps: int,
    policies: str,
    episodes: int,
    seed: int,
    workers: int,
    envs: int | None,
    out: Path | None,
) -> RunFolder:
    """Check everything and open the run folder for writing; nothing is played yet.

    Raises:
        BadInput: One sentence on the first thing that cannot be done.
        CyborgUnavailable: If CybORG is asked for, or needed, and is not there.
    """
    from evaluation.provenance import describe

    for name, value in (("--workers", workers), ("--envs", 1 if envs is None else envs)):
        if value < 1:
            raise BadInput(f"{name} must be at least 1; given {value}")
    spec = resolve(engine, variant, steps, policies, episodes, seed)
    path = out or Path("runs") / f"{spec.engine}-{spec.variant}-{spec.id}"
    asked = {"engine": engine, "variant": variant, "policies": policies or "every registered one"}
    return RunFolder.create(path, spec, {"asked": asked, **describe(spec)})


def evaluate(folder: RunFolder, workers: int, envs: int | None, console: Console) -> Result:
    """Play what the folder is missing, with a progress bar, and publish the results."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from evaluation.runner import run

    spec, done = folder.spec, folder.read()
    total = spec.episodes * len(spec.policies)
    console.print(
        f"Run {spec.id}: {spec.episodes} episodes of {', '.join(spec.policies)} on {spec.engine}, {spec.variant}, "
        f"{spec.steps} steps -> {folder.path}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for notice in folder.notices:
        console.print(notice, style="yellow", markup=False)
    if done:
        console.print(f"{len(done)} of {total} episodes are there already.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("starting (a first start compiles for a minute)", total=total, completed=len(done))

        def advance(records: list[EpisodeRecord]) -> None:
            progress.update(task, advance=len(records), description=records[-1].policy)

        outcome = run(folder, workers, envs, advance)
    result = publish(folder, console)
    result.failures = outcome.failures
    return result


def publish(folder: RunFolder, console: Console) -> Result:
    """Write summary.json, figures and reports from the rows alone, and print the table.

    Raises:
        BadInput: If there is no finished episode yet, or the rows are corrupt.
    """
    from evaluation.plots import figures
    from evaluation.report import render_html, render_markdown, terminal_table
    from evaluation.summarise import summarise, summary_json

    records = folder.read()
    if not records:
        raise BadInput(f"{folder.path} holds no finished episode yet; run the evaluation first")
    summary = summarise(folder.spec, records)
    drawn = figures(summary, records)
    (folder.path / "figures").mkdir(exist_ok=True)
    for name, svg in drawn.items():
        write_atomically(folder.path / "figures" / f"{name}.svg", svg)
    paths = {name: f"figures/{name}.svg" for name in drawn}
    write_atomically(folder.path / "summary.json", summary_json(summary))
    write_atomically(folder.path / "report.md", render_markdown(summary, folder.provenance, paths))
    write_atomically(folder.path / "report.html", render_html(summary, folder.provenance, drawn))
    console.print(terminal_table(summary))
    console.print(f"Report: {folder.path / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return Result(summary, folder.path)


def compare_runs(run_a: Path, run_b: Path, margin: float, console: Console) -> Comparison:
    """Compare two run folders and print the differences.

    Raises:
        BadInput: If either cannot be read, or the two have nothing to compare.
    """
    from evaluation.compare import Run, compare, comparison_table
    from evaluation.summarise import summarise

    runs = []
    for path in (run_a, run_b):
        folder = RunFolder.open(path)
        records = folder.read()
        if not records:
            raise BadInput(f"{path} holds no finished episode yet; run the evaluation first")
        runs.append(Run(summarise(folder.spec, records), records, str(path)))
    try:
        result = compare(runs[0], runs[1], margin)
    except ValueError as error:
        raise BadInput(str(error)) from error
    console.print(comparison_table(result))
    return result
