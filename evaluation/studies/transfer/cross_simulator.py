"""Cross-simulator: do policies rank on CC4 as they rank in the SOC simulator? From the rows of both games alone.

A pair is one SOC policy in both games: as it is in the SOC simulator, and carried by one bundle onto CC4. Scores are
normalised in each game: 0 is no defence, 1 is the bundle's own policy. The intervals redraw episodes, the same ones for
all policies of a game, since these share their seeds; they say nothing about policies that were not played.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from adapters.bundle import PREFIX
from evaluation.harness.provenance import TREE
from evaluation.harness.run_folder import RunFolder, write_atomically
from evaluation.harness.statistics import FloatArray
from evaluation.inputs.errors import BadInput
from evaluation.jobs.evaluate import evaluate, prepare
from evaluation.reporting.markdown import escaped
from evaluation.studies.recorded import SUMMARY
from evaluation.studies.transfer.correlation import kendall, spearman
from evaluation.transfer.named import make_transferred, read_bundle
from native_sim.soc.spec import AGENTS

if TYPE_CHECKING:
    from rich.console import Console

NAME: Final = "cross-simulator"
SOC: Final = "soc"
"""Name of the SOC simulator among the games of a summary; the others are variants of CC4."""
RESAMPLES: Final = 2_000
_SCRIPTED: Final = {"random": "random-policy", "best-constant": "best-constant", "rule-soar": "rule-soar"}
"""SOC policy -> control of a bundle that carries it."""


class Pair(NamedTuple):
    """One policy in both games."""

    label: str
    soc: str
    cc4: str


class Size(NamedTuple):
    """How much is played."""

    episodes: int
    """Of CC4 per policy and variant."""
    soc_episodes: int
    """Of the SOC simulator per policy."""
    steps: int | None = None
    """Of both games; None for their own."""


SMOKE: Final = Size(2, 3, 30)
SOC_EPISODES: Final = 10
"""Episodes of the SOC simulator per episode of CC4, of which one takes as long as fifty of them."""


def pairs_of(bundle: str) -> list[Pair]:
    """Return the pairs of a bundle, given by path or packaged name: no defence first, its own policy second."""
    base = f"{PREFIX}{bundle}"
    carried = read_bundle(bundle).carried
    scripted = carried["kind"] == "scripted"
    own = str(carried["name"]) if scripted else f"weights:{bundle}"
    pairs = [Pair("no-defense", "no-defense", "no-defense"), Pair(str(carried["name"]), own, base)]
    pairs += [Pair(name, name, f"{base}@{control}") for name, control in _SCRIPTED.items() if name != own]
    pairs += [Pair(f"without {role}", f"without:{role}/{own}", f"{base}@without-{role}") for role in AGENTS]
    return pairs


def study(
    bundle: str, out: Path, engine: str, variants: Sequence[str], size: Size, seed: int, workers: int, console: Console
) -> dict[str, Any]:
    """Play every pair in every game (or go on where an earlier call stopped), and write table, figure and JSON.

    Args:
        bundle: Path or packaged name.
        out: Folder; a run folder per game lies in it, with ``study.md``, ``study.json`` and ``study.svg`` beside.
        engine: Of CC4, as of ``evaluate``; so are ``seed`` and ``workers``.
        variants: Of CC4.
        size: How much is played.
        seed: Base seed of which all episode seeds are spawned.
        workers: Processes; changes no result.
        console: Where progress is told.

    Raises:
        BadInput: If the bundle or a variant cannot be played.
    """
    make_transferred(f"{PREFIX}{bundle}")
    pairs = pairs_of(bundle)
    runs: list[tuple[str, str, str | None, list[str]]] = [(SOC, SOC, None, [pair.soc for pair in pairs])]
    runs += [(Path(variant).stem, engine, variant, [pair.cc4 for pair in pairs]) for variant in variants]
    if len({name for name, *_ in runs}) != len(runs):
        raise BadInput(f"each variant may be named once, and none may be called {SOC}; given {', '.join(variants)}")
    for name, played_on, variant, policies in runs:
        names, episodes = ",".join(policies), size.soc_episodes if name == SOC else size.episodes
        folder = prepare(played_on, variant, size.steps, names, episodes, seed, workers, None, out / name)
        try:
            evaluate(folder, workers, None, console)
        finally:
            folder.close()
    return report(out, Path(bundle).name, pairs, [name for name, *_ in runs[1:]], console)


def report(out: Path, bundle: str, pairs: Sequence[Pair], variants: Sequence[str], console: Console) -> dict[str, Any]:
    """Write table, figure and JSON from the rows of the runs alone, and return the last.

    Raises:
        BadInput: If fewer than two episodes of a game were played by all policies.
    """
    from evaluation.studies.plots import cross_simulator_figure

    folders = {name: RunFolder.open(out / name) for name in (SOC, *variants)}
    scores = {
        name: scores_of(folder, [pair.soc if name == SOC else pair.cc4 for pair in pairs])
        for name, folder in folders.items()
    }
    spec = folders[SOC].spec
    summary = {
        "study": NAME,
        "name": bundle,
        "seed": spec.seed,
        "runs": {name: folder.spec.id for name, folder in folders.items()},
        "engine": folders[variants[0]].spec.engine,
        "episodes": {name: values.shape[1] for name, values in scores.items()},
        "pairs": [pair._asdict() for pair in pairs],
        **summarise(scores, spec.generator(NAME)),
        **{name: folders[SOC].provenance[name] for name in TREE},
    }
    write_atomically(out / SUMMARY, json.dumps(summary, indent=2, allow_nan=False) + "\n")
    write_atomically(out / "study.svg", cross_simulator_figure(summary))
    text = render(summary)
    write_atomically(out / "study.md", text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return summary


def scores_of(folder: RunFolder, policies: Sequence[str]) -> FloatArray:
    """Return [P, n] scores of the episodes that all policies have played.

    Raises:
        BadInput: If there are fewer than two.
    """
    found: dict[str, dict[int, float]] = {policy: {} for policy in policies}
    for row in folder.read():
        found[row.policy][row.index] = row.score
    shared = sorted(set.intersection(*(set(played) for played in found.values())))
    if len(shared) < 2:
        raise BadInput(f"{folder.path} holds {len(shared)} episodes that all policies have played; two are needed")
    return np.array([[found[policy][index] for index in shared] for policy in policies])


def summarise(scores: Mapping[str, FloatArray], rng: np.random.Generator) -> dict[str, Any]:
    """Return the figures of every policy in every game, and how the order of CC4 follows that of the SOC simulator.

    Args:
        scores: Game -> [P, n] scores, no defence first and the bundle's own policy second.
        rng: Of the bootstrap.

    Returns:
        ``games``: game -> a list over policies of ``mean``, ``ci95``, ``normalised`` and ``normalised_ci95``;
        ``correlations``: variant -> ``spearman`` and ``kendall``, each with ``value`` and ``ci95``. What is not defined
        is None.
    """
    drawn = {name: _redraw(values, rng) for name, values in scores.items()}
    games = {name: _figures(values.mean(axis=1), drawn[name]) for name, values in scores.items()}
    here, there = scores[SOC].mean(axis=1)[None], drawn[SOC]
    correlations = {
        name: {
            kind.__name__: {
                "value": _known(kind(here, values.mean(axis=1)[None])[0]),
                "ci95": _ends(kind(there, drawn[name])),
            }
            for kind in (spearman, kendall)
        }
        for name, values in scores.items()
        if name != SOC
    }
    return {"games": games, "correlations": correlations}


def _redraw(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return [B, P] mean scores over redrawn episodes, the same ones for all policies."""
    count = values.shape[1]
    weights = rng.multinomial(count, np.full(count, 1.0 / count), RESAMPLES) / count
    return np.asarray(weights @ values.T)


def _figures(means: FloatArray, drawn: FloatArray) -> list[dict[str, Any]]:
    normalised, spread = _normalise(means[None])[0], _normalise(drawn)
    return [
        {
            "mean": float(means[i]),
            "ci95": _ends(drawn[:, i]),
            "normalised": _known(normalised[i]),
            "normalised_ci95": _ends(spread[:, i]),
        }
        for i in range(len(means))
    ]


def _normalise(means: FloatArray) -> FloatArray:
    """Return means [B, P] on the scale from no defence (0) to the bundle's own policy (1); NaN if that is no gain."""
    gain = means[:, 1:2] - means[:, :1]
    return np.where(gain > 0, (means - means[:, :1]) / np.where(gain > 0, gain, 1.0), np.nan)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ends(values: FloatArray) -> list[float] | None:
    """Return the 95 % percentile interval; None where more than one in twenty values is not defined."""
    known = values[~np.isnan(values)]
    return None if len(known) < 0.95 * len(values) else [float(end) for end in np.percentile(known, (2.5, 97.5))]


def render(summary: Mapping[str, Any]) -> str:
    """Return the study as Markdown."""
    episodes = ", ".join(f"{count} of {name}" for name, count in summary["episodes"].items())
    lines = [
        f"# {summary['study']}",
        "",
        f"Episodes: {episodes} (CC4 on the {summary['engine']} engine), base seed {summary['seed']}. Normalised "
        "scores: 0 is no defence, 1 is the bundle's own policy. 95 % percentile bootstrap over episodes.",
        "",
        *_table("normalised score", summary, "normalised", 2),
        "",
        *_table("mean score", summary, "mean", 1),
    ]
    lines += ["", "| rank correlation with the SOC simulator | Spearman | Kendall |", "|---|---|---|"]
    for name, found in summary["correlations"].items():
        cells = [_cell(found[kind]["value"], found[kind]["ci95"]) for kind in ("spearman", "kendall")]
        lines.append(f"| {escaped(name)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_findings(summary)]) + "\n"


def _table(heading: str, summary: Mapping[str, Any], figure: str, digits: int) -> list[str]:
    """Return the lines of a table of one figure of every policy in every game."""
    interval = "ci95" if figure == "mean" else f"{figure}_ci95"
    lines = [f"| {heading} | {' | '.join(map(escaped, summary['games']))} |", f"|---{'|---' * len(summary['games'])}|"]
    for i, pair in enumerate(summary["pairs"]):
        cells = [_cell(found[i][figure], found[i][interval], digits) for found in summary["games"].values()]
        lines.append(f"| {escaped(pair['label'])} | {' | '.join(cells)} |")
    return lines


def _findings(summary: Mapping[str, Any]) -> list[str]:
    """Say which roles matter where: the interval of a silenced policy lies below 1, or not."""
    lines = []
    for i, pair in enumerate(summary["pairs"]):
        if pair["label"].startswith("without "):
            ends = {name: found[i]["normalised_ci95"] for name, found in summary["games"].items()}
            worse = [name for name, interval in ends.items() if interval is not None and interval[1] < 1.0]
            lines.append(f"Worse {pair['label']}: {', '.join(worse) or 'nowhere'}.")
    return lines


def _cell(value: float | None, interval: Sequence[float] | None, digits: int = 2) -> str:
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    return text if interval is None else f"{text} ({interval[0]:,.{digits}f} to {interval[1]:,.{digits}f})"
