"""The generator in plain integers against NumPy's own, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cage4.native import rng

CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("uniform"), st.just(0)),
        st.tuples(st.just("below"), st.integers(1, 2**32 - 1)),
        st.tuples(st.just("below"), st.integers(1, 300)),
        st.tuples(st.just("shuffle"), st.integers(0, 140)),
        st.tuples(st.just("weighted"), st.integers(1, 9)),
    ),
    max_size=60,
)


def _pair(seed: int) -> tuple[rng.RngRow, np.random.Generator]:
    return rng.seed_row(seed), np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**64), calls=CALLS)
def test_every_draw_and_the_state_after_it_equal_numpy(seed: int, calls: list[tuple[str, int]]) -> None:
    row, generator = _pair(seed)
    for kind, n in calls:
        if kind == "uniform":
            assert rng.uniform(row) == generator.random()
        elif kind == "below":
            assert rng.below(row, n) == generator.integers(0, n)
        elif kind == "shuffle":
            generator.shuffle(list(range(n)))
            rng.skip_shuffle(row, n)
        else:
            p = np.arange(1.0, n + 1) / np.arange(1.0, n + 1).sum()
            cdf = np.cumsum(p)
            assert rng.weighted(row, cdf / cdf[-1]) == generator.choice(n, p=p)
        assert rng.state_of_row(row) == generator.bit_generator.state


def test_choice_of_one_consumes_nothing() -> None:
    row, _ = _pair(3)
    before = row.copy()
    assert rng.below(row, 1) == 0
    rng.skip_shuffle(row, 1)
    rng.skip_shuffle(row, 0)
    assert (row == before).all()


def test_weighted_choice_of_one_consumes_a_double() -> None:
    row, generator = _pair(3)
    assert rng.weighted(row, np.array([1.0])) == 0
    generator.random()
    assert rng.state_of_row(row) == generator.bit_generator.state


def test_kept_half_survives_a_double() -> None:
    row, generator = _pair(4)
    for draw in (0, 1, 0):
        if draw:
            assert rng.uniform(row) == generator.random()
        else:
            assert rng.below(row, 7) == generator.integers(0, 7)
    assert rng.state_of_row(row) == generator.bit_generator.state


def test_rows_and_numpy_states_convert_both_ways() -> None:
    row, generator = _pair(5)
    rng.below(row, 9)
    assert (rng.row_of_state(rng.state_of_row(row)) == row).all()
    generator.integers(0, 9)
    assert (rng.row_of_state(generator.bit_generator.state) == row).all()


def test_no_seed_takes_entropy() -> None:
    assert not (rng.seed_row(None) == rng.seed_row(None)).all()


@pytest.mark.parametrize("n", [2**32 - 1, 2**31 + 1, 3 * 2**30])
def test_large_bounds_need_the_rejection_branch_and_get_it_right(n: int) -> None:
    row, generator = _pair(6)
    for _ in range(200):
        assert rng.below(row, n) == generator.integers(0, n)
    assert rng.state_of_row(row) == generator.bit_generator.state
