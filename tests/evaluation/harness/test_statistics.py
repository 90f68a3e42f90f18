"""Every statistic against SciPy or a case worked by hand; then properties; then what poor input gives."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.harness import statistics

X = np.random.default_rng(1).normal(-150, 50, 40)
Y = np.random.default_rng(2).normal(-180, 20, 40)
scores = arrays(np.float64, st.integers(2, 30), elements=st.integers(-500, 0).map(float))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# -------------------------------------------------------------------------------------------- one sample
def test_descriptions_by_hand() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    assert statistics.mean(values) == 22.0
    assert statistics.median(values) == 3.0
    assert statistics.iqm(values) == 3.0  # one value is cut at each end: (2 + 3 + 4) / 3
    assert statistics.sample_std([2.0, 4.0]) == pytest.approx(math.sqrt(2))
    assert statistics.moments([2.0, 4.0]) == (2, 3.0, pytest.approx(math.sqrt(2)))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 40])
def test_iqm_is_scipys_trimmed_mean(n: int) -> None:
    assert statistics.iqm(X[:n]) == pytest.approx(scipy.stats.trim_mean(X[:n], 0.25))


def test_iqm_of_a_matrix_takes_all_runs_and_tasks_together() -> None:
    assert statistics.iqm(X.reshape(10, 4)) == pytest.approx(scipy.stats.trim_mean(X, 0.25))


def test_bootstrap_interval_agrees_with_scipy() -> None:
    low, high = statistics.bootstrap_interval(X, rng()) or pytest.fail("no interval")
    reference = scipy.stats.bootstrap((X,), np.mean, method="percentile", n_resamples=10_000, rng=rng(5))
    assert low == pytest.approx(reference.confidence_interval.low, abs=0.5)
    assert high == pytest.approx(reference.confidence_interval.high, abs=0.5)


def test_bootstrap_interval_of_the_iqm_agrees_with_scipy() -> None:
    low, high = statistics.bootstrap_interval(X, rng(), statistics.row_iqm) or pytest.fail("no interval")
    reference = scipy.stats.bootstrap(
        (X,), lambda rows, axis: scipy.stats.trim_mean(rows, 0.25, axis=axis), method="percentile", rng=rng(5)
    )
    assert low == pytest.approx(reference.confidence_interval.low, abs=1.0)
    assert high == pytest.approx(reference.confidence_interval.high, abs=1.0)


def test_bootstrap_of_a_matrix_redraws_within_each_task() -> None:
    # All spread lies between the tasks, so a stratified bootstrap sees none; a pooled one would.
    matrix = np.tile([-100.0, -500.0], (10, 1))
    assert statistics.bootstrap_interval(matrix, rng()) == (-300.0, -300.0)
    matrix[0, 0] = -101.0
    low, high = statistics.bootstrap_interval(matrix, rng()) or pytest.fail("no interval")
    assert -300.3 < low < high <= -300.0


def test_bootstrap_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = statistics.bootstrap_interval(X, rng())
    monkeypatch.setattr(statistics, "_CHUNK_ELEMENTS", 1000)
    assert statistics.bootstrap_interval(X, rng()) == whole


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    """300 samples of 40 from a skewed law: 95 % nominal; a percentile interval is a little short."""
    draws = rng(11).exponential(100.0, size=(300, 40))
    covered = 0
    for row, draw in enumerate(draws):
        low, high = statistics.bootstrap_interval(draw, rng(row), resamples=600) or pytest.fail("no interval")
        covered += low <= 100.0 <= high
    assert 0.88 <= covered / 300 <= 0.98


def test_wilson_interval_is_scipys() -> None:
    for successes, n in [(0, 10), (3, 10), (10, 10), (250, 1000)]:
        reference = scipy.stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
        assert statistics.wilson_interval(successes, n) == pytest.approx((reference.low, reference.high))


@given(scores, st.integers(0, 2**32 - 1))
def test_interval_is_ordered_and_inside_the_sample(values: np.ndarray, seed: int) -> None:
    low, high = statistics.bootstrap_interval(values, rng(seed), resamples=50) or pytest.fail("no interval")
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9


@given(scores, st.floats(-1000, 1000))
def test_moving_the_sample_moves_the_interval(values: np.ndarray, shift: float) -> None:
    before = statistics.bootstrap_interval(values, rng(), resamples=50) or pytest.fail("no interval")
    after = statistics.bootstrap_interval(values + shift, rng(), resamples=50) or pytest.fail("no interval")
    assert after == pytest.approx((before[0] + shift, before[1] + shift), abs=1e-6)


# ------------------------------------------------------------------------------------------- differences
def test_paired_difference_uses_the_pairs() -> None:
    noise = rng(3).normal(0, 1000, 50)
    value, interval = statistics.paired_difference(noise + 5, noise, rng())
    assert value == pytest.approx(5)
    assert interval == pytest.approx((5, 5))  # the noise is common to both and cancels


def test_improvement_by_hand() -> None:
    assert statistics.improvement_percent(-50, -200) == 75.0
    assert statistics.improvement_percent(-300, -200) == -50.0
    assert statistics.improvement_percent(-300, 0) is None


def test_normalised_score_by_hand() -> None:
    none = np.array([-1000.0, -1226.0])  # mean -1113: 1000 below UC
    assert statistics.normalised_score(none, none, rng()) == (0.0, (0.0, 0.0))
    assert statistics.normalised_score([-113.0, -113.0], none, rng()) == (1.0, (1.0, 1.0))
    half = statistics.normalised_score([-613.0, -613.0], none, rng())
    assert half is not None
    assert half.value == pytest.approx(0.5)


def test_normalised_score_needs_a_baseline_below_the_reference() -> None:
    assert statistics.normalised_score([-50.0, -60.0], [-100.0, -113.0], rng()) is None
    touching = statistics.normalised_score([-50.0, -60.0], [-300.0, -50.0], rng())
    assert touching is not None
    assert touching.interval is None  # a resample of (-50, -50) lies above the reference


def test_welch_is_scipys() -> None:
    for second in (Y, Y[:7], X + 1):
        reference = scipy.stats.ttest_ind(X, second, equal_var=False)
        assert statistics.welch_t(X, second) == pytest.approx((reference.statistic, reference.pvalue))
        interval = statistics.welch_interval(X, second)
        assert interval == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert statistics.welch_t(statistics.moments(X), statistics.moments(Y)) == statistics.welch_t(X, Y)


def test_welch_by_hand() -> None:
    # Equal sizes and variances: difference 2, error sqrt(1/2 + 1/2) = 1, 2 degrees of freedom.
    result = statistics.welch_t([2.0, 2 + math.sqrt(2)], [0.0, math.sqrt(2)])
    assert result is not None
    assert result.statistic == pytest.approx(2.0)
    assert result.p == pytest.approx(1 - 2 / math.sqrt(6))  # P(|t| > x) = 1 - x / sqrt(2 + x^2) for 2 degrees


def test_brunner_munzel_is_scipys_with_the_sign_of_x_minus_y() -> None:
    result = statistics.brunner_munzel(X, Y)
    reference = scipy.stats.brunnermunzel(X, Y)
    assert result == pytest.approx((-reference.statistic, reference.pvalue))
    assert result is not None
    assert result.statistic > 0


def test_brunner_munzel_without_overlap_is_the_permutation_p() -> None:
    result = statistics.brunner_munzel([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert result == (math.inf, pytest.approx(2 / 20))  # 6 choose 3 = 20 orders, two of them this extreme
    assert statistics.brunner_munzel([1.0, 2.0], [3.0, 3.0]) == (-math.inf, pytest.approx(2 / 6))
    assert statistics.brunner_munzel([1.0, 1.0], [1.0, 1.0]) == (0.0, 1.0)


def test_wilcoxon_is_scipys() -> None:
    assert statistics.wilcoxon_signed_rank(X, Y).p == pytest.approx(scipy.stats.wilcoxon(X - Y).pvalue)
    assert statistics.wilcoxon_signed_rank([3.0, 5.0], [1.0, 6.0]).statistic == 1.0  # ranks +2 and -1
    assert statistics.wilcoxon_signed_rank(X, X) == (0.0, 1.0)


def test_probability_of_improvement_by_hand_and_by_mann_whitney() -> None:
    assert statistics.probability_of_improvement([1.0, 3.0], [2.0, 3.0]) == (0 + 0 + 1 + 0.5) / 4
    u = scipy.stats.mannwhitneyu(X, Y).statistic
    assert statistics.probability_of_improvement(X, Y) == pytest.approx(u / (len(X) * len(Y)))


def test_probability_of_improvement_of_matrices_averages_tasks() -> None:
    x, y = np.array([[2.0, 1.0], [2.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 1.0]])
    assert statistics.probability_of_improvement(x, y) == (1.0 + 0.25) / 2


def test_its_interval_agrees_with_a_plain_bootstrap() -> None:
    x, y = X[:15], np.round(Y[:12], -1)
    low, high = statistics.probability_of_improvement_interval(x, y, rng()) or pytest.fail("no interval")
    generator = rng(9)
    plain = [
        statistics.probability_of_improvement(generator.choice(x, len(x)), generator.choice(y, len(y)))
        for _ in range(3000)
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))), abs=0.02)


def test_its_interval_without_overlap_has_no_width() -> None:
    assert statistics.probability_of_improvement_interval([4.0, 5.0], [1.0, 2.0], rng()) == (1.0, 1.0)


@given(scores, scores)
def test_probability_of_improvement_is_antisymmetric(x: np.ndarray, y: np.ndarray) -> None:
    forward = statistics.probability_of_improvement(x, y)
    assert forward + statistics.probability_of_improvement(y, x) == pytest.approx(1.0)


@given(scores, scores)
def test_two_sample_tests_are_antisymmetric_and_never_nan(x: np.ndarray, y: np.ndarray) -> None:
    for test in (statistics.welch_t, statistics.brunner_munzel):
        forward, backward = test(x, y), test(y, x)
        assert (forward is None) == (backward is None)
        if forward is not None and backward is not None:
            assert forward.statistic == pytest.approx(-backward.statistic)
            assert forward.p == pytest.approx(backward.p)
            assert 0 <= forward.p <= 1


# ------------------------------------------------------------------------------------------- equivalence
def test_equivalence_is_the_larger_of_two_one_sided_scipy_tests() -> None:
    result = statistics.equivalence_welch(X, Y, margin=60.0)
    upper = scipy.stats.ttest_ind(X - 60, Y, equal_var=False, alternative="less").pvalue
    lower = scipy.stats.ttest_ind(X + 60, Y, equal_var=False, alternative="greater").pvalue
    assert result is not None
    assert result.p == pytest.approx(max(upper, lower))
    paired = statistics.equivalence_paired(X, Y, margin=60.0)
    upper = scipy.stats.ttest_rel(X - 60, Y, alternative="less").pvalue
    lower = scipy.stats.ttest_rel(X + 60, Y, alternative="greater").pvalue
    assert paired is not None
    assert paired.p == pytest.approx(max(upper, lower))


@given(scores, scores, st.floats(0.1, 500))
def test_equivalent_exactly_when_the_interval_lies_inside(x: np.ndarray, y: np.ndarray, margin: float) -> None:
    result = statistics.equivalence_welch(x, y, margin)
    assert result is not None
    low, high = result.interval
    inside = min(margin - high, low + margin)  # how far inside; at the border rounding may decide
    if abs(inside) > 1e-6:
        assert result.equivalent == (inside > 0)


def test_equivalence_without_spread_is_decided_by_the_difference() -> None:
    inside = statistics.equivalence_paired(X, X, margin=1.0)
    assert inside == (0.0, 1.0, 0.0, (0.0, 0.0), True)
    outside = statistics.equivalence_welch([3.0, 3.0], [1.0, 1.0], margin=2.0)
    assert outside is not None
    assert (outside.p, outside.equivalent) == (1.0, False)


# -------------------------------------------------------------------------------------- many comparisons
def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03 are multiplied by 3, 2, 1 and may not fall: 0.03, 0.04, 0.04.
    assert statistics.holm([0.03, 0.01, None, 0.02]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([None]) == [None]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_false_discovery_rate_is_scipys(p: list[float]) -> None:
    assert statistics.benjamini_hochberg(p) == pytest.approx(scipy.stats.false_discovery_control(p).tolist())


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_corrections_only_raise_and_holm_is_the_stricter(p: list[float | None]) -> None:
    for before, family, rate in zip(p, statistics.holm(p), statistics.benjamini_hochberg(p), strict=True):
        if before is None:
            assert family is None
            assert rate is None
        else:
            assert family is not None
            assert rate is not None
            assert before - 1e-12 <= rate <= family + 1e-12 <= 1 + 1e-12


# ------------------------------------------------------------------------------------------- poor input
def test_one_value_has_a_mean_but_no_spread_and_no_test() -> None:
    one = [-5.0]
    assert statistics.mean(one) == statistics.median(one) == statistics.iqm(one) == -5.0
    assert statistics.sample_std(one) is None
    assert statistics.bootstrap_interval(one, rng()) is None
    assert statistics.paired_difference(one, [-8.0], rng()) == (3.0, None)
    assert statistics.normalised_score([-113.0], [-500.0], rng()) == (1.0, None)
    assert statistics.welch_t(one, X) is None
    assert statistics.welch_interval(X, one) is None
    assert statistics.brunner_munzel(X, one) is None
    assert statistics.probability_of_improvement_interval(X, one, rng()) is None
    assert statistics.equivalence_welch(one, X, 1.0) is None
    assert statistics.equivalence_paired(one, one, 1.0) is None


def test_a_constant_sample_has_spread_zero_exactly() -> None:
    constant = [-113.7] * 7  # its floating-point mean differs from its values in the last digit
    assert statistics.mean(constant) == -113.7
    assert statistics.sample_std(constant) == 0.0
    assert statistics.bootstrap_interval(constant, rng()) == pytest.approx((-113.7, -113.7))
    assert statistics.welch_t(constant, constant[:3]) == (0.0, 1.0)
    assert statistics.welch_t(constant, [-100.0, -100.0]) is None
    assert statistics.welch_t(constant, X) is not None


BAD = {
    "empty": ([], "empty"),
    "NaN": ([1.0, math.nan], "NaN"),
    "infinity": ([1.0, math.inf], "infinity"),
    "axes": (np.zeros((2, 2, 2)), "axes"),
}
ONE: list[Callable[[Any], Any]] = [
    statistics.mean,
    statistics.sample_std,
    statistics.median,
    statistics.iqm,
    lambda x: statistics.bootstrap_interval(x, rng()),
]
TWO: list[Callable[[Any, Any], Any]] = [
    lambda x, y: statistics.paired_difference(x, y, rng()),
    lambda x, y: statistics.normalised_score(x, y, rng()),
    statistics.welch_t,
    statistics.brunner_munzel,
    statistics.wilcoxon_signed_rank,
    statistics.probability_of_improvement,
    lambda x, y: statistics.probability_of_improvement_interval(x, y, rng()),
    lambda x, y: statistics.equivalence_welch(x, y, 1.0),
    lambda x, y: statistics.equivalence_paired(x, y, 1.0),
]


@pytest.mark.parametrize(("values", "word"), BAD.values(), ids=BAD.keys())
def test_bad_samples_are_refused_everywhere(values: Any, word: str) -> None:
    for function in ONE:
        with pytest.raises(ValueError, match=word):
            function(values)
    for pair in TWO:
        with pytest.raises(ValueError, match=word):
            pair([1.0, 2.0], values)
        with pytest.raises(ValueError, match=word):
            pair(values, [1.0, 2.0])


def test_pairs_of_unequal_length_are_refused() -> None:
    for index in (0, 1, 4, 8):
        with pytest.raises(ValueError, match="x has 2 values and y has 3"):
            TWO[index]([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="tasks"):
        statistics.probability_of_improvement(np.zeros((3, 2)), np.zeros((3, 1)))


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_must_be_positive(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        statistics.equivalence_welch(X, Y, margin)


def test_other_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="p-values"):
        statistics.holm([0.5, 1.2])
    with pytest.raises(ValueError, match="p-values"):
        statistics.benjamini_hochberg([math.nan])
    with pytest.raises(ValueError, match="resamples"):
        statistics.bootstrap_interval(X, rng(), resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        statistics.bootstrap_interval(X, rng(), confidence=95)
    with pytest.raises(ValueError, match="proportion"):
        statistics.wilson_interval(3, 2)
    with pytest.raises(ValueError, match="finite"):
        statistics.improvement_percent(math.nan, 1.0)
    with pytest.raises(ValueError, match="alpha"):
        statistics.equivalence_paired(X, Y, 1.0, alpha=0.5)
