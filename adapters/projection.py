"""Linear projections with scikit-learn's conventions: from what an agent knows (X) to the terms of the SOC (Y).

All of them end in the same thing, a matrix and an offset; they differ in what they learn it from. Ridge, partial
least squares, canonical correlations and Procrustes need pairs: row i of Y says what row i of X means. Moment
matching and optimal transport need none: they only make the projected rows look like the rows of Y, whatever their
order.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import scipy.linalg
import scipy.spatial.distance
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from native_sim.api import Array, FloatArray

_Self = TypeVar("_Self", bound="LinearProjection")
_TINY: Final = 1e-9


class LinearProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of all projections: ``transform`` is X @ coef_ + intercept_.

    Attributes:
        coef_: [F, K] matrix, learned by ``fit``.
        intercept_: [K] offset.
        n_features_in_: F.
    """

    coef_: FloatArray
    intercept_: FloatArray

    def fit(self: _Self, X: Any, y: Any) -> _Self:
        """Learn from X [n, F] and y [n, K] or [n].

        Raises:
            ValueError: If a shape is wrong, a value is not finite, or there are fewer than two rows.
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2)
        targets = y.reshape(len(y), -1)
        self.coef_, self.intercept_ = self._learn(X, targets)
        self._n_features_out = targets.shape[1]
        return self

    def transform(self, X: Any) -> FloatArray:
        """Project X [n, F] to [n, K]; refuses when not fitted or when the width differs."""
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, reset=False, dtype=np.float64)
        projected: FloatArray = X @ self.coef_ + self.intercept_
        return projected

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the matrix [F, K] and the offset [K]."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class RidgeProjection(LinearProjection):
    """Ridge regression on standardised features.

    Args:
        alpha: Strength of the penalty, per row of X.
    """

    def __init__(self, alpha: float = 1e-4) -> None:
        self.alpha = alpha

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean, scale = _standards(x)
        model = Ridge(alpha=self.alpha * len(x)).fit((x - mean) / scale, y)
        weights = model.coef_.reshape(y.shape[1], -1).T / scale[:, None]
        return weights, np.atleast_1d(model.intercept_) - mean @ weights


class PlsProjection(LinearProjection):
    """Partial least squares: regression through the directions that vary together.

    Args:
        n_components: Directions at most; fewer where the data has fewer.
    """

    def __init__(self, n_components: int = 8) -> None:
        self.n_components = n_components

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        used, filled = x.std(axis=0) > _TINY, y.std(axis=0) > _TINY
        weights, offset = np.zeros((x.shape[1], y.shape[1])), y.mean(axis=0)
        if used.any() and filled.any():
            limit = int(min(self.n_components, used.sum(), len(x) - 1))
            model = PLSRegression(n_components=max(1, limit), max_iter=1000).fit(x[:, used], y[:, filled])
            weights[np.ix_(used, filled)] = model.coef_.T
            offset[filled] -= x[:, used].mean(axis=0) @ model.coef_.T
        return weights, offset


class CcaProjection(LinearProjection):
    """Canonical correlations: Y is predicted through the pairs of directions that correlate most.

    Args:
        n_components: Pairs at most.
        shrinkage: Share of the mean variance added to the diagonal of both covariances.
    """

    def __init__(self, n_components: int = 8, shrinkage: float = 1e-4) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
        x_out, _ = _whitening(x - x_mean, self.shrinkage)
        y_out, y_back = _whitening(y - y_mean, self.shrinkage)
        cross = ((x - x_mean) @ x_out).T @ ((y - y_mean) @ y_out) / len(x)
        left, correlation, right = np.linalg.svd(cross, full_matrices=False)
        kept = slice(0, self.n_components)
        weights = x_out @ (left[:, kept] * correlation[kept]) @ right[kept] @ y_back
        return weights, y_mean - x_mean @ weights


class ProcrustesProjection(LinearProjection):
    """The best rotation between both sides, each whitened and reduced to their common number of directions."""

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
        x_out, _ = _principal(x - x_mean)
        y_out, y_back = _principal(y - y_mean)
        both = min(x_out.shape[1], y_out.shape[1])
        left, right = (x - x_mean) @ x_out[:, :both], (y - y_mean) @ y_out[:, :both]
        rotation, strength = scipy.linalg.orthogonal_procrustes(left, right)
        weights = x_out[:, :both] @ rotation @ y_back[:both] * min(1.0, strength / (len(x) * both))
        return weights, y_mean - x_mean @ weights


class MomentProjection(LinearProjection):
    """Matches mean and covariance along principal directions, the strongest of X onto the strongest of Y.

    Signs are chosen so that both sides are skewed the same way. Rows of X and y need not be pairs.
    """

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
        x_out, _ = _principal(x - x_mean)
        y_out, y_back = _principal(y - y_mean)
        both = min(x_out.shape[1], y_out.shape[1])
        skew = [
            (((side - m) @ out[:, :both]) ** 3).mean(axis=0)
            for side, m, out in ((x, x_mean, x_out), (y, y_mean, y_out))
        ]
        sign = np.where(skew[0] * skew[1] < 0, -1.0, 1.0)
        weights = (x_out[:, :both] * sign) @ y_back[:both]
        return weights, y_mean - x_mean @ weights


class TransportProjection(LinearProjection):
    """Optimal transport: rows of X are assigned to rows of y at least cost, the map is refitted, and again.

    Starts from moment matching. Rows of X and y need not be pairs.

    Args:
        rounds: Assignments.
        rows: Rows of each side that take part, evenly spaced.
        alpha: Penalty of the refits, as in ridge regression.
    """

    def __init__(self, rounds: int = 5, rows: int = 400, alpha: float = 1e-2) -> None:
        self.rounds = rounds
        self.rows = rows
        self.alpha = alpha

    def _learn(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        weights, offset = MomentProjection()._learn(x, y)
        chosen = np.unique(np.linspace(0, len(x) - 1, self.rows).astype(int))
        few, many = x[chosen], y[chosen]
        scale = _standards(many)[1]
        for _ in range(self.rounds):
            cost = scipy.spatial.distance.cdist((few @ weights + offset) / scale, many / scale, "sqeuclidean")
            _, partner = linear_sum_assignment(cost)
            weights, offset = RidgeProjection(self.alpha)._learn(few, many[partner])
        return weights, offset


def _standards(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation per column, 1 for a constant one."""
    deviation = x.std(axis=0)
    return x.mean(axis=0), np.where(deviation > _TINY, deviation, 1.0)


def _whitening(centred: FloatArray, shrinkage: float) -> tuple[FloatArray, FloatArray]:
    """Return the matrices that make the covariance the identity, and back."""
    covariance = centred.T @ centred / len(centred)
    covariance += np.eye(len(covariance)) * (shrinkage * np.trace(covariance) / len(covariance) + _TINY)
    values, vectors = np.linalg.eigh(covariance)
    root = np.sqrt(np.maximum(values, _TINY))
    return vectors / root @ vectors.T, vectors * root @ vectors.T


def _principal(centred: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrices to principal directions of unit variance, strongest first, and back; dull ones left out."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = np.argsort(-values, kind="stable")[: max(1, int((values > 1e-8 * max(values.max(), _TINY)).sum()))]
    root = np.sqrt(np.maximum(values[kept], _TINY))
    return vectors[:, kept] / root, (vectors[:, kept] * root).T


METHODS: Final[dict[str, type[LinearProjection]]] = {
    "ridge": RidgeProjection,
    "pls": PlsProjection,
    "cca": CcaProjection,
    "procrustes": ProcrustesProjection,
    "moments": MomentProjection,
    "transport": TransportProjection,
}
"""Name -> projection."""
UNPAIRED: Final = ("moments", "transport")
"""Methods that use no pairs: they are fitted to rows seen in the SOC simulator."""


class Choice(NamedTuple):
    """The projection that was chosen, and how every candidate did."""

    method: str
    coef: FloatArray  # [F, K]
    intercept: FloatArray  # [K]
    scores: dict[str, float]  # method -> weighted mean of the held-out R^2
    fields: dict[str, list[float]]  # method -> held-out R^2 per term


def explained(truth: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return R^2 per column [K], not below -1; a constant column counts as 1 if it is met and as 0 if not."""
    residual = ((truth - predicted) ** 2).mean(axis=0)
    variance = truth.var(axis=0)
    constant = variance <= _TINY
    ratio = 1.0 - residual / np.where(constant, 1.0, variance)
    score: FloatArray = np.where(constant, residual <= _TINY, np.maximum(ratio, -1.0)).astype(np.float64)
    return score


def choose(
    fit: tuple[Array, Array],
    held_out: tuple[Array, Array],
    foreign: Array,
    weights: Array,
    methods: tuple[str, ...] = (),
) -> Choice:
    """Fit every method and keep the one that explains most of the held-out targets.

    Args:
        fit: X [n, F] and Y [n, K] to learn from, row by row.
        held_out: The same of other episodes, to choose by.
        foreign: [m, K] rows of the SOC simulator, from which the unpaired methods learn in the place of Y.
        weights: [K] weight of each term in the criterion, the weighted mean of R^2.
        methods: Names in :data:`METHODS`; all if empty.

    Raises:
        ValueError: If a method is unknown or shapes do not fit.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise ValueError(f"unknown projection {unknown[0]!r}; known: {', '.join(METHODS)}")
    scores, fields, fitted = {}, {}, {}
    for name in methods or tuple(METHODS):
        x, y = fit
        if name in UNPAIRED:
            count = min(len(x), len(foreign))
            x, y = (rows[np.linspace(0, len(rows) - 1, count).astype(int)] for rows in (x, foreign))
        model = METHODS[name]().fit(x, y)
        by_field = explained(np.asarray(held_out[1], np.float64), model.transform(held_out[0]))
        scores[name] = float(np.average(by_field, weights=weights))
        fields[name] = [float(value) for value in by_field]
        fitted[name] = model
    best = max(scores, key=lambda name: scores[name])
    return Choice(best, fitted[best].coef_, fitted[best].intercept_, scores, fields)
