"""Fine-tuning on CC4: what a transferred defender is worth as a beginning, beside one that knows nothing.

A run is a beginning (transferred, or from scratch), the parts that learn, a budget of environment steps and a seed. At
equal budgets the two beginnings differ in nothing else.
What is reported: :mod:`evaluation.studies.transfer.finetuning_report`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from adapters.bundle import INDEX, POLICY, PREFIX, bundle_folder
from evaluation.games.cc4.policies import CC4
from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import RunFolder, write_atomically
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput, split_list
from evaluation.jobs.evaluate import evaluate, prepare
from evaluation.jobs.finetune import BUNDLE, finetune, with_learned_mapper
from evaluation.policies.registry import fingerprint
from evaluation.studies.files import clear, damaged, read_object, read_shipped, read_validations, shipped_wrong
from evaluation.studies.recorded import RECORDED, SUMMARY
from evaluation.studies.transfer.finetuning_report import (
    NAME,
    NO_DEFENSE,
    SCRATCH,
    THRESHOLDS,
    TRANSFERRED,
    Curve,
    Result,
    Run,
    figures_of,
    render,
    results_of,
)
from evaluation.transfer.named import make_transferred
from hmarl_soc.training.runs import LAST, has_checkpoint
from native_sim.storage.files import MISFITS
from native_sim.storage.seals import sealed
from native_sim.storage.writing import FolderLock

if TYPE_CHECKING:
    from rich.console import Console

STARTS: Final = (TRANSFERRED, SCRATCH)
PARTS: Final = ("adapters", "heads", "all")
BUDGETS: Final = (10_000, 100_000, 1_000_000)
_BUDGETS: Final = ranges.Range(1_000, 10**12)
_UPDATES: Final = 12
_VALIDATIONS: Final = 5
_LONGEST_BLIND: Final = 500_000
"""Steps between validations at most, so that a long run shows where it stopped improving."""
_GRID: Final = ("budgets", "parts", "seeds", "starts")
"""What of a size decides which runs there are, and not what they come to."""


class Size(NamedTuple):
    """How much of everything."""

    budgets: tuple[int, ...] = BUDGETS
    parts: tuple[str, ...] = PARTS
    seeds: int = 3
    episodes: int = 100
    """Reporting episodes of CC4 per run."""
    soc_episodes: int = 500
    """Held-out episodes of the SOC simulator per run."""
    steps: int = 500
    """Of an episode of CC4."""
    num_envs: int = 64
    rollouts: tuple[int, int] = (1_024, 32_768)
    """A budget is spent on about a dozen rollouts, unless these would be shorter or longer than this."""
    validation_episodes: int = 64
    starts: tuple[str, ...] = STARTS


SMOKE: Final = Size((300, 600), ("adapters", "all"), 2, 2, 2, 30, 4, (60, 120), 2)
"""Everything once in seconds; its numbers mean nothing."""


def asked(budgets: str, parts: str, starts: str, seeds: int, episodes: int) -> Size:
    """Return the size that a command asks for.

    Raises:
        BadInput: If a budget is no number, parts or starts are unknown, or a number is too small.
    """
    learning, begun = split_list("--parts", parts), split_list("--starts", starts)
    given = ranges.numbers("--budgets", ",".join(split_list("--budgets", budgets)), _BUDGETS)
    if not set(learning) <= set(PARTS):
        raise BadInput(f"--parts must be of {', '.join(PARTS)}, comma-separated; given {parts!r}")
    if not set(begun) <= set(STARTS):
        raise BadInput(f"--starts must be of {', '.join(STARTS)}, comma-separated; given {starts!r}")
    ranges.check("--seeds", seeds, ranges.TRAINING_SEEDS)
    ranges.check("--episodes", episodes, ranges.EPISODES)
    return Size(tuple(given), tuple(learning), seeds, episodes, starts=tuple(begun))


def grid(size: Size) -> list[Run]:
    """Return the runs, short budgets first, so that an interrupted study has whole budgets."""
    return [
        Run(start, parts, budget, seed)
        for budget in sorted(size.budgets)
        for seed in range(size.seeds)
        for parts in size.parts
        for start in size.starts
    ]


def settings_of(run: Run, size: Size) -> str:
    """Return the settings of a run as TOML: a shorter budget has shorter rollouts, and no fewer validations."""
    low, high = size.rollouts
    rollout = min(high, max(low, run.budget // _UPDATES))
    return f"""[environment]
num_envs = {size.num_envs}
knobs = {{steps = {size.steps}}}
[trainer]
validate_every = {min(_LONGEST_BLIND, max(1, run.budget // _VALIDATIONS))}
validation_episodes = {size.validation_episodes}
[method]
rollout = {rollout}
minibatch = {max(2, rollout // 32)}
"""


def study(
    bundle: str,
    out: Path,
    size: Size,
    seed: int,
    workers: int,
    report_only: bool,
    console: Console,
    recorded: bool = False,
) -> Any:
    """Run or resume the grid, play its bundles on the reporting episodes, and write table, figure and JSON.

    Args:
        bundle: Path or packaged name of what is transferred.
        out: Folder of the study.
        size: How much of everything.
        seed: Base seed of the reporting episodes.
        workers: Processes; changes no result.
        report_only: Train nothing; report the runs that are there.
        console: Where progress is told.
        recorded: Take runs whose results ship with the package for done, where they are not in ``out``.

    Raises:
        BadInput: If the bundle cannot be tuned, or there is nothing to report.
    """
    make_transferred(f"{PREFIX}{bundle}")
    runs = grid(size)
    known = _read_recorded(bundle, size, seed) if recorded else {}
    missing = [run for run in runs if not _is_done(out, run) and run not in known]
    for run in runs:
        if _is_done(out, run) and not report_only:  # of one that was killed when it had just finished
            shutil.rmtree(out / run.folder / LAST, ignore_errors=True)
    if not report_only and missing:
        beginning = out / "beginning"
        if not (beginning / INDEX).is_file():
            with_learned_mapper(bundle, beginning, console)
        console.print(f"{len(runs) - len(missing)} of {len(runs)} runs are done; {len(missing)} to go", highlight=False)
        _execute(str(beginning), out, missing, size, workers, console)
    here = [run for run in runs if _is_done(out, run)]
    if not here and not any(run in known for run in runs):
        raise BadInput(f"no run of {NAME} is finished in {out}; run it without --report-only first")
    names = [NO_DEFENSE, f"{PREFIX}{bundle}", *(_policy(out, run) for run in here)]
    played = out / f"played-{len(here)}"
    folder = prepare("native", "base", size.steps, ",".join(names), size.episodes, seed, workers, None, played)
    try:
        evaluate(folder, workers, None, console)
    finally:
        folder.close()
    means = _mean_scores(RunFolder.open(played))
    measured = {run: _measure(out, run, means, size) for run in here}
    results = {run: (known | measured)[run] for run in runs if run in known or run in measured}
    return _report(out, bundle, results, means, size, seed, console)


def _read_recorded(bundle: str, size: Size, seed: int) -> dict[Run, Result]:
    """Return the results that ship with the package, if they are of this very bundle, size and seed."""
    path = RECORDED / NAME / f"{Path(bundle).name}.json"
    summary = read_shipped(path)
    if summary is None:
        return {}
    same = {"bundle": fingerprint(f"{PREFIX}{bundle}", CC4), "seed": seed, "size": _size_of_runs(size)}
    try:
        return results_of(summary) if same.items() <= summary.items() else {}
    except MISFITS as error:
        raise shipped_wrong(path, error) from error


def _size_of_runs(size: Size) -> dict[str, Any]:
    """Return what decides the result of a run, as JSON gives it back."""
    kept = {name: value for name, value in size._asdict().items() if name not in _GRID}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


def _mean_scores(folder: RunFolder) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for record in folder.read():
        scores.setdefault(record.policy, []).append(record.score)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _measure(out: Path, run: Run, means: Mapping[str, float], size: Size) -> Result:
    """Return what a finished run of this folder came to."""
    folder = out / run.folder
    home = measure_at_home(folder, folder / BUNDLE / POLICY, size.soc_episodes)
    return Result(read_curve(folder), means[_policy(out, run)], home)


def _is_done(out: Path, run: Run) -> bool:
    return (out / run.folder / BUNDLE / INDEX).is_file()


def _policy(out: Path, run: Run) -> str:
    return f"{PREFIX}{out / run.folder / BUNDLE}"


def _execute(beginning: str, out: Path, runs: Sequence[Run], size: Size, workers: int, console: Console) -> None:
    from evaluation.harness.progress import runs_bar
    from evaluation.harness.runner import parallel

    one = partial(_train, beginning, out, size)
    with runs_bar(console, len(runs)) as bar:
        for number, (run, interrupted, failure) in enumerate(parallel(one, bar.begin(runs, _name), workers), 1):
            if interrupted:
                raise KeyboardInterrupt
            bar.end(_name(run))
            console.print(f"[{number}/{len(runs)}] {_name(run)}: {failure or 'done'}", markup=False, highlight=False)


def _name(run: Run) -> str:
    return f"{run.arm}, seed {run.seed}"


def _train(bundle: str, out: Path, size: Size, run: Run) -> tuple[Run, bool, str | None]:
    """Run or resume one run; return it, whether it was interrupted, and why it failed if it did."""
    from rich.console import Console

    folder = out / run.folder
    settings = folder.parent / f"seed-{run.seed}.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(settings, settings_of(run, size))
    resume = has_checkpoint(folder)
    if not resume:
        with FolderLock(folder):
            clear(folder)  # of a run that was killed before its first checkpoint
    quiet = Console(quiet=True)
    scratch = run.start == SCRATCH
    result = finetune(bundle, run.seed, folder, settings, run.parts, scratch, run.budget, resume, quiet)
    if not result["interrupted"] and not result["failure"]:
        shutil.rmtree(folder / LAST, ignore_errors=True)  # rollouts and all: much larger than everything else
    return run, bool(result["interrupted"]), result["failure"]


def read_curve(folder: Path) -> Curve:
    """Read the validations of a run from its log."""
    return Curve(**read_validations(folder))


def measure_at_home(run: Path, weights: Path, episodes: int) -> float:
    """Return the mean reward of a bundle's roles in the SOC simulator on held-out networks; kept in ``run``."""
    from hmarl_soc.registry import load_policy
    from hmarl_soc.training.validation import play
    from native_sim import make_vec

    kept = run / f"soc-{episodes}.json"
    if kept.is_file():
        reward = read_object(kept).get("reward")
        if not isinstance(reward, int | float):
            raise damaged(kept, "it tells no reward")
        return float(reward)
    env = make_vec(num_envs=min(250, episodes), held_out=True, threads=1)
    reward = float(play(env, load_policy(weights), range(episodes))["return"].mean())
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(sealed({"reward": reward})))
    return reward


def _report(
    out: Path,
    bundle: str,
    results: Mapping[Run, Result],
    means: Mapping[str, float],
    size: Size,
    seed: int,
    console: Console,
) -> Any:
    from evaluation.studies.plots import figures

    summary = {
        "study": NAME,
        "name": Path(bundle).name,
        "bundle": fingerprint(f"{PREFIX}{bundle}", CC4),
        "episodes": size.episodes,
        "seed": seed,
        "size": _size_of_runs(size),
        NO_DEFENSE: means[NO_DEFENSE],
        "zero-shot": means[f"{PREFIX}{bundle}"],
        "at home": measure_at_home(out / "untuned", bundle_folder(bundle) / POLICY, size.soc_episodes),
        "thresholds": list(THRESHOLDS),
        **figures_of(results, means[NO_DEFENSE]),
        **describe_tree(),
    }
    write_atomically(out / SUMMARY, json.dumps(summary, indent=1) + "\n")
    curves: dict[int, dict[str, list[Any]]] = {}
    for run, result in results.items():
        arms = curves.setdefault(run.budget, {})
        arms.setdefault(f"{run.start}, {run.parts}", []).append(result.curve._asdict())
    shown = max(curves, key=lambda budget: (len(curves[budget]), budget))  # the longest with most to compare
    write_atomically(out / "study.svg", figures(("curves",), {"study": NAME, "arms": {}}, curves[shown])["curves"])
    text = render(summary) + "\n![learning curves](study.svg)\n"
    write_atomically(out / "study.md", text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return summary
