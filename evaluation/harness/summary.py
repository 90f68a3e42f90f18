"""From rows to a summary: the same rows in any order give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.game import find_game
from evaluation.harness.rows import digests
from evaluation.harness.schema import EvalSpec, PairComparison, Row, RunSummary, VersusBaseline

BASELINE: Final = "no-defense"
"""The policy that the others are measured against, when it was played."""
_Rows = Mapping[int, Row]  # index of the seed -> row


def summarise(spec: EvalSpec, records: Iterable[Row]) -> RunSummary:
    """Aggregate the rows of a run, finished or not.

    A policy without a row is left out of ``policies``. The random numbers of the bootstrap are decided by the
    seed of the spec and the names of the policies alone.

    Raises:
        ValueError: If a row belongs to another spec, or two rows are of the same policy and seed.
    """
    rows = _by_policy(spec, records)
    common = {
        "run": spec.id,
        "game": spec.game,
        "engine": spec.engine,
        "variant": spec.variant,
        "steps": spec.steps,
        "seed": spec.seed,
        "episodes": spec.episodes,
        "rows": digests(row for played in rows.values() for row in played.values()).played,
        "complete": all(len(rows.get(policy, ())) == spec.episodes for policy in spec.policies),
        "asked": spec.policies,
        "comparisons": _comparisons(spec, rows),
    }
    return find_game(spec.game).summarise(
        spec,
        {policy: list(played.values()) for policy, played in rows.items()},
        {policy: _score_figures(spec, policy, _scores(played.values())) for policy, played in rows.items()},
        _versus_baseline(spec, rows),
        common,
    )


def summary_json(summary: RunSummary) -> str:
    """Return the canonical text of a summary: fields in the order of the schema, no NaN, a final newline."""
    return json.dumps(summary.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def _by_policy(spec: EvalSpec, records: Iterable[Row]) -> dict[str, _Rows]:
    """Return policy -> index -> row, both in the order of the spec."""
    seeds = spec.episode_seeds()
    rows: dict[str, dict[int, Row]] = {policy: {} for policy in spec.policies}
    for row in records:
        name = f"row {row.policy!r} number {row.index}"
        if row.policy not in rows:
            raise ValueError(f"{name} is of no policy of this run; they are {', '.join(spec.policies)}")
        if row.index >= len(seeds) or row.seed != seeds[row.index]:
            raise ValueError(f"{name} has seed {row.seed}, which this run does not play there; check the folder")
        if (row.engine, row.variant) != (spec.engine, spec.variant):
            played = f"{row.engine} {row.variant}"
            raise ValueError(f"{name} was played on {played}, but the run asks for {spec.engine} {spec.variant}")
        if row.index in rows[row.policy]:
            raise ValueError(f"{name} is there twice; keep one row per policy and seed")
        rows[row.policy][row.index] = row
    return {policy: dict(sorted(found.items())) for policy, found in rows.items() if found}


def _scores(rows: Iterable[Row]) -> statistics.FloatArray:
    return np.array([row.score for row in rows])


def _score_figures(spec: EvalSpec, policy: str, scores: statistics.FloatArray) -> dict[str, Any]:
    """Return the fields of :class:`evaluation.harness.schema.ScoreSummary`."""
    return {
        "n": len(scores),
        "mean": statistics.mean(scores),
        "std": statistics.sample_std(scores),
        "ci95": statistics.bootstrap_interval(scores, spec.generator("mean", policy)),
        "median": statistics.median(scores),
        "iqm": statistics.iqm(scores),
        "iqm_ci95": statistics.bootstrap_interval(scores, spec.generator("iqm", policy), statistics.row_iqm),
        "minimum": float(scores.min()),
        "maximum": float(scores.max()),
    }


def _common(first: _Rows, second: _Rows) -> tuple[statistics.FloatArray, statistics.FloatArray]:
    """Return the scores of both on the seeds that both have played."""
    shared = [index for index in first if index in second]
    return _scores(first[i] for i in shared), _scores(second[i] for i in shared)


# --------------------------------------------------------------------------------------- against the baseline
def _versus_baseline(spec: EvalSpec, rows: Mapping[str, _Rows]) -> dict[str, VersusBaseline]:
    """Compare each policy with the baseline on the seeds that both have played, if any."""
    if BASELINE not in rows:
        return {}
    found = {}
    for policy in rows:
        scores, baseline = _common(rows[policy], rows[BASELINE])
        if policy != BASELINE and len(scores):
            found[policy] = _against(spec, policy, scores, baseline)
    for name in ("welch_p", "brunner_munzel_p"):
        corrected = statistics.holm([entry[name] for entry in found.values()])
        for entry, p in zip(found.values(), corrected, strict=True):
            entry[f"{name}_holm"] = p
    return {policy: VersusBaseline(**entry) for policy, entry in found.items()}


def _against(
    spec: EvalSpec, policy: str, scores: statistics.FloatArray, baseline: statistics.FloatArray
) -> dict[str, Any]:
    def rng(purpose: str) -> np.random.Generator:
        return spec.generator(purpose, policy, BASELINE)

    difference = statistics.paired_difference(scores, baseline, rng("difference"))
    normalised = None
    if find_game(spec.game).has_published_scores(spec.variant, spec.steps):
        normalised = statistics.normalised_score(scores, baseline, rng("normalised"))
    welch = statistics.welch_t(scores, baseline)
    munzel = statistics.brunner_munzel(scores, baseline)
    improvement_ci = statistics.probability_of_improvement_interval(scores, baseline, rng("probability"))
    return {
        "baseline": BASELINE,
        "n": len(scores),
        "difference": difference.value,
        "difference_ci95": difference.interval,
        "improvement_percent": statistics.improvement_percent(float(scores.mean()), float(baseline.mean())),
        "normalised_score": None if normalised is None else normalised.value,
        "normalised_score_ci95": None if normalised is None else normalised.interval,
        "probability_of_improvement": statistics.probability_of_improvement(scores, baseline),
        "probability_of_improvement_ci95": improvement_ci,
        "welch_p": None if welch is None else welch.p,
        "brunner_munzel_p": None if munzel is None else munzel.p,
    }


# -------------------------------------------------------------------------------------------------- all pairs
def _comparisons(spec: EvalSpec, rows: Mapping[str, _Rows]) -> list[PairComparison]:
    found = [_compare(spec, (a, rows[a]), (b, rows[b])) for a, b in combinations(rows, 2)]
    p_values = [entry["p"] for entry in found]
    corrections = zip(statistics.holm(p_values), statistics.benjamini_hochberg(p_values), strict=True)
    return [
        PairComparison(**entry, p_holm=family, p_fdr=rate)
        for entry, (family, rate) in zip(found, corrections, strict=True)
    ]


def _compare(spec: EvalSpec, first: tuple[str, _Rows], second: tuple[str, _Rows]) -> dict[str, Any]:
    """Compare two policies, paired on the seeds both have played; unpaired when they share fewer than two."""
    (a, rows_a), (b, rows_b) = first, second
    x, y = _common(rows_a, rows_b)
    if len(x) >= 2:
        test = "Wilcoxon signed-rank, paired on seeds"
        difference, interval = statistics.paired_difference(x, y, spec.generator("pair", a, b))
        p: float | None = statistics.wilcoxon_signed_rank(x, y).p
    else:
        test = "Welch t, unpaired"
        x, y = _scores(rows_a.values()), _scores(rows_b.values())
        difference, interval = statistics.mean(x) - statistics.mean(y), statistics.welch_interval(x, y)
        welch = statistics.welch_t(x, y)
        p = None if welch is None else welch.p
    return {
        "a": a,
        "b": b,
        "n": (len(x), len(y)),
        "test": test,
        "difference": difference,
        "difference_ci95": interval,
        "p": p,
    }
