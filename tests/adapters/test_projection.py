import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from adapters.projection import METHODS, UNPAIRED, RidgeProjection, choose, explained


@pytest.fixture
def pairs():
    """X [n, 6] with correlated columns, and Y [n, 3], an exact linear map of it."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 6)) @ generator.normal(size=(6, 6)) + 3.0
    truth = generator.normal(size=(6, 3))
    return x, x @ truth - 1.0


@pytest.mark.parametrize("method", METHODS)
def test_projections_keep_the_conventions_of_scikit_learn(method):
    check_estimator(METHODS[method]())


@pytest.mark.parametrize("method", ["ridge", "pls", "cca"])
def test_paired_methods_recover_a_known_linear_map(method, pairs):
    x, y = pairs
    model = METHODS[method]().fit(x[:1500], y[:1500])
    assert np.allclose(model.transform(x[1500:]), y[1500:], atol=0.05 * y.std())


def test_procrustes_recovers_a_rotation():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 4)) * [4.0, 3.0, 2.0, 1.0]
    rotation = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    y = x @ rotation
    assert explained(y, METHODS["procrustes"]().fit(x, y).transform(x)).min() > 0.99


@pytest.mark.parametrize("method", UNPAIRED)
def test_unpaired_methods_need_no_pairs_and_match_the_distribution(method, pairs):
    x, y = pairs
    shuffled = np.random.default_rng(1).permutation(y)
    model = METHODS[method]().fit(x, shuffled)
    projected = model.transform(x)
    assert np.allclose(projected.mean(axis=0), y.mean(axis=0), atol=0.3 * y.std())
    assert np.allclose(projected.std(axis=0), y.std(axis=0), rtol=0.35)


def test_moments_find_a_rotation_without_pairs_from_its_skewed_directions():
    generator = np.random.default_rng(0)
    x = (generator.exponential(size=(6000, 3)) - 1.0) * [4.0, 2.0, 1.0]
    y = x @ np.linalg.qr(generator.normal(size=(3, 3)))[0] + 5.0
    model = METHODS["moments"]().fit(x, generator.permutation(y))
    assert explained(y, model.transform(x)).min() > 0.95


def test_the_choice_is_what_explains_the_held_out_rows_best(pairs):
    x, y = pairs
    choice = choose((x[:1500], y[:1500]), (x[1500:], y[1500:]), y, np.ones(3))
    assert choice.scores[choice.method] == max(choice.scores.values())
    assert choice.method not in UNPAIRED
    assert np.allclose(x @ choice.coef + choice.intercept, y, atol=0.05 * y.std())


def test_unpaired_methods_learn_from_foreign_rows_only(pairs):
    x, y = pairs
    first, second = (
        choose((x, y), (x, y), foreign, np.ones(3), ("moments",)) for foreign in (y, np.zeros_like(y) + 7.0)
    )
    assert not np.allclose(first.intercept, second.intercept)
    assert np.allclose(x @ second.coef + second.intercept, 7.0, atol=1e-3)


def test_weights_decide_which_terms_count(pairs):
    x, y = pairs
    noise = np.random.default_rng(2).normal(size=(len(x), 1))
    y = np.concatenate([y[:, :1], noise], axis=1)
    both = choose((x, y), (x, y), y, np.ones(2), ("ridge",))
    first = choose((x, y), (x, y), y, np.array([1.0, 0.0]), ("ridge",))
    assert both.scores["ridge"] < 0.6 < 0.99 < first.scores["ridge"]


def test_a_constant_term_counts_only_if_it_is_met():
    truth = np.ones((10, 2))
    assert explained(truth, np.stack([np.ones(10), np.full(10, 2.0)], axis=1)).tolist() == [1.0, 0.0]


def test_bad_input_is_refused(pairs):
    x, y = pairs
    with pytest.raises(ValueError, match="features"):
        RidgeProjection().fit(x, y).transform(x[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        RidgeProjection().fit(np.where(x > 3, np.nan, x), y)
    with pytest.raises(ValueError, match="unknown projection 'magic'; known: ridge"):
        choose((x, y), (x, y), y, np.ones(3), ("magic",))
