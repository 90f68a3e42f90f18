"""Runs a foreign process with a game of a few lines in the place of CybORG, so that submissions play without it.

In an episode every step costs what the actions say, and the first one also what the world of the seed costs.
"""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

CHILD = Path(__file__).resolve().parents[4] / "evaluation" / "foreign" / "inside" / "child.py"


class Controller:
    def __init__(self, steps):
        self.steps, self.step_count, self.done, self.world = steps, 0, False, 0
        self.actions_in_progress, self.reward = {}, {}
        self.state = SimpleNamespace(mission_phase=0)

    def reset(self, np_random=None):
        self.step_count, self.done, self.world = 0, False, int(np_random.integers(1000))

    def step(self, actions):
        price = sum(action.price for action in (actions or {}).values())
        self.reward = {"Blue": {"events": -float(price + self.world), "cost": 0.0}}
        self.world = 0
        self.step_count += 1
        self.done = self.step_count >= self.steps - 1


class Game:
    def __init__(self, variant, steps, seed):
        del variant
        self.cyborg = self
        self.np_random = np.random.default_rng(seed)
        self.environment_controller = Controller(steps)

    @property
    def reward_parts(self):
        parts = np.zeros((9, 3))
        parts[0, 0] = self.environment_controller.reward["Blue"]["events"]
        return parts

    def reset(self, seed=None):
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.environment_controller.reset(np_random=self.np_random)

    def parallel_step(self, actions=None, messages=None):
        del messages
        self.environment_controller.step(actions)


def main():
    spec = importlib.util.spec_from_file_location("child", CHILD)
    child = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child)
    work = child.work

    def with_stand_in(settings):
        before = sys.path[:]
        sys.path[:] = settings["path"]
        sys.meta_path.insert(0, child.OurFinder)
        import cage4.cyborg.engine

        cage4.cyborg.engine.CyborgEpisode = Game
        sys.meta_path.remove(child.OurFinder)
        sys.path[:] = before
        work(settings)

    child.work = with_stand_in
    child.main()


if __name__ == "__main__":
    main()
