"""What an environment declares of its time limit, and what a learner makes of the flags of a step."""

import numpy as np
import pytest

import cage4
from native_sim import make_vec
from native_sim.api import HasLayouts, HasMetrics, HasTrueState, split_ends, time_limit_end_of
from tests.builders.walking import WalkingEnv

GOES_ON, FINAL, CUT, BOTH = (False, False), (True, False), (False, True), (True, True)


def flags(*rows):
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


@pytest.mark.parametrize(
    ("declared", "rows", "final", "interrupted"),
    [
        ("truncated", (GOES_ON, FINAL, CUT), [False, True, False], [False, False, True]),
        ("terminated", (GOES_ON, FINAL), [False, True], [False, False]),
        ("both", (GOES_ON, FINAL, BOTH), [False, True, True], [False, False, False]),
    ],
)
def test_only_a_declared_truncation_is_an_interruption(declared, rows, final, interrupted):
    ends = split_ends(declared, *flags(*rows))
    assert ends.final.tolist() == final and ends.interrupted.tolist() == interrupted


@pytest.mark.parametrize(
    ("declared", "row"), [("truncated", BOTH), ("terminated", CUT), ("terminated", BOTH), ("both", CUT)]
)
def test_flags_that_contradict_the_declaration_are_refused(declared, row):
    with pytest.raises(ValueError, match=f"environment 1 of this step is .* declare 'time_limit_end' as '{declared}'"):
        split_ends(declared, *flags(GOES_ON, row))


def test_without_a_declaration_it_is_gymnasiums_meaning():
    assert time_limit_end_of({}) == "truncated"
    with pytest.raises(ValueError, match="must be one of 'terminated', 'truncated', 'both'; it is 'never'"):
        time_limit_end_of({"time_limit_end": "never"})


def test_abilities_are_asked_for_by_protocol():
    soc, cc4, plain = make_vec(), cage4.vector_env("native", steps=5), WalkingEnv(1)
    assert [isinstance(env, HasLayouts) for env in (soc, cc4, plain)] == [True, False, False]
    assert [isinstance(env, HasMetrics) for env in (soc, cc4, plain)] == [True, False, False]
    assert [isinstance(env, HasTrueState) for env in (soc, cc4, plain)] == [False, True, False]
