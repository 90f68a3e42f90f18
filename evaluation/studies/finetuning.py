"""Fine-tuning on CC4: what a transferred defender is worth as a beginning, beside one that knows nothing.

A run is a beginning (transferred, or from scratch), the parts that learn, a budget of environment steps and a seed. At
equal budgets the two beginnings differ in nothing else. Reported is

* the **score** of the best weights on the reporting episodes, after each budget;
* the **jumpstart**: how much better the beginning is before any learning (Taylor and Stone 2009);
* the **steps to thresholds** that were fixed before anything was run, read off the validations;
* the **asymptote**, the mean of the last fifth of the validations;
* the **area ratio**: the area under the transferred learning curve over that of scratch, less 1, scores being counted
  from no defence (0) to no loss (1);
* **negative transfer**: the asymptote of the transferred one is below that of scratch, with its whole interval;
* what is **forgotten**: how much the tuned roles lose in the SOC simulator.

Intervals are Student's, over training seeds; differences are paired by seed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from adapters.bundle import POLICY
from evaluation import statistics
from evaluation.errors import BadInput
from evaluation.evaluate import evaluate, prepare
from evaluation.finetune import BUNDLE, finetune, with_learned_mapper
from evaluation.records import RunFolder, write_atomically
from evaluation.statistics import FloatArray
from evaluation.transfer import PREFIX, bundle_folder, make_transferred

if TYPE_CHECKING:
    from rich.console import Console

NAME: Final = "fine-tuning"
TRANSFERRED, SCRATCH = "transferred", "scratch"
STARTS: Final = (TRANSFERRED, SCRATCH)
PARTS: Final = ("adapters", "heads", "all")
BUDGETS: Final = (10_000, 100_000, 1_000_000)
THRESHOLDS: Final = (-1000.0, -500.0, -300.0, -200.0, -150.0, -120.0)
"""Fixed before the first run: the aim for zero-shot, two steps on the way, the aim for fine-tuned, two beyond."""
NO_DEFENSE: Final = "no-defense"
_UPDATES: Final = 12
_VALIDATIONS: Final = 5
_LAST: Final = 0.2


class Run(NamedTuple):
    """One run of the grid."""

    start: str
    parts: str
    budget: int
    seed: int

    @property
    def arm(self) -> str:
        """Name of the row it belongs to."""
        return f"{self.start}, {self.parts}, {self.budget:,} steps"

    @property
    def folder(self) -> str:
        """Where it lies, below the folder of the study."""
        return f"runs/{self.start}-{self.parts}-{self.budget}/seed-{self.seed}"


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


SMOKE: Final = Size((300, 600), ("adapters", "all"), 2, 2, 2, 30, 4, (60, 120), 2)
"""Everything once in seconds; its numbers mean nothing."""


def asked(budgets: str, parts: str, seeds: int, episodes: int) -> Size:
    """Return the size that a command asks for.

    Raises:
        BadInput: If a budget is no number, parts are unknown, or a number is too small.
    """
    given, learning = ([part.strip() for part in text.split(",")] for text in (budgets, parts))
    if not all(part.isdigit() and int(part) >= 1_000 for part in given):
        raise BadInput(f"--budgets must be whole numbers from 1000 up, comma-separated; given {budgets!r}")
    if not set(learning) <= set(PARTS):
        raise BadInput(f"--parts must be of {', '.join(PARTS)}, comma-separated; given {parts!r}")
    if min(seeds, episodes) < 1:
        raise BadInput(f"--seeds and --episodes must be at least 1; given {seeds}, {episodes}")
    return Size(tuple(int(part) for part in given), tuple(learning), seeds, episodes)


def grid(size: Size) -> list[Run]:
    """Return the runs, short budgets first, so that an interrupted study has whole budgets."""
    return [
        Run(start, parts, budget, seed)
        for budget in sorted(size.budgets)
        for seed in range(size.seeds)
        for parts in size.parts
        for start in STARTS
    ]


def settings_of(run: Run, size: Size) -> str:
    """Return the settings of a run as TOML: a shorter budget has shorter rollouts, and as many validations."""
    low, high = size.rollouts
    rollout = min(high, max(low, run.budget // _UPDATES))
    return f"""[environment]
num_envs = {size.num_envs}
knobs = {{steps = {size.steps}}}
[trainer]
validate_every = {max(1, run.budget // _VALIDATIONS)}
validation_episodes = {size.validation_episodes}
[method]
rollout = {rollout}
minibatch = {max(2, rollout // 32)}
"""


def study(bundle: str, out: Path, size: Size, seed: int, workers: int, report_only: bool, console: Console) -> Any:
    """Run or resume the grid, play its bundles on the reporting episodes, and write table, figure and JSON.

    Args:
        bundle: Path or packaged name of what is transferred.
        out: Folder of the study.
        size: How much of everything.
        seed: Base seed of the reporting episodes.
        workers: Processes; changes no result.
        report_only: Train nothing; report the runs that are there.
        console: Where progress is told.

    Raises:
        BadInput: If the bundle cannot be tuned, or there is nothing to report.
    """
    make_transferred(f"{PREFIX}{bundle}")
    beginning = out / "beginning"
    if not beginning.is_dir():
        with_learned_mapper(bundle, beginning, console)
    runs = grid(size)
    missing = [run for run in runs if not _is_done(out, run)]
    if not report_only and missing:
        console.print(f"{len(runs) - len(missing)} of {len(runs)} runs are done; {len(missing)} to go", highlight=False)
        _execute(str(beginning), out, missing, size, workers, console)
    done = [run for run in runs if _is_done(out, run)]
    if not done:
        raise BadInput(f"no run of {NAME} is finished in {out}; run it without --report-only first")
    names = [NO_DEFENSE, f"{PREFIX}{bundle}", *(_policy(out, run) for run in done)]
    played = out / f"played-{len(done)}"
    folder = prepare("native", "base", size.steps, ",".join(names), size.episodes, seed, workers, None, played)
    try:
        evaluate(folder, workers, None, console)
    finally:
        folder.close()
    return _report(out, bundle, done, RunFolder.open(played), size, console)


def _is_done(out: Path, run: Run) -> bool:
    return (out / run.folder / BUNDLE / "bundle.json").is_file()


def _policy(out: Path, run: Run) -> str:
    return f"{PREFIX}{out / run.folder / BUNDLE}"


def _execute(beginning: str, out: Path, runs: Sequence[Run], size: Size, workers: int, console: Console) -> None:
    from evaluation.runner import parallel

    one = partial(_train, beginning, out, size)
    results = parallel(one, runs, workers) if workers > 1 else map(one, runs)
    for number, (run, interrupted, failure) in enumerate(results, 1):
        if interrupted:
            raise KeyboardInterrupt
        end = failure or "done"
        console.print(f"[{number}/{len(runs)}] {run.arm}, seed {run.seed}: {end}", markup=False, highlight=False)


def _train(bundle: str, out: Path, size: Size, run: Run) -> tuple[Run, bool, str | None]:
    """Run or resume one run; return it, whether it was interrupted, and why it failed if it did."""
    from rich.console import Console

    folder = out / run.folder
    settings = folder.parent / f"seed-{run.seed}.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(settings, settings_of(run, size))
    resume = (folder / "last" / "manifest.json").is_file()
    if not resume and folder.exists():
        shutil.rmtree(folder)  # killed before its first checkpoint
    quiet = Console(quiet=True)
    scratch = run.start == SCRATCH
    result = finetune(bundle, run.seed, folder, settings, run.parts, scratch, run.budget, resume, quiet)
    if not result["interrupted"] and not result["failure"]:
        shutil.rmtree(folder / "last", ignore_errors=True)  # rollouts and all: much larger than everything else
    return run, bool(result["interrupted"]), result["failure"]


# ------------------------------------------------------------------------------------------------------ the figures
class Curve(NamedTuple):
    """The validations of a run."""

    steps: FloatArray
    score: FloatArray

    @property
    def asymptote(self) -> float:
        """Mean of the last fifth of the validations."""
        count = max(1, round(_LAST * len(self.score)))
        return float(self.score[-count:].mean())

    def area(self, worst: float) -> float:
        """Return the mean normalised score over the budget: 0 is no defence, 1 is no loss."""
        normalised = 1.0 - self.score / worst
        between = (normalised[1:] + normalised[:-1]) / 2.0
        return float((between * np.diff(self.steps)).sum() / (self.steps[-1] - self.steps[0]))

    def steps_to(self, threshold: float) -> float | None:
        """Return the steps of the first validation that reached a score; None if none did."""
        reached = np.flatnonzero(self.score >= threshold)
        return float(self.steps[reached[0]]) if len(reached) else None


def read_curve(folder: Path) -> Curve:
    """Read the validations of a run from its log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line["kind"] == "validation"]
    return Curve(*(np.array([line[name] for line in kept], np.float64) for name in ("steps", "score")))


def measure_at_home(run: Path, weights: Path, episodes: int) -> float:
    """Return the mean reward of a bundle's roles in the SOC simulator on held-out networks; kept in ``run``."""
    from hmarl_soc.registry import load_policy
    from hmarl_soc.validation import play
    from native_sim import make_vec

    kept = run / f"soc-{episodes}.json"
    if kept.is_file():
        return float(json.loads(kept.read_text(encoding="utf-8"))["reward"])
    env = make_vec(num_envs=min(250, episodes), held_out=True, threads=1)
    reward = float(play(env, load_policy(weights), range(episodes))["return"].mean())
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps({"reward": reward}))
    return reward


def _report(out: Path, bundle: str, runs: Sequence[Run], folder: RunFolder, size: Size, console: Console) -> Any:
    from evaluation.plots_studies import figures

    scores: dict[str, list[float]] = {}
    for record in folder.read():
        scores.setdefault(record.policy, []).append(record.score)
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    curves = {run: read_curve(out / run.folder) for run in runs}
    home = {
        run: measure_at_home(out / run.folder, out / run.folder / BUNDLE / POLICY, size.soc_episodes) for run in runs
    }
    rows = [_row(out, arm, curves, means, home) for arm in dict.fromkeys(run[:3] for run in runs)]
    summary = {
        "study": NAME,
        "episodes": folder.spec.episodes,
        "seed": folder.spec.seed,
        NO_DEFENSE: means[NO_DEFENSE],
        "zero-shot": means[f"{PREFIX}{bundle}"],
        "at home": measure_at_home(out / "untuned", bundle_folder(bundle) / POLICY, size.soc_episodes),
        "thresholds": THRESHOLDS,
        "rows": rows,
        "comparisons": _comparisons(curves, means[NO_DEFENSE]),
    }
    write_atomically(out / "study.json", json.dumps(summary, indent=2) + "\n")
    longest = {
        f"{run.start}, {run.parts}": [
            curves[other]._asdict() for other in runs if other[:3] == (run.start, run.parts, max(size.budgets))
        ]
        for run in runs
        if run.budget == max(size.budgets)
    }
    write_atomically(out / "study.svg", figures(("curves",), {"study": NAME, "arms": {}}, longest)["curves"])
    text = render(summary) + "\n![learning curves](study.svg)\n"
    write_atomically(out / "study.md", text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return summary


def _row(
    out: Path, arm: Any, curves: Mapping[Run, Curve], means: Mapping[str, float], home: Mapping[Run, float]
) -> dict[str, Any]:
    own = [run for run in curves if run[:3] == arm]
    reached = {}
    for threshold in THRESHOLDS:
        steps = [curves[run].steps_to(threshold) for run in own]
        median = float(np.median([np.inf if step is None else step for step in steps]))
        count = sum(step is not None for step in steps)
        reached[f"{threshold:g}"] = {"seeds": count, "median steps": None if np.isinf(median) else median}
    return {
        **dict(zip(("start", "parts", "budget"), arm, strict=True)),
        "seeds": len(own),
        "score": _over_seeds([means[_policy(out, run)] for run in own]),
        "first": _over_seeds([float(curves[run].score[0]) for run in own]),
        "asymptote": _over_seeds([curves[run].asymptote for run in own]),
        "at home": _over_seeds([home[run] for run in own]),
        "reached": reached,
    }


def _comparisons(curves: Mapping[Run, Curve], worst: float) -> list[dict[str, Any]]:
    """Return transferred less scratch, for each of the parts and budgets of which both have the same seeds."""
    found = []
    for _, parts, budget in dict.fromkeys(run[:3] for run in curves if run.start == TRANSFERRED):
        pairs = [
            (curves[run], curves[run._replace(start=SCRATCH)])
            for run in curves
            if run[:3] == (TRANSFERRED, parts, budget) and run._replace(start=SCRATCH) in curves
        ]
        if not pairs:
            continue
        gained = _over_seeds([one.asymptote - other.asymptote for one, other in pairs])
        found.append(
            {
                "parts": parts,
                "budget": budget,
                "jumpstart": _over_seeds([float(one.score[0] - other.score[0]) for one, other in pairs]),
                "asymptote": gained,
                "area ratio": _over_seeds([one.area(worst) / other.area(worst) - 1.0 for one, other in pairs]),
                "negative transfer": gained["ci95"] is not None and gained["ci95"][1] < 0,
            }
        )
    return found


def _over_seeds(values: Sequence[float]) -> dict[str, Any]:
    interval = statistics.t_interval(values)
    return {"mean": float(np.mean(values)), "ci95": None if interval is None else [float(end) for end in interval]}


def render(summary: Mapping[str, Any]) -> str:
    """Return the study as Markdown."""
    lines = [
        f"# {NAME}",
        "",
        f"Score: {summary['episodes']} reporting episodes, base seed {summary['seed']}, native engine, official scale, "
        f"mean over training seeds with a 95 % interval. No defence {summary[NO_DEFENSE]:.1f}, the bundle untuned "
        f"{summary['zero-shot']:.1f}. At home: mean reward in the SOC simulator, held-out networks; untuned "
        f"{summary['at home']:.1f}. Everything else is of validation episodes.",
        "",
        "| start | parts | steps | seeds | score | before | asymptote | at home | "
        + " | ".join(f"to {threshold:g}" for threshold in summary["thresholds"])
        + " |",
        "|---|---|--:|--:|--:|--:|--:|--:|" + "--:|" * len(summary["thresholds"]),
    ]
    for row in summary["rows"]:
        reached = [_steps(entry, row["seeds"]) for entry in row["reached"].values()]
        cells = [row["start"], row["parts"], f"{row['budget']:,}", str(row["seeds"])]
        cells += [_cell(row[name]) for name in ("score", "first", "asymptote", "at home")]
        lines.append("| " + " | ".join([*cells, *reached]) + " |")
    lines += ["", "Transferred less scratch, at equal budget:", ""]
    lines += ["| parts | steps | jumpstart | asymptote | area ratio | negative transfer |", "|---|--:|--:|--:|--:|---|"]
    for one in summary["comparisons"]:
        cells = [one["parts"], f"{one['budget']:,}", _cell(one["jumpstart"]), _cell(one["asymptote"])]
        flag = "yes" if one["negative transfer"] else "not shown"
        lines.append("| " + " | ".join([*cells, _cell(one["area ratio"], 2), flag]) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Mapping[str, Any], digits: int = 1) -> str:
    ends = found["ci95"]
    text = f"{found['mean']:.{digits}f}"
    return text if ends is None else f"{text} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def _steps(entry: Mapping[str, Any], seeds: int) -> str:
    if not entry["seeds"]:
        return "never"
    median = "" if entry["median steps"] is None else f"{entry['median steps']:,.0f} "
    return f"{median}({entry['seeds']} of {seeds})"
