"""Play episodes with a policy: the one loop of the project, which knows no game.

What an episode becomes depends on its seed alone: not on the number of environments, on the row it plays in, or on
which episodes play beside it. What is counted along the way is the business of observers.

A loop in which something learns, and one that measures how long a step takes, is not this one.

Letters: E rows of the environment, N rows that play now, A agents, D draws per agent and step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import numpy as np

from native_sim.api import Array, Decision, FloatArray, Policy, StepBatch, VectorEnv
from native_sim.memory import put, take

STREAM: Final = 1
"""Spawn key of a policy's draws under the episode seed; the environment uses the seed itself."""
_BLOCK: Final = 64
"""Steps whose draws are made at once; changes no draw."""

Guard = Callable[[], AbstractContextManager[Any]]


class WrongAnswer(ValueError):
    """A policy answered, but not with what was asked for; the message is one sentence."""


@dataclass(frozen=True)
class Episode:
    """An episode to play."""

    index: int
    """Place in the list that it comes from; the loop hands it back and reads nothing into it."""
    seed: int
    """Not negative: of the environment, and of the policy's draws."""


class Moment(NamedTuple):
    """What the rows that play now show their policy before a step."""

    rows: Array  # [N] int64, rising
    time: Array  # [N] int64, steps played in the running episodes
    obs: dict[str, Any]  # agent -> [N, F], and what the policy wants
    mask: dict[str, Array]  # agent -> [N, U] int8
    memory: Any  # of the policy, first axis N
    draws: FloatArray  # [N, A, D]


class Finished(NamedTuple):
    """An episode that has just ended."""

    episode: Episode
    row: int
    length: int  # steps
    wall_s: float  # seconds: its share of what the rows played beside it took
    fallbacks: dict[str, int]  # what the policy counted, see Policy.fallbacks


class Observer:
    """Watches a rollout; override what is of interest. Arrays given belong to the loop and are never changed."""

    def started(
        self, rows: Array, episodes: Sequence[Episode], observations: dict[str, Array], infos: dict[str, Any]
    ) -> None:
        """Note that episodes begin in rows [N]; observations and infos are what the reset returned for them."""

    def deciding(self, now: Moment) -> None:
        """Note what the policy is about to be handed."""

    def decided(self, now: Moment, decision: Decision) -> None:
        """Note what it decided on that; the environment has not moved yet."""

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Note what the step brought to ``now.rows``; done [N] tells whose episode it ended."""


def draw_stream(seed: int) -> np.random.Generator:
    """Return what a policy's draws in an episode come from: step by step [A, D] uniform floats in [0, 1).

    Args:
        seed: Of the episode, not negative.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(STREAM,))))


class Rollout:
    """Episodes that are played in the rows of one environment; a row that gets free is given the next of them.

    Args:
        env: Any row of it may be playing; all are reset.
        policy: Who decides.
        episodes: What is played, in this order.
        observers: Who watches, each called in this order.
        guard: Makes the context in which the policy's code runs, for those who tell its failures from others.

    Raises:
        WrongAnswer: Here and in :meth:`step`, if the policy returns no decision, or wants what is not shown.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: Policy,
        episodes: Iterable[Episode],
        observers: Sequence[Observer] = (),
        guard: Guard = nullcontext,
    ) -> None:
        self.env, self.policy = env, policy
        self._observers, self._guard = tuple(observers), guard
        with guard():
            self._wants, depth = tuple(policy.wants), int(policy.draws_per_agent)
        self._draws = _Draws(env.num_envs, len(env.agents), depth)
        self._waiting = deque(episodes)
        self._playing: dict[int, Episode] = {}  # row -> what it plays
        self._table = _Table(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), {}, {})
        self._memory: Any = None  # of the policy, first axis N

    @property
    def running(self) -> bool:
        """Whether there is a step to play."""
        return bool(self._waiting or self._playing)

    def step(self) -> list[Finished]:
        """Start waiting episodes in free rows, play one step in all rows, and return the episodes that it ended."""
        if self._waiting and len(self._playing) < self.env.num_envs:
            self._start()
        began = time.perf_counter()
        table = self._table
        rows, steps = table.rows, table.steps
        now = Moment(rows, steps, table.obs, table.mask, self._memory, self._draws.take(rows, steps))
        decision = self._decide(now)
        everyone = len(rows) == self.env.num_envs
        batch = self.env.step(decision.actions, decision.messages, rows=None if everyone else rows.tolist())
        done = batch.terminations | batch.truncations
        for observer in self._observers:
            observer.stepped(now, batch, done)
        obs, mask = self._shown(batch.observations, batch.infos)
        self._memory = decision.memory
        self._table = _Table(rows, steps + 1, table.wall + (time.perf_counter() - began) / len(rows), obs, mask)
        return self._end(done) if done.any() else []

    def _start(self) -> None:
        """Give free rows the next episodes."""
        began = time.perf_counter()
        rows = [row for row in range(self.env.num_envs) if row not in self._playing][: len(self._waiting)]
        episodes = [self._waiting.popleft() for _ in rows]
        observations, infos = self.env.reset(seed=[episode.seed for episode in episodes], rows=rows)
        fresh = _Table(np.array(rows), np.zeros(len(rows), np.int64), np.zeros(len(rows)), {}, {})
        obs, mask = self._shown(observations, infos)
        fresh = fresh._replace(obs=obs, mask=mask)
        with self._guard():
            memory = self.policy.initial_memory(len(rows))
        for observer in self._observers:
            observer.started(fresh.rows, episodes, observations, infos)
        self._draws.start(rows, episodes)
        fresh.wall[:] = (time.perf_counter() - began) / len(rows)
        if self._playing:
            order = np.argsort(np.concatenate([self._table.rows, fresh.rows]))
            fresh = _merge(self._table, fresh, order)
            with self._guard():
                memory = _merge(self._memory, memory, order, len(order) - len(rows))
        self._table, self._memory = fresh, memory
        self._playing.update(zip(rows, episodes, strict=True))

    def _decide(self, now: Moment) -> Decision:
        for observer in self._observers:
            observer.deciding(now)
        with self._guard():
            answer: Any = self.policy.act(now.obs, now.mask, now.memory, now.draws)
            if not isinstance(answer, tuple) or not hasattr(answer, "actions"):
                raise WrongAnswer(f"act() must return a native_sim.Decision; it returned {type(answer).__name__}")
        decision = cast(Decision, answer)  # this class, or one like it
        for observer in self._observers:
            observer.decided(now, decision)
        return decision

    def _shown(self, observations: dict[str, Array], infos: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what the policy is shown of some rows, and the masks."""
        unknown = [name for name in self._wants if name not in infos]
        if unknown:
            with self._guard():
                known = ", ".join(sorted(infos))
                raise WrongAnswer(f"wants {unknown[0]!r}, which is not shown; there is {known}")
        return {**observations, **{name: infos[name] for name in self._wants}}, infos["action_mask"]

    def _end(self, done: Array) -> list[Finished]:
        """Take rows out of the table whose episodes have ended, and return these."""
        table, ended, kept = self._table, np.flatnonzero(done), np.flatnonzero(~done)
        with self._guard():
            counted = self.policy.fallbacks(self._memory) or {}
            fallbacks = [{name: int(counts[i]) for name, counts in counted.items()} for i in ended]
            self._memory = take(self._memory, kept) if len(kept) else None
        finished = [
            Finished(
                self._playing.pop(int(table.rows[i])), int(table.rows[i]), int(table.steps[i]), float(wall), counts
            )
            for i, wall, counts in zip(ended, table.wall[ended], fallbacks, strict=True)
        ]
        self._table = take(table, kept)
        return finished


def play(
    env: VectorEnv,
    policy: Policy,
    episodes: Iterable[Episode],
    observers: Sequence[Observer] = (),
    guard: Guard = nullcontext,
) -> Iterator[Finished]:
    """Play every episode once and yield it when it finishes, before its row is given the next one.

    Args and errors are those of :class:`Rollout`.
    """
    rollout = Rollout(env, policy, episodes, observers, guard)
    while rollout.running:
        yield from rollout.step()


def measure(env: VectorEnv, policy: Policy, seeds: Sequence[int], metrics: Sequence[str] = ()) -> dict[str, FloatArray]:
    """Play one episode per seed; return "return", the sum of its rewards, and metrics, each [len(seeds)] float64.

    Args:
        env: Environments to play in.
        policy: Who decides.
        seeds: Of the episodes; results are in this order.
        metrics: Entries of ``infos`` [N] at the step that ends an episode.
    """
    scores = _Scores(len(seeds), env.num_envs, metrics)
    for _ in play(env, policy, [Episode(i, int(seed)) for i, seed in enumerate(seeds)], [scores]):
        pass
    return scores.results


class _Scores(Observer):
    """Adds up rewards by episode, and keeps metrics."""

    def __init__(self, count: int, num_envs: int, metrics: Sequence[str]) -> None:
        self.metrics = tuple(metrics)
        self.results = {"return": np.zeros(count), **{name: np.full(count, np.nan) for name in self.metrics}}
        self._index = np.zeros(num_envs, np.int64)  # of the episode that a row plays

    def started(
        self, rows: Array, episodes: Sequence[Episode], observations: dict[str, Array], infos: dict[str, Any]
    ) -> None:
        """Note which episode each row plays."""
        self._index[rows] = [episode.index for episode in episodes]

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Add rewards; keep the metrics where an episode ends."""
        index = self._index[now.rows]
        self.results["return"][index] += batch.rewards
        if self.metrics and done.any():
            for name in self.metrics:
                self.results[name][index[done]] = batch.infos[name][done]


class _Table(NamedTuple):
    """Where the running episodes stand, the rows in rising order."""

    rows: Array  # [N]
    steps: Array  # [N], played
    wall: FloatArray  # [N] seconds
    obs: dict[str, Any]
    mask: dict[str, Array]


class _Draws:
    """Makes the policy's draws of every row, some steps ahead."""

    def __init__(self, num_envs: int, agents: int, depth: int) -> None:
        self._ready = np.zeros((num_envs, _BLOCK if depth else 1, agents, depth))  # [E, steps, A, D]
        self._streams: dict[int, np.random.Generator] = {}

    def start(self, rows: Sequence[int], episodes: Sequence[Episode]) -> None:
        """Begin the streams of new episodes."""
        if self._ready.size:
            self._streams.update((row, draw_stream(one.seed)) for row, one in zip(rows, episodes, strict=True))

    def take(self, rows: Array, steps: Array) -> FloatArray:
        """Return the draws [N, A, D] of the coming step; steps [N] are played."""
        place = steps % self._ready.shape[1]
        if self._ready.size:
            for row in rows[place == 0].tolist():
                self._streams[row].random(out=self._ready[row])
        draws: FloatArray = self._ready[rows, place]
        return draws


def _merge(old: Any, fresh: Any, order: Array, count: int | None = None) -> Any:
    """Return what is kept of N rows and of M fresh ones as one of N + M, with the kept one's dtypes.

    Args:
        old: First axis N; as :mod:`native_sim.memory` describes it.
        fresh: The same, first axis M.
        order: [N + M] places in both, one after the other.
        count: N; None for the length of ``old.rows``.
    """
    count = len(old.rows) if count is None else count
    kept, added = order < count, np.flatnonzero(order >= count)
    return put(take(old, np.where(kept, order, 0)), added, fresh)
