"""What a blue agent knows of its hosts and its zone: fixed feature vectors, from its observation and a memory.

A zone is what one blue agent watches: one subnet, or the three of headquarters. All agents share the layouts below,
every host slot of every zone has the same features, and the features of a zone do not depend on the order of its
hosts. So one linear map serves all agents, and nothing in it can tell one agent, or one slot, from another.

Letters: N environments, Z subnets of the agent, H = 16 Z host slots (routers are left out: no command acts on them).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

import cage4.observations.flat as observation
import cage4.observations.rich as rich
import cage4.spec as spec
from cage4.observations.rich import RichObservation, Signature
from cage4.spec import Verb
from native_sim.api import Array, Layout

DTYPE: Final = np.float32
FAST, SLOW, METER = 0.7, 0.95, 0.9
"""What remains of a count after a step."""
LONG_AGO: Final = 500.0
"""Steps since something that never happened."""
_SLOTS: Final = spec.MAX_HOSTS_PER_SUBNET
_MISSIONS: Final = {1: (0, 1), 2: (2, 3)}
MISSION: Final = np.array(
    [[agent in _MISSIONS.get(phase, ()) for agent in range(spec.NUM_BLUE)] for phase in range(spec.NUM_PHASES)]
)
"""[phase, agent]: the mission of the agent's zone is active; headquarters has none."""

Entry = tuple[str, float, str]
"""Name, largest value, meaning."""


def scalars(name: str, entries: Iterable[Entry]) -> Layout:
    """Return a layout of single numbers from 0 up."""
    return Layout.of(name, ((field, (), 0, high, meaning) for field, high, meaning in entries))


_COUNTS: Final[tuple[Entry, ...]] = (
    ("scan_fast", 4, "scans, fading by 30 % per step"),
    ("scan_slow", 20, "scans, fading by 5 % per step"),
    ("route_fast", 4, "brute forces that passed the host, fading by 30 %"),
    ("route_slow", 20, "the same, fading by 5 %"),
    ("decoy_fast", 4, "exploits that hit a decoy, fading by 30 %"),
    ("decoy_slow", 20, "the same, fading by 5 %"),
    ("process_fast", 4, "new processes reported with their id, fading by 30 %"),
    ("process_slow", 20, "the same, fading by 5 %"),
    ("alarm_fast", 4, "events without an id or a port, mostly false alarms, fading by 30 %"),
    ("alarm_slow", 20, "the same, fading by 5 %"),
)
_FLAGS: Final[tuple[Entry, ...]] = (
    ("file_cmd", 1, "the last Analyse saw cmd.sh, and no Restore was carried out since"),
    ("file_escalate", 1, "the same for escalate.sh"),
    ("process_seen", 1, "a process with its id was reported since the last Remove or Restore"),
    ("touched", 1, "a scan, route or decoy event was reported since the last Restore"),
    ("removes", 9, "Removes since the last Restore"),
    ("decoys", 9, "decoys deployed since the last Restore"),
)
_TIMES: Final[tuple[Entry, ...]] = (
    ("since_look", LONG_AGO, "steps since the last Analyse was carried out"),
    ("since_clean", LONG_AGO, "steps since the last Restore was carried out"),
    ("since_remove", LONG_AGO, "steps since the last Remove was carried out"),
)
HOST_MEMORY: Final = scalars("CC4 host memory", (*_COUNTS, *_FLAGS, *_TIMES))
"""What is carried per host slot from step to step."""
ZONE_MEMORY: Final = scalars(
    "CC4 zone memory",
    (
        ("step", LONG_AGO, "steps played"),
        ("hits", 10, "Analyses that saw a file, fading by 10 % per step"),
        ("misses", 10, "Analyses that saw none, fading by 10 % per step"),
        ("since_response", LONG_AGO, "steps since a Remove or a Restore was carried out"),
    ),
)
HOST: Final = scalars(
    "CC4 host features",
    (
        *_COUNTS,
        *_FLAGS,
        ("proof", 1, "a file or a process was seen and not cleaned since"),
        ("stale_proof", 1, "a file is known, but a Remove was carried out after it was seen"),
        ("look_freshness", 1, "1 right after an Analyse, fading by 5 % per step"),
        ("clean_freshness", 1, "1 right after a Restore, fading by 5 % per step"),
        ("remove_freshness", 1, "1 right after a Remove, fading by 5 % per step"),
        ("unwatched", 1, "n steps since an Analyse or a Restore as 1 - exp(-n / 50)"),
        ("server", 1, "it is a server"),
        ("others_proven", 1, "hosts of the zone with proof, n as 1 - exp(-n / 4)"),
        ("zone_process", 1, "recent processes in the zone, n as 1 - exp(-n / 4)"),
        ("zone_scan", 1, "recent scans in the zone, n as 1 - exp(-n / 4)"),
        ("mission", 1, "the zone's mission is active"),
        ("late", 1, "share of a full episode played"),
    ),
)
"""Features of a host slot; all zero where there is no host."""
_SUMMED: Final = tuple(field for field in HOST if field.name not in ("server", "mission", "late"))
_LARGEST: Final = ("process_fast", "scan_fast", "route_fast", "decoy_fast", "proof", "unwatched")
ZONE: Final = scalars(
    "CC4 zone features",
    (
        *((f"sum_{field.name}", 1, f"sum over hosts, n as 1 - exp(-n / 4), of: {field.meaning}") for field in _SUMMED),
        *((f"most_{name}", HOST[name].high, f"largest over hosts of: {HOST[name].meaning}") for name in _LARGEST),
        ("hosts", 1, "hosts of the zone, n as 1 - exp(-n / 20)"),
        ("subnets", 3, "subnets of the zone"),
        ("mission", 1, "the zone's mission is active"),
        ("late", 1, "share of a full episode played"),
        ("hits", 1, "recent Analyses that saw a file, n as 1 - exp(-n / 4)"),
        ("misses", 1, "recent Analyses that saw none, n as 1 - exp(-n / 4)"),
        ("response_freshness", 1, "1 right after a Remove or a Restore, fading by 5 % per step"),
        ("blocked", 1, "blocked sources of traffic into the zone, n as 1 - exp(-n / 4)"),
        ("busy", 5, "ticks left of the agent's action"),
    ),
)
"""Features of a zone."""
_M: Final = {field.name: field.start for field in HOST_MEMORY}
_Z: Final = {field.name: field.start for field in ZONE_MEMORY}
_F: Final = {field.name: field.start for field in HOST}


class Memory(NamedTuple):
    """What an agent remembers."""

    hosts: Array  # [N, H, M] float32, HOST_MEMORY
    zone: Array  # [N, K] float32, ZONE_MEMORY


class Features(NamedTuple):
    """What an agent knows after a step."""

    hosts: Array  # [N, H, F] float32, HOST
    zone: Array  # [N, G] float32, ZONE
    exists: Array  # [N, H] bool
    events: Array  # [N, H] bool, something was reported of the host in this step


def num_slots(agent: int) -> int:
    """Return H, the number of host slots of an agent: 16, or 48 for agent 4."""
    return len(spec.BLUE_SUBNETS[agent]) * _SLOTS


def initial_memory(agent: int, num_envs: int) -> Memory:
    """Return the memory at the start of an episode."""
    hosts = np.zeros((num_envs, num_slots(agent), HOST_MEMORY.size), DTYPE)
    hosts[..., [_M[name] for name, _, _ in _TIMES]] = LONG_AGO
    zone = np.zeros((num_envs, ZONE_MEMORY.size), DTYPE)
    zone[:, _Z["since_response"]] = LONG_AGO
    return Memory(hosts, zone)


def observe(agent: int, flat: Array, full: Array, busy: Array, memory: Memory) -> tuple[Features, Memory]:
    """Take in one step of one agent.

    Args:
        agent: Number of the blue agent.
        flat: [N, 92 or 210], its flat observation.
        full: [N, 974 or 2912], its rich observation.
        busy: [N] ticks left of its action.
        memory: What it remembered before; it is not changed.

    Returns:
        Its features, and what it remembers now.
    """
    seen = rich.decode(agent, full)
    hosts = _remember_hosts(seen, memory.hosts)
    zone = _remember_zone(seen, memory.zone)
    exists = _per_slot(seen.present).astype(bool)
    told = observation.decode(agent, flat)
    mission = MISSION[told.phase.astype(np.int64), agent]
    host_features = _describe_hosts(hosts, zone, exists, mission)
    blocked = told.blocked.reshape(len(flat), -1).sum(axis=1)
    zone_features = _describe_zone(agent, host_features, zone, exists, mission, blocked, busy)
    events = _per_slot((seen.connections.sum(axis=-1) + seen.process_events + seen.process_alarms) > 0)
    return Features(host_features, zone_features, exists, events), Memory(hosts, zone)


def squash(count: Array, scale: float = 4.0) -> Array:
    """Return counts n >= 0 as 1 - exp(-n / scale)."""
    return -np.expm1(-count / scale)


def freshness(steps: Array) -> Array:
    """Return how fresh an event of so many steps ago is, as in the SOC simulator: fading by 5 % per step."""
    return np.exp(-0.05 * steps)


def _per_slot(field: Array) -> Array:
    """[N, Z, 17, ...] -> [N, H, ...]: host slots without the routers."""
    kept = field[:, :, :_SLOTS]
    return kept.reshape(len(field), -1, *field.shape[3:])


def _carried_out(seen: RichObservation, verb: Verb, shape: tuple[int, ...]) -> Array:
    """[N, H] True where the agent's own command of this verb was carried out on the slot in this step."""
    done = (seen.verb == 1 + verb) & (seen.target_host > 0)
    subnet, slot = np.divmod(np.maximum(seen.target_host - 1, 0), rich.HOST_SLOTS)
    hit = np.zeros(shape, bool)
    rows = np.flatnonzero(done & (slot < _SLOTS))
    hit[rows, (subnet * _SLOTS + slot)[rows]] = True
    return hit


def _remember_hosts(seen: RichObservation, before: Array) -> Array:
    shape = before.shape[:2]
    restored, removed, decoyed = (
        _carried_out(seen, verb, shape) for verb in (Verb.RESTORE, Verb.REMOVE, Verb.DEPLOY_DECOY)
    )
    after: Array = before.copy()
    kept = ~restored
    after[..., : len(_COUNTS) + len(_FLAGS)] *= kept[..., None]  # the host is new: what was known is void
    after[..., _M["process_seen"]] *= ~removed
    after[..., _M["removes"]] = np.minimum(after[..., _M["removes"]] + removed, 9)
    after[..., _M["decoys"]] = np.minimum(after[..., _M["decoys"]] + decoyed, 9)
    _count_events(seen, after)
    analysed = _per_slot(seen.analysed).astype(bool)
    for name, found in (("file_cmd", seen.file_cmd), ("file_escalate", seen.file_escalate)):
        after[..., _M[name]] = np.where(analysed, _per_slot(found) > 0, after[..., _M[name]])
    for name, now in (("since_look", analysed), ("since_clean", restored), ("since_remove", removed)):
        after[..., _M[name]] = np.where(now, 0, np.minimum(after[..., _M[name]] + 1, LONG_AGO))
    return after


def _count_events(seen: RichObservation, after: Array) -> None:
    """Let the counts fade and add this step's events, at most one of a kind per host, since one attack makes ten."""
    connections = _per_slot(seen.connections)
    processes = _per_slot(seen.process_events) > 0
    scans = connections[..., Signature.PORT_1 : Signature.PORT_3390 + 1].any(axis=-1)
    routes, decoys = connections[..., Signature.ROUTE] > 0, connections[..., Signature.DECOY] > 0
    alarms = (connections[..., Signature.ALARM] > 0) | (_per_slot(seen.process_alarms) > 0)
    for name, event in (
        ("scan", scans),
        ("route", routes),
        ("decoy", decoys),
        ("process", processes),
        ("alarm", alarms),
    ):
        for speed, fading in (("fast", FAST), ("slow", SLOW)):
            index = _M[f"{name}_{speed}"]
            after[..., index] = after[..., index] * fading + event
    after[..., _M["process_seen"]] = np.maximum(after[..., _M["process_seen"]], processes)
    after[..., _M["touched"]] = np.maximum(after[..., _M["touched"]], scans | routes | decoys)


def _remember_zone(seen: RichObservation, before: Array) -> Array:
    looked = (seen.verb == 1 + Verb.ANALYSE).astype(DTYPE)
    found = (seen.file_cmd | seen.file_escalate).any(axis=(1, 2))
    responded = (seen.verb == 1 + Verb.REMOVE) | (seen.verb == 1 + Verb.RESTORE)
    after: Array = before.copy()
    after[:, _Z["step"]] = np.minimum(before[:, _Z["step"]] + 1, LONG_AGO)
    after[:, _Z["hits"]] = before[:, _Z["hits"]] * METER + looked * found
    after[:, _Z["misses"]] = before[:, _Z["misses"]] * METER + looked * ~found
    waited = np.minimum(before[:, _Z["since_response"]] + 1, LONG_AGO)
    after[:, _Z["since_response"]] = np.where(responded, 0, waited)
    return after


def _describe_hosts(memory: Array, zone: Array, exists: Array, mission: Array) -> Array:
    copied = len(_COUNTS) + len(_FLAGS)
    features = np.zeros((*memory.shape[:2], HOST.size), DTYPE)
    features[..., :copied] = memory[..., :copied]
    m = {name: memory[..., index] for name, index in _M.items()}
    file = np.maximum(m["file_cmd"], m["file_escalate"])
    proof = np.maximum(file, m["process_seen"])
    proofs = proof.sum(axis=1, keepdims=True)
    described = {
        "proof": proof,
        "stale_proof": file * (m["since_remove"] < m["since_look"]),
        "look_freshness": freshness(m["since_look"]),
        "clean_freshness": freshness(m["since_clean"]),
        "remove_freshness": freshness(m["since_remove"]),
        "unwatched": squash(np.minimum(m["since_look"], m["since_clean"]), 50.0),
        "server": np.tile(np.arange(_SLOTS) < spec.MAX_SERVERS, memory.shape[1] // _SLOTS),
        "others_proven": squash(proofs - proof),
        "zone_process": squash(m["process_slow"].sum(axis=1, keepdims=True)),
        "zone_scan": squash(m["scan_slow"].sum(axis=1, keepdims=True)),
        "mission": mission[:, None],
        "late": zone[:, None, _Z["step"]] / LONG_AGO,
    }
    for name, values in described.items():
        features[..., _F[name]] = values
    features *= exists[..., None]
    return features


def _describe_zone(
    agent: int, hosts: Array, memory: Array, exists: Array, mission: Array, blocked: Array, busy: Array
) -> Array:
    sums = squash(hosts[..., [field.start for field in _SUMMED]].sum(axis=1))
    largest = hosts[..., [_F[name] for name in _LARGEST]].max(axis=1)
    rest = (
        squash(exists.sum(axis=1), 20.0),
        np.full(len(hosts), len(spec.BLUE_SUBNETS[agent])),
        mission,
        memory[:, _Z["step"]] / LONG_AGO,
        squash(memory[:, _Z["hits"]]),
        squash(memory[:, _Z["misses"]]),
        freshness(memory[:, _Z["since_response"]]),
        squash(blocked),
        np.asarray(busy),
    )
    return np.concatenate([sums, largest, np.stack(rest, axis=1)], axis=1).astype(DTYPE)
