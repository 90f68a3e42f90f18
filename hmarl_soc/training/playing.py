"""The environments of a run: rows reset by hand with the next seed of a list, and episodes that can be played again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from hmarl_soc.learner import Seen, State, Transition
from native_sim.api import ActionBatch, Array, Policy, VectorEnv, split_ends

TRAINING, VALIDATION = 0, 1
"""Purposes of the lists of episode seeds."""
_RECENT = 200


def episode_seeds(seed: int, purpose: int, start: int, count: int) -> list[int]:
    """Return entries ``start`` to ``start + count - 1`` of a run's list of episode seeds, in 0 to 2^63 - 1."""
    made = []
    for index in range(start, start + count):
        word = np.random.SeedSequence(seed, spawn_key=(purpose, index)).generate_state(1, np.uint64)[0]
        made.append(int(word >> np.uint64(1)))
    return made


class Field:
    """E environments and where their episodes stand.

    The seed and the actions of every running episode are kept. An episode depends on them alone, so a checkpoint needs
    no access to the inside of a simulator: on resuming, the running episodes are played again.

    Args:
        env: Environments.
        seed: Of the run.
        teacher: Whose advice is shown beside the observations: a policy without memory and draws, or None.

    Raises:
        ValueError: If the teacher has a memory, draws, or wants what no learner is shown; from :meth:`seen` on, if it
            leaves an agent without advice.
    """

    def __init__(self, env: VectorEnv, seed: int, teacher: Policy | None = None) -> None:
        if teacher is not None:
            _check_teacher(teacher)
        self.env, self.seed, self.teacher = env, seed, teacher
        count = env.num_envs
        self.rows = np.arange(count)
        self.given = 0  # seeds of the list that are used up
        self.finished = 0  # episodes
        self._seeds = [0] * count
        self._lengths = np.zeros(count, np.int64)  # steps played of the running episodes
        self._returns = np.zeros(count)
        self._actions: dict[str, Array] = {}  # agent -> [T, E] or [T, E, U], of the running episodes
        self._recent: deque[float] = deque(maxlen=_RECENT)  # returns of the last finished episodes
        self._recent_lengths: deque[int] = deque(maxlen=_RECENT)
        self._now: Seen | None = None

    def seen(self) -> Seen:
        """Return what the rows show; starts them if this was never called."""
        if self._now is None:
            self._now = self._advise(self._reset(self.rows))
        return self._now

    def step(self, actions: ActionBatch) -> Transition:
        """Advance all rows by one step.

        Raises:
            ValueError: If an episode ends otherwise than the environment declares (``time_limit_end``).
        """
        before = self.seen()
        self._remember(actions)
        batch = self.env.step(actions)
        after = Seen(self.rows, batch.observations, batch.infos["action_mask"], batch.infos.get("state"))
        self._lengths += 1
        self._returns += batch.rewards
        ends = split_ends(self.env.time_limit_end, batch.terminations, batch.truncations)
        return Transition(before, actions, batch.rewards, after, ends.final, ends.interrupted, batch.infos)

    def restart(self, step: Transition) -> Seen:
        """Give rows whose episode ended the next seeds of the list; return what all rows show now."""
        ended = np.flatnonzero(step.terminations | step.truncations)
        now = step.after
        if len(ended):
            self.finished += len(ended)
            self._recent.extend(self._returns[ended].tolist())
            self._recent_lengths.extend(self._lengths[ended].tolist())
            now = _replace(now, ended, self._reset(ended))
        self._now = self._advise(now)
        return self._now

    def summary(self) -> dict[str, float | int | None]:
        """Return counts, and mean return and length of the last 200 finished episodes (None before the first)."""
        mean = float(np.mean(self._recent)) if self._recent else None
        length = float(np.mean(self._recent_lengths)) if self._recent_lengths else None
        return {"episodes": self.finished, "return": mean, "length": length}

    def state_dict(self) -> State:
        """Return what :meth:`load_state_dict` needs to be exactly here again; starts the rows if they were not."""
        self.seen()  # rows that were never started have no seeds to go on with
        longest = int(self._lengths.max())
        return {
            "given": self.given,
            "finished": self.finished,
            "seeds": list(self._seeds),
            "lengths": self._lengths,
            "actions": {name: kept[:longest] for name, kept in self._actions.items()},
            "recent": list(self._recent),
            "recent_lengths": list(self._recent_lengths),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Play the running episodes of :meth:`state_dict` again.

        Raises:
            ValueError: If the number of environments differs.
        """
        lengths = np.array(state["lengths"], np.int64)
        if lengths.shape != self._lengths.shape:
            raise ValueError(f"the checkpoint has {len(lengths)} environments; this run has {len(self._lengths)}")
        self.given, self.finished = int(state["given"]), int(state["finished"])
        self._seeds = [int(seed) for seed in state["seeds"]]
        self._actions = {name: np.array(kept) for name, kept in state["actions"].items()}
        self._recent = deque(state["recent"], maxlen=_RECENT)
        self._recent_lengths = deque(state["recent_lengths"], maxlen=_RECENT)
        self._lengths, self._returns = lengths, np.zeros(len(lengths))
        self._now = self._show(self.rows, *self.env.reset(seed=self._seeds))
        for t in range(int(lengths.max())):
            rows = np.flatnonzero(lengths > t)
            batch = self.env.step({name: kept[t, rows] for name, kept in self._actions.items()}, rows=rows.tolist())
            self._returns[rows] += batch.rewards
            self._now = _replace(self._now, rows, self._show(rows, batch.observations, batch.infos))
        self._now = self._advise(self._now)

    def _advise(self, seen: Seen) -> Seen:
        """Add what the teacher would do."""
        if self.teacher is None:
            return seen
        shown = {**seen.observations, **({} if seen.state is None else {"state": seen.state})}
        nothing = np.zeros((len(seen.rows), len(self.env.agents), 0))
        advice = self.teacher.act(shown, seen.masks, None, nothing).actions
        for name in self.env.agents:
            if name not in advice or np.isnan(advice[name]).any():
                raise ValueError(f"a teacher must advise every agent; this one leaves out {name}: name another or none")
        return seen._replace(advice=advice)

    def _reset(self, rows: Array) -> Seen:
        seeds = episode_seeds(self.seed, TRAINING, self.given, len(rows))
        self.given += len(rows)
        for row, seed in zip(rows.tolist(), seeds, strict=True):
            self._seeds[row] = seed
        self._lengths[rows], self._returns[rows] = 0, 0.0
        return self._show(rows, *self.env.reset(seed=seeds, rows=rows.tolist()))

    def _remember(self, actions: ActionBatch) -> None:
        for name, action in actions.items():
            action = np.asarray(action)
            kept = self._actions.get(name)
            if kept is None:
                kept = self._actions[name] = np.zeros((8, *action.shape), action.dtype)
            while len(kept) <= self._lengths.max():
                more = np.zeros((max(8, len(kept)), *kept.shape[1:]), kept.dtype)  # nothing is kept right after a reset
                kept = self._actions[name] = np.concatenate([kept, more])
            kept[self._lengths, self.rows] = action

    @staticmethod
    def _show(rows: Array, observations: dict[str, Array], infos: dict[str, Any]) -> Seen:
        return Seen(rows, observations, infos["action_mask"], infos.get("state"))


def _check_teacher(teacher: Policy) -> None:
    if teacher.draws_per_agent or teacher.initial_memory(1) is not None:
        raise ValueError("a teacher must decide by what it sees alone; this one has a memory or draws")
    if set(teacher.wants) - {"state"}:
        raise ValueError(f"a teacher sees observations and state alone; this one wants {', '.join(teacher.wants)}")


def _replace(old: Seen, rows: Array, fresh: Seen) -> Seen:
    """Return what all rows show when some of them show something else."""

    def put(before: Array, after: Array) -> Array:
        merged = np.array(before)
        merged[rows] = after
        return merged

    observations = {name: put(old.observations[name], value) for name, value in fresh.observations.items()}
    masks = {name: put(old.masks[name], value) for name, value in fresh.masks.items()}
    state = None if old.state is None or fresh.state is None else put(old.state, fresh.state)
    return Seen(old.rows, observations, masks, state)
