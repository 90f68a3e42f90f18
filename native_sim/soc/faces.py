"""One SOC as a single environment: a Gymnasium face for a set of roles, and a PettingZoo face for all four."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Space
from pettingzoo import ParallelEnv

from native_sim.api import Array, Policy, StepBatch
from native_sim.soc import spec
from native_sim.soc.config import SocConfig, make_config
from native_sim.soc.env import SocVectorEnv, action_spaces, observation_spaces
from native_sim.soc.timeline import Timeline


class SocEnv(gymnasium.Env[dict[str, Array], dict[str, Any]]):
    """One SOC in which the caller plays some of the roles.

    Observations and actions are dictionaries over ``roles``. ``truncated`` and ``terminated`` differ; ``info`` of the
    last step holds the episode's metrics as floats.

    Args:
        roles: The roles that the caller plays.
        others: A policy without memory or draws for the remaining roles; None: they do nothing.
        config: What to simulate; None for the default level.
        render_mode: "ansi" for text, or None.

    Raises:
        ValueError: If a role is unknown or named twice, or none is named, or the other policy has a memory or draws.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "time_limit_end": spec.TIME_LIMIT_END}  # noqa: RUF012

    def __init__(
        self,
        roles: Sequence[str] = spec.AGENTS,
        others: Policy | None = None,
        config: SocConfig | None = None,
        render_mode: str | None = None,
    ) -> None:
        unknown = [role for role in roles if role not in spec.AGENTS]
        if unknown or not roles or len(set(roles)) != len(roles):
            raise ValueError(f"roles must be some of {', '.join(spec.AGENTS)}, each once; given {tuple(roles)}")
        if others is not None and (others.draws_per_agent or others.initial_memory(1) is not None):
            raise ValueError(f"others must be a policy without memory and draws; {type(others).__name__} is none")
        _check_render_mode(render_mode)
        self.roles = tuple(roles)
        self.render_mode = render_mode
        self._others = others
        self._env = SocVectorEnv(config or make_config(), 1, threads=1)
        self._timeline = Timeline()
        self._seen: dict[str, Array] = {}
        self._masks: dict[str, Array] = {}
        observations, actions = _spaces(self._env)
        self.observation_space: Any = Dict({role: observations[role] for role in self.roles})
        self.action_space: Any = Dict({role: actions[role] for role in self.roles})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start a new episode; without a seed, the next one of the last seed."""
        super().reset(seed=seed)
        _refuse_options(options)
        self._seen, infos = self._env.reset(seed=seed)
        self._masks = infos["action_mask"]
        self._timeline = Timeline()
        return self._shown(), {}

    def step(self, action: Mapping[str, Any]) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Play one step."""
        given: dict[str, Array | None] = {role: _batched(action[role]) for role in action}
        if self._others is not None:
            draws = np.zeros((1, spec.NUM_AGENTS, 0))
            directive = given.get(spec.AGENTS[spec.COORDINATOR])
            if directive is None:
                directive = np.full((1, spec.DIRECTIVE_SIZE), np.nan)
            decision = self._others.follow(directive, self._seen, self._masks, None, draws)
            given = {**{role: a for role, a in decision.actions.items() if role not in self.roles}, **given}
        batch = self._env.step(given)
        self._seen = batch.observations
        self._timeline.record(self._env)
        return (
            self._shown(),
            float(batch.rewards[0]),
            bool(batch.terminations[0]),
            bool(batch.truncations[0]),
            _info(self._env, batch),
        )

    def render(self) -> str | None:
        """Return the present state as text, or None without a render mode."""
        return self._timeline.text() if self.render_mode == "ansi" else None

    def _shown(self) -> dict[str, Array]:
        return {role: self._seen[role][0] for role in self.roles}


class SocParallelEnv(ParallelEnv):  # type: ignore[misc]
    """One SOC with the agents coordinator, hunter, triage and responder, who share the team's reward.

    Args:
        config: What to simulate; None for the default level.
        render_mode: "ansi" for text, or None.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "name": "soc_v1",
        "render_modes": ["ansi"],
        "is_parallelizable": True,
        "time_limit_end": spec.TIME_LIMIT_END,
    }

    def __init__(self, config: SocConfig | None = None, render_mode: str | None = None) -> None:
        _check_render_mode(render_mode)
        self.render_mode = render_mode
        self.possible_agents = list(spec.AGENTS)
        self.agents: list[str] = []
        self._env = SocVectorEnv(config or make_config(), 1, threads=1)
        self.observation_spaces, self.action_spaces = _spaces(self._env)
        self._timeline = Timeline()

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the agent's observation space; always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """Return the agent's action space; always the same object."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Start a new episode; without a seed, the next one of the last seed. There are no options to give."""
        observations, _ = self._env.reset(seed=seed)
        self.agents = list(spec.AGENTS)
        self._timeline = Timeline()
        return {agent: observations[agent][0] for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Play one step; an agent without an action does nothing."""
        batch = self._env.step({agent: _batched(action) for agent, action in actions.items()})
        self._timeline.record(self._env)
        agents = self.agents
        info = _info(self._env, batch)
        done, cut = bool(batch.terminations[0]), bool(batch.truncations[0])
        if done or cut:
            self.agents = []
        return (
            {agent: batch.observations[agent][0] for agent in agents},
            {agent: float(batch.rewards[0]) for agent in agents},
            dict.fromkeys(agents, done),
            dict.fromkeys(agents, cut),
            {agent: dict(info) for agent in agents},
        )

    def state(self) -> Array:
        """Return the true state, [48] float32 (spec.STATE)."""
        truth: Array = self._env.state()[0]
        return truth

    def render(self) -> str | None:
        """Return the present state as text, or None without a render mode."""
        return self._timeline.text() if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _spaces(env: SocVectorEnv) -> tuple[dict[str, Space[Any]], dict[str, Space[Any]]]:
    return observation_spaces(env.observation_layouts), action_spaces(env.action_layouts)


def _batched(action: Any) -> Array | None:
    return None if action is None else np.asarray(action)[None]


def _info(env: SocVectorEnv, batch: StepBatch) -> dict[str, Any]:
    info: dict[str, Any] = {"reward_parts": batch.infos["reward_parts"][0]}
    if batch.terminations[0] or batch.truncations[0]:
        info |= {name: float(batch.infos[name][0]) for name in env.metric_names}
    return info


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode not in (None, "ansi"):
        raise ValueError(f"render_mode must be 'ansi' or None; given {render_mode!r}")


def _refuse_options(options: dict[str, Any] | None) -> None:
    if options:
        raise ValueError(f"reset takes no options here; given {', '.join(map(repr, options))}")
