"""The average of weights: known answers, a bounded window, and a trainer that validates, saves and resumes it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmarl_soc.nn.averaging import Average
from tests.builders.toys import Repeat


def averaged(values, limit):
    average = Average(limit)
    for value in values:
        average.add({"w": np.array([value])})
    return average.arrays({"w": np.zeros(1)})["w"][0]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(1.0, 50.0))
def test_an_average_lies_between_what_it_is_made_of_and_keeps_a_constant(values, limit):
    found = averaged(values, limit)
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9
    assert averaged([values[0]] * len(values), limit) == pytest.approx(values[0])


def test_a_window_of_one_keeps_the_newest_and_a_long_one_forgets_the_beginning():
    assert averaged([5.0, 7.0, -3.0], 1) == -3.0
    late = [1000.0] * 20 + [0.0] * 180  # made before inputs were scaled, say
    assert 0.0 < averaged(late, 1e9) < 1000.0 * (20 / 180) ** 5  # the window is a fifth of what was taken in


def test_a_long_run_is_averaged_exponentially():
    values = np.random.default_rng(0).normal(size=400)
    weights = 0.1 * 0.9 ** np.arange(400)[::-1]
    assert averaged(values, 10) == pytest.approx((weights * values).sum(), abs=1e-9)


def test_types_are_those_asked_for_and_what_was_taken_in_may_change():
    average, given = Average(10), {"a": np.ones(3, np.float32), "n": np.array([4], np.int64)}
    average.add(given)
    given["a"][:] = 9.0
    found = average.arrays(given)
    assert found["a"].dtype == np.float32 and (found["a"] == 1.0).all() and found["n"].dtype == np.int64
    found["a"][:] = 7.0
    assert (average.arrays(given)["a"] == 1.0).all()


def test_it_goes_on_from_its_state_through_json():
    generator = np.random.default_rng(1)
    values = [{"w": generator.normal(size=5)} for _ in range(30)]
    whole, first = Average(7.5), Average(7.5)
    for value in values:
        whole.add(value)
    for value in values[:11]:
        first.add(value)
    state = json.loads(json.dumps(first.state_dict(), default=lambda array: array.tolist()))
    second = Average(7.5)
    second.load_state_dict(state)
    for value in values[11:]:
        second.add(value)
    assert np.array_equal(second.arrays(values[0])["w"], whole.arrays(values[0])["w"])


def test_a_policy_takes_other_weights():
    policy = Repeat({"a": 0.25}).with_weights({"a": np.array(0.75)})
    assert policy.actions["a"] == 0.75
