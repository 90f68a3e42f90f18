"""State of the reference rules: arrays over E environments of N = 5 H hosts, gathered in two tables.

The hosts of a segment are kept in three runs of ``order``: free (neither compromised nor isolated), isolated but clean,
and compromised. So a random free host, or all compromised ones, are found without a walk over the clean hosts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import normal
from native_sim.soc import spec
from native_sim.soc.frames import Array

NETWORK, ATTACKER, ALERTS, HUNTER, RESPONDER, OBSERVATION = range(6)
"""Purposes of the random streams."""
NUM_STREAMS = 6
SEVERITY, CONFIDENCE, SEGMENT, LABEL, TIME, NOISE = range(6)
"""Columns of an alert."""
_S = spec.NUM_SEGMENTS
_MEANS = np.array([segment.vulnerability for segment in spec.SEGMENTS])
_LOW, _HIGH = spec.VULNERABILITY_RANGE
_SPREAD = spec.VULNERABILITY_SPREAD


HOST = np.dtype(
    [
        ("vulnerability", np.float32),  # 0.05..0.95
        ("stage", np.int8),  # spec.Stage
        ("compromised", np.bool_),
        ("detected", np.bool_),
        ("detected_at", np.int16),  # step of the latest detection
        ("isolated", np.bool_),
        ("victim", np.int16),  # entries in the attacker's victim list
        ("order", np.int32),  # hosts by segment, then free / isolated clean / compromised
        ("place", np.int32),  # inverse of order
        ("victims", np.int32),  # hosts of the victim list, each once
    ],
    align=True,
)
"""What is kept per host; ``order`` and ``victims`` are lists of hosts that share the table."""

ROW = np.dtype(
    [
        # Counts per segment
        ("free", np.int32, (5,)),  # hosts neither compromised nor isolated
        ("shut", np.int32, (5,)),  # isolated clean hosts
        ("stages", np.int32, (5,)),  # sum of stages
        ("found", np.int32, (5,)),  # detected hosts
        ("apart", np.int32, (5,)),  # isolated hosts
        ("sources", np.int32, (5,)),  # non-isolated hosts of the victim list
        # Attacker
        ("phase", np.int8),  # spec.Phase
        ("phase_steps", np.int16),  # steps in the phase
        ("targets", np.int32, (5,)),  # hosts chosen by reconnaissance
        ("num_targets", np.int8),
        ("num_victims", np.int32),
        ("stolen", np.bool_),  # exfiltrated
        ("visibility", np.float64),
        # Alerts
        ("queue", np.float32, (spec.QUEUE_LENGTH, 6)),  # ring of alerts
        ("head", np.int16),  # oldest alert in the ring
        ("queued", np.int16),  # alerts in the ring
        # Defender
        ("directive", np.float64, (spec.DIRECTIVE_SIZE,)),  # in force
        # Episode
        ("step", np.int16),
        ("first_detection", np.int16),  # 0 before
        ("contained_at", np.int16),  # 0 before
        ("true_positives", np.int32),
        ("false_positives", np.int64),
        ("scans", np.int64),
        ("total", np.float64),  # reward so far
        # Sums of the current step
        ("detection", np.float64),  # stage / 5 of hosts detected
        ("response", np.float64),
        ("cost", np.float64),
        ("false_scans", np.int32),
        ("suppressed", np.int32),  # true alerts suppressed
    ],
    align=True,
)
"""What is kept per environment."""


class State(NamedTuple):
    """All of it; every field of a table is an array, such as ``state.rows["phase"]`` [E]."""

    rng: Array  # [E, 6] uint64, streams
    rows: Array  # [E] ROW
    hosts: Array  # [E, N] HOST


class View(NamedTuple):
    """One environment of a state, as kernels pass it around."""

    rng: Any  # [6] uint64
    row: Any  # one ROW
    hosts: Any  # [N] HOST


def allocate(num_envs: int, hosts: int) -> State:
    """Return the state of ``num_envs`` networks with ``hosts`` hosts per segment, not yet drawn."""
    return State(
        rng=np.zeros((num_envs, NUM_STREAMS), np.uint64),
        rows=np.zeros(num_envs, ROW),
        hosts=np.zeros((num_envs, hosts * _S), HOST),
    )


@njit(inline="always")
def view_of(state, e):  # type: ignore[no-untyped-def]
    """Return row ``e``."""
    return View(state.rng[e], state.rows[e], state.hosts[e])


@inner
def hosts_per_segment(s):  # type: ignore[no-untyped-def]
    """Return H."""
    return s.hosts.shape[0] // _S


@inner
def draw_network(s):  # type: ignore[no-untyped-def]
    """Draw the vulnerabilities."""
    hosts = hosts_per_segment(s)
    for host in range(s.hosts.shape[0]):
        drawn = _MEANS[host // hosts] + _SPREAD * normal(s.rng, NETWORK)
        s.hosts[host].vulnerability = min(max(drawn, _LOW), _HIGH)


@inner
def clear(s):  # type: ignore[no-untyped-def]
    """Forget the episode; the network stays."""
    for number in range(s.hosts.shape[0]):
        host = s.hosts[number]
        host.stage, host.detected_at, host.victim = 0, 0, 0
        host.compromised, host.detected, host.isolated = False, False, False
        host.order, host.place = number, number
    s.row.free[:] = hosts_per_segment(s)
    for counts in (s.row.shut, s.row.stages, s.row.found, s.row.apart, s.row.sources):
        counts[:] = 0
    s.row.phase, s.row.phase_steps, s.row.num_targets, s.row.num_victims = 0, 0, 0, 0
    s.row.stolen = False
    s.row.visibility = 0.0
    s.row.head, s.row.queued = 0, 0
    s.row.directive[:] = 0.0
    s.row.step, s.row.first_detection, s.row.contained_at = 0, 0, 0
    s.row.true_positives, s.row.false_positives, s.row.scans = 0, 0, 0
    s.row.total = 0.0


@inner
def _swap(s, place, other):  # type: ignore[no-untyped-def]
    a, b = s.hosts[place].order, s.hosts[other].order
    s.hosts[place].order, s.hosts[other].order = b, a
    s.hosts[a].place, s.hosts[b].place = other, place


@inner
def set_stage(s, host, stage):  # type: ignore[no-untyped-def]
    """Change a host's stage and the sum of its segment."""
    s.row.stages[host // hosts_per_segment(s)] += stage - s.hosts[host].stage
    s.hosts[host].stage = stage


@inner
def compromise(s, host, stage):  # type: ignore[no-untyped-def]
    """Let the attacker take a host that is not isolated, and append it to the victim list."""
    segment = host // hosts_per_segment(s)
    set_stage(s, host, stage)
    if not s.hosts[host].compromised:
        s.hosts[host].compromised = True
        last_free = segment * hosts_per_segment(s) + s.row.free[segment] - 1
        _swap(s, s.hosts[host].place, last_free)
        _swap(s, last_free, last_free + s.row.shut[segment])
        s.row.free[segment] -= 1
    if s.hosts[host].victim == 0:
        s.hosts[s.row.num_victims].victims = host
        s.row.num_victims += 1
        s.row.sources[segment] += 1
    s.hosts[host].victim += 1


@inner
def isolate(s, host):  # type: ignore[no-untyped-def]
    """Isolate a host that is not isolated."""
    segment = host // hosts_per_segment(s)
    s.hosts[host].isolated = True
    s.row.apart[segment] += 1
    if s.hosts[host].victim > 0:
        s.row.sources[segment] -= 1
    if not s.hosts[host].compromised:
        _swap(s, s.hosts[host].place, segment * hosts_per_segment(s) + s.row.free[segment] - 1)
        s.row.free[segment] -= 1
        s.row.shut[segment] += 1


@inner
def clean(s, host):  # type: ignore[no-untyped-def]
    """Clean and release an isolated, compromised host; it stays in the victim list."""
    segment = host // hosts_per_segment(s)
    start = segment * hosts_per_segment(s)
    set_stage(s, host, 0)
    s.hosts[host].compromised = False
    s.hosts[host].isolated = False
    s.row.apart[segment] -= 1
    s.row.sources[segment] += 1
    if s.hosts[host].detected:
        s.hosts[host].detected = False
        s.row.found[segment] -= 1
    first_taken = start + s.row.free[segment] + s.row.shut[segment]
    _swap(s, s.hosts[host].place, first_taken)
    _swap(s, first_taken, start + s.row.free[segment])
    s.row.free[segment] += 1
