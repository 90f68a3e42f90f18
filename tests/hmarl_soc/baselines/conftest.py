"""Toy tasks with known answers, played through the same contract as the simulators."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from hmarl_soc.interface import Agent, Interface, make_layout
from hmarl_soc.learner import Seen, Transition


class Agents(NamedTuple):
    """Sizes of a toy: agent -> (numbers observed, actions, discrete)."""

    sizes: dict
    state: int = 0

    def interface(self):
        return Interface(
            tuple(
                Agent(name, make_layout(name, {"all": (seen,)}), actions, discrete)
                for name, (seen, actions, discrete) in self.sizes.items()
            ),
            self.state,
        )


class Toy:
    """E rows of a game; subclasses say what is shown and what an action earns. ``context`` [E] is all there is."""

    agents: Agents
    num_envs = 32

    def __init__(self, seed=0):
        self.generator = np.random.default_rng(seed)
        self.rows = np.arange(self.num_envs)
        self.context = np.zeros(self.num_envs, int)
        self.restart(np.ones(self.num_envs, bool))

    def interface(self):
        return self.agents.interface()

    def restart(self, rows):
        self.context[rows] = 0

    def masks(self):
        return {name: np.ones((self.num_envs, actions), np.int8) for name, (_, actions, _) in self.agents.sizes.items()}

    def state(self):
        return None

    def seen(self):
        return Seen(self.rows, self.observations(), self.masks(), self.state())

    def step(self, actions):
        before = self.seen()
        rewards, terminated, truncated = self.play(actions)
        step = Transition(before, actions, rewards, self.seen(), terminated, truncated, {})
        self.restart(terminated | truncated)
        return step

    def never(self):
        return np.zeros(self.num_envs, bool)


class Bandit(Toy):
    """One step: ``picks`` must take the allowed action nearest to the context, ``aims`` must point where it is told.

    The best answer earns 2 in every context; the mask forbids a third of the choices.
    """

    agents = Agents({"picks": (3, 3, True), "aims": (1, 2, False)})

    def restart(self, rows):
        self.context[rows] = self.generator.integers(3, size=rows.sum())

    def masks(self):
        allowed = np.ones((self.num_envs, 3), np.int8)
        allowed[self.rows, (self.context + 1) % 3] = 0
        return {"picks": allowed, "aims": np.ones((self.num_envs, 2), np.int8)}

    def observations(self):
        return {"picks": np.eye(3, dtype=np.float32)[self.context], "aims": self.sign()[:, None].astype(np.float32)}

    def sign(self):
        return np.where(self.context == 0, 1.0, -1.0)

    def play(self, actions):
        assert self.masks()["picks"][self.rows, actions["picks"]].all(), "a forbidden action was taken"
        picked = actions["picks"] == self.context
        aimed = actions["aims"][:, 0] * self.sign() - np.abs(actions["aims"][:, 1])
        return picked + aimed, ~self.never(), self.never()


class Chain(Toy):
    """Noise to see: going on earns 1, leaving earns 3 and ends. The time limit of 2 steps is no end.

    With discount 0.8 going on is worth 5; who takes the time limit for an end sees at most 1.8, and leaves.
    """

    agents = Agents({"walks": (1, 2, True)})

    def observations(self):
        return {"walks": self.generator.choice([-1.0, 1.0], (self.num_envs, 1))}

    def play(self, actions):
        leaves = actions["walks"] == 1
        self.context += 1
        return np.where(leaves, 3.0, 1.0), leaves, ~leaves & (self.context >= 2)


class Matching(Toy):
    """One step, two agents of the same sizes: both 2 earns 2, both 0 earns 1, everything else nothing."""

    agents = Agents({"left": (1, 3, True), "right": (1, 3, True)})

    def observations(self):
        return {name: np.ones((self.num_envs, 1), np.float32) for name in self.agents.sizes}

    def play(self, actions):
        same = actions["left"] == actions["right"]
        return same * np.array([1.0, 0.0, 2.0])[actions["left"]], ~self.never(), self.never()


class TwoSteps(Toy):
    """The two-step game of the QMIX paper: the first move of ``left`` chooses between a sure 7 and a game for 8.

    In the game the team earns 0 for (0, 0), 1 if they differ and 8 for (1, 1). Against a partner who moves at random,
    1 is worth 4.5, so independent learners who explore at random take the sure 7; a mixer that sees the state gets 8.
    """

    agents = Agents({"left": (3, 2, True), "right": (3, 2, True)}, state=3)

    def observations(self):
        return {name: np.eye(3, dtype=np.float32)[self.context] for name in self.agents.sizes}

    def state(self):
        return np.eye(3, dtype=np.float32)[self.context]

    def play(self, actions):
        first = self.context == 0
        both = actions["left"] + actions["right"]
        rewards = np.where(self.context == 1, 7.0, np.array([0.0, 1.0, 8.0])[both]) * ~first
        self.context = np.where(first, 1 + actions["left"], self.context)
        return rewards, ~first, self.never()


TOYS = {"bandit": Bandit, "chain": Chain, "matching": Matching, "two-steps": TwoSteps}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_toy():
    return lambda name, seed=0: TOYS[name](seed)


@pytest.fixture
def learn():
    """Play and learn for some steps of all rows."""

    def run(learner, toy, steps):
        for _ in range(steps):
            learner.observe(toy.step(learner.act(toy.seen())))
            learner.update()

    return run


@pytest.fixture
def score():
    """Mean return of the greedy policy, over rows that end within ``steps``."""

    def run(learner, toy, steps=1):
        policy = learner.policy()
        total = np.zeros(toy.num_envs)
        for _ in range(steps):
            seen = toy.seen()
            draws = np.zeros((toy.num_envs, len(toy.agents.sizes), 0))
            total += toy.step(policy.act(seen.observations, seen.masks, None, draws).actions).rewards
        return total.mean()

    return run
