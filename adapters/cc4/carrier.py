"""The way between both worlds: what the five blue agents of CC4 see in SOC terms, and how decisions become actions."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

import cage4.observations.flat as observation
import cage4.spec as spec
import native_sim.soc.spec as soc
from adapters.assignment import COORDINATING_AGENT, Assignment
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.features import Features, Memory
from adapters.cc4.mapper_table import FALLBACKS, Mapped, Orders, Situation
from adapters.cc4.soc_terms import HUNTER_FIELDS, SEGMENT_FIELDS, SEGMENT_OF_AGENT, Cases
from adapters.codec import Codec
from native_sim.api import ActionBatch, Array, FloatArray, ObservationBatch

AGES, READINGS, MERGED = range(3)
_DECIMALS: Final = 9
_TOLD: Final = len(SEGMENT_FIELDS)  # numbers of a zone that its agent tells the others
_BELIEF: Final = terms.HOST_TERMS["belief"].start
_CONFIDENCE: Final = terms.HOST_TERMS["confidence"].start
_SENDERS: Final = tuple(
    tuple(other for other in range(spec.NUM_BLUE) if other != agent) for agent in range(spec.NUM_BLUE)
)


@cache
def _lasting(agent: int) -> Array:
    """Return [3 phases, Z, 9] which traffic the mission's policy forbids from a phase on to the end."""
    rows = list(spec.BLUE_SUBNETS[agent])
    return np.stack([spec.COMMS_POLICY[phase:, rows].min(axis=0) for phase in range(spec.NUM_PHASES)])


class LinearMap(NamedTuple):
    """A fitted projection: x @ coef + intercept."""

    coef: FloatArray  # [F, K]
    intercept: FloatArray  # [K]

    def __call__(self, x: Array) -> Array:
        """Project [..., F] to [..., K].

        Rounded, since the last bits of a product depend on the number of rows: hosts that look the same stay equal.
        """
        return np.round(x.astype(np.float64) @ self.coef + self.intercept, _DECIMALS)


class View(NamedTuple):
    """What one agent makes of one step."""

    known: Features
    hosts: Array  # [N, H, 9] HOST_TERMS
    zone: Array  # [N, 14] ZONE_TERMS
    told: observation.FlatObservation


class Sight(NamedTuple):
    """What all agents make of one step; tuples have an entry per agent, and every array has N rows."""

    views: tuple[View, ...]
    memories: tuple[Memory, ...]
    queues: tuple[Array, ...]  # [N, H, 3]
    heads: tuple[Array, ...]  # [N] host slot of the alert at the head of the queue, -1 without one
    heard: tuple[Array, ...]  # [N, 8] the directive as the agent knows it
    shown: dict[str, Array]  # role -> [N, 5, F] its observation with each agent
    free: Array  # [N, 5] bool, no action is in progress
    masks: tuple[Array, ...]  # [N, U]

    def situation(self, agent: int) -> Situation:
        """Return what one agent knows when it has to act."""
        view = self.views[agent]
        traffic = view.told.blocked, view.told.policy & _lasting(agent)[view.told.phase]
        return Situation(
            agent, view.known, view.hosts, self.heads[agent], *traffic, self.free[:, agent], self.masks[agent]
        )


class Carrier:
    """Projections, codecs and assignment of a bundle at work. It holds nothing that changes between steps.

    Args:
        hosts: Projection of host features to SOC terms.
        zones: Projection of zone features to SOC terms.
        assignment: Which agent plays which roles.
        segment_codec: How agents 0 to 3 tell of their zones.
        directive_codec: How agent 4 tells the directive.
        directive: None to play the coordinator's; else the constant [8] that is in force everywhere, for the mapper and
            for all roles. All zero is neutral: there is no coordinator then.
    """

    wants = ("busy", "rich")

    def __init__(
        self,
        hosts: LinearMap,
        zones: LinearMap,
        assignment: Assignment,
        segment_codec: Codec,
        directive_codec: Codec,
        directive: FloatArray | None = None,
    ) -> None:
        self.projections = hosts, zones
        self.assignment = assignment
        self.codecs = segment_codec, directive_codec
        self.constant = directive

    @property
    def leads(self) -> bool:
        """Whether a coordinator's directive is played: that of agent 4 alone."""
        return self.constant is None and self.assignment.has(COORDINATING_AGENT, "coordinator")

    def without_coordinator(self) -> Carrier:
        """Return this carrier with the neutral directive everywhere; a constant one stays."""
        twin = copy.copy(self)
        twin.constant = np.zeros(soc.DIRECTIVE_SIZE) if self.constant is None else self.constant
        return twin

    def initial_memory(self, num_envs: int) -> dict[str, Any]:
        """Return what is carried from step to step; everything has the environment as its first axis."""
        agents = range(spec.NUM_BLUE)
        return {
            "agents": tuple(tuple(features.initial_memory(agent, num_envs)) for agent in agents),
            "queues": tuple(_empty_queue(num_envs, features.num_slots(agent)) for agent in agents),
            "directive": np.zeros((num_envs, soc.DIRECTIVE_SIZE)),
            "fallbacks": np.zeros((num_envs, len(FALLBACKS)), np.int64),
        }

    def see(self, obs: ObservationBatch, mask: ActionBatch, memory: Mapping[str, Any]) -> Sight:
        """Take in one step.

        Args:
            obs: Observations of CC4, with "busy" and "rich".
            mask: Agent -> [N, U].
            memory: Of :meth:`initial_memory` or :meth:`remember`; it is not changed.
        """
        views, kept, queues = [], [], []
        for agent in range(spec.NUM_BLUE):
            view, remembered = self._look(agent, obs, Memory(*memory["agents"][agent]))
            views.append(view)
            kept.append(remembered)
            queues.append(_enqueue(memory["queues"][agent], view.known))
        heard = [self._heard(agent, views[agent], memory["directive"]) for agent in range(spec.NUM_BLUE)]
        shown, heads = self._show(views, queues, heard, obs["busy"])
        masks = tuple(mask[name] for name in spec.BLUE_AGENTS)
        return Sight(
            tuple(views), tuple(kept), tuple(queues), tuple(heads), tuple(heard), shown, obs["busy"] == 0, masks
        )

    def given(self, sight: Sight) -> Array:
        """Return [N, 5, 8] the directive that each agent's roles follow in this step.

        That is the one the agent has heard; but the coordinator of agent 4 leads there, which NaN stands for: its roles
        follow what it decides in this very step, as in the SOC simulator.
        """
        given = np.stack(sight.heard, axis=1)
        if self.leads:
            given[:, COORDINATING_AGENT] = np.nan
        return given

    def direct(self, outputs: Mapping[str, Array], before: Array) -> Array:
        """Return [N, 8] the directive that agent 4 plays now; NaN keeps the one before, no coordinator is neutral.

        Args:
            outputs: Role -> [N, 5, ...] what the roles put out.
            before: [N, 8].
        """
        if self.constant is not None:
            return np.array(np.broadcast_to(self.constant, before.shape))
        if "coordinator" not in outputs or not self.leads:
            return np.zeros_like(before)
        wanted = outputs["coordinator"][:, COORDINATING_AGENT].astype(np.float64)
        return np.clip(np.where(np.isnan(wanted), before, wanted), -1.0, 1.0)

    def orders(self, agent: int, outputs: Mapping[str, Array], directive: Array) -> Orders:
        """Return what the roles that the agent plays want in its segment; other roles are off."""
        segment, count = SEGMENT_OF_AGENT[agent], len(directive)

        def level(role: str, index: int) -> Array:
            if role not in outputs or not self.assignment.has(agent, role):
                return np.zeros(count)
            return np.clip((outputs[role][:, agent, index].astype(np.float64) + 1.0) / 2.0, 0.0, 1.0)

        triage = outputs.get("triage") if self.assignment.has(agent, "triage") else None
        return Orders(
            directive,
            intensity=level("hunter", soc.Hunting.INTENSITY + segment),
            scope=level("hunter", soc.Hunting.SCOPE + segment),
            telemetry=level("hunter", soc.Hunting.TELEMETRY + segment),
            isolate=level("responder", soc.Response.ISOLATE + segment),
            remediate=level("responder", soc.Response.REMEDIATE + segment),
            throttle=level("responder", soc.Response.THROTTLE),
            release=level("responder", soc.Response.RELEASE),
            triage=np.full(count, -1) if triage is None else triage[:, agent].astype(np.int64),
            hunts=self.assignment.has(agent, "hunter"),
        )

    def remember(
        self, sight: Sight, memory: Mapping[str, Any], directive: Array, played: Sequence[Mapped]
    ) -> tuple[dict[str, Any], Array]:
        """Return what is remembered after the agents have acted, and their messages [N, 5, 8]."""
        queues, counted = list(sight.queues), memory["fallbacks"].copy()
        for agent, mapped in enumerate(played):
            queues[agent] = _handle(queues[agent], sight.heads[agent], mapped)
            rows = np.flatnonzero(mapped.fallback >= 0)
            counted[rows, mapped.fallback[rows]] += 1
        kept = tuple(tuple(one) for one in sight.memories)
        fresh = {"agents": kept, "queues": tuple(queues), "directive": directive, "fallbacks": counted}
        return fresh, self._messages(sight.views, directive)

    def _look(self, agent: int, obs: ObservationBatch, memory: Memory) -> tuple[View, Memory]:
        name = spec.BLUE_AGENTS[agent]
        known, memory = features.observe(agent, obs[name], obs["rich"][name], obs["busy"][:, agent], memory)
        hosts = terms.settle_hosts(self.projections[0](known.hosts), known.exists)
        zone = terms.settle_zone(self.projections[1](known.zone))
        return View(known, hosts, zone, observation.decode(agent, obs[name])), memory

    def _heard(self, agent: int, view: View, own: Array) -> Array:
        """Return [N, 8] the directive in force for an agent, as it is known to it."""
        if self.constant is not None:
            return np.broadcast_to(self.constant, own.shape)
        if agent == COORDINATING_AGENT:
            return own
        bits = view.told.messages[:, _SENDERS[agent].index(COORDINATING_AGENT)]
        return self.codecs[1].decode(bits)

    def _segments(self, agent: int, view: View) -> Array:
        """Return [N, 5, 12] what an agent knows of all segments: its own exactly, the others by message."""
        rows = np.zeros((len(view.zone), soc.NUM_SEGMENTS, len(HUNTER_FIELDS)))
        rows[:, SEGMENT_OF_AGENT[agent]] = view.zone[:, : len(HUNTER_FIELDS)]
        for place, sender in enumerate(_SENDERS[agent]):
            if sender != COORDINATING_AGENT:
                rows[:, SEGMENT_OF_AGENT[sender], :_TOLD] = self.codecs[0].decode(view.told.messages[:, place])
        return rows

    def _show(
        self, views: Sequence[View], queues: Sequence[Array], heard: Sequence[Array], busy: Array
    ) -> tuple[dict[str, Array], list[Array]]:
        """Return role -> observations [N, 5, F], and the head of each agent's queue [N]."""
        shown, heads = [], []
        for agent, view in enumerate(views):
            cases = _cases(view, queues[agent])
            segment = np.full(len(busy), SEGMENT_OF_AGENT[agent])
            now = terms.clock(view.known.zone[:, features.ZONE["late"].start] * features.LONG_AGO)
            shown.append(
                terms.compose(
                    now, view.zone, self._segments(agent, view), cases, segment, heard[agent], busy[:, agent] > 0
                )
            )
            heads.append(cases.alert_slots[:, 0])
        return {role: np.stack([one[role] for one in shown], axis=1) for role in soc.AGENTS}, heads

    def _messages(self, views: Sequence[View], directive: Array) -> Array:
        rows = [self.codecs[0].encode(view.zone[:, :_TOLD]) for view in views]
        rows[COORDINATING_AGENT] = self.codecs[1].encode(directive)
        return np.stack(rows, axis=1)


def _empty_queue(num_envs: int, slots: int) -> Array:
    """[N, H, 3]: age of the alert about each host (-1 for none), further readings, further events."""
    queue = np.zeros((num_envs, slots, 3))
    queue[..., AGES] = -1
    return queue


def _enqueue(queue: Array, known: Features) -> Array:
    """Let alerts age by a step and take in this step's events: one alert per host, further events merge into it."""
    after: Array = queue.copy()
    waiting = queue[..., AGES] >= 0
    after[..., AGES] = np.where(waiting, queue[..., AGES] + 1, np.where(known.events, 0, -1))
    after[..., MERGED] += waiting & known.events
    return after


def _handle(queue: Array, head: Array, mapped: Mapped) -> Array:
    """Return the queue after what triage did."""
    queue = queue.copy()
    rows = np.flatnonzero((mapped.handled >= 0) & (head >= 0))
    choice, slot = mapped.handled[rows], head[rows]
    closed = (choice == soc.Triage.ESCALATE) | (choice == soc.Triage.SUPPRESS)
    gone = rows[closed], slot[closed]
    queue[gone] = (-1, 0, 0)
    read = choice == soc.Triage.ENRICH
    queue[rows[read], slot[read], READINGS] += 1
    later = choice == soc.Triage.CORRELATE
    queue[rows[later], slot[later], AGES] = 0
    return queue


def _cases(view: View, queue: Array) -> Cases:
    """Rank hosts as cases (highest belief first) and alerts (oldest first)."""
    rows = np.arange(len(queue))[:, None]
    belief = np.where(view.known.exists, view.hosts[..., _BELIEF], 0.0)
    order = np.argsort(-belief, axis=1, kind="stable")[:, : terms.CASES_SHOWN["hunter"]]
    present = belief[rows, order] >= terms.CASE_FROM
    ages = np.where(view.known.exists, queue[..., AGES], -1.0)
    line = np.argsort(-ages, axis=1, kind="stable")[:, : terms.ALERTS_SHOWN]
    waiting = ages >= 0
    queued = waiting.sum(axis=1)
    confidence = view.hosts[..., _CONFIDENCE] * waiting
    return Cases(
        np.where(present, order, -1),
        view.hosts[rows, order],
        (belief >= terms.CASE_FROM).sum(axis=1),
        np.where(ages[rows, line] >= 0, line, -1),
        view.hosts[rows, line],
        np.maximum(ages[rows, line], 0),
        queue[rows, line, READINGS],
        queue[rows, line, MERGED],
        queued,
        confidence.sum(axis=1) / np.maximum(queued, 1),
        confidence.max(axis=1),
    )
