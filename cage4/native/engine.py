"""The compiled engine behind the common face: many CAGE Challenge 4 episodes side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from cage4 import spec, validate
from cage4.native import kernel, rng
from cage4.native.agents.blue import CATALOGUE
from cage4.native.knobs import make_knobs
from cage4.native.observations import rich as rich_log
from cage4.native.observations import true_state as state_reader
from cage4.native.world import codes
from cage4.native.world.state import (
    BROKEN,
    OK,
    PORTS_PER_CHUNK,
    Outputs,
    Sizes,
    State,
    Store,
    allocate,
    allocate_outputs,
    enlarge,
    view,
)
from cage4.observations.spaces import VectorSpaces, action_sizes, observation_sizes
from cage4.observations.true_state import TrueState
from cage4.variants import Variant
from native_sim.api import ActionBatch, Array, StepBatch, VectorEnv
from native_sim.kernels.threads import threads_lost

Rows = npt.NDArray[np.int64]


class NativeVectorEnv(VectorEnv):
    """E independent CC4 episodes that follow CybORG 4.0 draw by draw.

    The same seed and the same actions give the same episode as CybORG, generator state included. As there,
    construction already generates a world from the seed, ``reset()`` continues the random stream, and
    ``reset(seed=s)`` starts a new one. Rows must be reset before their first step.

    ``infos`` of reset and step hold, besides ``action_mask`` (agent -> [N, U] int8, read-only, constant in an
    episode): ``busy`` [N, 5] int16, ticks left of each agent's action after the step (0: free); ``phase`` [N]
    int8, the mission phase that was played (element 0 of every observation); ``reward_parts`` [N, 9, 3] int32,
    reward per subnet (generation order) and cause (LWF, ASF, RIA); ``action_cost`` [N] float64. The parts and the
    action cost add up to the reward. ``terminations`` equals ``truncations``, as in CybORG (``spec.TIME_LIMIT_END``).
    """

    agents = spec.BLUE_AGENTS
    metadata = {  # noqa: RUF012  (Gymnasium's own attribute)
        "autoreset_mode": AutoresetMode.DISABLED,
        "time_limit_end": spec.TIME_LIMIT_END,
    }

    def __init__(
        self,
        num_envs: int,
        variant: Variant | None = None,
        steps: int = spec.DEFAULT_STEPS,
        seed: int | Sequence[int | None] | None = None,
        threads: int = 1,
        pad_spaces: bool = False,
        sizes: Sizes | None = None,
        rich: bool = False,
    ) -> None:
        """Allocate E rows and generate a first world in each.

        Args:
            num_envs: E, at least 1.
            variant: The scenario; None is the official one.
            steps: Episode length in CybORG's sense (at least 3); done comes with step call ``steps - 1``.
            seed: One seed per row, or an int ``s`` for ``s, s + 1, ...``; None takes system entropy.
            threads: Threads that share the rows; results do not depend on it. A process that was forked after its
                parent used such threads has lost them, and plays on one.
            sizes: First size of the pools behind CybORG's unbounded lists; they grow when they must.
            pad_spaces: Give all agents 210 observation entries and 242 actions, as CybORG's wrapper option does.
            rich: Give ``infos`` the entry "rich": agent -> [N, F] int32, the rich observation of
                :mod:`cage4.observations.rich`. It costs time.

        Raises:
            ValueError: If a number is out of range.
        """
        self.num_envs = validate.check_num_envs(num_envs)
        self._threads = validate.check_count("threads", threads, _max_threads())
        _check_memory(self.num_envs)
        self.variant = variant or Variant()
        self.steps = validate.check_steps(steps)
        self.pad_spaces = bool(pad_spaces)
        self.rich = bool(rich)
        self.spec = None
        self.render_mode = None
        self.closed = False
        self._knobs = make_knobs(self.variant, self.steps)
        self._all_rows: Rows = np.arange(self.num_envs)
        seeds = validate.check_seeds(seed, self.num_envs)
        self._set_memory(allocate(self.num_envs, sizes or _sizes_for(self.variant, self.steps)))
        self._sizes = observation_sizes(self.pad_spaces)
        self._num_actions = action_sizes(self.pad_spaces)
        spaces = VectorSpaces(self.num_envs, self.pad_spaces)
        self.single_observation_space, self.observation_space = (
            spaces.single_observation_space,
            spaces.observation_space,
        )
        self.single_action_space, self.action_space = spaces.single_action_space, spaces.action_space
        self._masks = np.zeros((self.num_envs, codes.NUM_BLUE, spec.MAX_ACTIONS), np.int8)
        self._seed_rows(self._all_rows, seeds)
        self._new_worlds(self._all_rows)
        self.state.life[:] = codes.NEVER_RESET

    # ------------------------------------------------------------------------------------------------ the contract
    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        rows: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start new episodes; see :meth:`native_sim.api.VectorEnv.reset`. A None among seeds continues its row."""
        chosen = validate.check_reset_rows(rows, options, self.num_envs)
        if len(chosen) == self.num_envs and rows is None:
            chosen = self._all_rows
        if seed is not None:
            seeds = validate.check_seeds(seed, len(chosen))
            given = [(row, one) for row, one in zip(chosen, seeds, strict=True) if one is not None]
            self._seed_rows(np.array([row for row, _ in given], np.int64), [one for _, one in given])
        out = self._new_worlds(chosen)
        return self._observations(out), self._infos(out, chosen)

    def step(
        self,
        actions: ActionBatch,
        messages: Array | None = None,
        rows: Sequence[int] | None = None,
    ) -> StepBatch:
        """Advance rows by one step; see :meth:`native_sim.api.VectorEnv.step`.

        An index under a zero of the mask is played as Sleep, as in CybORG. An agent whose action is still in
        progress ignores what it is given (a Restore is charged all the same).
        """
        chosen = self._rows_to_step(rows)
        indices = validate.check_actions(actions, self._num_actions, len(chosen))
        bits = _message_bits(messages, len(chosen))
        commands = np.empty((len(chosen), codes.NUM_BLUE, 3), np.int64)
        kernel.decode_batch(self.memory, chosen, indices, commands)
        return self._play(chosen, commands, bits)

    def step_commands(
        self, commands: Array, messages: Array | None = None, rows: Sequence[int] | None = None
    ) -> StepBatch:
        """Advance rows by one step with commands instead of indices, as CybORG does with action objects.

        Args:
            commands: [N, 5, 3] integers: ``spec.Verb``; the host number (see ``codes``) or destination subnet;
                the source subnet. Traffic commands may name any two subnets. A host that is absent or not the
                agent's own makes the command invalid: one tick without effect, but a Restore is charged. Any
                other object that CybORG does not know can be played as such an invalid command. The number
                after the last verb, ``codes.INVALID``, is CybORG's own InvalidAction: the same, and it costs 0.1.
            messages: As in :meth:`step`.
            rows: As in :meth:`step`.

        Raises:
            ValueError: As in :meth:`step`.
        """
        chosen = self._rows_to_step(rows)
        checked = _checked_commands(commands, len(chosen))
        return self._play(chosen, checked, _message_bits(messages, len(chosen)))

    def true_state(self, rows: Sequence[int] | None = None) -> TrueState:
        """Return the true state of rows (default: all); see :mod:`cage4.observations.true_state`.

        Raises:
            ValueError: If a row does not exist, is repeated, or was never reset.
        """
        chosen = validate.check_rows(rows, self.num_envs)
        fresh = chosen[self.state.life[chosen] == codes.NEVER_RESET]
        if len(fresh):
            raise ValueError(f"rows {fresh.tolist()} have not been reset yet: call reset before true_state")
        return state_reader.read(self.memory, chosen)

    def close(self, **kwargs: Any) -> None:
        """Do nothing: the engine holds no files, processes or devices."""
        self.closed = True

    def generator_state(self, row: int) -> dict[str, Any]:
        """Return the state of a row's random generator in the form of NumPy's ``bit_generator.state``."""
        return rng.state_of_row(self.state.rng[row])

    # ---------------------------------------------------------------------------------------------------- playing
    def _set_memory(self, memory: Store) -> None:
        self.memory = memory
        self.state: State = view(memory)

    def _play(self, rows: Rows, commands: npt.NDArray[np.int64], messages: npt.NDArray[np.int8]) -> StepBatch:
        out = allocate_outputs(len(rows), rich_log.SIZE if self.rich else None)
        places = self._all_rows if rows is self._all_rows else np.arange(len(rows))
        while len(places):
            self._run("step_batch", rows, places, commands, messages, out)
            if not out.fault.any():
                break
            places = places[out.fault[places] > OK]
            if len(places):
                self._set_memory(enlarge(self.memory, set(out.fault[places].tolist())))
        if (out.fault == BROKEN).any():
            bad = rows[np.flatnonzero(out.fault == BROKEN)[0]]
            raise RuntimeError(f"the native engine reached a state that cannot be (row {bad}); please report it")
        done = out.life == codes.FINISHED
        rewards = out.parts.reshape(len(rows), -1).sum(axis=1) + out.cost
        return StepBatch(self._observations(out), rewards, done, done.copy(), self._infos(out, rows))

    def _new_worlds(self, rows: Rows) -> Outputs:
        out = allocate_outputs(len(rows), rich_log.SIZE if self.rich else None)
        self._run("reset_batch", rows, np.arange(len(rows)), out)
        masks = self._masks.copy()
        masks[rows] = self.state.action_mask[rows]
        self._masks = masks
        self._all_masks = self._split_masks(masks)
        return out

    def _run(self, name: str, *arguments: Any) -> None:
        """Run one of :class:`cage4.native.kernel.Loops`, on this engine's threads if it has several."""
        if self._threads == 1 or self.num_envs == 1 or threads_lost():  # asking Numba for threads starts them
            self._call(getattr(kernel.serial, name), *arguments)
            return
        before = numba.get_num_threads()
        if before != self._threads:
            numba.set_num_threads(self._threads)
        try:
            self._call(getattr(kernel.threaded, name), *arguments)
        finally:
            if before != self._threads:
                numba.set_num_threads(before)

    def _call(self, loop: Any, *arguments: Any) -> None:
        if _JIT_DISABLED:  # wrap-around of 64-bit integers is wanted; NumPy would warn of it
            with np.errstate(over="ignore"):
                loop(self.memory, self._knobs, *arguments)
        else:
            loop(self.memory, self._knobs, *arguments)

    def _seed_rows(self, rows: Rows, seeds: Sequence[int | None]) -> None:
        for row, seed in zip(rows, seeds, strict=True):
            self.state.rng[row] = rng.seed_row(seed)

    # ---------------------------------------------------------------------------------------------------- outputs
    def _observations(self, out: Outputs) -> dict[str, Array]:
        return {name: out.observation[:, i, : self._sizes[i]] for i, name in enumerate(self.agents)}

    def _infos(self, out: Outputs, rows: Rows) -> dict[str, Any]:
        infos = {
            "action_mask": dict(self._all_masks) if rows is self._all_rows else self._split_masks(self._masks[rows]),
            "busy": out.busy,
            "phase": out.phase,
            "reward_parts": out.parts,
            "action_cost": out.cost,
        }
        if out.rich is not None:
            infos["rich"] = rich_log.split(out.rich)
        return infos

    def _split_masks(self, masks: npt.NDArray[np.int8]) -> dict[str, Array]:
        masks.flags.writeable = False
        return {name: masks[:, i, : self._num_actions[i]] for i, name in enumerate(self.agents)}

    def _rows_to_step(self, rows: Sequence[int] | None) -> Rows:
        chosen = self._all_rows if rows is None else validate.check_rows(rows, self.num_envs)
        life = self.state.life
        if (life[chosen] != codes.PLAYING).any():
            validate.check_playing(life != codes.NEVER_RESET, life == codes.FINISHED, chosen)
        return chosen


BYTES_PER_ENV = 200_000
"""What one environment takes in long play, pools and outputs included (``hmarl-transfer bench cage4`` measures it)."""


def _check_memory(num_envs: int) -> None:
    try:
        present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no such figures on this system
        return
    if num_envs * BYTES_PER_ENV > present:
        raise ValueError(
            f"num_envs = {num_envs} would take about {num_envs * BYTES_PER_ENV / 1e9:,.1f} GB, and this machine has "
            f"{present / 1e9:,.1f} GB of memory; ask for at most {present // BYTES_PER_ENV}"
        )


_CONFIG: Any = numba.config
_JIT_DISABLED = bool(_CONFIG.DISABLE_JIT)


def _max_threads() -> int:
    return int(_CONFIG.NUMBA_NUM_THREADS)


def _sizes_for(variant: Variant, steps: int) -> Sizes:
    """Return pools that an episode of this length rarely outgrows."""
    # A third of the green users visit a server in each step, and each visit takes a port.
    visits = codes.INTERNET * variant.max_users * steps / 3 * (1 + variant.false_alarm_rate)
    return Sizes(port=480 + int(visits) // PORTS_PER_CHUNK)


def _message_bits(messages: Array | None, num: int) -> npt.NDArray[np.int8]:
    bits = validate.check_messages(messages, num)
    return np.zeros((num, codes.NUM_BLUE, spec.MESSAGE_BITS), np.int8) if bits is None else bits


_MAX_A = np.full(codes.INVALID + 1, codes.NUM_HOSTS - 1)
_MAX_A[list(spec.TRAFFIC_VERBS)] = codes.NUM_ZONES - 1


def _checked_commands(commands: Array, num: int) -> npt.NDArray[np.int64]:
    given = np.asarray(commands)
    shape = (num, codes.NUM_BLUE, CATALOGUE.shape[2])
    if given.shape != shape or given.dtype.kind not in "iu":
        raise ValueError(f"commands must be integers of shape {shape}; given {given.dtype} of shape {given.shape}")
    verbs, a, b = given[..., 0], given[..., 1], given[..., 2]
    if given.size and (given.min() < 0 or verbs.max() > codes.INVALID):
        raise ValueError(f"commands must hold verbs 0 to {codes.INVALID} and targets of at least 0")
    if given.size and ((a > _MAX_A[verbs]).any() or b.max() >= codes.NUM_ZONES):
        raise ValueError(
            f"command targets must be hosts 0 to {codes.NUM_HOSTS - 1} or subnets 0 to {codes.NUM_ZONES - 1}"
        )
    return np.ascontiguousarray(given, dtype=np.int64)
