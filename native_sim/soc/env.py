"""The SOC simulator as a vector environment: checks at the door, one kernel call per step, results as fresh arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from native_sim.api import Array, Layout, StepBatch, VectorEnv
from native_sim.soc import spec, validate
from native_sim.soc.config import SocConfig
from native_sim.soc.frames import Commands, Frame
from native_sim.soc.timeline import Timeline

_HELD_OUT = 1 << 63
"""Flips the top bit of the episode counter: streams that no training episode uses."""


class Engine(Protocol):
    """A rule set: the state of E environments, and how it starts and advances."""

    config: SocConfig
    state: Any
    metric_names: tuple[str, ...]
    observation_layouts: dict[str, Layout]
    action_layouts: dict[str, Layout]

    def __init__(self, config: SocConfig, num_envs: int, threads: int) -> None: ...

    def reset(self, rows: Array, seeds: Array, episodes: Array, networks: Array) -> Frame:
        """Start episodes in ``rows`` [N]; seeds and episodes are [N] uint64, networks [N, 2]."""

    def step(self, rows: Array, commands: Commands) -> Frame:
        """Advance ``rows`` [N] by one step."""

    def truth(self, rows: Array) -> Array:
        """Return the state vectors [N, 48] float32 (spec.STATE) of ``rows`` [N].

        Raises:
            ValueError: If the rules have none.
        """


def make_engine(config: SocConfig, num_envs: int, threads: int) -> Engine:
    """Return the engine of the configured rules; compilers are loaded here."""
    if config.rules == "reference":
        from native_sim.soc.reference.engine import ReferenceEngine

        return ReferenceEngine(config, num_envs, threads)
    from native_sim.soc.corrected.engine import CorrectedEngine

    return CorrectedEngine(config, num_envs, threads)


def check_threads(threads: int | None) -> int:
    """Return the number of threads, one per usable processor for None."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a positive integer or None; given {threads!r}")
    return threads


def observation_spaces(layouts: dict[str, Layout]) -> dict[str, Space[Any]]:
    """Return a new float32 box per role with the bounds of its layout."""
    return {role: _box(layout) for role, layout in layouts.items()}


def action_spaces(layouts: dict[str, Layout]) -> dict[str, Space[Any]]:
    """Return a new action space per role: a box in [-1, 1], and four choices for triage."""
    return {
        role: Discrete(spec.ACTION_SIZES[index]) if index == spec.TRIAGE else _box(layouts[role])
        for index, role in enumerate(spec.AGENTS)
    }


def _box(layout: Layout) -> Box:
    low = np.concatenate([np.full(field.size, field.low, np.float32) for field in layout])
    high = np.concatenate([np.full(field.size, field.high, np.float32) for field in layout])
    return Box(low, high, dtype=np.float32)


class SocVectorEnv(VectorEnv):
    """E enterprise networks under attack, each defended by four roles.

    Observations are role -> [N, F] float32 (F = 64, 128, 64, 96); actions are role -> array: ``coordinator`` [N, 8],
    ``hunter`` [N, 16] and ``responder`` [N, 12] of numbers in [-1, 1], ``triage`` [N] of 0 to 3. A role that is
    missing or None does nothing; a coordinator row of NaN keeps that row's directive.

    ``infos`` of a step hold ``reward_parts`` [N, 4] (before their weights), ``action_mask`` (all ones), and, for
    the rows whose episode ended, one float64 [N] per name of ``metric_names`` (NaN in the other rows).

    An episode depends on its seed alone (and on the shared network, if networks are fixed), not on E, the row or
    the number of threads. Resetting a row without a seed goes on to the next episode of the row's seed.

    Args:
        config: What to simulate.
        num_envs: E.
        threads: Threads that share the rows; None for one per usable processor.
        with_state: Add the true state to ``infos`` as ``state`` [N, 48] (spec.STATE; corrected rules only).
    """

    agents = spec.AGENTS
    metadata: dict[str, Any] = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": ["ansi"],
        "time_limit_end": spec.TIME_LIMIT_END,
    }

    def __init__(
        self, config: SocConfig, num_envs: int = 1, threads: int | None = None, with_state: bool = False
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be a positive integer; given {num_envs!r}")
        self.config = config
        self.num_envs = num_envs
        self._with_state = with_state
        self.engine = make_engine(config, num_envs, check_threads(threads))
        self.metric_names = self.engine.metric_names
        self.observation_layouts = self.engine.observation_layouts
        self.action_layouts = self.engine.action_layouts
        self.single_observation_space = Dict(observation_spaces(self.observation_layouts))
        self.single_action_space = Dict(action_spaces(self.action_layouts))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeds = np.zeros(num_envs, np.uint64)
        self._episodes = np.zeros(num_envs, np.uint64)
        self._started = np.zeros(num_envs, np.bool_)
        self._finished = np.zeros(num_envs, np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        rows: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start new episodes; see :meth:`native_sim.api.VectorEnv.reset`."""
        index = validate.check_reset_rows(rows, options, self.num_envs)
        self._seed(index, validate.check_seeds(seed, len(index)))
        episodes = self._episodes[index] ^ np.uint64(_HELD_OUT if self.config.held_out else 0)
        networks = np.stack([self._seeds[index], episodes], axis=1)
        if self.config.networks == "fixed":
            networks[:] = self.config.network_seed, 0
        frame = self.engine.reset(index, self._seeds[index], episodes, networks)
        self._started[index], self._finished[index] = True, False
        infos: dict[str, Any] = {"action_mask": _masks(len(index))}
        return _observations(frame), self._add_state(infos, index)

    def step(
        self,
        actions: Mapping[str, Array | None],
        messages: Array | None = None,
        rows: Sequence[int] | Array | None = None,
    ) -> StepBatch:
        """Advance ``rows`` (default: all) by one step; ``messages`` must be None, these agents send none."""
        if messages is not None:
            raise ValueError("the roles of the SOC send no messages: give None")
        index = validate.check_rows(rows, self.num_envs)
        validate.check_playing(self._started, self._finished, index)
        frame = self.engine.step(index, validate.check_actions(actions, len(index)))
        self._finished[index] = frame.terminated | frame.truncated
        infos: dict[str, Any] = {"reward_parts": frame.parts, "action_mask": _masks(len(index))}
        infos |= {name: frame.metrics[:, j] for j, name in enumerate(self.metric_names)}
        self._add_state(infos, index)
        return StepBatch(_observations(frame), frame.reward, frame.terminated, frame.truncated, infos)

    def state(self) -> Array:
        """Return the true state of every row, [E, 48] float32 (spec.STATE), for centralised critics.

        Raises:
            ValueError: Under the reference rules, whose observations hold the truth already.
        """
        return self._truth(np.arange(self.num_envs))

    def render(self) -> tuple[str, ...]:
        """Describe every row in a line of text, truth included: for people, not for policies."""
        lines = []
        for row in range(self.num_envs):
            timeline = Timeline()
            timeline.record(self, row)
            lines.append(timeline.text())
        return tuple(lines)

    def _truth(self, rows: Array) -> Array:
        return np.asarray(self.engine.truth(rows))

    def _add_state(self, infos: dict[str, Any], rows: Array) -> dict[str, Any]:
        if self._with_state:
            infos["state"] = self._truth(rows)
        return infos

    def _seed(self, rows: Array, seeds: list[int | None]) -> None:
        """Give rows their seeds; a row without one continues, or takes entropy from the system if it never had one."""
        for row, seed in zip(rows, seeds, strict=True):
            if seed is not None:
                self._seeds[row], self._episodes[row] = seed, 0
            elif self._started[row]:
                self._episodes[row] += np.uint64(1)
            else:
                self._seeds[row] = np.random.SeedSequence().generate_state(1, np.uint64)[0]


def _observations(frame: Frame) -> dict[str, Array]:
    return {role: frame[index] for index, role in enumerate(spec.AGENTS)}


def _masks(count: int) -> dict[str, Array]:
    """Return read-only masks of ones, role -> [N, U]: every action is allowed at any time."""
    masks = {}
    for role, size in zip(spec.AGENTS, spec.ACTION_SIZES, strict=True):
        mask = np.broadcast_to(np.int8(1), (count, size))
        masks[role] = mask
    return masks
