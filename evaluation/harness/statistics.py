"""The statistics of a report: arrays in, numbers out; the random generator is an argument.

Samples are one-dimensional: N episode scores of one policy. Where a task structure exists (variants,
fine-tuning budgets), a matrix [N runs, T tasks] is accepted and redrawn within each task, as in rliable.

Bad input (empty, NaN, infinite, pairs of unequal length) is a ``ValueError``. Sound input that is too poor to
answer the question (one episode, no spread) gives ``None``, not a number; each docstring says when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]
RowStatistic = Callable[[FloatArray], FloatArray]
"""Maps B samples in rows, [B, K], to B numbers, [B]."""

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
UC_SCORE: Final = -113.0
"""Mean score of UC, the best published CC4 defender, from the literature (Kiely et al., AAAI-25, Table 2)."""
_CHUNK_ELEMENTS: Final = 2_000_000
"""Resampled values held at once: 16 MB of float64."""


class Moments(NamedTuple):
    """What a t test needs to know of a sample."""

    n: int
    mean: float
    std: float | None
    """Sample standard deviation (divisor n - 1); None for n = 1."""


class Estimate(NamedTuple):
    """A number and its interval; the interval is None where the data cannot give one."""

    value: float
    interval: Interval | None


class SignificanceTest(NamedTuple):
    """A two-sided test; the statistic is positive where x tends to be larger than y."""

    statistic: float
    p: float


class Equivalence(NamedTuple):
    """Two one-sided tests of |difference| < margin."""

    difference: float
    margin: float
    p: float
    """The larger of the two one-sided p-values."""
    interval: Interval
    """The 1 - 2 alpha interval of the difference; inside the margin exactly when equivalent."""
    equivalent: bool


def sample(values: npt.ArrayLike, name: str = "sample") -> FloatArray:
    """Return ``values`` as a finite float64 array [N], N >= 1.

    Raises:
        ValueError: If it is empty, has another number of axes, or holds NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} axes; give one axis of scores")
    return _finite(array, name)


def _matrix(values: npt.ArrayLike, name: str = "scores") -> FloatArray:
    """Return [N] as [N, 1], and [N, T] as it is."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} has {array.ndim} axes; give [runs] or [runs, tasks]")
    return _finite(array.reshape(len(array), -1) if array.size else array, name)


def _finite(array: FloatArray, name: str) -> FloatArray:
    if array.size == 0:
        raise ValueError(f"{name} is empty; at least one value is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; every score must be a finite number")
    return array


def _pairs(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = sample(x, "x"), sample(y, "y")
    if len(first) != len(second):
        raise ValueError(f"pairs are needed, but x has {len(first)} values and y has {len(second)}")
    return first, second


# ------------------------------------------------------------------------------------------------- one sample
def mean(values: npt.ArrayLike) -> float:
    """Return the arithmetic mean of a sample [N]."""
    array = sample(values)
    # Rounding must not make a constant sample differ from its mean.
    return float(array[0] if np.ptp(array) == 0 else array.mean())


def sample_std(values: npt.ArrayLike) -> float | None:
    """Return the sample standard deviation (divisor N - 1); None for one value."""
    array = sample(values)
    if len(array) == 1:
        return None
    return 0.0 if np.ptp(array) == 0 else float(array.std(ddof=1))


def median(values: npt.ArrayLike) -> float:
    """Return the median of a sample [N]."""
    return float(np.median(sample(values)))


def moments(values: npt.ArrayLike) -> Moments:
    """Return size, mean and sample standard deviation."""
    array = sample(values)
    return Moments(len(array), mean(array), sample_std(array))


def row_mean(rows: FloatArray) -> FloatArray:
    """Return the mean of each row: [B, K] -> [B]."""
    return np.asarray(rows.mean(axis=1), dtype=np.float64)


def row_iqm(rows: FloatArray) -> FloatArray:
    """Return the interquartile mean of each row: [B, K] -> [B]."""
    cut = int(0.25 * rows.shape[1])
    ordered = np.sort(rows, axis=1)
    return row_mean(ordered[:, cut : rows.shape[1] - cut])


def iqm(scores: npt.ArrayLike) -> float:
    """Return the interquartile mean of [N] or [N, T]: the mean without the lowest and the highest quarter.

    Source: Agarwal et al., "Deep RL at the Edge of the Statistical Precipice", NeurIPS 2021 (rliable), who
    take ``scipy.stats.trim_mean(scores, 0.25)`` over all runs and tasks; below four values all are kept.
    """
    return float(row_iqm(_matrix(scores).reshape(1, -1))[0])


def bootstrap_interval(
    scores: npt.ArrayLike,
    rng: np.random.Generator,
    statistic: RowStatistic = row_mean,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return the percentile bootstrap interval of a statistic of [N] or [N, T]; None for N = 1.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; runs of a matrix are
    redrawn within each task (stratified), as in Agarwal et al., NeurIPS 2021. A sample without spread gives
    an interval of no width.
    """
    matrix = _matrix(scores)
    runs, tasks = matrix.shape
    if runs == 1:
        return None
    if not np.ptp(matrix, axis=0).any():
        value = float(statistic(matrix.reshape(1, -1))[0])
        return value, value
    draws = []
    for count in _chunks(resamples, matrix.size):
        chosen = rng.integers(0, runs, size=(count, runs, tasks))
        draws.append(statistic(np.take_along_axis(matrix[None], chosen, axis=1).reshape(count, -1)))
    return _percentiles(draws, confidence)


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the score interval of a proportion, successes out of n.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion; give 0 <= successes <= n and n >= 1")
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    share, scale = successes / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _chunks(resamples: int, elements: int) -> Iterator[int]:
    """Yield how many resamples to draw at once, so that memory stays bounded."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; at least 1 is needed")
    size = max(1, _CHUNK_ELEMENTS // elements)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _percentiles(draws: list[FloatArray], confidence: float) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies between 0 and 1, such as 0.95")
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(draws), (tail, 1 - tail))
    return float(low), float(high)


# ------------------------------------------------------------------------------------------------ differences
def paired_difference(
    x: npt.ArrayLike, y: npt.ArrayLike, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Estimate:
    """Return the mean of x - y over pairs [N] with its bootstrap interval (pairs redrawn together)."""
    first, second = _pairs(x, y)
    difference = first - second
    return Estimate(mean(difference), bootstrap_interval(difference, rng, resamples=resamples))


def improvement_percent(score: float, baseline: float) -> float | None:
    """Return how far ``score`` lies above ``baseline``, in percent of its size; None when that is 0."""
    if not np.isfinite([score, baseline]).all():
        raise ValueError(f"score {score} and baseline {baseline} must be finite numbers")
    return 100.0 * (score - baseline) / abs(baseline) if baseline != 0 else None


def normalised_score(
    scores: npt.ArrayLike,
    baseline: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    reference: float = UC_SCORE,
    resamples: int = RESAMPLES,
) -> Estimate | None:
    """Return (R - R_none) / (R_ref - R_none) over pairs [N]: 0 is the baseline, 1 the reference.

    The reference is a constant from the literature, so the interval (paired bootstrap of the ratio of means)
    holds no uncertainty of its own. None when the mean baseline is not below the reference, where the scale
    has no meaning; no interval when a resampled baseline is not.
    """
    played, none = _pairs(scores, baseline)
    if none.mean() >= reference:
        return None
    value = float((played.mean() - none.mean()) / (reference - none.mean()))
    n = len(played)
    if n == 1:
        return Estimate(value, None)
    draws = []
    for count in _chunks(resamples, n):
        chosen = rng.integers(0, n, size=(count, n))
        floor = row_mean(none[chosen])
        if (floor >= reference).any():
            return Estimate(value, None)
        draws.append((row_mean(played[chosen]) - floor) / (reference - floor))
    return Estimate(value, _percentiles(draws, CONFIDENCE))


def _welch(x: Moments, y: Moments) -> tuple[float, float, float] | None:
    """Return difference of means, its standard error and the degrees of freedom; None below two values."""
    if x.std is None or y.std is None:
        return None
    a, b = x.std**2 / x.n, y.std**2 / y.n
    if a + b == 0:
        return x.mean - y.mean, 0.0, float(x.n + y.n - 2)
    # Shares of the variance rather than the variances: the same quotient without underflow.
    share = a / (a + b)
    freedom = 1 / (share**2 / (x.n - 1) + (1 - share) ** 2 / (y.n - 1))
    return x.mean - y.mean, float(np.sqrt(a + b)), float(freedom)


def welch_t(x: npt.ArrayLike | Moments, y: npt.ArrayLike | Moments) -> SignificanceTest | None:
    """Return Welch's t test of equal means, from two samples or their moments.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 1947. None below two values on a side, and when neither sample has any spread while
    the means differ (there is nothing to judge the difference by); equal constants give p = 1.
    """
    parts = _welch(_as_moments(x), _as_moments(y))
    if parts is None:
        return None
    difference, error, freedom = parts
    if error == 0:
        return SignificanceTest(0.0, 1.0) if difference == 0 else None
    from scipy.special import stdtr

    statistic = difference / error
    return SignificanceTest(statistic, float(2 * stdtr(freedom, -abs(statistic))))


def welch_interval(
    x: npt.ArrayLike | Moments, y: npt.ArrayLike | Moments, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return Welch's t interval of mean(x) - mean(y); None below two values on a side."""
    parts = _welch(_as_moments(x), _as_moments(y))
    return None if parts is None else _t_interval(*parts, confidence)


def _as_moments(values: npt.ArrayLike | Moments) -> Moments:
    return values if isinstance(values, Moments) else moments(values)


def _t_interval(difference: float, error: float, freedom: float, confidence: float) -> Interval:
    from scipy.special import stdtrit

    half = error * float(stdtrit(freedom, 0.5 + confidence / 2))
    return difference - half, difference + half


def wilcoxon_signed_rank(x: npt.ArrayLike, y: npt.ArrayLike) -> SignificanceTest:
    """Return Wilcoxon's signed-rank test over pairs [N]; ties are left out, and if all are tied p = 1.

    Source: Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945; p as
    ``scipy.stats.wilcoxon`` (exact for small N). The statistic is the sum of signed ranks.
    """
    first, second = _pairs(x, y)
    difference = (first - second)[first != second]
    if len(difference) == 0:
        return SignificanceTest(0.0, 1.0)
    from scipy.stats import rankdata, wilcoxon

    statistic = float((np.sign(difference) * rankdata(np.abs(difference))).sum())
    return SignificanceTest(statistic, float(wilcoxon(difference).pvalue))


def brunner_munzel(x: npt.ArrayLike, y: npt.ArrayLike) -> SignificanceTest | None:
    """Return the Brunner-Munzel test of P(x > y) + P(x = y) / 2 = 0.5; None below two values on a side.

    Source: Brunner and Munzel, "The nonparametric Behrens-Fisher problem", Biometrical Journal 2000. When the
    samples do not overlap its variance is zero; p is then that of the permutation form (Neubert and Brunner,
    CSDA 2007), 2 / C(N + M, N), the smallest that any rank test can give. Samples of one common value: p = 1.
    """
    first, second = sample(x, "x"), sample(y, "y")
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return None
    if first.min() > second.max() or second.min() > first.max():
        from scipy.special import gammaln

        log_ways = gammaln(n + m + 1) - gammaln(n + 1) - gammaln(m + 1)
        return SignificanceTest(
            float(np.copysign(np.inf, first[0] - second[0])), float(min(1.0, 2 * np.exp(-log_ways)))
        )
    if np.ptp(np.concatenate([first, second])) == 0:
        return SignificanceTest(0.0, 1.0)
    from scipy.stats import brunnermunzel

    # SciPy's statistic is positive where its second sample is larger.
    result = brunnermunzel(second, first)
    return SignificanceTest(float(result.statistic), float(result.pvalue))


def probability_of_improvement(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return P(x > y) + P(x = y) / 2 for one run of each, averaged over tasks for [N, T] and [M, T].

    Source: Agarwal et al., NeurIPS 2021 (rliable), after Mann and Whitney 1947.
    """
    first, second = _same_tasks(x, y)
    tasks = zip(first.T, second.T, strict=True)
    return float(np.mean([_share_below(a, np.sort(b)).mean() for a, b in tasks]))


def probability_of_improvement_interval(
    x: npt.ArrayLike, y: npt.ArrayLike, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval | None:
    """Return its bootstrap interval, each side redrawn within each task; None for a side of one run.

    Source: Agarwal et al., NeurIPS 2021. Samples that do not overlap give (1, 1) or (0, 0).
    """
    first, second = _same_tasks(x, y)
    n, m = len(first), len(second)
    if min(n, m) == 1:
        return None
    draws = []
    for count in _chunks(resamples, 3 * max(n, m)):
        total = np.zeros(count)
        for a, b in zip(first.T, np.sort(second, axis=0).T, strict=True):
            # How often each run was drawn; running sums over sorted y then count the y below each x.
            times_x = rng.multinomial(n, np.full(n, 1 / n), size=count)
            times_y = rng.multinomial(m, np.full(m, 1 / m), size=count)
            below = np.concatenate([np.zeros((count, 1), np.int64), times_y.cumsum(axis=1)], axis=1)
            left, right = np.searchsorted(b, a, "left"), np.searchsorted(b, a, "right")
            total += (times_x * (below[:, left] + below[:, right])).sum(axis=1) / (2 * n * m)
        draws.append(total / first.shape[1])
    return _percentiles(draws, CONFIDENCE)


def _same_tasks(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = _matrix(x, "x"), _matrix(y, "y")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"x has {first.shape[1]} tasks and y has {second.shape[1]}; give the same tasks")
    return first, second


def _share_below(values: FloatArray, ordered: FloatArray) -> FloatArray:
    """Return for each value the share of ``ordered`` (ascending) below it, ties counted by half."""
    counts = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(counts / (2 * len(ordered)), dtype=np.float64)


# ------------------------------------------------------------------------------------------------ equivalence
def equivalence_welch(
    x: npt.ArrayLike | Moments, y: npt.ArrayLike | Moments, margin: float, *, alpha: float = 0.05
) -> Equivalence | None:
    """Return two one-sided Welch tests of |mean(x) - mean(y)| < margin; None below two values on a side.

    Source: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", Journal of
    Pharmacokinetics and Biopharmaceutics 1987. Without any spread p is its limit: 0 inside the margin, or 1.
    """
    parts = _welch(_as_moments(x), _as_moments(y))
    _check_margin(margin, alpha)
    return None if parts is None else _two_one_sided(*parts, margin, alpha)


def equivalence_paired(x: npt.ArrayLike, y: npt.ArrayLike, margin: float, *, alpha: float = 0.05) -> Equivalence | None:
    """Return two one-sided t tests of |mean(x - y)| < margin over pairs [N]; None for N = 1 (see Welch's)."""
    first, second = _pairs(x, y)
    _check_margin(margin, alpha)
    n, difference, std = moments(first - second)
    if std is None:
        return None
    return _two_one_sided(difference, std / float(np.sqrt(n)), n - 1.0, margin, alpha)


def _check_margin(margin: float, alpha: float) -> None:
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"the margin is {margin}; equivalence needs a margin above 0, in units of score")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; it lies between 0 and 0.5, such as 0.05")


def _two_one_sided(difference: float, error: float, freedom: float, margin: float, alpha: float) -> Equivalence:
    inside = margin - abs(difference)  # distance to the nearer limit: the larger of the two p-values
    if error == 0:
        p = 0.0 if inside > 0 else 1.0
    else:
        from scipy.special import stdtr

        p = float(stdtr(freedom, -inside / error))
    interval = _t_interval(difference, error, freedom, 1 - 2 * alpha)
    return Equivalence(difference, margin, p, interval, p < alpha)


# ------------------------------------------------------------------------------------------------- few runs
def t_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """Return Student's t interval of the mean of a sample [N], such as one value per training seed; None for one."""
    found = moments(values)
    if found.std is None:
        return None
    return _t_interval(found.mean, found.std / float(np.sqrt(found.n)), float(found.n - 1), confidence)


def paired_t(x: npt.ArrayLike, y: npt.ArrayLike) -> SignificanceTest | None:
    """Return Student's t test of equal means over pairs [N]; None for one pair, and for a constant difference but 0."""
    first, second = _pairs(x, y)
    found = moments(first - second)
    if found.std is None:
        return None
    if found.std == 0:
        return SignificanceTest(0.0, 1.0) if found.mean == 0 else None
    from scipy.special import stdtr

    statistic = found.mean / (found.std / float(np.sqrt(found.n)))
    return SignificanceTest(statistic, float(2 * stdtr(found.n - 1, -abs(statistic))))


# ------------------------------------------------------------------------------------------- many comparisons
def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for the family-wise error rate; None stays None and does not count as a test.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 1979.
    """
    known, p = _known(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _back(stepped, order, known, len(p_values))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for the false discovery rate; None stays None and does not count as a test.

    Source: Benjamini and Hochberg, "Controlling the false discovery rate", J. R. Statistical Society B 1995.
    """
    known, p = _known(p_values)
    order = np.argsort(p, kind="stable")
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    stepped = np.minimum.accumulate(raised[::-1])[::-1]
    return _back(stepped, order, known, len(p_values))


def _known(p_values: Sequence[float | None]) -> tuple[list[int], FloatArray]:
    known = [i for i, p in enumerate(p_values) if p is not None]
    p = np.array([p_values[i] for i in known], dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values lie between 0 and 1; given {list(p_values)}")
    return known, p


def _back(stepped: FloatArray, order: npt.NDArray[np.intp], known: list[int], length: int) -> list[float | None]:
    """Put corrected values, sorted by ``order``, back at their places."""
    corrected: list[float | None] = [None] * length
    for value, position in zip(stepped, order, strict=True):
        corrected[known[position]] = min(1.0, float(value))
    return corrected


def close_sums(one: float, other: float, parts: Iterable[float] = ()) -> bool:
    """Tell whether two sums of the same numbers, added in another order, can differ by this much."""
    return abs(one - other) <= 1e-6 * max(1.0, abs(one), abs(other), *map(abs, parts))
