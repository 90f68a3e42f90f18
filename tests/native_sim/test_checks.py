"""The checker of the contract passes who keeps it, and catches who breaks it, above all where episodes end."""

import numpy as np
import pytest

from native_sim import check_vector_env
from native_sim.rows import check_rows
from tests.builders.walking import WalkingEnv


@pytest.mark.parametrize("ends", ["truncated", "terminated", "both"])
def test_an_environment_from_outside_passes(ends):
    check_vector_env(lambda count: WalkingEnv(count, ends=ends), steps=20)


class BothFlags(WalkingEnv):
    def flagged(self, rows, falls, limit):
        return super().flagged(rows, falls, limit)._replace(terminations=falls | limit, truncations=limit)


class OneFlag(BothFlags):
    def __init__(self, count):
        super().__init__(count, ends="both")

    def flagged(self, rows, falls, limit):
        return super().flagged(rows, falls, limit)._replace(terminations=falls)


class Undeclared(WalkingEnv):
    def __init__(self, count):
        super().__init__(count, ends="sometimes")


class NumbersAsFlags(WalkingEnv):
    def flagged(self, rows, falls, limit):
        batch = super().flagged(rows, falls, limit)
        return batch._replace(terminations=batch.terminations.astype(int))


class PlaysOn(WalkingEnv):
    def flagged(self, rows, falls, limit):
        self.finished[rows] = False
        return super().flagged(rows, falls, limit)


class MovesWhenRefusing(WalkingEnv):
    def step(self, actions, messages=None, rows=None):
        if self.finished.any():
            self.places += 1.0
        return super().step(actions, messages, rows)


class DrawsWhenRefusing(WalkingEnv):
    def step(self, actions, messages=None, rows=None):
        if self.finished.any():
            for generator in self.generators:
                generator.normal()
        return super().step(actions, messages, rows)


class RemembersEpisodes(WalkingEnv):
    def __init__(self, count):
        super().__init__(count)
        self.tired = np.zeros(count)

    def flagged(self, rows, falls, limit):
        batch = super().flagged(rows, falls, limit)
        rewards = batch.rewards - self.tired[rows]
        self.tired[rows] += falls | limit
        return batch._replace(rewards=rewards)


class NeverEnds(WalkingEnv):
    def __init__(self, count):
        super().__init__(count, length=10**9, goal=np.inf)


class AllOrNone(WalkingEnv):
    def reset(self, *, seed=None, rows=None, options=None):
        if rows is not None and not self.started.all():
            raise AssertionError("all rows must begin together")
        return super().reset(seed=seed, rows=rows, options=options)


class Crashes(WalkingEnv):
    def step(self, actions, messages=None, rows=None):
        check_rows(rows, self.num_envs)
        return super().step({name: actions[name] for name in self.agents}, messages, rows)


class TimeOfAll(WalkingEnv):
    """The clock runs for all rows when one of them is reset."""

    def reset(self, *, seed=None, rows=None, options=None):
        result = super().reset(seed=seed, rows=rows, options=options)
        self.time[:] = 0
        return result


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (BothFlags, "both terminated and truncated"),
        (OneFlag, "truncated only"),
        (Undeclared, "must be one of"),
        (NumbersAsFlags, "must be .E. bool"),
        (PlaysOn, "whose episode is over must be refused"),
        (MovesWhenRefusing, "must change nothing"),
        (DrawsWhenRefusing, "must change nothing|the same next episode"),
        (RemembersEpisodes, "two resets with one seed|episodes? .*before"),
        (NeverEnds, "no episode ended within 50 steps"),
        (AllOrNone, "begin together"),
        (TimeOfAll, "must not depend on the others"),
        (Crashes, "must be refused with ValueError; it raised KeyError"),
    ],
)
def test_who_breaks_the_contract_is_caught(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_vector_env(broken, steps=20, longest=50)


def test_every_environment_made_is_closed():
    made = []

    def make(count):
        made.append(WalkingEnv(count))
        return made[-1]

    check_vector_env(make)
    assert len(made) > 5 and all(env.closed for env in made)


def test_a_sampler_of_ones_own_is_asked():
    asked = []

    def sample(env, observations, masks, rng):
        count = len(masks["left"])
        assert all(len(part["right"]) == count for part in (observations, masks))
        asked.append(count)
        return {name: rng.integers(0, 3, count) for name in env.agents}

    check_vector_env(WalkingEnv, num_envs=3, sample=sample)
    assert set(asked) >= {1, 3}
