"""Random numbers: distributions agree with SciPy, streams depend on their key alone."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

from native_sim.kernels import rng


def stream(seed=1, episode=2, purposes=2):
    row = np.zeros(purposes, np.uint64)
    rng.start_streams(row, np.uint64(seed), np.uint64(episode))
    return row


@njit
def draw_binomial(row, count, n, q):
    return np.array([rng.binomial(row, 0, n, q) for _ in range(count)])


@njit
def draw_normal(row, count):
    return np.array([rng.normal(row, 0) for _ in range(count)])


@njit
def draw_uniform(row, count, purpose):
    return np.array([rng.uniform(row, purpose) for _ in range(count)])


@pytest.mark.parametrize(("n", "q"), [(40, 0.02), (200, 0.05), (300, 0.5), (1000, 0.97), (20_000, 0.05), (7, 0.3)])
def test_sampled_counts_have_the_binomial_distribution(n, q):
    """Counts stand in for a loop over clean hosts, so their distribution must be the loop's."""
    drawn = draw_binomial(stream(n), 100_000, n, q)
    law = stats.binom(n, q)
    values = np.arange(law.ppf(1e-4), law.ppf(1 - 1e-4) + 1)
    expected = law.pmf(values) * len(drawn)
    observed = np.array([(drawn == value).sum() for value in values])
    kept = expected > 10
    surprise = ((observed - expected) ** 2 / expected)[kept].sum()
    assert stats.chi2.sf(surprise, kept.sum() - 1) > 1e-4
    assert drawn.min() >= 0 and drawn.max() <= n


@pytest.mark.parametrize(("n", "q", "result"), [(0, 0.5, 0), (10, 0.0, 0), (10, 1.0, 10), (-3, 0.5, 0)])
def test_certain_counts(n, q, result):
    assert rng.binomial(stream(), 0, n, q) == result


def test_normals():
    drawn = draw_normal(stream(), 200_000)
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert (np.abs(drawn) > 3.5).mean() == pytest.approx(2 * stats.norm.sf(3.5), rel=0.3)


def test_streams_are_independent_of_one_another():
    row, other = stream(), stream()
    draw_uniform(other, 50, 1)
    assert np.array_equal(draw_uniform(row, 5, 0), draw_uniform(other, 5, 0))


def test_seed_episode_and_purpose_all_matter():
    starts = {int(rng.stream_key(*map(np.uint64, key))) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(starts) == 4
    assert stats.kstest(draw_uniform(stream(), 100_000, 0), "uniform").pvalue > 1e-3
