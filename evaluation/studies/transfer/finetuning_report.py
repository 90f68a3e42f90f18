"""The figures of the study of fine-tuning: what a run came to, means over seeds, and the two beginnings compared.

Reported is

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

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.statistics import FloatArray

NAME: Final = "fine-tuning"
TRANSFERRED, SCRATCH = "transferred", "scratch"
THRESHOLDS: Final = (-1000.0, -500.0, -300.0, -200.0, -150.0, -120.0)
"""Fixed before the first run: the aim for zero-shot, two steps on the way, the aim for fine-tuned, two beyond."""
NO_DEFENSE: Final = "no-defense"
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


class Curve(NamedTuple):
    """The validations of a run."""

    steps: FloatArray
    score: FloatArray

    @property
    def asymptote(self) -> float:
        """Mean of the last fifth of the validations."""
        count = max(1, round(_LAST * len(self.score)))
        return float(self.score[-count:].mean())

    @classmethod
    def from_json(cls, kept: Mapping[str, Sequence[float]]) -> Curve:
        """Return the curve that :meth:`to_json` wrote."""
        return cls(*(np.array(kept[name], np.float64) for name in cls._fields))

    def to_json(self) -> dict[str, list[float]]:
        """Return plain numbers."""
        return {name: values.tolist() for name, values in self._asdict().items()}

    def area(self, worst: float) -> float:
        """Return the mean normalised score over the budget: 0 is no defence, 1 is no loss."""
        normalised = 1.0 - self.score / worst
        between = (normalised[1:] + normalised[:-1]) / 2.0
        return float((between * np.diff(self.steps)).sum() / (self.steps[-1] - self.steps[0]))

    def steps_to(self, threshold: float) -> float | None:
        """Return the steps of the first validation that reached a score; None if none did."""
        reached = np.flatnonzero(self.score >= threshold)
        return float(self.steps[reached[0]]) if len(reached) else None


class Result(NamedTuple):
    """What a run came to."""

    curve: Curve
    score: float
    """Mean over the reporting episodes."""
    home: float
    """Mean reward in the SOC simulator."""


def figures_of(results: Mapping[Run, Result], worst: float) -> dict[str, Any]:
    """Return ``rows``, ``comparisons`` and ``runs`` of a study as JSON values.

    Args:
        results: Run -> what it came to.
        worst: Mean score of no defence, from which areas are counted.
    """
    arms = dict.fromkeys(run[:3] for run in results)
    curves = {run: result.curve for run, result in results.items()}
    return {
        "rows": [_row(arm, results) for arm in arms],
        "comparisons": compare(curves, worst),
        "runs": [
            {**run._asdict(), "score": result.score, "at home": result.home, "curve": result.curve.to_json()}
            for run, result in results.items()
        ],
    }


def results_of(summary: Mapping[str, Any]) -> dict[Run, Result]:
    """Return run -> result from what :func:`figures_of` returned."""
    return {
        Run(*(entry[name] for name in Run._fields)): Result(
            Curve.from_json(entry["curve"]), entry["score"], entry["at home"]
        )
        for entry in summary["runs"]
    }


def _row(arm: Any, results: Mapping[Run, Result]) -> dict[str, Any]:
    own = [result for run, result in results.items() if run[:3] == arm]
    reached = {}
    for threshold in THRESHOLDS:
        steps = [result.curve.steps_to(threshold) for result in own]
        median = float(np.median([np.inf if step is None else step for step in steps]))
        count = sum(step is not None for step in steps)
        reached[f"{threshold:g}"] = {"seeds": count, "median steps": None if np.isinf(median) else median}
    return {
        **dict(zip(("start", "parts", "budget"), arm, strict=True)),
        "seeds": len(own),
        "score": _over_seeds([result.score for result in own]),
        "first": _over_seeds([float(result.curve.score[0]) for result in own]),
        "asymptote": _over_seeds([result.curve.asymptote for result in own]),
        "at home": _over_seeds([result.home for result in own]),
        "reached": reached,
    }


def compare(curves: Mapping[Run, Curve], worst: float) -> list[dict[str, Any]]:
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
