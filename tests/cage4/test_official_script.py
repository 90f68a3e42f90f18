"""CybORG's own judge and our scoring rule give the same number for the same submission."""

import importlib
import json
import statistics

import numpy as np
import pytest

from cage4 import score, spec
from cage4.cyborg import engine as cyborg_engine

SEED, EPISODES = 4321, 2


class Rotating:
    """Steps through the action space, from a place of its own, whatever it sees."""

    def __init__(self, start):
        self.next = start

    def get_action(self, observation, action_space):
        self.next = (self.next + 1) % action_space.n
        return self.next


def agents():
    return {name: Rotating(17 * number) for number, name in enumerate(spec.BLUE_AGENTS)}


@pytest.mark.cyborg
@pytest.mark.slow
def test_the_judge_gives_the_same_number(tmp_path):
    names = cyborg_engine.load_cyborg()
    judge = importlib.import_module("CybORG.Evaluation.evaluation")

    class Submission:
        NAME, TEAM, TECHNIQUE = "test", "test", "rotation"
        AGENTS = agents()

        def wrap(env):
            return names.BlueFlatWrapper(env)

    judge.run_evaluation(Submission, str(tmp_path), max_eps=EPISODES, seed=SEED)
    official = json.loads((tmp_path / "summary.json").read_text())["reward"]

    game = cyborg_engine.CyborgEpisode("base", 500, SEED)
    players, totals = agents(), []
    for _ in range(EPISODES):
        frame, rewards = game.reset(), []
        while not frame.done:
            chosen = {
                name: player.get_action(frame.observations[name], game.wrapper.action_space(name))
                for name, player in players.items()
            }
            frame = game.step(chosen)
            rewards.append(frame.reward)
        totals.append(score.official_score(np.array(rewards)).score)
    assert statistics.mean(totals) == pytest.approx(official["mean"], abs=1e-9)
    assert statistics.stdev(totals) == pytest.approx(official["stdev"], abs=1e-9)
    assert official["mean"] < -100
