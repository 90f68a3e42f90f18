"""``study``: train what is missing, score it, and write tables and figures from the logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from evaluation.studies.behaviour.explain import NAME as EXPLAIN
from evaluation.studies.behaviour.explain import explain
from evaluation.studies.recorded import with_recorded
from evaluation.studies.training.plans import FULL, PLANS, SMOKE, Plan, Size
from evaluation.studies.training.runs import INTERRUPTED, Job, execute, is_done, jobs, read_curve
from evaluation.studies.training.tables import markdown, summarise

if TYPE_CHECKING:
    from rich.console import Console

SCALING: Final = "scaling"
NAMES: Final = (*PLANS, SCALING, EXPLAIN)
_EXPLAINED: Final = Plan(EXPLAIN, "Explanations", PLANS["table3"].arms[:1], ())


def study(
    name: str,
    out: Path,
    seeds: int,
    workers: int,
    steps: int | None,
    smoke: bool,
    report_only: bool,
    console: Console,
    recorded: bool = False,
) -> dict[str, Any]:
    """Run or resume a study; equal runs are shared with the other studies of ``out``.

    Args:
        name: Of the study.
        out: Folder of all studies; training runs lie in ``out/runs``, the report in ``out/NAME``.
        seeds: Training seeds per arm.
        workers: Processes; changes no result.
        steps: Environment steps per training run; None for the default.
        smoke: Tiny networks and a few episodes: shows that everything works, in seconds.
        report_only: Train and play nothing; report what is there.
        console: Where progress is told.
        recorded: Take results of runs that ship with the package for done, where they are not in ``out``.

    Returns:
        The summary that was written: see :func:`evaluation.studies.training.tables.summarise`.

    Raises:
        BadInput: If the study is unknown, a number is out of range, or there is nothing to report.
    """
    if name not in NAMES:
        raise BadInput(f"unknown study {name!r} of training; known: {', '.join(NAMES)}")
    ranges.check("--seeds", seeds, ranges.TRAINING_SEEDS)
    ranges.check("--workers", workers, ranges.WORKERS)
    ranges.check("--steps", steps, ranges.TRAINING_STEPS)
    if name == SCALING:
        from evaluation.studies.training.scaling import scaling

        return scaling(out / name, smoke, report_only, console)
    size = SMOKE if smoke else FULL
    if steps is not None:
        size = size.shortened(steps)
    if name == EXPLAIN and recorded:
        raise BadInput("explain asks the weights of the runs, which are not recorded; leave --recorded out")
    plan = _EXPLAINED if name == EXPLAIN else PLANS[name]
    wanted = jobs(plan, size, seeds, out)
    if recorded:
        wanted = with_recorded(wanted)
    if not report_only:
        _execute(wanted, workers, console)
    if name == EXPLAIN:
        return explain([job for job in wanted if is_done(job)], out / name, smoke, console)
    return _report(plan, size, wanted, out / name, console)


def _execute(wanted: Sequence[Job], workers: int, console: Console) -> None:
    from evaluation.harness.progress import runs_bar
    from evaluation.harness.runner import parallel

    missing = [job for job in wanted if not is_done(job)]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} runs are done; {len(missing)} to go", highlight=False)
    done = len(wanted) - len(missing)
    with runs_bar(console, len(wanted), done) as bar:
        for number, (job, end) in enumerate(parallel(execute, bar.begin(missing, _name), workers), done + 1):
            if end == INTERRUPTED:
                raise KeyboardInterrupt
            bar.end(_name(job))
            console.print(f"[{number}/{len(wanted)}] {_name(job)}: {end}", markup=False, highlight=False)


def _name(job: Job) -> str:
    return job.arm.label if job.seed is None else f"{job.arm.label}, seed {job.seed}"


def _report(plan: Plan, size: Size, wanted: Sequence[Job], out: Path, console: Console) -> dict[str, Any]:
    """Write ``summary.json``, ``table.md`` and the figures from what the finished jobs left."""
    from evaluation.studies.plots import figures

    done = [job for job in wanted if is_done(job)]
    if not done:
        raise BadInput(f"no run of {plan.name} is finished in {out.parent}; run it without --report-only first")
    summary = {**summarise(plan, done), "steps": size.steps, "episodes": done[0].episodes, **describe_tree()}
    for arm in plan.arms:
        if arm.label in summary["arms"]:
            summary["arms"][arm.label]["x"] = arm.x
    curves = {
        arm.label: [read_curve(job) for job in done if job.arm.label == arm.label]
        for arm in plan.learned
        if arm.label in summary["arms"]
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "summary.json", json.dumps(summary, indent=1))
    text = markdown(summary, _header(plan, size, wanted, done))
    for name, svg in figures(plan.figures, summary, curves, plan.axis).items():
        write_atomically(out / f"{name}.svg", svg)
        text += f"\n![{name}]({name}.svg)\n"
    write_atomically(out / "table.md", text)
    console.print(f"{plan.title}: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def _header(plan: Plan, size: Size, wanted: Sequence[Job], done: Sequence[Job]) -> str:
    lines = [
        f"{size.steps:,} environment steps per training run, {done[0].episodes} held-out episodes per run "
        f"(level {plan.level}), greedy policies of the best validation."
    ]
    if len(done) < len(wanted):
        lines.append(f"**Unfinished**: {len(done)} of {len(wanted)} runs are in this table.")
    shipped = sum(job.recorded is not None for job in done)
    if shipped:
        lines.append(f"{shipped} of the runs are recorded ones that ship with the package.")
    if size.settings:
        lines.append("**Smoke size**: tiny networks and hardly any training; these numbers mean nothing.")
    return " ".join(lines)
