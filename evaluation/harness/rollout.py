"""Play a list of episodes of one policy on one batched environment, and turn each into a record.

What an episode becomes depends on its seed alone: not on the number of environments, on the row it plays in, or on
which episodes play beside it. The loop is the same for every game; what is counted along the way is its game's.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evaluation.harness.progress import listened, tell
from evaluation.harness.schema import Row
from evaluation.inputs.errors import InvalidAnswer, blaming
from native_sim.api import ActionBatch, Array, Decision, FloatArray, Policy, StepBatch, VectorEnv
from native_sim.memory import put, take

POLICY_STREAM = 1
"""Spawn key of a policy's draws under the episode seed; the environment uses the seed itself."""


@dataclass(frozen=True)
class Episode:
    """An episode to play."""

    index: int
    seed: int


class Labels(NamedTuple):
    """What the records of a rollout have in common."""

    policy: str
    engine: str
    variant: str
    steps: int


class Tally(ABC):
    """What is counted in every row of one environment while its episode runs.

    ``rows`` are N row numbers, as a list; arrays given hold those rows only.
    """

    max_steps: int
    """Step calls of the longest episode."""

    @abstractmethod
    def start(self, rows: list[int]) -> None:
        """Begin new episodes in rows."""

    @abstractmethod
    def check(self, decision: Decision, count: int) -> None:
        """Refuse a decision for ``count`` rows that the environment would refuse.

        Raises:
            InvalidAnswer: One sentence naming the agent, what it returned and what is allowed.
        """

    def before(self, rows: list[int], actions: ActionBatch, mask: ActionBatch) -> None:  # noqa: B027 - optional
        """Count what was decided; ``mask`` is what the policy was shown, agent -> [E, U] of all rows."""

    @abstractmethod
    def after(self, rows: list[int], time: Array, batch: StepBatch, done: Array) -> None:
        """Count what a step brought; time [N] is the number of steps played before it, done [N] whether it ended."""

    def see(self, rows: list[int], infos: Mapping[str, Any]) -> None:  # noqa: B027 - optional
        """Note what the environment says about the coming step, after a reset or a step."""

    @abstractmethod
    def record(self, row: int, episode: Episode, length: int, wall_s: float) -> Row:
        """Return the record of the episode that ended in a row after ``length`` steps."""


def play(env: VectorEnv, policy: Policy, episodes: Sequence[Episode], labels: Labels, tally: Tally) -> Iterator[Row]:
    """Play every episode once and yield its record, which the tally makes, when it finishes.

    Raises:
        PolicyFailure: If the policy raises or returns something that is no action.
    """
    queue = list(reversed(episodes))
    table = _Table(env, policy, labels, tally)
    ended = 0
    while queue or table.playing:
        free = [row for row in range(env.num_envs) if row not in table.playing][: len(queue)]
        if free:
            table.start(free, [queue.pop() for _ in free])
        records = table.step()
        ended += len(records)
        if listened():
            tell(labels.policy, ended + table.under_way())
        yield from records


class _Table:
    """The running episodes: per row of the environment what its policy sees next and remembers.

    E rows, T step calls of an episode, A agents, D draws per agent and step.
    """

    def __init__(self, env: VectorEnv, policy: Policy, labels: Labels, tally: Tally) -> None:
        count = env.num_envs
        self.env, self.policy, self.labels = env, policy, labels
        with blaming(labels.policy):
            self.wants, self.draws_per_agent = tuple(policy.wants), int(policy.draws_per_agent)
        self.tally = tally
        self.playing: dict[int, Episode] = {}
        self.obs: dict[str, Any] = {}  # agent or wanted name -> [E, ...], or agent -> [E, ...]
        self.mask: dict[str, Array] = {}  # agent -> [E, U]
        self.memory = self._new_memory(count)
        self.draws = np.zeros((count, self.tally.max_steps, len(env.agents), self.draws_per_agent))  # [E, T, A, D]
        self.time = np.zeros(count, np.int64)  # steps played
        self.wall = np.zeros(count)

    def start(self, rows: list[int], episodes: list[Episode]) -> None:
        """Reset rows to new episodes."""
        started = time.perf_counter()
        observations, infos = self.env.reset(seed=[episode.seed for episode in episodes], rows=rows)
        self._observe(rows, observations, infos)
        fresh = self._new_memory(len(rows))
        with blaming(self.labels.policy):
            self.memory = put(self.memory, rows, fresh)
        self.tally.start(rows)
        self.time[rows] = 0
        for row, episode in zip(rows, episodes, strict=True):
            self.playing[row] = episode
            if self.draws_per_agent:
                stream = np.random.SeedSequence(episode.seed, spawn_key=(POLICY_STREAM,))
                self.draws[row] = np.random.Generator(np.random.PCG64(stream)).random(self.draws.shape[1:])
        self.wall[rows] = (time.perf_counter() - started) / len(rows)

    def step(self) -> list[Row]:
        """Advance all playing rows by one step; return the records of those that finished."""
        started = time.perf_counter()
        rows = sorted(self.playing)
        every = len(rows) == self.env.num_envs
        decision, memory = self._decide(rows, every)
        self.tally.before(rows, decision.actions, self.mask)
        batch = self.env.step(decision.actions, decision.messages, rows=None if every else rows)
        self.memory = memory
        done = batch.terminations | batch.truncations
        self.tally.after(rows, self.time[rows], batch, done)
        self.time[rows] += 1
        self._observe(rows, batch.observations, batch.infos)
        self.wall[rows] += (time.perf_counter() - started) / len(rows)
        return [self._finish(row) for row, finished in zip(rows, done, strict=True) if finished]

    def under_way(self) -> float:
        """Return how many episodes the running ones amount to so far, if they last to the end."""
        return float(self.time[list(self.playing)].sum()) / self.tally.max_steps

    def _decide(self, rows: list[int], every: bool) -> tuple[Decision, Any]:
        """Ask the policy, refuse an answer that the environment would refuse, and return it with the new memory."""
        obs, mask = (self.obs, self.mask) if every else (take(self.obs, rows), take(self.mask, rows))
        draws: FloatArray = self.draws[rows, self.time[rows]]
        with blaming(self.labels.policy):
            memory = self.memory if every else take(self.memory, rows)
            decision = self.policy.act(obs, mask, memory, draws)
            if not isinstance(decision, tuple) or not hasattr(decision, "actions"):
                raise InvalidAnswer(f"act() must return a native_sim.Decision; it returned {type(decision).__name__}")
            self.tally.check(decision, len(rows))
            kept = decision.memory if every else put(self.memory, rows, decision.memory)
        return decision, kept

    def _new_memory(self, count: int) -> Any:
        with blaming(self.labels.policy):
            return self.policy.initial_memory(count)

    def _observe(self, rows: list[int], observations: dict[str, Array], infos: dict[str, Any]) -> None:
        unknown = [name for name in self.wants if name not in infos]
        with blaming(self.labels.policy):
            if unknown:
                raise InvalidAnswer(f"wants {unknown[0]!r}, which is not shown; there is {', '.join(sorted(infos))}")
        fresh = {**observations, **{name: infos[name] for name in self.wants}}
        self.obs = store(self.obs, rows, fresh, self.env.num_envs)
        self.mask = store(self.mask, rows, infos["action_mask"], self.env.num_envs)
        self.tally.see(rows, infos)

    def _finish(self, row: int) -> Row:
        record = self.tally.record(row, self.playing.pop(row), int(self.time[row]), float(self.wall[row]))
        with blaming(self.labels.policy):
            counted = {name: int(count[row]) for name, count in (self.policy.fallbacks(self.memory) or {}).items()}
            if counted and min(counted.values()) < 0:
                raise InvalidAnswer(f"fallbacks() counts fewer than 0: {counted}")
        return record.model_copy(update={"fallbacks": counted}) if counted else record


def store(old: dict[str, Any], rows: list[int], fresh: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return arrays [count, ...] in which ``rows`` hold the fresh values [N, ...] and the others the old ones.

    A value may also be a mapping of such arrays.
    """
    if len(rows) == count:
        return dict(fresh)
    result: dict[str, Any] = {}
    for name, value in fresh.items():
        if isinstance(value, Mapping):
            result[name] = store(old.get(name, {}), rows, value, count)
        else:
            array = (
                old[name].copy() if name in old else np.zeros((count, *np.shape(value)[1:]), np.asarray(value).dtype)
            )
            array[rows] = value
            result[name] = array
    return result
