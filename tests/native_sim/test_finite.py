"""Numbers are finite wherever they come from."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from native_sim.finite import is_number, parse_float, refuse_constant


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.float64(1), np.int64(0), Fraction(1, 3)])
def test_numbers_in_a_range(value):
    assert is_number(value, 0.0, 1.0)
    assert is_number(value)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.float32("nan"), 10**400, "1", None, True, np.True_, [0.5], 1j]
)
def test_what_is_no_number(value):
    assert not is_number(value)
    assert not is_number(value, -math.inf, math.inf)


def test_the_ends_of_a_range():
    assert is_number(2**63 - 1, 0, 2**63 - 1) and not is_number(2**63, 0, 2**63 - 1)
    assert is_number(0, 0.0) and not is_number(0, 0.0, above=True) and not is_number(-1e-300, 0.0)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[1, -1e400]"])
def test_json_without_infinity(text):
    with pytest.raises(ValueError, match="is no finite number"):
        json.loads(text, parse_constant=refuse_constant, parse_float=parse_float)
