"""CAGE Challenge 4 as a PettingZoo parallel environment, over any engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Space
from pettingzoo import ParallelEnv

from cage4 import spec, validate
from cage4.actions import SLEEP
from cage4.engines import AUTO, vector_env
from cage4.observations import true_state
from cage4.observations.spaces import action_sizes, action_spaces, observation_spaces
from cage4.observations.true_state import TrueState
from cage4.variants import Variant
from native_sim.api import Array, HasTrueState, VectorEnv

Observation = npt.NDArray[np.int64]
Messages = Mapping[str, Array] | Array


def parallel_env(
    engine: str = AUTO,
    variant: str | Variant = "base",
    steps: int = spec.DEFAULT_STEPS,
    pad_spaces: bool = False,
    seed: int | None = None,
    rich: bool = False,
) -> CageParallelEnv:
    """Make one CAGE Challenge 4 environment for the five blue agents; see :func:`cage4.vector_env`.

    Example:
        >>> env = parallel_env()
        >>> observations, infos = env.reset(seed=0)
        >>> while env.agents:
        ...     actions = {a: env.action_space(a).sample(infos[a]["action_mask"]) for a in env.agents}
        ...     observations, rewards, terminations, truncations, infos = env.step(actions)
    """
    return CageParallelEnv(vector_env(engine, 1, variant, steps, seed, pad_spaces, rich), pad_spaces)


class CageParallelEnv(ParallelEnv[str, Observation, int]):  # type: ignore[misc]  # PettingZoo has no types
    """One environment of an engine, agent by agent.

    Observations are int64 vectors (92 entries, 210 for blue_agent_4), actions are indices (82, 242). Every
    agent receives the reward of the team. ``infos[agent]`` is ``{"action_mask": int8 array, "busy": int}``: 1
    where an action exists in this episode, and the number of steps for which whatever the agent submits will
    be dropped. If the engine gives rich observations, ``infos[agent]["rich"]`` is the agent's vector [F] int32
    of :mod:`cage4.observations.rich`. ``state()`` is the truth behind it all, for training only.

    As in CybORG, ``reset()`` without a seed goes on in the random stream, agents without an action play
    Sleep, and all agents are terminated and truncated together, one step before ``steps``.

    Args:
        engine: A vector environment with one environment.
        pad_spaces: Whether the engine pads all agents to the sizes of agent 4.
    """

    metadata = {  # noqa: RUF012  # PettingZoo's
        "name": "cage4_v1",
        "is_parallelizable": True,
        "render_modes": [],
        "time_limit_end": spec.TIME_LIMIT_END,
    }
    render_mode: str | None = None

    def __init__(self, engine: VectorEnv, pad_spaces: bool = False) -> None:
        if engine.num_envs != 1:
            raise ValueError(f"a parallel environment plays one environment; the engine given has {engine.num_envs}")
        self.engine = engine
        self.possible_agents = list(spec.BLUE_AGENTS)
        self.agents: list[str] = []
        self.observation_spaces = observation_spaces(pad_spaces)
        self.action_spaces = action_spaces(pad_spaces)
        self._sizes = dict(zip(spec.BLUE_AGENTS, action_sizes(pad_spaces), strict=True))
        self.state_space = true_state.space()

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start the next episode of the stream, or the first one of the stream of ``seed``.

        Args:
            seed: Non-negative integer, or None.
            options: Ignored, as PettingZoo asks of environments that have none.

        Raises:
            ValueError: If the seed is not valid.
        """
        batch, infos = self.engine.reset(seed=[validate.check_seed(seed)])
        self.agents = list(self.possible_agents)
        return self._observations(batch), self._infos(infos)

    def step(
        self, actions: Mapping[str, int], messages: Messages | None = None
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Play one step.

        Args:
            actions: Agent -> index; agents left out play Sleep.
            messages: Agent -> [8] of 0/1 (agents left out are silent), or [5, 8]; each agent hears the four
                others in the observation of this same step.

        Raises:
            ValueError: If an agent is unknown, an action or message is not valid, or there is no episode; the
                state is then unchanged.
        """
        if not self.agents and not actions:
            return {}, {}, {}, {}, {}
        if not self.agents:
            raise ValueError("no episode is under way: call reset before step")
        batch = self.engine.step(self._actions(actions), messages=_message_batch(messages))
        done = bool(batch.terminations[0] or batch.truncations[0])
        observations, infos = self._observations(batch.observations), self._infos(batch.infos)
        rewards = dict.fromkeys(self.agents, float(batch.rewards[0]))
        terminations = dict.fromkeys(self.agents, bool(batch.terminations[0]))
        truncations = dict.fromkeys(self.agents, bool(batch.truncations[0]))
        if done:
            self.agents = []
        return observations, rewards, terminations, truncations, infos

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the observation space of an agent: the same object at every call."""
        return self.observation_spaces[_known(agent)]

    def action_space(self, agent: str) -> Space[Any]:
        """Return the action space of an agent: the same object at every call."""
        return self.action_spaces[_known(agent)]

    def state(self) -> npt.NDArray[np.int32]:
        """Return the true state as one vector [F] int32, which no agent sees: for centralised critics.

        ``cage4.observations.true_state.LAYOUT`` tells what each entry means and ``state_space`` what it can hold.

        Raises:
            ValueError: As :meth:`true_state`.
        """
        vector: npt.NDArray[np.int32] = true_state.flatten(self.true_state())[0]
        return vector

    def true_state(self) -> TrueState:
        """Return the true state in named arrays, N = 1; see :mod:`cage4.observations.true_state`.

        Raises:
            ValueError: If the environment was not reset yet, or the engine has no true state.
        """
        if not isinstance(self.engine, HasTrueState):
            raise ValueError(f"{type(self.engine).__name__} does not tell the true state; use an engine of cage4")
        state: TrueState = self.engine.true_state()
        return state

    def render(self) -> None:
        """Do nothing: there is no rendering, and ``metadata["render_modes"]`` is empty."""

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()
        self.agents = []

    def _actions(self, actions: Mapping[str, int]) -> dict[str, Array]:
        validate.check_agent_names(actions)
        chosen = dict(zip(spec.BLUE_AGENTS, SLEEP, strict=True))
        for agent, action in actions.items():
            chosen[agent] = validate.check_action(action, agent, self._sizes[agent])
        return {agent: np.array([action]) for agent, action in chosen.items()}

    def _observations(self, batch: Mapping[str, Array]) -> dict[str, Observation]:
        return {agent: batch[agent][0].astype(np.int64) for agent in self.possible_agents}

    def _infos(self, infos: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        by_agent: dict[str, dict[str, Any]] = {
            agent: {
                "action_mask": np.array(infos["action_mask"][agent][0], np.int8),
                "busy": int(infos["busy"][0, number]),
            }
            for number, agent in enumerate(self.possible_agents)
        }
        for agent, vectors in infos.get("rich", {}).items():
            by_agent[agent]["rich"] = np.array(vectors[0])
        return by_agent


def _known(agent: str) -> str:
    validate.check_agent_names({agent: None})
    return agent


def _message_batch(messages: Messages | None) -> npt.NDArray[np.int8] | None:
    if messages is None:
        return None
    if not isinstance(messages, Mapping):
        return validate.check_messages(np.asarray(messages)[None], 1)
    validate.check_agent_names(messages)
    table = [messages.get(agent, np.zeros(spec.MESSAGE_BITS, np.int8)) for agent in spec.BLUE_AGENTS]
    for agent, bits in zip(spec.BLUE_AGENTS, table, strict=True):
        if np.shape(bits) != (spec.MESSAGE_BITS,):
            raise ValueError(f"the message of {agent} must have {spec.MESSAGE_BITS} bits; given {np.shape(bits)}")
    return validate.check_messages(np.array(table)[None], 1)
