"""CC4's true state in SOC terms: the targets that projections are calibrated on, never part of an observation.

What red holds becomes belief, what red does becomes phases of a campaign, what blue does becomes containment. The
numbers follow the corrected rules of the SOC simulator (native_sim/soc): an attack alert has a mean confidence of
0.55 and a background alert of 0.35, severity grows by 0.1 per phase, and everything fades at the rates used there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from adapters.cc4 import features
from adapters.cc4.features import Features, freshness, squash
from adapters.cc4.soc_terms import HOST_TERMS, ZONE_TERMS, clock
from cage4 import spec
from cage4.observations import rich
from cage4.observations.true_state import TrueState
from cage4.spec import Verb
from cage4.variants import RED_ACTIONS
from native_sim.api import Array
from native_sim.soc.spec import NUM_PHASES, Phase

_ATTACK, _BACKGROUND = 0.55, 0.35
_HEAT: Final = {"attack": 0.088, "background": 0.0125}
"""Mean of max(0, confidence - 1/2) of an alert of each class, confidence being normal with deviation 0.15."""
_FADE: Final = 0.9
_WINDOW: Final = 25
_NEVER: Final = -10_000
_PHASE: Final = {
    "ExploitRemoteService": Phase.INITIAL_ACCESS,
    "PrivilegeEscalate": Phase.EXECUTION,
    "Impact": Phase.EXFILTRATION,
    "DegradeServices": Phase.EXFILTRATION,
}
_PHASES: Final = np.array([_PHASE.get(name, Phase.RECONNAISSANCE) for name in RED_ACTIONS])
_SLOTS: Final = spec.MAX_HOSTS_PER_SUBNET


class History(NamedTuple):
    """What must be remembered of N episodes to say how fresh things are. Arrays are changed in place."""

    held_since: Array  # [N, 9, 17] step since which red holds the host, or long ago
    attacked: Array  # [N, 9, 17] step of red's last action against it
    phase: Array  # [N, 9, 17] phase of that action
    kinds: Array  # [N, 5 agents, 5 phases] step of the last action of each phase in the zone
    alerts: Array  # [N, 5] recent events of the zone, fading
    heat: Array  # [N, 5] recent confidence above 1/2, fading


def new_history(num: int) -> History:
    """Return the history at the start of ``num`` episodes."""
    hosts = (num, spec.NUM_SUBNETS, rich.HOST_SLOTS)
    return History(
        np.full(hosts, _NEVER),
        np.full(hosts, _NEVER),
        np.zeros(hosts, np.int64),
        np.full((num, spec.NUM_BLUE, NUM_PHASES), _NEVER),
        np.zeros((num, spec.NUM_BLUE)),
        np.zeros((num, spec.NUM_BLUE)),
    )


def remember(truth: TrueState, history: History) -> None:
    """Take one step of N episodes into the history."""
    step = truth.step[:, None, None]
    held = _held(truth)
    history.held_since[...] = np.where(held, np.where(history.held_since == _NEVER, step, history.held_since), _NEVER)
    rows, reds = np.nonzero((truth.red_verb > 0) & (truth.red_target > 0))
    subnets, slots = np.divmod(truth.red_target[rows, reds] - 1, rich.HOST_SLOTS)
    phases = _PHASES[truth.red_verb[rows, reds] - 1]
    lateral = (phases == Phase.INITIAL_ACCESS) & held[rows, subnets].any(axis=1)
    phases = np.where(lateral, Phase.LATERAL_MOVEMENT, phases)
    history.attacked[rows, subnets, slots] = truth.step[rows]
    history.phase[rows, subnets, slots] = phases
    event = (truth.connection_events + truth.process_events) > 0
    for agent, subnets_of in enumerate(spec.BLUE_SUBNETS):
        mine = np.isin(subnets, subnets_of)
        history.kinds[rows[mine], agent, phases[mine]] = truth.step[rows[mine]]
        raised = event[:, list(subnets_of)]
        attack = raised & _under_attack(truth, history, held)[:, list(subnets_of)]
        count, true = raised.sum(axis=(1, 2)), attack.sum(axis=(1, 2))
        heat = _HEAT["attack"] * true + _HEAT["background"] * (count - true)
        history.alerts[:, agent] = history.alerts[:, agent] * _FADE + count
        history.heat[:, agent] = history.heat[:, agent] * _FADE + heat


def host_terms(agent: int, truth: TrueState, history: History, known: Features) -> Array:
    """Return [N, H, 9] what the SOC would say of each host slot of an agent (HOST_TERMS)."""
    held, attack = (_zone(agent, field) for field in (_held(truth), _under_attack(truth, history, _held(truth))))
    since, attacked, phase = (_zone(agent, field) for field in (history.held_since, history.attacked, history.phase))
    step = truth.step[:, None]
    proven = known.hosts[..., features.HOST["proof"].start] > 0
    looked = known.hosts[..., features.HOST["look_freshness"].start] > 0.05
    values = {
        "belief": held,
        "flagged": proven,
        "containment": _contained(agent, truth),
        "telemetry": looked * (0.3 + 0.3 * held),
        "opened": np.where(held, freshness(step - since), 0.0),
        "updated": freshness(step - attacked),
        "severity": np.where(attack, 0.3 + 0.1 * phase, _BACKGROUND),
        "confidence": np.where(attack, _ATTACK, _BACKGROUND),
        "technique": np.where(attack, (phase + 1) / NUM_PHASES, 0.6),
    }
    return np.stack([values[field.name].astype(np.float64) for field in HOST_TERMS], axis=-1)


def zone_terms(agent: int, truth: TrueState, history: History, known: Features) -> Array:
    """Return [N, 14] what the SOC would say of an agent's zone (ZONE_TERMS)."""
    held = _zone(agent, _held(truth))
    proven = known.hosts[..., features.HOST["proof"].start] > 0
    contained = _contained(agent, truth)
    subnets = list(spec.BLUE_SUBNETS[agent])
    exists = _zone(agent, truth.exists) > 0
    decoyed = _zone(agent, truth.decoy_processes.sum(axis=-1)) > 0
    damage = _zone(agent, (history.phase == Phase.EXFILTRATION) & (history.attacked == truth.step[:, None, None]))
    office = clock(truth.step).office
    seen = known.zone
    values = {
        "alerts": squash(history.alerts[:, agent]),
        "heat": squash(4.0 * history.heat[:, agent]),
        "beliefs": squash(held.sum(axis=1)),
        "confirmed": squash((held & proven).sum(axis=1)),
        "isolated": squash((contained == 0.5).sum(axis=1)),
        "remediating": squash((contained == 1.0).sum(axis=1)),
        "throttled": squash(truth.firewall[:, subnets].sum(axis=(1, 2))),
        "egress": 0.1 + 0.2 * office + 0.4 * damage.any(axis=1),
        "power": 0.2 * (truth.blue_verb[:, agent] == 1 + Verb.ANALYSE),
        "verbose": (decoyed & exists).sum(axis=1) / np.maximum(exists.sum(axis=1), 1),
        "hits": seen[:, features.ZONE["hits"].start],
        "misses": seen[:, features.ZONE["misses"].start],
        "campaign": (truth.step[:, None] - history.kinds[:, agent] <= _WINDOW).sum(axis=1) / NUM_PHASES,
        "isolation": seen[:, features.ZONE["response_freshness"].start],
    }
    return np.stack([values[field.name].astype(np.float64) for field in ZONE_TERMS], axis=-1)


def _held(truth: TrueState) -> Array:
    """[N, 9, 17] red has a session there and ran code: as root, or with a file left behind.

    A shell that did neither, as phishing opens them by the dozen, is no foothold until red makes use of it.
    """
    sessions = truth.red_sessions.sum(axis=3)
    return np.asarray((sessions[..., 1] > 0) | (sessions[..., 0] > 0) & truth.files.any(axis=-1))


def _under_attack(truth: TrueState, history: History, held: Array) -> Array:
    return np.asarray(held | (truth.step[:, None, None] - history.attacked <= 2))


def _zone(agent: int, field: Array) -> Array:
    """[N, 9, 17] -> [N, H]: the host slots of an agent, in the order of its commands."""
    return field[:, list(spec.BLUE_SUBNETS[agent]), :_SLOTS].reshape(len(field), -1)


def _contained(agent: int, truth: TrueState) -> Array:
    """[N, H]: 0.5 while a Remove of the slot is in progress, 1 while a Restore is."""
    contained = np.zeros((len(truth.step), spec.NUM_SUBNETS, rich.HOST_SLOTS))
    for verb, level in ((Verb.REMOVE, 0.5), (Verb.RESTORE, 1.0)):
        rows = np.flatnonzero((truth.blue_verb[:, agent] == 1 + verb) & (truth.blue_target[:, agent] > 0))
        subnets, slots = np.divmod(truth.blue_target[rows, agent] - 1, rich.HOST_SLOTS)
        contained[rows, subnets, slots] = level
    return _zone(agent, contained)
