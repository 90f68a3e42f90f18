"""The real CybORG behind the project's contract: one episode, and a vector environment of several.

This is the only file that imports CybORG, and it does so when the first episode is made.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from cage4 import spec, validate
from cage4.cyborg import hooks as cyborg_hooks
from cage4.cyborg import true_state as cyborg_state
from cage4.cyborg.locate import (
    PATH_VARIABLE,
    CyborgInfo,
    CyborgUnavailable,
    available,
    importing,
    locate,
)
from cage4.cyborg.rich import RichRecorder
from cage4.cyborg.workers import make_pool, usable_cpus
from cage4.observations import true_state
from cage4.observations.rich import DTYPE as RICH_DTYPE
from cage4.observations.rich import SIZES as RICH_SIZES
from cage4.observations.spaces import VectorSpaces, action_sizes, observation_sizes
from cage4.observations.true_state import TrueState
from cage4.variants import Variant
from native_sim.api import ActionBatch, Array, StepBatch, VectorEnv

__all__ = [
    "CyborgEpisode",
    "CyborgFrame",
    "CyborgInfo",
    "CyborgUnavailable",
    "CyborgVectorEnv",
    "available",
    "load_cyborg",
    "locate",
]

_LOCK = threading.Lock()


def load_cyborg() -> SimpleNamespace:
    """Import CybORG and return the names of it that are used here; see :func:`_import_names` for them.

    Raises:
        CyborgUnavailable: In one sentence, what was found where, and how to get the right one.
    """
    with _LOCK:
        return _import_names(locate())


@functools.lru_cache(maxsize=1)
def _import_names(info: CyborgInfo) -> SimpleNamespace:
    with importing(info):
        from CybORG import CybORG
        from CybORG.Agents import SleepAgent
        from CybORG.Agents.SimpleAgents.EnterpriseGreenAgent import EnterpriseGreenAgent
        from CybORG.Agents.SimpleAgents.FiniteStateRedAgent import FiniteStateRedAgent
        from CybORG.Agents.SimpleAgents.FSMRedVariants import DiscoveryFSRed, VerboseFSRed
        from CybORG.Agents.SimpleAgents.RandomSelectRedAgent import RandomSelectRedAgent
        from CybORG.Agents.Wrappers import BlueFlatWrapper
        from CybORG.Simulator import Actions
        from CybORG.Simulator.Actions import Action, InvalidAction
        from CybORG.Simulator.Actions.ConcreteActions.ControlTraffic import AllowTrafficZone, BlockTrafficZone
        from CybORG.Simulator.Actions.ConcreteActions.DecoyActions.DeployDecoy import DeployDecoy
        from CybORG.Simulator.Scenarios import EnterpriseScenarioGenerator
    return SimpleNamespace(
        CybORG=CybORG,
        EnterpriseScenarioGenerator=EnterpriseScenarioGenerator,
        BlueFlatWrapper=BlueFlatWrapper,
        Action=Action,
        commands={
            "Analyse": Actions.Analyse,
            "Monitor": Actions.Monitor,
            "Remove": Actions.Remove,
            "Restore": Actions.Restore,
            "Sleep": Actions.Sleep,
            "AllowTrafficZone": AllowTrafficZone,
            "BlockTrafficZone": BlockTrafficZone,
            "DeployDecoy": DeployDecoy,
            "InvalidAction": InvalidAction,
        },
        blue=SleepAgent,
        red={
            "finite-state": FiniteStateRedAgent,
            "discovery": DiscoveryFSRed,
            "verbose": VerboseFSRed,
            "random-select": RandomSelectRedAgent,
            "sleep": SleepAgent,
        },
        green={"enterprise": EnterpriseGreenAgent, "none": SleepAgent},
    )


class CyborgFrame(NamedTuple):
    """What one reset or step of one environment returns. F is 92 or 210, U is 82 or 242."""

    observations: dict[str, npt.NDArray[np.int64]]  # agent -> [F], the flat vector
    action_mask: dict[str, npt.NDArray[np.int8]]  # agent -> [U], 1 where the action exists; constant per episode
    reward: float  # of the blue team
    reward_parts: npt.NDArray[np.float64]  # [9 subnets in generation order, LWF / ASF / RIA]
    action_cost: float  # of the actions blue submitted; parts and cost add up to the reward
    busy: npt.NDArray[np.int64]  # [5], ticks for which what the agent submits will be dropped; 0 when free
    phase: int  # 0, 1 or 2: the phase that was played, as the flat vector shows it
    done: bool
    rich: tuple[npt.NDArray[np.int32], ...] | None = (
        None  # agent number -> [F], see observations/rich.py; None if not asked
    )


class CyborgEpisode:
    """One environment of the real CybORG, played by five blue agents.

    Construction generates a first world, as CybORG's does, so ``reset()`` without a seed plays the second
    world of the stream; ``reset(seed)`` starts a new stream and does not depend on what was played before.

    Attributes:
        cyborg: The ``CybORG`` object.
        wrapper: The ``BlueFlatWrapper`` around it.

    Args:
        variant: Name of a variant, or a variant.
        steps: Length in CybORG's sense; done comes with step call number ``steps - 1``.
        seed: Seed of the random stream; None takes one from the operating system.
        pad_spaces: Give all agents the sizes of agent 4.
        shortcuts: Skip work of CybORG that nothing reads (several times faster, same results).
        rich: Also read see :mod:`cage4.observations.rich`.
    """

    def __init__(
        self,
        variant: str | Variant = "base",
        steps: int = spec.DEFAULT_STEPS,
        seed: int | None = None,
        pad_spaces: bool = False,
        *,
        shortcuts: bool = True,
        rich: bool = False,
    ) -> None:
        self.variant = validate.check_variant(variant)
        self.steps = validate.check_steps(steps)
        self._num_actions = action_sizes(pad_spaces)
        seed = validate.check_seed(seed)
        names = load_cyborg()
        generator = names.EnterpriseScenarioGenerator(
            blue_agent_class=names.blue,
            red_agent_class=names.red[self.variant.red],
            green_agent_class=names.green[self.variant.green],
            steps=self.steps,
        )
        for key, value in cyborg_hooks.generator_settings(self.variant).items():
            setattr(generator, key, value)
        self.cyborg: Any = names.CybORG(generator, seed=seed)
        self._controller = self.cyborg.environment_controller
        cyborg_hooks.apply_variant(self._controller, self.variant)
        self._recorder = cyborg_hooks.RewardRecorder(self._controller)
        self._shortcuts = shortcuts
        if shortcuts:
            cyborg_hooks.install_shortcuts(self._controller)
        self.wrapper: Any = names.BlueFlatWrapper(self.cyborg, pad_spaces=bool(pad_spaces))
        self._rich = RichRecorder(self.wrapper) if rich else None
        self._action_class = names.Action
        self._mask: dict[str, npt.NDArray[np.int8]] = {}
        self._done = True

    @property
    def generator(self) -> np.random.Generator:
        """The generator that drives everything; read its state, do not draw from it."""
        generator: np.random.Generator = self.cyborg.np_random
        return generator

    @property
    def reward_parts(self) -> npt.NDArray[np.float64]:
        """What CybORG charged in the last step: [9 subnets in generation order, LWF / ASF / RIA]."""
        return self._recorder.parts

    def reset(self, seed: int | None = None) -> CyborgFrame:
        """Start the next episode of the stream, or the first one of a new stream.

        Raises:
            ValueError: If the seed is not a non-negative integer.
        """
        seed = validate.check_seed(seed)
        if self._rich:
            self._rich.begin_episode()
        observations, infos = self.wrapper.reset(seed=seed)
        if self._shortcuts:
            cyborg_hooks.shorten_state(self._controller)
        self._mask = {agent: np.array(infos[agent]["action_mask"], np.int8) for agent in spec.BLUE_AGENTS}
        for mask in self._mask.values():
            mask.flags.writeable = False
        self._done = False
        no_parts = np.zeros((spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        return self._frame(observations, 0.0, no_parts, 0.0, done=False)

    def step(self, actions: Mapping[str, Any], messages: Array | None = None) -> CyborgFrame:
        """Play one step.

        Args:
            actions: Agent -> index, or one of CybORG's Action objects; agents left out play Sleep.
            messages: [5, 8] of 0/1, or None for silence.

        Raises:
            ValueError: If an action or message is not valid, or the episode is over or was not begun.
        """
        if self._done:
            raise ValueError("the episode is over or was not begun: call reset before step")
        chosen = self._check(actions)
        bits = validate.check_messages(None if messages is None else np.asarray(messages)[None], 1)
        spoken = None if bits is None else dict(zip(spec.BLUE_AGENTS, bits[0].astype(bool), strict=True))
        observations, _, terminated, _, _ = self.wrapper.step(chosen, messages=spoken)
        events, cost = self._controller.reward["Blue"].values()
        parts = self._recorder.parts
        if parts.sum() != events:
            raise RuntimeError(f"the recorded reward parts add up to {parts.sum()}, but CybORG charged {events}")
        self._done = bool(terminated[spec.BLUE_AGENTS[0]])
        return self._frame(observations, float(events + cost), parts, float(cost), done=self._done)

    def true_state(self) -> TrueState:
        """Return the true state, N = 1; see :mod:`cage4.observations.true_state`."""
        return cyborg_state.read(self._controller)

    def _check(self, actions: Mapping[str, Any]) -> dict[str, Any]:
        validate.check_agent_names(actions)
        chosen: dict[str, Any] = {}
        for number, agent in enumerate(spec.BLUE_AGENTS):
            if agent not in actions:
                continue
            action = actions[agent]
            if not isinstance(action, self._action_class):
                action = validate.check_action(action, agent, self._num_actions[number])
            chosen[agent] = action
        return chosen

    def _frame(
        self,
        observations: Mapping[str, npt.NDArray[np.int64]],
        reward: float,
        parts: npt.NDArray[np.float64],
        cost: float,
        *,
        done: bool,
    ) -> CyborgFrame:
        flat = {agent: observations[agent] for agent in spec.BLUE_AGENTS}
        running = self._controller.actions_in_progress
        slots = [running.get(agent) for agent in spec.BLUE_AGENTS]
        busy = np.array([slot["remaining_ticks"] if slot else 0 for slot in slots], np.int64)
        phase = int(flat[spec.BLUE_AGENTS[0]][0])
        rich = self._rich.vectors() if self._rich else None
        return CyborgFrame(flat, self._mask, reward, parts, cost, busy, phase, done, rich)


class CyborgVectorEnv(VectorEnv):
    """Several real CybORG environments behind the project's contract, in this process or in worker processes.

    Observations are int8 arrays [N, F] per agent. ``infos`` holds "action_mask" (agent -> [N, U] int8),
    "busy" ([N, 5] int64), "phase" ([N] int64), "reward_parts" ([N, 9, 3] float64) and "action_cost" ([N]
    float64), as :class:`CyborgFrame` describes them. CybORG has one done flag: terminations and truncations
    are equal (``spec.TIME_LIMIT_END``).

    Args:
        num_envs: Number of environments E.
        variant: Name of a variant, or a variant.
        steps: Length of an episode in CybORG's sense.
        seed: Row ``i`` is constructed with seed ``seed + i``; None takes seeds from the operating system.
        pad_spaces: Give all agents the sizes of agent 4.
        processes: Worker processes; 0 plays in this process. Default: none for one environment, otherwise one
            per processor but no more than environments. Results do not depend on it.
        shortcuts: See :class:`CyborgEpisode`.
        rich: Give ``infos`` the entry "rich": agent -> [N, F] int32, see :mod:`cage4.observations.rich`.

    Raises:
        ValueError: If an argument is not valid.
        CyborgUnavailable: If there is no CybORG to play with.
        WorkerError: If a worker process fails, in the constructor or later; its traceback is the cause.
    """

    def __init__(
        self,
        num_envs: int = 1,
        variant: str | Variant = "base",
        steps: int = spec.DEFAULT_STEPS,
        seed: int | None = None,
        pad_spaces: bool = False,
        processes: int | None = None,
        *,
        shortcuts: bool = True,
        rich: bool = False,
    ) -> None:
        self.num_envs = validate.check_num_envs(num_envs)
        self.variant = validate.check_variant(variant)
        self.steps = validate.check_steps(steps)
        self.pad_spaces = bool(pad_spaces)
        self.rich = bool(rich)
        seeds = validate.check_seeds(validate.check_seed(seed), self.num_envs)
        count = _check_processes(processes, self.num_envs)
        self.agents = spec.BLUE_AGENTS
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED, "time_limit_end": spec.TIME_LIMIT_END}
        spaces = VectorSpaces(self.num_envs, self.pad_spaces)
        self.single_observation_space, self.observation_space = (
            spaces.single_observation_space,
            spaces.observation_space,
        )
        self.single_action_space, self.action_space = spaces.single_action_space, spaces.action_space
        self._sizes = action_sizes(self.pad_spaces)
        self._mask = {a: np.zeros((num_envs, n), np.int8) for a, n in zip(self.agents, self._sizes, strict=True)}
        self._started = np.zeros(self.num_envs, np.bool_)
        self._finished = np.zeros(self.num_envs, np.bool_)
        info = locate()
        if not info.available:
            raise CyborgUnavailable(info.reason)
        settings = (self.variant, self.steps, self.pad_spaces, shortcuts, bool(rich))
        factory = functools.partial(_Player, info.path if count else None, settings)
        self._pool = make_pool(factory, seeds, count)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        rows: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start new episodes; see :meth:`native_sim.api.VectorEnv.reset`."""
        chosen = validate.check_reset_rows(rows, options, self.num_envs)
        seeds = validate.check_seeds(seed, len(chosen))
        requests = [(int(row), (item,)) for row, item in zip(chosen, seeds, strict=True)]
        frames: list[CyborgFrame] = self._pool.call("reset", requests)
        for row, frame in zip(chosen, frames, strict=True):
            for agent in self.agents:
                self._mask[agent][row] = frame.action_mask[agent]
        self._started[chosen], self._finished[chosen] = True, False
        return self._observations(frames), self._infos(frames, chosen)

    def step(
        self,
        actions: ActionBatch,
        messages: Array | None = None,
        rows: Sequence[int] | None = None,
    ) -> StepBatch:
        """Advance rows by one step; see :meth:`native_sim.api.VectorEnv.step`."""
        chosen = validate.check_rows(rows, self.num_envs)
        matrix = validate.check_actions(actions, self._sizes, len(chosen))
        bits = validate.check_messages(messages, len(chosen))
        validate.check_playing(self._started, self._finished, chosen)
        requests = [
            (int(row), (matrix[place], None if bits is None else bits[place])) for place, row in enumerate(chosen)
        ]
        frames: list[CyborgFrame] = self._pool.call("step", requests)
        done = np.array([frame.done for frame in frames], np.bool_)
        self._finished[chosen] = done
        rewards = np.array([frame.reward for frame in frames], np.float64)
        return StepBatch(self._observations(frames), rewards, done, done.copy(), self._infos(frames, chosen))

    def true_state(self, rows: Sequence[int] | None = None) -> TrueState:
        """Return the true state of rows (default: all); see :mod:`cage4.observations.true_state`.

        Raises:
            ValueError: If a row does not exist, is repeated, or was never reset.
        """
        chosen = validate.check_rows(rows, self.num_envs)
        fresh = chosen[~self._started[chosen]]
        if len(fresh):
            raise ValueError(f"rows {fresh.tolist()} have not been reset yet: call reset before true_state")
        states: list[TrueState] = self._pool.call("true_state", [(int(row), ()) for row in chosen])
        return true_state.stack(states)

    def close_extras(self, **_: Any) -> None:
        """Stop the worker processes."""
        if hasattr(self, "_pool"):  # the constructor may have failed before
            self._pool.close()

    def _observations(self, frames: list[CyborgFrame]) -> dict[str, Array]:
        return {
            agent: np.array([frame.observations[agent] for frame in frames], np.int8).reshape(len(frames), size)
            for agent, size in zip(self.agents, observation_sizes(self.pad_spaces), strict=True)
        }

    def _infos(self, frames: list[CyborgFrame], rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        n = len(frames)
        parts = (n, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS)
        infos: dict[str, Any] = {
            "action_mask": {agent: self._mask[agent][rows] for agent in self.agents},
            "busy": np.array([f.busy for f in frames], np.int64).reshape(n, spec.NUM_BLUE),
            "phase": np.array([f.phase for f in frames], np.int64),
            "reward_parts": np.array([f.reward_parts for f in frames], np.float64).reshape(parts),
            "action_cost": np.array([f.action_cost for f in frames], np.float64),
        }
        if self.rich:
            vectors = [frame.rich or () for frame in frames]
            infos["rich"] = {
                agent: np.array([row[number] for row in vectors], RICH_DTYPE).reshape(n, RICH_SIZES[number])
                for number, agent in enumerate(self.agents)
            }
        return infos


def _check_processes(processes: int | None, num_envs: int) -> int:
    if processes is None:
        return 0 if num_envs == 1 else min(num_envs, usable_cpus())
    if not validate.is_integer(processes) or processes < 0:
        raise ValueError(f"processes must be an integer of at least 0, or None; given {processes!r}")
    return min(int(processes), num_envs)


class _Player:
    """One episode as the pool plays it: rows of arrays in, small frames out."""

    def __init__(self, path: Path | None, settings: tuple[Variant, int, bool, bool, bool], seed: int | None) -> None:
        if path is not None:  # in a worker: find the same CybORG, whatever its environment says
            os.environ[PATH_VARIABLE] = str(path)
        variant, steps, pad_spaces, shortcuts, rich = settings
        self._episode = CyborgEpisode(variant, steps, seed, pad_spaces, shortcuts=shortcuts, rich=rich)

    def reset(self, seed: int | None) -> CyborgFrame:
        return self._episode.reset(seed)

    def true_state(self) -> TrueState:
        return self._episode.true_state()

    def step(self, actions: npt.NDArray[np.int64], messages: npt.NDArray[np.int8] | None) -> CyborgFrame:
        chosen = {agent: int(action) for agent, action in zip(spec.BLUE_AGENTS, actions, strict=True)}
        # The mask stays the same until the next reset and need not travel again.
        return self._episode.step(chosen, messages)._replace(action_mask={})
