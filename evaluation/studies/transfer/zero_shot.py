"""Zero-shot transfer: what a carried policy scores on CC4 without any training there, beside all its controls.

A positive claim needs the full system to beat every control and the random policy, on the same episode seeds, after
correction for the number of comparisons. The controls take one part away each: the coordinator (ops-only), the
training (untrained weights, a random policy, an idle one), the learned projection (random, or with its features
confused), what the roles see (shuffled observations), and the use of the directive (its mean, all the time).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from adapters.bundle import PREFIX, bundle_folder
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness import statistics
from evaluation.harness.provenance import TREE
from evaluation.harness.run_folder import RunFolder, write_atomically
from evaluation.inputs.errors import BadInput
from evaluation.jobs.evaluate import evaluate, prepare
from evaluation.reporting.markdown import escaped
from evaluation.studies.recorded import SUMMARY
from evaluation.transfer.named import make_transferred

if TYPE_CHECKING:
    from rich.console import Console

NAME: Final = "transfer-zero-shot"
BASELINES: Final = ("no-defense", "random", "random-unmasked")
CONTROLS: Final = (
    "constant-directive",
    "random-policy",
    "idle-policy",
    "shuffled-observations.0",
    "shuffled-features.0",
    "random-projection.0",
    "random-projection.1",
    "untrained.0",
    "untrained.1",
    "untrained.2",
)
"""Each of them must be worse than the full system."""
PAPER_CONTROLS: Final = ("ops-only", "random-policy", "random-projection.0", "untrained.0")
SIGNIFICANCE: Final = 0.05


class Row(NamedTuple):
    """One line of the table."""

    policy: str
    label: str
    kind: str  # "baseline", "system", "control" or "other"


@dataclass(frozen=True)
class Comparison:
    """A full system against another row, paired by episode seed; a positive difference favours the full system."""

    full: str
    other: str
    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    p_holm: float

    @property
    def better(self) -> bool:
        """Whether the full system is better after correction."""
        return self.difference > 0 and self.p_holm < SIGNIFICANCE


def rows_of(bundles: Sequence[str]) -> list[Row]:
    """Return the rows of the study for bundles given by path or packaged name."""
    rows = [Row(name, name, "baseline") for name in BASELINES]
    for bundle in bundles:
        base, short = f"{PREFIX}{bundle}", Path(bundle).name
        rows.append(Row(base, f"{short}: full", "system"))
        rows.append(Row(f"{base}@ops-only", f"{short}: ops-only", "other"))
        rows += [Row(f"{base}@{control}", f"{short}: {control}", "control") for control in CONTROLS]
        rows.append(Row(f"{base}@paper", f"{short}: full, paper's assignment", "other"))
        rows += [Row(f"{base}@paper+{c}", f"{short}: {c}, paper's assignment", "other") for c in PAPER_CONTROLS]
    return rows


def study(
    bundles: Sequence[str],
    out: Path,
    engine: str,
    variant: str,
    episodes: int,
    seed: int,
    workers: int,
    console: Console,
) -> dict[str, Any]:
    """Play every row on the same seeds (or go on where an earlier call stopped), and write table and verdict.

    Args:
        bundles: Paths or packaged names, one per training seed.
        out: Folder; the run lies in it, with ``study.md`` and ``study.json`` beside.
        engine: As of ``evaluate``; so are ``variant``, ``episodes``, ``seed`` and ``workers``.
        variant: Of the scenario.
        episodes: Per row.
        seed: Base seed of which all episode seeds are spawned.
        workers: Processes; changes no result.
        console: Where progress is told.

    Raises:
        BadInput: If no bundle is given, or one cannot be played.
    """
    if not bundles:
        raise BadInput(f"{NAME} needs --bundle: the folder of at least one bundle (see hmarl-transfer calibrate)")
    for bundle in bundles:
        make_transferred(f"{PREFIX}{bundle}")
    rows = rows_of(bundles)
    policies = ",".join(row.policy for row in rows)
    folder = prepare(engine, variant, 500, policies, episodes, seed, workers, None, out / "run")
    try:
        evaluate(folder, workers, None, console)
    finally:
        folder.close()
    return report(out, bundles, console)


def report(out: Path, bundles: Sequence[str], console: Console) -> dict[str, Any]:
    """Write ``study.md`` and ``study.json`` from the rows of the run alone, and return the latter."""
    folder = RunFolder.open(out / "run")
    scores = _scores(folder.read())
    rows = [row for row in rows_of(bundles) if row.policy in scores]
    comparisons = compare(rows, scores)
    summary = {
        "study": NAME,
        "name": ",".join(Path(bundle).name for bundle in bundles),
        "run": folder.spec.id,
        "engine": folder.spec.engine,
        "variant": folder.spec.variant,
        "episodes": folder.spec.episodes,
        "seed": folder.spec.seed,
        "rows": [{**row._asdict(), **_figures(scores[row.policy], folder.spec.seed)} for row in rows],
        "comparisons": [{**vars(one), "better": one.better} for one in comparisons],
        "claims": claims(rows, comparisons),
        **{name: folder.provenance[name] for name in TREE},
    }
    write_atomically(out / SUMMARY, json.dumps(summary, indent=2) + "\n")
    text = render(summary)
    write_atomically(out / "study.md", text)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return summary


def _scores(records: Sequence[Any]) -> dict[str, dict[int, EpisodeRecord]]:
    """Return policy -> index -> row."""
    scores: dict[str, dict[int, EpisodeRecord]] = {}
    for record in records:
        scores.setdefault(record.policy, {})[record.index] = record
    return scores


def _figures(played: Mapping[int, EpisodeRecord], seed: int) -> dict[str, Any]:
    values = np.array([played[index].score for index in sorted(played)])
    generator = np.random.Generator(np.random.PCG64(seed))
    interval = statistics.bootstrap_interval(values, generator)
    reasons = sorted({name for row in played.values() for name in row.fallbacks})
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "std": statistics.sample_std(values),
        "ci95": None if interval is None else [float(end) for end in interval],
        "fallbacks": {
            name: float(np.mean([row.fallbacks.get(name, 0) for row in played.values()])) for name in reasons
        },
    }


def compare(rows: Sequence[Row], scores: Mapping[str, Mapping[int, EpisodeRecord]]) -> list[Comparison]:
    """Compare every full system with its own controls, its ops-only and the baselines; Holm over all of them."""
    pairs = [
        (full.policy, row.policy)
        for full in rows
        if full.kind == "system"
        for row in rows
        if row.kind == "baseline" or row.policy.startswith(f"{full.policy}@")
    ]
    found: list[tuple[str, str, statistics.Estimate, float]] = []
    for full, other in pairs:
        common = sorted(set(scores[full]) & set(scores[other]))
        if len(common) < 2:
            continue
        x, y = (np.array([scores[name][index].score for index in common]) for name in (full, other))
        generator = np.random.Generator(np.random.PCG64(len(found)))
        estimate = statistics.paired_difference(x, y, generator)
        found.append((full, other, estimate, statistics.wilcoxon_signed_rank(x, y).p))
    corrected = statistics.holm([p for *_, p in found])
    return [
        Comparison(full, other, float(estimate.value), _pair(estimate.interval), float(p), 1.0 if q is None else q)
        for (full, other, estimate, p), q in zip(found, corrected, strict=True)
    ]


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def claims(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return for every full system whether it beats all that a positive claim needs, and what it does not beat."""
    kinds = {row.policy: row.kind for row in rows}
    found = []
    for full in (row for row in rows if row.kind == "system"):
        needed = [one for one in comparisons if one.full == full.policy and kinds[one.other] in ("baseline", "control")]
        unbeaten = [one.other for one in needed if not one.better]
        found.append({"system": full.policy, "holds": bool(needed) and not unbeaten, "not beaten": unbeaten})
    return found


def render(summary: Mapping[str, Any]) -> str:
    """Return the study as Markdown."""
    against: dict[str, Mapping[str, Any]] = {}
    for one in summary["comparisons"]:  # a baseline is shown beside the first system only
        against.setdefault(one["other"], one)
    reasons = sorted({name for row in summary["rows"] for name in row["fallbacks"]})
    lines = [
        f"# {summary['study']}",
        "",
        f"{summary['episodes']} paired episodes per row, {summary['engine']} engine, {summary['variant']}, base seed "
        f"{summary['seed']}. Official scale; 95 % bootstrap intervals; p of Wilcoxon's signed-rank test, corrected by "
        "Holm over all comparisons of this study. The last columns count fallbacks per episode by reason.",
        "",
        f"| row | mean | 95 % | std | full minus row | 95 % | p |{''.join(f' {name} |' for name in reasons)}",
        f"|---|---|---|---|---|---|---|{'---|' * len(reasons)}",
    ]
    for row in summary["rows"]:
        found = against.get(row["policy"])
        compared = ("", "", "")
        if found is not None:
            compared = (f"{found['difference']:+.1f}", _interval(found["ci95"]), f"{found['p_holm']:.2g}")
        std = "" if row["std"] is None else f"{row['std']:.1f}"
        counts = [f"{row['fallbacks'].get(name, 0.0):.1f}" for name in reasons]
        cells = (escaped(row["label"]), f"{row['mean']:.1f}", _interval(row["ci95"]), std, *compared, *counts)
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for claim in summary["claims"]:
        system = escaped(bundle_folder(claim["system"]).name)
        if claim["holds"]:
            lines.append(f"{system}: the full system beats the baselines and every control.")
        else:
            lines.append(f"{system}: no positive claim; not beaten: {', '.join(map(escaped, claim['not beaten']))}.")
    return "\n".join(lines) + "\n"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"
