"""From the roles' outputs and the directive to one legal CC4 action per blue agent, by meaning.

    escalate    Remove where a process was seen, else Analyse the alert's host
    enrich      Analyse the alert's host, and keep the alert
    suppress    nothing; the alert is dropped
    correlate   nothing; the alert goes to the end of the queue
    isolate     Remove a confirmed host that has a process to end and is not known to be root's
    remediate   Restore a confirmed host otherwise; Analyse it first if only a Remove came after the last look
    throttle    BlockTraffic that the mission forbids from now on to its end, while a host is under suspicion
    filter      BlockTraffic that the mission forbids from now on to its end
    release     AllowTraffic where it does not
    hunt        Analyse the host that was not looked at for longest, suspects (belief) before others (scope)
    telemetry   DeployDecoy on a host without one
    nothing     a hunter: Analyse the most overdue host of all; else Monitor; Sleep while an action is in progress

A role's number is a rate, as in the SOC simulator: at -1 it never acts, and priorities multiply rates. An agent does
one thing at a time, in the order traffic (done in a tick), respond, triage, hunt; the first that its rate lets act,
acts. Traffic that a later phase of the mission needs stays open: whoever needs it fails until it is allowed again.
A hunter that has nothing to do, or no target for it, keeps watch: on CC4 a look costs no points, and Monitor happens in
every step whatever an agent does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

import cage4.actions as actions
import native_sim.soc.spec as soc
from adapters.cc4.features import HOST, Features
from adapters.cc4.soc_terms import HOST_TERMS, SEGMENT_OF_AGENT
from cage4.spec import Verb
from native_sim.api import Array
from native_sim.finite import is_number

DRAWS: Final = 4
"""Uniform draws per agent and step: respond, traffic, whether to hunt, how to hunt."""
FALLBACKS: Final = ("no target", "not valid")
"""Reasons for not doing what was asked: nothing to do it to; it was under a zero of the mask."""
NO_TARGET, NOT_VALID = range(2)
_FOCUS: Final = float(np.log(4.0))
"""A full priority gives a segment four times the attention of a neutral one."""
_F: Final = {field.name: field.start for field in HOST}
_BELIEF: Final = HOST_TERMS["belief"].start
SUSPECT_ODDS, CONFIRMED_ODDS = 1.0, 2.5
"""Log odds from which the SOC throttles, and from which it isolates."""


@dataclass(frozen=True)
class MapperConfig:
    """What the table leaves open; set on calibration seeds.

    Raises:
        ValueError: If a number is negative or not finite, or ``watch`` is neither true nor false.
    """

    pace: float = 1.0
    """Rate of responses at full level and neutral priority, per step."""
    suspicion: float = 10.0
    """Weight of belief beside that of scope where hunting chooses a host."""
    suspect_from: float = 0.05
    """Belief from which the learned mapper calls a host a suspect; set so that few held hosts fall below it."""
    temperature: float = 0.0
    """Of the learned mapper's draw among its options; 0 plays the option of the highest score."""
    watch: bool = True
    """An agent that plays the hunter and has nothing to do looks at the most overdue host, instead of Monitor."""

    def __post_init__(self) -> None:
        for name in ("pace", "suspicion", "suspect_from", "temperature"):
            value = getattr(self, name)
            if not is_number(value, 0.0):
                raise ValueError(f"{name} of a mapper is a number of at least 0; given {value!r}")
        if not isinstance(self.watch, bool):
            raise ValueError(f"watch of a mapper is true or false; given {self.watch!r}")


class Orders(NamedTuple):
    """What the roles want of one agent, and the directive in force. Levels are (a + 1) / 2: 0 is off."""

    directive: Array  # [N, 8]
    intensity: Array  # [N]
    scope: Array  # [N]
    telemetry: Array  # [N]
    isolate: Array  # [N]
    remediate: Array  # [N]
    throttle: Array  # [N]
    release: Array  # [N]
    triage: Array  # [N] soc.Triage, or -1 for none
    hunts: bool = True  # the agent plays the hunter; only hunters keep watch


class Situation(NamedTuple):
    """What one agent knows when it has to act."""

    agent: int
    known: Features
    terms: Array  # [N, H, 9] HOST_TERMS
    alert: Array  # [N] host slot at the head of its queue, -1 if the queue is empty
    blocked: Array  # [N, Z, 9] traffic from that subnet (sorted order) is blocked
    forbidden: Array  # [N, Z, 9] the mission's policy does not allow it, neither now nor in a later phase
    free: Array  # [N] bool, no action is in progress
    mask: Array  # [N, U]


class Mapped(NamedTuple):
    """The action of one agent, and what became of the alert at the head of its queue."""

    action: Array  # [N] index
    handled: Array  # [N] soc.Triage carried out on the head of the queue, -1 for none
    fallback: Array  # [N] number in FALLBACKS, -1 for none


class Bid(NamedTuple):
    """A wish to act: where it holds, and with which action."""

    wanted: Array  # [N] bool
    action: Array  # [N] index; -1 without a target


def host_indices(agent: int) -> Array:
    """Return [8 verbs, H] index of each host command; -1 for verbs that take no host."""
    return actions.HOST_INDEX[agent]


def traffic_indices(agent: int) -> Array:
    """Return [2, Z, 9] index of Allow and Block per destination and source (sorted order); -1 for the own subnet."""
    return actions.TRAFFIC_INDEX[agent]


def attention(directive: Array, agent: int) -> Array:
    """Return [N] the attention that a directive [N, 8] gives the agent's segment; 1 when neutral, 1 to 4.

    The SOC moves people to a segment of high priority. Here every zone keeps its agent, so a low one takes none away.
    """
    weights = np.exp(_FOCUS * directive[:, soc.per_segment(soc.Directive.PRIORITY)])
    share: Array = soc.NUM_SEGMENTS * weights[:, SEGMENT_OF_AGENT[agent]] / weights.sum(axis=1)
    return np.maximum(share, 1.0)


def belief_at(odds: Array | float) -> Array:
    """Return the probability of log odds."""
    return 1.0 / (1.0 + np.exp(-np.asarray(odds, np.float64)))


class Mapper(ABC):
    """Turns what the roles want of an agent into one action."""

    name: str

    @abstractmethod
    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one legal action per row; ``draws`` is [N, 4]. The same draws give the same action."""


class TableMapper(Mapper):
    """The table above."""

    name = "table"

    def __init__(self, config: MapperConfig | None = None) -> None:
        self.config = config or MapperConfig()

    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one action per row; ``draws`` is [N, 4]."""
        share = attention(orders.directive, now.agent)
        belief = np.where(now.known.exists, now.terms[..., _BELIEF], -1.0)
        confirmed = belief >= belief_at(CONFIRMED_ODDS - orders.directive[:, soc.Directive.POSTURE])[:, None]
        bids = (
            self._direct_traffic(now, orders, belief, draws[:, 1]),
            self._respond(now, orders, belief, confirmed, share, draws[:, 0]),
            self._triage(now, orders),
            self._hunt(now, orders, belief, confirmed, share, draws[:, 2:4]),
        )
        handled = handled_alert(now, orders, bids[0].wanted | bids[1].wanted)
        watches = self.config.watch and orders.hunts
        return settle(now, bids, handled, self._watch(now, belief, confirmed) if watches else None)

    def _respond(
        self, now: Situation, orders: Orders, belief: Array, confirmed: Array, share: Array, draw: Array
    ) -> Bid:
        rows, worst = np.arange(len(belief)), belief.argmax(axis=1)
        host = now.known.hosts[rows, worst]
        shallow = host[:, _F["file_escalate"]] == 0
        remove = shallow & (host[:, _F["process_seen"]] > 0)
        unverified = shallow & (host[:, _F["removes"]] > 0)
        unverified &= host[:, _F["remove_freshness"]] >= host[:, _F["look_freshness"]]
        rate = self.config.pace * share * np.where(remove, orders.isolate, orders.remediate)
        table = host_indices(now.agent)
        deeper = np.where(unverified, table[Verb.ANALYSE, worst], table[Verb.RESTORE, worst])
        return Bid(confirmed[rows, worst] & (draw < rate), np.where(remove, table[Verb.REMOVE, worst], deeper))

    def _triage(self, now: Situation, orders: Orders) -> Bid:
        rows, slot = np.arange(len(now.alert)), np.maximum(now.alert, 0)
        escalated = orders.triage == soc.Triage.ESCALATE
        wanted = (escalated | (orders.triage == soc.Triage.ENRICH)) & (now.alert >= 0)
        seen = now.known.hosts[rows, slot, _F["process_seen"]] > 0
        table = host_indices(now.agent)
        return Bid(wanted, np.where(escalated & seen, table[Verb.REMOVE, slot], table[Verb.ANALYSE, slot]))

    def _direct_traffic(self, now: Situation, orders: Orders, belief: Array, draw: Array) -> Bid:
        suspicious = (belief >= belief_at(SUSPECT_ODDS)).any(axis=1)
        barrier = orders.directive[:, soc.Directive.FILTER]
        close = np.maximum(barrier, orders.throttle * suspicious)
        reopen = np.maximum(-barrier, orders.release)
        allow, block = (table.reshape(-1) for table in traffic_indices(now.agent))
        wrong = (now.blocked > now.forbidden).reshape(len(belief), -1) & (allow >= 0)
        missing = (now.forbidden > now.blocked).reshape(len(belief), -1) & (block >= 0)
        lift, shut = wrong.any(axis=1) & (draw < reopen), missing.any(axis=1) & (draw < close)
        return Bid(lift | shut, np.where(lift, allow[wrong.argmax(axis=1)], block[missing.argmax(axis=1)]))

    def _hunt(self, now: Situation, orders: Orders, belief: Array, confirmed: Array, share: Array, draws: Array) -> Bid:
        due = self._due(now, orders.scope[:, None], belief, confirmed)
        bare = now.known.exists & (now.known.hosts[..., _F["decoys"]] == 0)
        targets = (
            (Verb.ANALYSE, due > 0, due, orders.intensity * share),
            (Verb.DEPLOY_DECOY, bare, belief, orders.telemetry),
        )
        weights = np.stack([rate * allowed.any(axis=1) for _, allowed, _, rate in targets], axis=1)
        table = host_indices(now.agent)
        options = np.stack(
            [table[verb, np.where(allowed, worth, -1.0).argmax(axis=1)] for verb, allowed, worth, _ in targets], axis=1
        )
        total = weights.cumsum(axis=1)
        pick = (total <= draws[:, 1:] * total[:, -1:]).sum(axis=1).clip(max=len(targets) - 1)
        wanted = draws[:, 0] < weights.max(axis=1)
        asked = np.maximum(orders.intensity * share, orders.telemetry) > draws[:, 0]
        return Bid(wanted | asked, np.where(wanted, options[np.arange(len(pick)), pick], -1))

    def _watch(self, now: Situation, belief: Array, confirmed: Array) -> Array:
        """Return [N] index of the look at the most overdue host; -1 if none is due."""
        due = self._due(now, 1.0, belief, confirmed)
        table = host_indices(now.agent)[Verb.ANALYSE]
        return np.where((due > 0).any(axis=1), table[due.argmax(axis=1)], -1)

    def _due(self, now: Situation, scope: Array | float, belief: Array, confirmed: Array) -> Array:
        """Return [N, H] how overdue a look at each host is: the time since the last one, weighted; 0 for no look."""
        due = now.known.hosts[..., _F["unwatched"]] * (scope + self.config.suspicion * belief)
        return np.where(now.known.exists & ~confirmed, np.maximum(due, 0.0), 0.0)


def handled_alert(now: Situation, orders: Orders, occupied: Array) -> Array:
    """Return [N] what triage did with the alert at the head of the queue: nothing while the agent does else."""
    idle = now.free & (now.alert >= 0) & ~occupied
    return np.where(idle, orders.triage, -1)


def settle(now: Situation, bids: tuple[Bid, ...], handled: Array, otherwise: Array | None = None) -> Mapped:
    """Let the first bid that is wanted act, under the mask and the busy state.

    Args:
        now: What the agent knows.
        bids: The most urgent one first.
        handled: [N] what triage did with the alert at the head of the queue.
        otherwise: [N] index of what an agent does that is not asked, or cannot do it; -1 and None mean Monitor.
    """
    rows, monitor = np.arange(len(now.free)), actions.MONITOR[now.agent]
    wanted = np.stack([bid.wanted for bid in bids], axis=1)
    first = wanted.argmax(axis=1)
    asked = wanted.any(axis=1)
    action = np.stack([bid.action for bid in bids], axis=1)[rows, first]
    aimed = asked & (action >= 0)
    legal = aimed & _legal(now, action)
    fallback = np.where(legal | ~asked, -1, np.where(aimed, NOT_VALID, NO_TARGET))
    rest = np.full(len(rows), monitor) if otherwise is None else np.where(_legal(now, otherwise), otherwise, monitor)
    played = np.where(now.free, np.where(legal, action, rest), actions.SLEEP[now.agent])
    return Mapped(played, handled, np.where(now.free, fallback, -1))


def _legal(now: Situation, action: Array) -> Array:
    """Return [N] bool, whether an index is one, and the mask allows it."""
    allowed: Array = now.mask[np.arange(len(action)), np.maximum(action, 0)] == 1
    return allowed & (action >= 0)
