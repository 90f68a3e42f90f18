"""Play a list of episodes of one policy on one batched environment, and turn each into a record.

The loop is :mod:`native_sim.rollout`, and what is counted along the way is the game's. Here a policy answers for its
own failures, records get what they have in common, and whoever listens hears how far a batch is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from evaluation.harness.progress import listened, tell
from evaluation.harness.schema import Row
from evaluation.inputs.errors import InvalidAnswer, blaming
from native_sim import rollout
from native_sim.api import ActionBatch, Array, Decision, Policy, StepBatch, VectorEnv
from native_sim.rollout import Episode, Finished, Moment, Observer, WrongAnswer

__all__ = ["Episode", "Labels", "Tally", "play"]


class Labels(NamedTuple):
    """What the records of a rollout have in common."""

    policy: str
    engine: str
    variant: str
    steps: int


class Tally(ABC):
    """What is counted in every row of one environment while its episode runs.

    ``rows`` are N row numbers, [N] int64; arrays given hold those rows only.
    """

    max_steps: int
    """Step calls of the longest episode."""

    @abstractmethod
    def start(self, rows: Array) -> None:
        """Begin new episodes in rows."""

    @abstractmethod
    def check(self, decision: Decision, count: int) -> None:
        """Refuse a decision for ``count`` rows that the environment would refuse.

        Raises:
            InvalidAnswer: One sentence naming the agent, what it returned and what is allowed.
        """

    def before(self, rows: Array, actions: ActionBatch, mask: ActionBatch) -> None:  # noqa: B027 - optional
        """Count what was decided; ``mask`` is what the policy was shown, agent -> [N, U]."""

    @abstractmethod
    def after(self, rows: Array, time: Array, batch: StepBatch, done: Array) -> None:
        """Count what a step brought; time [N] is the number of steps played before it, done [N] whether it ended."""

    def see(self, rows: Array, infos: Mapping[str, Any]) -> None:  # noqa: B027 - optional
        """Note what the environment says about the coming step, after a reset or a step."""

    @abstractmethod
    def record(self, row: int, episode: Episode, length: int, wall_s: float) -> Row:
        """Return the record of the episode that ended in a row after ``length`` steps."""


def play(env: VectorEnv, policy: Policy, episodes: Sequence[Episode], labels: Labels, tally: Tally) -> Iterator[Row]:
    """Play every episode once and yield its record, which the tally makes, when it finishes.

    Raises:
        PolicyFailure: If the policy raises or returns something that is no action.
    """
    observers = (_Counting(tally, labels.policy), _Telling(tally, labels.policy))
    for ended in rollout.play(env, policy, episodes, observers, partial(_answering, labels.policy)):
        record = tally.record(ended.row, ended.episode, ended.length, ended.wall_s)
        yield record.model_copy(update={"fallbacks": _fallbacks(ended, labels)}) if ended.fallbacks else record


@contextmanager
def _answering(policy: str) -> Iterator[None]:
    """Turn what a policy's code raises, or answers wrongly, into its failure."""
    with blaming(policy):
        try:
            yield
        except WrongAnswer as error:
            raise InvalidAnswer(str(error)) from error


def _fallbacks(ended: Finished, labels: Labels) -> dict[str, int]:
    with blaming(labels.policy):
        if min(ended.fallbacks.values()) < 0:
            raise InvalidAnswer(f"fallbacks() counts fewer than 0: {ended.fallbacks}")
    return ended.fallbacks


class _Counting(Observer):
    """Lets a tally count."""

    def __init__(self, tally: Tally, policy: str) -> None:
        self._tally, self._policy = tally, policy

    def started(
        self, rows: Array, episodes: Sequence[Episode], observations: dict[str, Array], infos: dict[str, Any]
    ) -> None:
        """Begin episodes."""
        self._tally.see(rows, infos)
        self._tally.start(rows)

    def decided(self, now: Moment, decision: Decision) -> None:
        """Refuse what is no decision, and count it."""
        with blaming(self._policy):
            self._tally.check(decision, len(now.rows))
        self._tally.before(now.rows, decision.actions, now.mask)

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Count the step."""
        self._tally.after(now.rows, now.time, batch, done)
        self._tally.see(now.rows, batch.infos)


class _Telling(Observer):
    """Tells how many episodes a batch has played: those that are over, and for the running ones their part."""

    def __init__(self, tally: Tally, policy: str) -> None:
        self._policy, self._max_steps, self._ended = policy, tally.max_steps, 0

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Tell it, if anybody listens."""
        self._ended += int(done.sum())
        if listened():
            tell(self._policy, self._ended + float((now.time[~done] + 1).sum()) / self._max_steps)
