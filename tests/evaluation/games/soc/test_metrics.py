"""Metrics over episodes: undefined ones are left out and counted, ratios are pooled, intervals cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.games.soc.metrics import METRICS
from evaluation.games.soc.schema import SocRecord
from evaluation.harness.metrics import metric_summaries, ratio_intervals
from evaluation.harness.statistics import wilson_interval
from native_sim import make_vec


def record(index, **metrics):
    names = ("policy", "engine", "variant")
    return SocRecord(
        **dict.fromkeys(names, "x"), index=index, seed=index, score=0.0, length=1, sees_truth=False, wall_s=0.0,
        metrics=metrics,
    )  # fmt: skip


def summaries(rows, rules="corrected"):
    return metric_summaries(rows, METRICS[rules], (-1.0, 1.0), np.random.default_rng(0))


def test_by_hand():
    values = [(2, 4, 1.0, None), (0, 0, 0.0, 3.0), (1, 8, 0.0, 5.0)]
    rows = [
        record(i, false_flags=float(a), clean_scans=float(b), fpr=a / b if b else None, csr=c, mttr=d, reward=0.0)
        for i, (a, b, c, d) in enumerate(values)
    ]
    found = summaries(rows)
    fpr = found["fpr"]
    assert (fpr.n, fpr.mean, fpr.pooled) == (2, (0.5 + 0.125) / 2, 3 / 12)
    assert fpr.std == pytest.approx(np.std([0.5, 0.125], ddof=1))
    assert fpr.pooled_ci95[0] >= 0.125
    assert fpr.pooled_ci95[1] <= 0.5
    assert found["csr"].ci95 == wilson_interval(1, 3)
    assert (found["mttr"].n, found["mttr"].mean, found["mttr"].pooled) == (2, 4.0, None)
    assert found["reward"].ci95 == (-1.0, 1.0)


def test_what_no_episode_or_one_defines():
    rows = [record(0, mttr=None, mttd=1.0, csr=1.0), record(1, mttr=None, mttd=None, csr=1.0)]
    found = summaries(rows)
    assert found["mttr"].model_dump() == {
        "mean": None, "std": None, "ci95": None, "n": 0, "pooled": None, "pooled_ci95": None,
    }  # fmt: skip
    one = found["mttd"]
    assert (one.n, one.mean, one.std, one.ci95) == (1, 1.0, None, None)
    assert summaries(rows[:1])["csr"].ci95 is None


COUNT = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(COUNT, COUNT, COUNT), min_size=1, max_size=8))
def test_the_rate_of_the_reference_rules_is_averaged_for_its_counts_are_no_ratio(counts):
    rows = [
        record(i, fpr=min(1.0, a / max(1.0, b - c)), false_positives=a, scans=b, true_positives=c)
        for i, (a, b, c) in enumerate(counts)
    ]
    found = summaries(rows, "reference")["fpr"]
    assert (found.n, found.pooled, found.pooled_ci95) == (len(rows), None, None)
    assert found.mean == pytest.approx(np.mean([row.metrics["fpr"] for row in rows]))


@given(st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=8))
def test_pooled_ratios_and_their_intervals_are_ratios_whatever_the_counts(counts):
    rows = [record(i, false_flags=min(a, b), clean_scans=b, fpr=None) for i, (a, b) in enumerate(counts)]
    found = summaries(rows)["fpr"]
    assert (found.pooled is None) == all(b == 0 for _, b in counts)
    assert (found.pooled_ci95 is None) == (sum(b > 0 for _, b in counts) < 2)
    if found.pooled_ci95 is not None:
        assert 0.0 <= found.pooled_ci95[0] <= found.pooled_ci95[1] <= 1.0


def test_the_interval_of_a_ratio_covers_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        whole = generator.poisson(20, 60).astype(float)
        part = generator.binomial(whole.astype(int), 0.3).astype(float)
        ((low, high),) = ratio_intervals([(part, whole)], generator, resamples=400)
        hits += low <= 0.3 <= high
    assert 178 <= hits <= 199  # 95 % of 200 is 190; the percentile bootstrap is a little short


def test_equal_generators_give_equal_intervals_and_columns_do_not_disturb_each_other():
    part, whole = np.arange(10.0), np.ones(10)
    first = ratio_intervals([(part, whole)], np.random.default_rng(2))
    second = ratio_intervals([(part, whole), (2 * part, whole)], np.random.default_rng(2))
    assert first[0] == second[0]
    assert second[1] == tuple(2 * bound for bound in first[0])


def test_every_metric_of_the_simulator_is_declared_once_and_no_other():
    for rules, metrics in METRICS.items():
        names = [metric.name for metric in metrics]
        assert sorted(names) == sorted(make_vec(rules).metric_names)
        for metric in metrics:
            counted = metric.counts or ((), ())
            assert {name for part in counted for name in part} <= set(names)
