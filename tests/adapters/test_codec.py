import numpy as np
import pytest

from adapters.codec import Codec, fit_codec


def test_two_levels_are_recovered_and_survive_the_way():
    generator = np.random.default_rng(0)
    low, high = np.arange(8) / 10, np.arange(8) / 10 + 0.5
    values = np.where(generator.random((500, 8)) < 0.3, high, low)
    codec = fit_codec(values)
    assert np.allclose(codec.low, low) and np.allclose(codec.high, high)
    assert np.allclose(codec.decode(codec.encode(values)), values)


def test_a_bit_costs_no_more_than_the_mean_would():
    values = np.random.default_rng(1).exponential(size=(1000, 8))
    codec = fit_codec(values)
    error = ((codec.decode(codec.encode(values)) - values) ** 2).mean(axis=0)
    assert (error < values.var(axis=0)).all()


def test_a_constant_number_is_read_as_itself():
    codec = fit_codec(np.full((5, 8), 0.3))
    assert np.allclose(codec.decode(codec.encode(np.full(8, 0.3))), 0.3)


def test_bits_are_bits():
    bits = Codec(np.zeros(8), np.zeros(8), np.ones(8)).encode(np.linspace(-1, 1, 8))
    assert bits.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("values", [np.zeros((3, 7)), np.zeros((0, 8)), np.full((2, 8), np.nan), np.zeros(8)])
def test_other_samples_are_refused(values):
    with pytest.raises(ValueError, match="finite samples"):
        fit_codec(values)
