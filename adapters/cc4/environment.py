"""CC4 as a carried defender sees it: an environment of SOC observations and scored options, to learn in.

Each blue agent sees the observations of all SOC roles for its zone, what the learned mapper scores its options by, and
what a value may want to know of the zone. It answers with an option, what triage did, and a directive. So whoever
learns here knows nothing of CC4, and what it has learned goes back into a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode

import cage4.spec as spec
import native_sim.soc.spec as soc
from adapters.assignment import COORDINATING_AGENT
from adapters.cc4 import features
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import Carrier, Sight
from adapters.cc4.mapper_table import Bid, Mapped, MapperConfig, Orders, handled_alert, host_indices, settle
from adapters.cc4.soc_terms import SEGMENT_OF_AGENT
from cage4.spec import Verb
from native_sim.api import ActionBatch, Array, Layout, StepBatch, VectorEnv
from native_sim.memory import put, take
from native_sim.rows import check_rows

ACTION_SIZE: Final = soc.OPTION_ACTION.size
"""Numbers of an action: see :data:`native_sim.soc.spec.OPTION_ACTION`."""
HEARD: Final = "heard"
FREE: Final = "free"
LEADS: Final = "leads"
SEGMENT: Final = "segment"
FACTS: Final = "facts"
ZONE_FACTS: Final = "zone_facts"
ALLOWED: Final = "allowed"
OVERVIEW: Final = "overview"


@cache
def observation_layout(agent: int) -> Layout:
    """Return what the entries of an agent's observation mean; H host slots."""
    slots = features.num_slots(agent)
    roles = [
        (role, (size,), -np.inf, np.inf, f"what the SOC's {role} sees")
        for role, size in zip(soc.AGENTS, soc.OBSERVATION_SIZES, strict=True)
    ]
    entries = [
        *roles,
        (HEARD, (soc.DIRECTIVE_SIZE,), -1, 1, "the directive in force, as the agent knows it"),
        (FREE, (), 0, 1, "no action is in progress: the option counts"),
        (LEADS, (), 0, 1, "the agent's own directive is the one in force"),
        (SEGMENT, (soc.NUM_SEGMENTS,), 0, 1, "the agent's segment, one-hot"),
        (FACTS, (slots, scorer.HOST_FACTS), -np.inf, np.inf, "what is known of each host"),
        (ZONE_FACTS, (scorer.ZONE_FACTS,), -np.inf, np.inf, "what is known of the zone"),
        (ALLOWED, (len(spec.HOST_VERBS) * slots + len(scorer.ZONE_VERBS),), 0, 1, "options that are legal"),
        (OVERVIEW, (features.ZONE.size + terms.ZONE_TERMS.size,), -np.inf, np.inf, "features and terms of the zone"),
    ]
    return Layout.of(f"carried agent {agent}", entries)


class CarriedEnv(VectorEnv):
    """Environments of CC4 behind a carrier.

    Observations are agent -> [N, F] float32 in :func:`observation_layout`, actions agent -> [N, 10] float32: the number
    of an option (host verbs first, as in :func:`adapters.cc4.mapper_linear.options`), of what triage does (-1 for
    nothing), and a directive, of which the one of agent 4 counts. While an action is in progress the option is not
    looked at. Masks are all ones. Rewards, ends and infos are those of CC4; ``infos["agent_rewards"]`` [N, 5] of a step
    splits its reward among the agents: each has what happened in its zone, what its own Restore costs, and a fifth of
    what concerns no zone.

    Args:
        env: CC4 with rich observations; nobody else may step it.
        carrier: Its assignment must give every agent the three lower roles.
        config: Of the mapper that scores the options.

    Raises:
        ValueError: If the carrier has another assignment or a constant directive.
    """

    agents = spec.BLUE_AGENTS

    def __init__(self, env: VectorEnv, carrier: Carrier, config: MapperConfig) -> None:
        if carrier.constant is not None or carrier.assignment.name != "natural":
            raise ValueError(
                "a bundle is fine-tuned under the natural assignment and with a coordinator; "
                f"this one has the assignment {carrier.assignment.name!r}"
            )
        self.env, self.carrier, self.config, self.num_envs = env, carrier, config, env.num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED, "time_limit_end": env.time_limit_end}
        self.observation_layouts = {name: observation_layout(i) for i, name in enumerate(self.agents)}
        sizes = {name: layout.size for name, layout in self.observation_layouts.items()}
        self.single_observation_space = Dict(
            {name: Box(-np.inf, np.inf, (size,), np.float32) for name, size in sizes.items()}
        )
        self.single_action_space = Dict({name: Box(-np.inf, np.inf, (ACTION_SIZE,), np.float32) for name in sizes})
        self._memory = carrier.initial_memory(self.num_envs)
        self._sight: Any = None  # Sight of all rows

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        rows: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start new episodes; see :meth:`native_sim.api.VectorEnv.reset`."""
        observations, infos = self.env.reset(seed=seed, rows=rows, options=options)
        mask = (options or {}).get("reset_mask")
        chosen = np.flatnonzero(mask) if mask is not None else check_rows(rows, self.num_envs)
        return self._show(chosen, observations, infos, self.carrier.initial_memory(len(chosen))), self._infos(infos)

    def step(self, actions: ActionBatch, messages: Array | None = None, rows: Sequence[int] | None = None) -> StepBatch:
        """Advance rows by one step; see :meth:`native_sim.api.VectorEnv.step`. Messages are the carrier's own.

        Raises:
            ValueError: If messages are given, an agent is missing or unknown, or an option that counts is not legal.
        """
        if messages is not None:
            raise ValueError("a carried defender's messages follow from its directive; give none")
        chosen = check_rows(rows, self.num_envs)
        self._check(actions)
        sight: Sight = take(self._sight, chosen)
        memory = take(self._memory, chosen)
        played = [self._play(agent, sight, np.asarray(actions[name])) for agent, name in enumerate(self.agents)]
        leader = soc.OPTION_ACTION.unpack(np.asarray(actions[self.agents[COORDINATING_AGENT]]))
        directive = np.clip(leader["directive"].astype(np.float64), -1.0, 1.0)
        memory, said = self.carrier.remember(sight, memory, directive, played)
        commands = {name: one.action for name, one in zip(self.agents, played, strict=True)}
        batch = self.env.step(commands, said, rows=None if rows is None else chosen.tolist())
        shown = self._show(chosen, batch.observations, batch.infos, memory)
        infos = self._infos(batch.infos) | {"agent_rewards": _split(batch, commands)}
        return batch._replace(observations=shown, infos=infos)

    def close(self, **kwargs: Any) -> None:
        """Close the environments behind."""
        self.env.close(**kwargs)

    def _play(self, agent: int, sight: Sight, action: Array) -> Mapped:
        if action.shape != (len(sight.free), ACTION_SIZE) or not np.isfinite(action).all():
            raise ValueError(f"an action of {self.agents[agent]} is {ACTION_SIZE} finite numbers; given {action.shape}")
        now = sight.situation(agent)
        indices, allowed = scorer.options(now)
        parts = soc.OPTION_ACTION.unpack(action)
        option, triage = (parts[name].astype(np.int64) for name in ("option", "triage"))
        lines = np.arange(len(action))
        if (option < 0).any() or (option >= indices.shape[1]).any() or not allowed[lines, option][now.free].all():
            raise ValueError(f"{self.agents[agent]} takes an option that is not legal: see the field {ALLOWED!r}")
        if (triage < -1).any() or (triage >= len(soc.Triage)).any():
            raise ValueError(
                f"{self.agents[agent]} has triage do what it cannot; allowed are -1 to {len(soc.Triage) - 1}"
            )
        none = np.zeros(len(action))
        orders = Orders(none[:, None], none, none, none, none, none, none, none, triage)
        handled = handled_alert(now, orders, np.zeros(len(action), bool))
        return settle(now, (Bid(np.ones(len(action), bool), indices[lines, option]),), handled)

    def _show(
        self, rows: Array, observations: dict[str, Array], infos: dict[str, Any], memory: Any
    ) -> dict[str, Array]:
        obs = {**observations, **{name: infos[name] for name in self.carrier.wants}}
        sight = self.carrier.see(obs, infos["action_mask"], memory)
        if np.array_equal(rows, np.arange(self.num_envs)):
            self._sight, self._memory = sight, memory
        elif len(rows):
            # of rows that were never reset nothing is read: the engine refuses to step them
            every = take(sight, np.zeros(self.num_envs, np.int64)) if self._sight is None else self._sight
            self._sight, self._memory = put(every, rows, sight), put(self._memory, rows, memory)
        return {name: self._observe(agent, sight) for agent, name in enumerate(self.agents)}

    def _observe(self, agent: int, sight: Sight) -> Array:
        now, count = sight.situation(agent), len(sight.free)
        values = {role: rows[:, agent] for role, rows in sight.shown.items()}
        segment = np.zeros((count, soc.NUM_SEGMENTS))
        segment[:, SEGMENT_OF_AGENT[agent]] = 1.0
        values |= {
            HEARD: sight.heard[agent],
            FREE: now.free,
            LEADS: np.full(count, agent == COORDINATING_AGENT),
            SEGMENT: segment,
            FACTS: scorer.host_facts(now, self.config),
            ZONE_FACTS: scorer.zone_facts(now, self.config),
            ALLOWED: scorer.options(now)[1],
            OVERVIEW: np.concatenate([now.known.zone, sight.views[agent].zone], axis=1),
        }
        return observation_layout(agent).pack(values, np.float32)

    def _check(self, actions: ActionBatch) -> None:
        if self._sight is None:
            raise ValueError("no environment has been reset yet: call reset before step")
        if set(actions) != set(self.agents):
            given = ", ".join(map(str, actions)) or "none"
            raise ValueError(f"actions must be of {', '.join(self.agents)}; given: {given}")

    def _infos(self, infos: dict[str, Any]) -> dict[str, Any]:
        count = len(infos["busy"])
        return {**infos, "action_mask": {name: np.ones((count, ACTION_SIZE), np.int8) for name in self.agents}}


def _split(batch: StepBatch, commands: ActionBatch) -> Array:
    """Return [N, 5] the share of each agent in the reward [N] of a step."""
    by_subnet = batch.infos["reward_parts"].sum(axis=2).astype(np.float64)
    shares = np.zeros((len(by_subnet), spec.NUM_BLUE))
    for agent, name in enumerate(spec.BLUE_AGENTS):
        restored = np.isin(commands[name], host_indices(agent)[Verb.RESTORE])
        shares[:, agent] = by_subnet[:, list(spec.BLUE_SUBNETS[agent])].sum(axis=1) + spec.RESTORE_COST * restored
    rest: Array = batch.rewards - shares.sum(axis=1)
    return shares + rest[:, None] / spec.NUM_BLUE
