"""A SOC policy that plays CC4: see in SOC terms, decide by role, act under the mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

import cage4.observation as observation
import cage4.spec as spec
import native_sim.soc.spec as soc
from adapters import features, terms
from adapters.actions import DRAWS, FALLBACKS, Mapped, Mapper, Orders, Situation
from adapters.assignment import COORDINATING_AGENT, Assignment
from adapters.features import Features, Memory
from adapters.messages import Codec
from adapters.terms import HUNTER_FIELDS, SEGMENT_OF_AGENT, Cases
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy
from native_sim.memory import on_arrays

AGES, READINGS, MERGED = range(3)
_BELIEF: Final = terms.HOST_TERMS["belief"].start
_CONFIDENCE: Final = terms.HOST_TERMS["confidence"].start
_SENDERS: Final = tuple(
    tuple(other for other in range(spec.NUM_BLUE) if other != agent) for agent in range(spec.NUM_BLUE)
)


class LinearMap(NamedTuple):
    """A fitted projection: x @ coef + intercept."""

    coef: FloatArray  # [F, K]
    intercept: FloatArray  # [K]

    def __call__(self, x: Array) -> Array:
        """Project [..., F] to [..., K]."""
        return np.asarray(x @ self.coef.astype(x.dtype) + self.intercept.astype(x.dtype))


class View(NamedTuple):
    """What one agent makes of one step."""

    known: Features
    hosts: Array  # [N, H, 9] HOST_TERMS
    zone: Array  # [N, 14] ZONE_TERMS
    told: observation.FlatObservation


class TransferredPolicy(Policy):
    """Carries a SOC policy onto the five blue agents.

    Args:
        carried: The SOC policy: it sees and decides as in ``native_sim`` and never learns where it is.
        hosts: Projection of host features to SOC terms.
        zones: Projection of zone features to SOC terms.
        mapper: What turns the roles' outputs into actions.
        assignment: Which agent plays which roles.
        segment_codec: How agents 0 to 3 tell of their zones.
        directive_codec: How agent 4 tells the directive.
        directive: None to play the coordinator's; else the constant [8] that is in force everywhere. All zero is
            neutral: there is no coordinator then.

    Raises:
        ValueError: If the carried policy wants the true state, which no defender of CC4 sees.
    """

    wants = ("busy", "rich")

    def __init__(
        self,
        carried: Policy,
        hosts: LinearMap,
        zones: LinearMap,
        mapper: Mapper,
        assignment: Assignment,
        segment_codec: Codec,
        directive_codec: Codec,
        directive: FloatArray | None = None,
    ) -> None:
        if carried.wants:
            raise ValueError(
                f"a policy that wants {', '.join(carried.wants)} cannot be carried: CC4 shows no such thing"
            )
        self.carried = carried
        self.projections = hosts, zones
        self.mapper = mapper
        self.assignment = assignment
        self.codecs = segment_codec, directive_codec
        self.directive = directive
        self.draws_per_agent = DRAWS + soc.NUM_AGENTS * carried.draws_per_agent

    def initial_memory(self, num_envs: int) -> dict[str, Any]:
        """Return what is carried from step to step; everything has the environment as its first axis."""
        agents = range(spec.NUM_BLUE)
        return {
            "agents": tuple(tuple(features.initial_memory(agent, num_envs)) for agent in agents),
            "queues": tuple(_empty_queue(num_envs, features.num_slots(agent)) for agent in agents),
            "directive": np.zeros((num_envs, 8)),
            "carried": _fold(self.carried.initial_memory(num_envs * spec.NUM_BLUE), num_envs),
            "fallbacks": np.zeros((num_envs, len(FALLBACKS)), np.int64),
        }

    def fallbacks(self, memory: Any) -> dict[str, Array]:
        """Return reason -> [N] decisions so far that could not be expressed as an action."""
        return {name: memory["fallbacks"][:, i] for i, name in enumerate(FALLBACKS)}

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """See, decide and act for all five agents."""
        count = len(draws)
        views, kept, queues = [], [], []
        for agent in range(spec.NUM_BLUE):
            view, remembered = self._look(agent, obs, Memory(*memory["agents"][agent]))
            views.append(view)
            kept.append(tuple(remembered))
            queues.append(_enqueue(memory["queues"][agent], view.known))
        heard = [self._heard(agent, views[agent], memory["directive"]) for agent in range(spec.NUM_BLUE)]
        shown, heads = self._show(views, queues, heard, obs["busy"])
        outputs, carried = self._decide(shown, memory["carried"], mask, draws[:, :, DRAWS:])
        directive = self._directive(outputs, memory["directive"])
        chosen, counted = {}, memory["fallbacks"].copy()
        for agent, name in enumerate(spec.BLUE_AGENTS):
            force = directive if agent == COORDINATING_AGENT else heard[agent]
            now = _situation(agent, views[agent], heads[agent], obs["busy"][:, agent] == 0, mask[name])
            mapped = self.mapper(now, self._orders(agent, outputs, force), draws[:, agent, :DRAWS])
            chosen[name] = mapped.action
            queues[agent] = _handle(queues[agent], heads[agent], mapped)
            rows = np.flatnonzero(mapped.fallback >= 0)
            counted[rows, mapped.fallback[rows]] += 1
        fresh = {
            "agents": tuple(kept),
            "queues": tuple(queues),
            "directive": directive,
            "carried": _fold(carried, count),
            "fallbacks": counted,
        }
        return Decision(chosen, fresh, self._messages(views, directive))

    def _look(self, agent: int, obs: ObservationBatch, memory: Memory) -> tuple[View, Memory]:
        name = spec.BLUE_AGENTS[agent]
        known, memory = features.observe(agent, obs[name], obs["rich"][name], obs["busy"][:, agent], memory)
        hosts = terms.settle_hosts(self.projections[0](known.hosts), known.exists)
        zone = terms.settle_zone(self.projections[1](known.zone))
        return View(known, hosts, zone, observation.decode(agent, obs[name])), memory

    def _heard(self, agent: int, view: View, own: Array) -> Array:
        """Return [N, 8] the directive in force for an agent, as it is known to it."""
        if self.directive is not None:
            return np.broadcast_to(self.directive, own.shape)
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
                rows[:, SEGMENT_OF_AGENT[sender], :8] = self.codecs[0].decode(view.told.messages[:, place])
        return rows

    def _show(
        self, views: list[View], queues: list[Array], heard: list[Array], busy: Array
    ) -> tuple[dict[str, Array], list[Array]]:
        """Return role -> observations [N * 5, F], agents varying fastest, and the head of each agent's queue [N]."""
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
        joined = {role: np.stack([one[role] for one in shown], axis=1) for role in soc.AGENTS}
        return {role: rows.reshape(-1, rows.shape[-1]) for role, rows in joined.items()}, heads

    def _decide(
        self, shown: dict[str, Array], memory: Any, mask: ActionBatch, draws: Array
    ) -> tuple[Mapping[str, Array], Any]:
        """Return role -> outputs [N, 5, ...] of the carried policy, and its memory."""
        rows = len(shown["triage"])
        every = {role: np.ones((rows, size), np.int8) for role, size in zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)}
        own = draws.reshape(rows, soc.NUM_AGENTS, self.carried.draws_per_agent)
        decision = self.carried.act(shown, every, _unfold(memory), own)
        outputs = {
            role: np.asarray(value).reshape(-1, spec.NUM_BLUE, *np.shape(value)[1:])
            for role, value in decision.actions.items()
            if value is not None
        }
        return outputs, decision.memory

    def _directive(self, outputs: Mapping[str, Array], before: Array) -> Array:
        """Return [N, 8] the directive now in force; NaN keeps the one before, no coordinator is neutral."""
        if self.directive is not None:
            return np.array(np.broadcast_to(self.directive, before.shape))
        if "coordinator" not in outputs or not self.assignment.has(COORDINATING_AGENT, "coordinator"):
            return np.zeros_like(before)
        wanted = outputs["coordinator"][:, COORDINATING_AGENT].astype(np.float64)
        return np.clip(np.where(np.isnan(wanted), before, wanted), -1.0, 1.0)

    def _orders(self, agent: int, outputs: Mapping[str, Array], directive: Array) -> Orders:
        """Return what the roles that the agent plays want in its segment; other roles are off."""
        segment, count = SEGMENT_OF_AGENT[agent], len(directive)

        def level(role: str, index: int) -> Array:
            if role not in outputs or not self.assignment.has(agent, role):
                return np.zeros(count)
            return np.clip((outputs[role][:, agent, index].astype(np.float64) + 1.0) / 2.0, 0.0, 1.0)

        triage = outputs.get("triage") if self.assignment.has(agent, "triage") else None
        return Orders(
            directive,
            intensity=level("hunter", segment),
            scope=level("hunter", 5 + segment),
            telemetry=level("hunter", 10 + segment),
            isolate=level("responder", segment),
            remediate=level("responder", 5 + segment),
            throttle=level("responder", 10),
            release=level("responder", 11),
            triage=np.full(count, -1) if triage is None else triage[:, agent].astype(np.int64),
        )

    def _messages(self, views: list[View], directive: Array) -> Array:
        rows = [self.codecs[0].encode(view.zone[:, :8]) for view in views]
        rows[COORDINATING_AGENT] = self.codecs[1].encode(directive)
        return np.stack(rows, axis=1)


def _situation(agent: int, view: View, head: Array, free: Array, mask: Array) -> Situation:
    return Situation(agent, view.known, view.hosts, head, view.told.blocked, view.told.policy, free, mask)


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
    """Take what triage did into the queue."""
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


def _fold(memory: Any, num_envs: int) -> Any:
    """Give every array [N * 5, ...] of a memory the environment as its first axis."""
    return on_arrays(lambda array: array.reshape(num_envs, spec.NUM_BLUE, *array.shape[1:]), memory)


def _unfold(memory: Any) -> Any:
    """Undo :func:`_fold`."""
    return on_arrays(lambda array: array.reshape(-1, *array.shape[2:]), memory)
