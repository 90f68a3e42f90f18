"""Rank correlations of many rows at once against SciPy's of one row."""

import numpy as np
import pytest
from scipy import stats

from evaluation.studies.transfer.correlation import kendall, spearman


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [(spearman, stats.spearmanr), (kendall, stats.kendalltau)])
def test_every_row_is_what_scipy_says(ours, theirs, ties):
    x, y = np.random.default_rng(0).normal(size=(2, 20, 9))
    if ties:
        x, y = np.round(x), np.round(y)
    expected = [theirs(first, second).statistic for first, second in zip(x, y, strict=True)]
    np.testing.assert_allclose(ours(x, y), expected, atol=1e-12)


@pytest.mark.parametrize("ours", [spearman, kendall])
def test_order_alone_counts_and_no_order_has_no_correlation(ours):
    x = np.arange(5.0)[None]
    assert ours(x, np.exp(x))[0] == pytest.approx(1.0) and ours(x, -(x**3))[0] == pytest.approx(-1.0)
    assert np.isnan(ours(x, np.zeros((1, 5)))[0])
