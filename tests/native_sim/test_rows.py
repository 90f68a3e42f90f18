"""Rows and seeds are checked once for all vector environments; every refusal is one sentence."""

import numpy as np
import pytest

from native_sim import rows


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([3], r"rows must lie in 0 to 2; given \[3\]"),
        ([-1], r"0 to 2; given \[-1\]"),
        ([1, 1], "must not repeat"),
        ([True, False], "list of integers"),
        ([0.5], "list of integers"),
        ([[0, 1]], "list of integers"),
        (1, "list of integers"),
    ],
)
def test_bad_rows(given, told):
    with pytest.raises(ValueError, match=told) as caught:
        rows.check_rows(given, 3)
    assert "\n" not in str(caught.value)


def test_good_rows():
    for given, expected in ((None, [0, 1, 2]), ([2, 0], [2, 0]), ([], []), (np.array([1], np.uint8), [1])):
        checked = rows.check_rows(given, 3)
        assert checked.tolist() == expected and checked.dtype == np.int64


@pytest.mark.parametrize("bad", [-1, True, np.True_, 1.5, "12", [1, 2, 3], [1, -2], [1, 2.0]])
def test_bad_seeds(bad):
    with pytest.raises(ValueError, match="seed"):
        rows.check_seeds(bad, 2)


def test_good_seeds_and_their_limit():
    assert rows.check_seeds(None, 2) == [None, None]
    assert rows.check_seeds(np.int64(7), 3) == [7, 8, 9]
    assert rows.check_seeds([2**70, None], 2) == [2**70, None]
    assert rows.check_seeds(7, 0) == []
    assert rows.check_seeds(9, 2, max_seed=10) == [9, 10]
    for beyond in (10, [0, 11], -1):
        with pytest.raises(ValueError, match="seeds must lie in 0 to 10"):
            rows.check_seeds(beyond, 2, max_seed=10)
    with pytest.raises(ValueError, match="non-negative"):
        rows.check_seeds(-1, 0)


def test_rows_to_reset():
    mask = np.array([True, False, True])
    assert rows.check_reset_rows(None, {"reset_mask": mask}, 3).tolist() == [0, 2]
    assert rows.check_reset_rows([1], {}, 3).tolist() == [1]
    for given, options, told in (
        ([1], {"reset_mask": mask}, "not by both"),
        (None, {"reset_mask": mask.astype(int)}, "bool array"),
        (None, {"reset_mask": mask[:2]}, "bool array"),
        (None, {"mask": mask}, "only the option 'reset_mask'"),
    ):
        with pytest.raises(ValueError, match=told):
            rows.check_reset_rows(given, options, 3)


def test_rows_that_cannot_be_stepped():
    started, finished = np.array([True, True, False]), np.array([False, True, False])
    rows.check_playing(started, finished, np.array([0]))
    with pytest.raises(ValueError, match=r"rows \[1\] are over"):
        rows.check_playing(started, finished, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"rows \[2\] have not been reset"):
        rows.check_playing(started, finished, np.array([0, 2]))
