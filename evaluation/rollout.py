"""Play a list of episodes of one policy on one batched environment, and turn each into a record.

What an episode becomes depends on its seed alone: not on the number of environments, on the row it plays in, or on
which episodes play beside it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cage4 import actions, score, spec
from cage4.spec import Verb
from evaluation.errors import PolicyFailure
from evaluation.schema import EpisodeRecord
from native_sim.api import Array, Decision, FloatArray, Policy, VectorEnv

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


def play(env: VectorEnv, policy: Policy, episodes: Sequence[Episode], labels: Labels) -> Iterator[EpisodeRecord]:
    """Play every episode once and yield its record when it finishes.

    Raises:
        PolicyFailure: If the policy raises or returns something that is no action.
    """
    queue = list(reversed(episodes))
    table = _Table(env, policy, labels)
    while queue or table.playing:
        free = [row for row in range(env.num_envs) if row not in table.playing][: len(queue)]
        if free:
            table.start(free, [queue.pop() for _ in free])
        yield from table.step()


class _Table:
    """The running episodes: per row of the environment what its policy sees next and what it has earned so far.

    E rows, T step calls of an episode, D draws per agent and step.
    """

    def __init__(self, env: VectorEnv, policy: Policy, labels: Labels) -> None:
        count, length = env.num_envs, spec.episode_length(labels.steps)
        self.env, self.policy, self.labels = env, policy, labels
        self.playing: dict[int, Episode] = {}
        self.obs: dict[str, Any] = {}  # agent or wanted name -> [E, ...], or agent -> [E, ...]
        self.mask: dict[str, Array] = {}  # agent -> [E, U]
        self.memory = self._new_memory(count)
        self.draws = np.zeros((count, length, spec.NUM_BLUE, policy.draws_per_agent))  # [E, T, A, D]
        self.busy = np.zeros((count, spec.NUM_BLUE), np.int64)  # ticks left before the coming step
        self.time = np.zeros(count, np.int64)  # steps played
        self.rewards = np.zeros((count, length))
        self.parts = np.zeros((count, spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        self.costs = np.zeros((count, spec.NUM_PHASES))
        self.verbs = np.zeros((count, spec.NUM_VERBS), np.int64)
        self.invalid = np.zeros(count, np.int64)
        self.dropped = np.zeros(count, np.int64)
        self.wall = np.zeros(count)

    def start(self, rows: list[int], episodes: list[Episode]) -> None:
        """Reset rows to new episodes."""
        started = time.perf_counter()
        observations, infos = self.env.reset(seed=[episode.seed for episode in episodes], rows=rows)
        self._observe(rows, observations, infos)
        self.memory = put(self.memory, rows, self._new_memory(len(rows)))
        for array in (self.time, self.rewards, self.parts, self.costs, self.verbs, self.invalid, self.dropped):
            array[rows] = 0
        for row, episode in zip(rows, episodes, strict=True):
            self.playing[row] = episode
            if self.policy.draws_per_agent:
                stream = np.random.SeedSequence(episode.seed, spawn_key=(POLICY_STREAM,))
                self.draws[row] = np.random.Generator(np.random.PCG64(stream)).random(self.draws.shape[1:])
        self.wall[rows] = (time.perf_counter() - started) / len(rows)

    def step(self) -> list[EpisodeRecord]:
        """Advance all playing rows by one step; return the records of those that finished."""
        started = time.perf_counter()
        rows = sorted(self.playing)
        every = len(rows) == self.env.num_envs
        decision = self._decide(rows, every)
        chosen = np.stack([decision.actions[name] for name in self.env.agents], axis=1)  # [N, A]
        self._count(rows, chosen)
        batch = self.env.step(decision.actions, decision.messages, rows=None if every else rows)
        self.memory = decision.memory if every else put(self.memory, rows, decision.memory)
        done = batch.terminations | batch.truncations
        self._earn(rows, batch.rewards, batch.infos, done)
        self._observe(rows, batch.observations, batch.infos)
        self.wall[rows] += (time.perf_counter() - started) / len(rows)
        return [self._finish(row) for row, finished in zip(rows, done, strict=True) if finished]

    def _decide(self, rows: list[int], every: bool) -> Decision:
        """Ask the policy, and refuse an answer that the environment would refuse."""
        obs, mask = (self.obs, self.mask) if every else (take(self.obs, rows), take(self.mask, rows))
        try:
            draws: FloatArray = self.draws[rows, self.time[rows]]
            memory = self.memory if every else take(self.memory, rows)
            decision = self.policy.act(obs, mask, memory, draws)
            check_decision(decision, len(rows))
        except Exception as error:
            message = str(error) if isinstance(error, _InvalidAnswer) else f"raised {type(error).__name__}: {error}"
            raise PolicyFailure(self.labels.policy, message, traceback.format_exc()) from error
        return decision

    def _new_memory(self, count: int) -> Any:
        try:
            return self.policy.initial_memory(count)
        except Exception as error:
            message = f"raised {type(error).__name__}: {error}"
            raise PolicyFailure(self.labels.policy, message, traceback.format_exc()) from error

    def _count(self, rows: list[int], chosen: Array) -> None:
        agents = np.arange(spec.NUM_BLUE)
        verbs = actions.VERB[agents, chosen]  # [N, A]
        np.add.at(self.verbs, (np.array(rows)[:, None], verbs), 1)
        for i, name in enumerate(self.env.agents):
            self.invalid[rows] += self.mask[name][rows, chosen[:, i]] == 0
        self.dropped[rows] += ((self.busy[rows] > 0) & (verbs != Verb.SLEEP)).sum(axis=1)

    def _earn(self, rows: list[int], rewards: FloatArray, infos: dict[str, Any], done: Array) -> None:
        self.rewards[rows, self.time[rows]] = rewards
        self.time[rows] += 1
        kept = np.array(rows)[~done]  # the step that ends an episode does not count
        phase = np.asarray(infos["phase"])[~done]
        self.parts[kept, phase] += np.asarray(infos["reward_parts"])[~done]
        self.costs[kept, phase] += np.asarray(infos["action_cost"])[~done]

    def _observe(self, rows: list[int], observations: dict[str, Array], infos: dict[str, Any]) -> None:
        fresh = {**observations, **{name: infos[name] for name in self.policy.wants}}
        self.obs = store(self.obs, rows, fresh, self.env.num_envs)
        self.mask = store(self.mask, rows, infos["action_mask"], self.env.num_envs)
        self.busy[rows] = infos["busy"]

    def _finish(self, row: int) -> EpisodeRecord:
        episode = self.playing.pop(row)
        length = int(self.time[row])
        return make_record(
            episode,
            self.labels,
            rewards=self.rewards[row, :length],
            parts=self.parts[row],
            costs=self.costs[row],
            actions={verb.cyborg_name: int(self.verbs[row, verb]) for verb in Verb},
            invalid=int(self.invalid[row]),
            busy=int(self.dropped[row]),
            wall_s=float(self.wall[row]),
            fallbacks=sum(int(counts[row]) for counts in self.policy.fallbacks(self.memory).values()),
        )


def make_record(
    episode: Episode,
    labels: Labels,
    *,
    rewards: FloatArray,
    parts: FloatArray,
    costs: FloatArray,
    actions: dict[str, int],
    invalid: int,
    busy: int,
    wall_s: float,
    fallbacks: int = 0,
) -> EpisodeRecord:
    """Score a finished episode and make its row.

    Args:
        episode: What was played.
        labels: What the rows of this rollout have in common.
        rewards: [T] team reward of every step call, the one that returned done included.
        parts: [3 phases, 9 subnets, 3 parts] of the counted steps.
        costs: [3 phases] cost of blue's own actions in the counted steps.
        actions: Submissions by verb.
        invalid: Submissions under a zero of the mask.
        busy: Submissions other than Sleep while an action was in progress.
        wall_s: Seconds.
        fallbacks: Decisions that the policy could not express as an action.
    """
    result = score.official_score(rewards, labels.steps)
    first, second, third = (float(cost) for cost in costs)
    return EpisodeRecord(
        policy=labels.policy,
        index=episode.index,
        seed=episode.seed,
        engine=labels.engine,
        variant=labels.variant,
        score=result.score,
        phase_scores=result.phase_scores,
        parts=parts.tolist(),
        action_costs=(first, second, third),
        length=len(rewards),
        actions=actions,
        invalid=invalid,
        busy=busy,
        fallbacks=fallbacks,
        step_rewards=result.step_rewards.tolist(),
        wall_s=round(wall_s, 4),
    )


class _InvalidAnswer(ValueError):
    """The policy answered, but not with actions."""


def check_decision(decision: Decision, count: int) -> None:
    """Refuse a decision that is not one legal index per agent and row.

    Raises:
        ValueError: One sentence naming the agent, what it returned and what is allowed.
    """
    if not isinstance(decision, tuple) or not hasattr(decision, "actions"):
        raise _InvalidAnswer(f"act() must return a native_sim.Decision; it returned {type(decision).__name__}")
    for i, name in enumerate(spec.BLUE_AGENTS):
        if name not in decision.actions:
            raise _InvalidAnswer(f"returned no action for {name}; every blue agent needs one")
        chosen = np.asarray(decision.actions[name])
        if chosen.shape != (count,) or chosen.dtype.kind not in "iu":
            raise _InvalidAnswer(
                f"returned actions of shape {chosen.shape} and type {chosen.dtype} for {name}; "
                f"allowed are integers of shape ({count},)"
            )
        wrong = chosen[(chosen < 0) | (chosen >= spec.NUM_ACTIONS[i])]
        if wrong.size:
            raise _InvalidAnswer(
                f"returned action {wrong[0]} for {name}; its actions are 0 to {spec.NUM_ACTIONS[i] - 1}"
            )
    if decision.messages is not None:
        bits = np.asarray(decision.messages)
        if bits.shape != (count, spec.NUM_BLUE, spec.MESSAGE_BITS) or not np.isin(bits, (0, 1)).all():
            raise _InvalidAnswer(
                f"returned messages of shape {bits.shape}; allowed are bits (0 or 1) of shape "
                f"({count}, {spec.NUM_BLUE}, {spec.MESSAGE_BITS}), or None"
            )
    unknown = sorted(set(decision.actions) - set(spec.BLUE_AGENTS))
    if unknown:
        raise _InvalidAnswer(f"returned an action for {unknown[0]}; the agents are {', '.join(spec.BLUE_AGENTS)}")


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


def take(memory: Any, rows: list[int]) -> Any:
    """Return the memory of some rows; a memory is None, an array [E, ...], or a dict or tuple of memories."""
    if memory is None:
        return None
    if isinstance(memory, dict):
        return {name: take(value, rows) for name, value in memory.items()}
    if isinstance(memory, tuple):
        return tuple(take(value, rows) for value in memory)
    return memory[rows]


def put(memory: Any, rows: list[int], fresh: Any) -> Any:
    """Return the memory with some rows replaced; the old one stays as it was."""
    if memory is None:
        return None
    if isinstance(memory, dict):
        return {name: put(value, rows, fresh[name]) for name, value in memory.items()}
    if isinstance(memory, tuple):
        return tuple(put(value, rows, part) for value, part in zip(memory, fresh, strict=True))
    array = memory.copy()
    array[rows] = fresh
    return array
