"""Rank correlation of paired numbers, many pairs of samples at once: B samples in rows, K numbers each."""

from __future__ import annotations

import numpy as np

from evaluation.harness.statistics import FloatArray


def spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return Spearman's rho of each row of [B, K] and [B, K], ties by mean ranks; NaN where all of a row are equal."""
    from scipy.stats import rankdata

    first, second = (_centred(rankdata(values, axis=1)) for values in (x, y))
    return _ratio((first * second).sum(axis=1), (first**2).sum(axis=1), (second**2).sum(axis=1))


def kendall(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return Kendall's tau-b of each row of [B, K] and [B, K]; NaN where all of a row are equal."""
    first, second = (np.sign(values[:, :, None] - values[:, None, :]) for values in (x, y))
    return _ratio((first * second).sum(axis=(1, 2)), (first**2).sum(axis=(1, 2)), (second**2).sum(axis=(1, 2)))


def _centred(values: FloatArray) -> FloatArray:
    return np.asarray(values - values.mean(axis=1, keepdims=True), np.float64)


def _ratio(common: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    scale = np.sqrt(first * second)
    return np.where(scale > 0, common / np.where(scale > 0, scale, 1.0), np.nan)
