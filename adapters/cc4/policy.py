"""A SOC policy that plays CC4: see in SOC terms, decide by role, act under the mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import cage4.spec as spec
import native_sim.soc.spec as soc
from adapters.assignment import COORDINATING_AGENT
from adapters.cc4.carrier import Carrier, Sight
from adapters.cc4.mapper_table import DRAWS, FALLBACKS, Mapper
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy
from native_sim.memory import on_arrays


class TransferredPolicy(Policy):
    """Carries a SOC policy onto the five blue agents.

    Args:
        carried: The SOC policy: it sees and decides as in ``native_sim`` and never learns where it is. It plays in
            double precision, so that an episode is the same whatever the number of environments.
        carrier: What shows it CC4 in SOC terms.
        mapper: What turns the roles' outputs into actions.

    Raises:
        ValueError: If the carried policy wants the true state, which no defender of CC4 sees.
    """

    wants = Carrier.wants

    def __init__(self, carried: Policy, carrier: Carrier, mapper: Mapper) -> None:
        if carried.wants:
            raise ValueError(
                f"a policy that wants {', '.join(carried.wants)} cannot be carried: CC4 shows no such thing"
            )
        self.carried, self.mapper = carried.exact(), mapper
        self.carrier = carrier if _coordinates(self.carried) else carrier.without_coordinator()
        self.draws_per_agent = DRAWS + soc.NUM_AGENTS * carried.draws_per_agent

    def initial_memory(self, num_envs: int) -> dict[str, Any]:
        """Return what is carried from step to step; everything has the environment as its first axis."""
        carried = _fold(self.carried.initial_memory(num_envs * spec.NUM_BLUE), num_envs)
        return {**self.carrier.initial_memory(num_envs), "carried": carried}

    def fallbacks(self, memory: Any) -> dict[str, Array]:
        """Return reason -> [N] decisions so far that could not be expressed as an action."""
        return {name: memory["fallbacks"][:, i] for i, name in enumerate(FALLBACKS)}

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """See, decide and act for all five agents."""
        sight = self.carrier.see(obs, mask, memory)
        outputs, carried = self._decide(sight, memory["carried"], draws[:, :, DRAWS:])
        directive = self.carrier.direct(outputs, memory["directive"])
        played = []
        for agent in range(spec.NUM_BLUE):
            force = directive if agent == COORDINATING_AGENT else sight.heard[agent]
            orders = self.carrier.orders(agent, outputs, force)
            played.append(self.mapper(sight.situation(agent), orders, draws[:, agent, :DRAWS]))
        fresh, messages = self.carrier.remember(sight, memory, directive, played)
        fresh["carried"] = _fold(carried, len(draws))
        return Decision({name: one.action for name, one in zip(spec.BLUE_AGENTS, played, strict=True)}, fresh, messages)

    def _decide(self, sight: Sight, memory: Any, draws: Array) -> tuple[Mapping[str, Array], Any]:
        """Return role -> outputs [N, 5, ...] of the carried policy, and its memory."""
        flat = {role: rows.reshape(-1, rows.shape[-1]) for role, rows in sight.shown.items()}
        rows = len(flat["triage"])
        own = draws.reshape(rows, soc.NUM_AGENTS, self.carried.draws_per_agent)
        directive = self.carrier.given(sight).reshape(rows, -1)
        decision = self.carried.follow(directive, flat, _everything(rows), _unfold(memory), own)
        outputs = {
            role: np.asarray(value).reshape(-1, spec.NUM_BLUE, *np.shape(value)[1:])
            for role, value in decision.actions.items()
            if value is not None
        }
        return outputs, decision.memory


def _everything(rows: int) -> dict[str, Array]:
    """Return role -> the mask [rows, U] that allows all."""
    return {role: np.ones((rows, size), np.int8) for role, size in zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)}


def _coordinates(carried: Policy) -> bool:
    """Return whether a SOC policy has a coordinator: asked once, since a role that does nothing is left out always."""
    nothing = {role: np.zeros((1, size)) for role, size in zip(soc.AGENTS, soc.OBSERVATION_SIZES, strict=True)}
    draws = np.zeros((1, soc.NUM_AGENTS, carried.draws_per_agent))
    not_given = np.full((1, soc.DIRECTIVE_SIZE), np.nan)
    decision = carried.follow(not_given, nothing, _everything(1), carried.initial_memory(1), draws)
    return decision.actions.get("coordinator") is not None


def _fold(memory: Any, num_envs: int) -> Any:
    """Give every array [N * 5, ...] of a memory the environment as its first axis."""
    return on_arrays(lambda array: array.reshape(num_envs, spec.NUM_BLUE, *array.shape[1:]), memory)


def _unfold(memory: Any) -> Any:
    """Undo :func:`_fold`."""
    return on_arrays(lambda array: array.reshape(-1, *array.shape[2:]), memory)
