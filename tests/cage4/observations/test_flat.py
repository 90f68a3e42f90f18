"""The observation codec: exact inverse, documented positions, padding after the messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cage4 import spec
from cage4.observations import flat as observation


def random_vector(agent, seed, lead=(), pad=False):
    generator = np.random.default_rng(seed)
    vector = generator.integers(0, 2, (*lead, spec.OBSERVATION_SIZES[agent]))
    vector[..., 0] = generator.integers(0, 3, lead)
    if pad:
        width = [(0, 0)] * len(lead) + [(0, spec.MAX_OBSERVATION - vector.shape[-1])]
        vector = np.pad(vector, width)
    return vector


@given(agent=st.integers(0, 4), seed=st.integers(0, 2**32), lead=st.sampled_from([(), (3,), (2, 4)]), pad=st.booleans())
def test_decode_and_encode_are_exact_inverses(agent, seed, lead, pad):
    vector = random_vector(agent, seed, lead, pad)
    again = observation.encode(agent, observation.decode(agent, vector), pad=pad)
    assert again.dtype == np.int64
    np.testing.assert_array_equal(again, vector)


def test_layout_covers_every_index_once():
    for agent in range(5):
        layout = observation.layout(agent)
        assert layout.size == spec.OBSERVATION_SIZES[agent]
        covered = np.zeros(layout.size, int)
        for field in layout:
            covered[field.slice] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize(
    ("agent", "name", "start"),
    [
        (0, "RZA.subnet", 1),
        (0, "RZA.blocked", 10),
        (0, "RZA.policy", 19),
        (0, "RZA.process", 28),
        (0, "RZA.connection", 44),
        (0, "messages", 60),
        (4, "ADM.subnet", 1),
        (4, "OFF.process", 87),
        (4, "PAZ.connection", 162),
        (4, "messages", 178),
    ],
)
def test_documented_positions(agent, name, start):
    assert observation.layout(agent)[name].start == start


def test_every_single_entry_lands_in_its_named_place():
    for agent in range(5):
        layout = observation.layout(agent)
        for index in range(layout.size):
            vector = np.zeros(layout.size, int)
            vector[index] = 1
            named = {name for name, value in layout.unpack(vector).items() if value.any()}
            decoded = observation.decode(agent, vector)
            ones = {name for name, value in decoded._asdict().items() if value.any()}
            assert {name.split(".")[-1] for name in named} == ones
            assert sum(value.sum() for value in decoded) == 1


def test_wrong_lengths_and_dirty_padding_are_refused():
    with pytest.raises(ValueError, match="has 92 entries"):
        observation.decode(0, np.zeros(91))
    with pytest.raises(ValueError, match="padding"):
        observation.decode(0, np.ones(210))
    with pytest.raises(ValueError, match="does not exist"):
        observation.layout(5)
    with pytest.raises(ValueError, match="1 subnet block"):
        observation.encode(0, observation.decode(4, np.zeros(210)))
