"""In a foreign process: one episode of a CC4 submission, which drives a CybORG of its own.

The harness hears what is being done before it is done, so that it knows what took too long, and at the end what the
episode brought. What that is worth is counted here from the inside of CybORG, and checked and scored by the harness.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from cage4 import spec
from cage4.spec import Verb
from cage4.variants import Variant
from evaluation.foreign import wire
from evaluation.foreign.inside.channel import Channel
from evaluation.foreign.inside.imports import settle
from evaluation.inputs.names import OURS

VERBS: Final = {verb.cyborg_name: verb for verb in Verb}
NEEDED: Final = ("NAME", "TEAM", "TECHNIQUE", "AGENTS", "wrap")
"""What a ``Submission`` must have."""
LOADING: Final = "loading"
"""What is being done while the submission is imported."""


class BadWrapper(RuntimeError):
    """The submission's wrapper plays something else than one episode; the message is one sentence."""


def play(channel: Channel, start: wire.Header, finder: Any) -> None:
    """Play an episode and tell what it brought."""
    tally = None
    try:
        channel.send({"at": LOADING})
        from cage4.cyborg.engine import CyborgEpisode

        tally = Tally(CyborgEpisode(Variant.from_dict(start["variant"]), start["steps"], start["seed"]), start["seed"])
        settle(finder, start["root"], start["module"], drop=OURS)
        submission = load_submission(start["module"])
        _play(channel, submission, tally)
        found = tally.found()
    except BaseException as error:  # noqa: BLE001  # whatever it is, the submission raised it
        if tally is not None and tally.broken:
            channel.refuse(tally.broken)
        else:
            channel.fail(error)
    else:
        channel.send(found)


def load_submission(module: str) -> Any:
    """Import a submission and return its ``Submission`` class.

    Raises:
        Exception: Whatever the submission raises; AttributeError if it lacks NAME, TEAM, TECHNIQUE, AGENTS or wrap.
        ValueError: If an agent is none of CC4.
    """
    found = importlib.import_module(module).Submission
    for name in NEEDED:
        getattr(found, name)
    unknown = sorted(set(found.AGENTS) - set(spec.BLUE_AGENTS))
    if unknown:
        raise ValueError(f"AGENTS names {unknown[0]!r}; the agents of CC4 are {', '.join(spec.BLUE_AGENTS)}")
    return found


def _play(channel: Channel, submission: Any, tally: Tally) -> None:
    """The challenge's own loop, for one episode."""
    random.seed(tally.seed)
    np.random.seed(tally.seed % 2**32)  # noqa: NPY002 - submissions draw from it, and it must follow from the seed
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(tally.seed)
    channel.send({"at": "wrap()"})
    env = submission.wrap(tally.game.cyborg)
    tally.begin()
    channel.send({"at": "reset()"})
    observations, _ = env.reset()
    while not tally.done:
        actions = {}
        for agent, player in submission.AGENTS.items():
            if agent in env.agents:
                channel.send({"at": f"get_action() of {agent}"})
                actions[agent] = player.get_action(observations[agent], env.action_space(agent))
        channel.send({"at": "step()"})
        with tally.one_step():
            observations, *_ = env.step(actions)


class Tally:
    """Watches one CybORG from the inside while a submission drives it through a wrapper of its own.

    Args:
        game: The episode.
        seed: Whose world every reset before the first step is to begin, however often the wrapper resets.

    Attributes:
        broken: What the wrapper did that makes this no episode, as a sentence; empty while there is nothing.
    """

    def __init__(self, game: Any, seed: int) -> None:
        self.game, self.seed, self.done, self.broken = game, seed, False, ""
        self._begun = False
        self._clear()
        self._controller = game.cyborg.environment_controller
        self._step, self._reset = game.cyborg.parallel_step, self._controller.reset
        game.cyborg.parallel_step, self._controller.reset = self._watched_step, self._watched_reset

    def begin(self) -> None:
        """Count from here on; the next reset begins the episode."""
        self._clear()
        self._begun, self.done = True, False

    @contextlib.contextmanager
    def one_step(self) -> Iterator[None]:
        """Require that exactly one step is played inside the block.

        Raises:
            BadWrapper: If it is not.
        """
        before = self.played
        yield
        played = self.played - before
        if self.broken or played != 1:
            self.refuse(f"its wrapper played {played} steps of CybORG in one step; each must play exactly one")
        if not self.done and self._controller.step_count != self.played:
            self.refuse("its wrapper steps CybORG past parallel_step(), where what is charged is counted")

    def found(self) -> wire.Header:
        """Return what the episode brought."""
        return {
            "rewards": self.rewards,
            "parts": self.parts.tolist(),
            "costs": self.costs.tolist(),
            "actions": self.verbs,
            "invalid": self.invalid,
            "busy": self.dropped,
        }

    @property
    def played(self) -> int:
        """Steps that were seen; CybORG's own count must be the same until the episode is over."""
        return len(self.rewards)

    def refuse(self, sentence: str) -> None:
        """Note what is wrong, and stop.

        Raises:
            BadWrapper: With the first sentence noted.
        """
        self.broken = self.broken or sentence
        raise BadWrapper(self.broken)

    def _clear(self) -> None:
        self.rewards: list[float] = []
        self.parts = np.zeros((spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        self.costs = np.zeros(spec.NUM_PHASES)
        self.verbs = dict.fromkeys(VERBS, 0)
        self.invalid = self.dropped = 0

    def _watched_reset(self, np_random: Any = None) -> Any:
        """Begin the world of the seed, whatever was drawn before; CybORG's own ``reset(seed)`` means the same."""
        if self._begun:
            if self.rewards and not self.done:
                self.refuse(
                    f"its wrapper reset the environment in the middle of an episode, after {self.played} steps; "
                    f"an episode is reset before its first step only"
                )
            stream = self.game.cyborg.np_random if np_random is None else np_random
            stream.bit_generator.state = np.random.PCG64(np.random.SeedSequence(self.seed)).state
        return self._reset(np_random=np_random)

    def _watched_step(self, actions: Any = None, messages: Any = None, **options: Any) -> Any:
        if self.done and self._begun:
            self.refuse("its wrapper played on after the end of the episode; each step must play exactly one")
        busy = {agent for agent, running in self._controller.actions_in_progress.items() if running}
        for agent, action in (actions or {}).items():
            name = type(action).__name__
            if agent not in spec.BLUE_AGENTS:
                continue
            if name in self.verbs:
                self.verbs[name] += 1
            else:
                self.invalid += 1
            self.dropped += agent in busy and name != "Sleep"
        result = self._step(actions, messages=messages, **options)
        events, cost = self._controller.reward["Blue"].values()
        self.rewards.append(float(events + cost))
        self.done = bool(self._controller.done)
        if not self.done:
            phase = self._controller.state.mission_phase
            self.parts[phase] += self.game.reward_parts
            self.costs[phase] += cost
        return result
