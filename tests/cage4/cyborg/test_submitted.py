"""A policy at the judge's calls: one decision per step, its own busy count, and what it may not ask for."""

import numpy as np
import pytest

from cage4 import actions, spec
from cage4.cyborg.submitted import Team
from cage4.spec import Verb
from native_sim.api import Decision, Policy

ANALYSE, RESTORE, MONITOR = (
    int(np.flatnonzero(actions.VERB[0] == verb)[0]) for verb in (Verb.ANALYSE, Verb.RESTORE, Verb.MONITOR)
)
ABSENT = ANALYSE + 1


class Scripted(Policy):
    """Agent 0 follows a list of indices, the others sleep; notes what it saw, says who is busy."""

    wants = ("busy", "phase")

    def __init__(self, moves):
        self.moves, self.busy, self.calls = moves, [], 0

    def initial_memory(self, num_envs):
        return np.zeros(num_envs, np.int64)

    def act(self, obs, mask, memory, draws):
        self.calls += 1
        self.busy.append(int(obs["busy"][0, 0]))
        chosen = {name: np.array([actions.SLEEP[i]]) for i, name in enumerate(spec.BLUE_AGENTS)}
        chosen["blue_agent_0"] = np.array([self.moves[int(memory[0])]])
        messages = np.zeros((1, 5, 8), np.int64)
        messages[0, :, 0] = memory[0] % 2
        return Decision(chosen, memory + 1, messages)


class Wrapper:
    """As much of BlueFlatWrapper as a team touches."""

    def __init__(self):
        self.heard = []

    def _observations(self):
        return {name: np.zeros(n, np.int64) for name, n in zip(spec.BLUE_AGENTS, spec.OBSERVATION_SIZES, strict=True)}

    def reset(self):
        infos = {
            name: {"action_mask": [index != ABSENT for index in range(n)]}
            for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)
        }
        return self._observations(), infos

    def step(self, actions, messages=None):
        self.heard.append((actions, messages))
        return self._observations(), {}, {}, {}, {}


def play(moves):
    policy = Scripted(moves)
    team = Team(policy)
    wrapper = team.join(Wrapper())
    wrapper.reset()
    for _ in moves:
        wrapper.step({name: team.action(name) for name in spec.BLUE_AGENTS})
    return policy, wrapper


def test_one_decision_serves_five_calls_and_memory_travels():
    policy, wrapper = play([ANALYSE, MONITOR, RESTORE])
    assert policy.calls == 3
    assert [heard["blue_agent_0"] for heard, _ in wrapper.heard] == [ANALYSE, MONITOR, RESTORE]
    assert [bool(said["blue_agent_3"][0]) for _, said in wrapper.heard] == [False, True, False]


def test_ticks_are_counted_as_the_judge_counts_them():
    sleep = actions.SLEEP[0]
    moves = [ANALYSE, sleep, RESTORE, ANALYSE, sleep, sleep, sleep, ABSENT, MONITOR, ANALYSE]
    policy, _ = play(moves)
    assert policy.busy == [0, 1, 0, 4, 3, 2, 1, 0, 0, 0]  # the Analyse submitted while Restore runs is dropped


def test_an_episode_starts_afresh():
    policy = Scripted([RESTORE, MONITOR])
    team = Team(policy)
    wrapper = team.join(Wrapper())
    for _ in range(2):
        wrapper.reset()
        wrapper.step({name: team.action(name) for name in spec.BLUE_AGENTS})
    assert policy.busy == [0, 0]
    assert [heard["blue_agent_0"] for heard, _ in wrapper.heard] == [RESTORE, RESTORE]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"draws_per_agent": 2}, "2 random draws per agent"), ({"wants": ("busy", "reward_parts")}, "'reward_parts'")],
)
def test_what_the_judge_cannot_give_is_refused(change, sentence):
    policy = Scripted([])
    for name, value in change.items():
        setattr(policy, name, value)
    with pytest.raises(ValueError, match=sentence):
        Team(policy)
