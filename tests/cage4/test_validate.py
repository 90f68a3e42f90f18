"""Bad input is refused in one sentence that says what was given and what is allowed."""

import re

import numpy as np
import pytest

from cage4 import spec, validate
from cage4.observations.spaces import action_sizes
from cage4.variants import Variant

SIZES = action_sizes()


def actions(rows=2, **changes):
    given = {agent: np.zeros(rows, np.int64) for agent in spec.BLUE_AGENTS}
    return {**given, **changes}


def refused(message, call, *arguments):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


def test_valid_actions_become_one_matrix_in_agent_order():
    given = {agent: np.array([number, 10 + number], np.int8) for number, agent in enumerate(spec.BLUE_AGENTS)}
    matrix = validate.check_actions(dict(reversed(given.items())), SIZES, 2)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_every_integer_dtype_and_plain_lists_are_accepted(dtype):
    assert validate.check_actions(actions(blue_agent_0=np.array([1, 81], dtype)), SIZES, 2)[1, 0] == 81
    assert validate.check_actions(actions(blue_agent_0=[1, 81]), SIZES, 2)[1, 0] == 81


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blue_agent_1": np.zeros(3, np.int64)}, "blue_agent_1 must have shape (2,); given (3,)"),
        ({"blue_agent_1": np.zeros((2, 1), np.int64)}, "must have shape (2,)"),
        ({"blue_agent_1": 3}, "must have shape (2,); given ()"),
        ({"blue_agent_2": np.zeros(2)}, "must be integers; given float64"),
        ({"blue_agent_2": np.zeros(2, bool)}, "must be integers; given bool"),
        ({"blue_agent_2": ["a", "b"]}, "must be integers"),
        ({"blue_agent_3": np.array([0, 82])}, "blue_agent_3 must lie in 0 to 81; given 0 to 82"),
        ({"blue_agent_3": np.array([-1, 0])}, "must lie in 0 to 81; given -1 to 0"),
        ({"blue_agent_4": np.array([0, 242])}, "must lie in 0 to 241"),
        ({"red_agent_0": np.zeros(2, np.int64)}, "unknown agents red_agent_0; the agents are blue_agent_0 to"),
        ({"blue_agent_4": np.array([2**64 - 1, 0], np.uint64)}, "must lie in 0 to 241"),
    ],
)
def test_bad_actions(changes, message):
    refused(message, validate.check_actions, actions(**changes), SIZES, 2)


def test_missing_agents_and_wrong_containers():
    given = actions()
    del given["blue_agent_2"]
    refused("missing for blue_agent_2", validate.check_actions, given, SIZES, 2)
    refused("must map each blue agent", validate.check_actions, np.zeros((2, 5)), SIZES, 2)


def test_padding_widens_what_is_allowed():
    given = actions(blue_agent_0=np.array([0, 241]))
    assert validate.check_actions(given, action_sizes(pad_spaces=True), 2)[1, 0] == 241
    refused("must lie in 0 to 81", validate.check_actions, given, SIZES, 2)


def test_no_rows_need_no_actions():
    assert validate.check_actions(actions(0), SIZES, 0).shape == (0, 5)


def test_messages():
    assert validate.check_messages(None, 2) is None
    bits = np.random.default_rng(0).integers(0, 2, (2, 5, 8))
    for given in (bits, bits.astype(bool), bits.astype(float), bits.astype(np.uint8)):
        checked = validate.check_messages(given, 2)
        assert checked.dtype == np.int8 and (checked == bits).all()
    refused("must have shape (2, 5, 8)", validate.check_messages, bits[0], 2)
    refused("must have shape (3, 5, 8)", validate.check_messages, bits, 3)
    refused("0 and 1 only", validate.check_messages, bits * 2 + 1, 2)
    refused("0 and 1 only", validate.check_messages, np.full((2, 5, 8), np.nan), 2)
    refused("0 and 1 only", validate.check_messages, np.full((2, 5, 8), "1"), 2)


def test_checked_messages_are_a_copy():
    given = np.zeros((1, 5, 8), np.int8)
    validate.check_messages(given, 1)[0, 0, 0] = 1
    assert given.sum() == 0


def test_rows():
    assert validate.check_rows(None, 3).tolist() == [0, 1, 2]
    assert validate.check_rows([2, 0], 3).tolist() == [2, 0]
    assert validate.check_rows([], 3).tolist() == []
    refused("0 to 2; given [3]", validate.check_rows, [3], 3)
    refused("0 to 2; given [-1]", validate.check_rows, [-1], 3)
    refused("must not repeat", validate.check_rows, [1, 1], 3)
    refused("list of integers", validate.check_rows, [True, False, True], 3)
    refused("list of integers", validate.check_rows, [0.5], 3)
    refused("list of integers", validate.check_rows, 1, 3)


def test_reset_rows_by_gymnasiums_mask():
    mask = np.array([True, False, True])
    assert validate.check_reset_rows(None, {"reset_mask": mask}, 3).tolist() == [0, 2]
    assert validate.check_reset_rows([1], None, 3).tolist() == [1]
    assert validate.check_reset_rows(None, {}, 3).tolist() == [0, 1, 2]
    refused("not by both", validate.check_reset_rows, [1], {"reset_mask": mask}, 3)
    refused("bool array of shape (3,)", validate.check_reset_rows, None, {"reset_mask": mask[:2]}, 3)
    refused("bool array of shape (3,)", validate.check_reset_rows, None, {"reset_mask": mask.astype(int)}, 3)
    refused("only the option 'reset_mask'", validate.check_reset_rows, None, {"mask": mask}, 3)


def test_seeds():
    assert validate.check_seeds(None, 2) == [None, None]
    assert validate.check_seeds(7, 3) == [7, 8, 9]
    assert validate.check_seeds(np.int64(7), 2) == [7, 8]
    assert validate.check_seeds([5, None], 2) == [5, None]
    assert all(type(seed) is int for seed in validate.check_seeds(np.array([5, 6]), 2))
    refused("3 rows need 3 seeds; given 2", validate.check_seeds, [1, 2], 3)
    for bad in (-1, True, 1.5, "12"):
        with pytest.raises(ValueError, match="seed"):
            validate.check_seeds(bad, 2)
    refused("non-negative integer", validate.check_seeds, [1, -2], 2)


def test_scalars():
    assert validate.check_steps(np.int64(3)) == 3
    refused("at least 3", validate.check_steps, 2)
    refused("at least 3", validate.check_steps, 10.0)
    assert validate.check_num_envs(1) == 1
    refused("at least 1", validate.check_num_envs, 0)
    refused("at least 1", validate.check_num_envs, True)
    assert validate.check_action(np.array(7), "blue_agent_0", 82) == 7
    refused("must be an integer", validate.check_action, 7.0, "blue_agent_0", 82)
    refused("must be an integer", validate.check_action, True, "blue_agent_0", 82)
    refused("0 to 81; given 82", validate.check_action, 82, "blue_agent_0", 82)
    refused("0 to 81; given -1", validate.check_action, -1, "blue_agent_0", 82)


def test_variants():
    assert validate.check_variant("base") == Variant()
    custom = Variant(name="mine", phishing_rate=0.5)
    assert validate.check_variant(custom) is custom
    refused("unknown variant 'nothing'; known variants: base", validate.check_variant, "nothing")
    refused("given int", validate.check_variant, 3)


def test_rows_that_cannot_be_stepped():
    started, finished = np.array([True, True, False]), np.array([False, True, False])
    validate.check_playing(started, finished, np.array([0]))
    refused("rows [1] are over", validate.check_playing, started, finished, np.array([0, 1]))
    refused("rows [2] have not been reset", validate.check_playing, started, finished, np.array([0, 2]))
