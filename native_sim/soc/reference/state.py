"""State of the reference rules: struct of arrays over E environments of N = 5 H hosts.

The hosts of a segment are kept in three runs of ``order``: free (neither compromised nor isolated), isolated but clean,
and compromised. So a random free host, or all compromised ones, are found without a walk over the clean hosts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from native_sim.rng import normal
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


class State(NamedTuple):
    """All of it; every field is one array."""

    rng: Array  # [E, 6] uint64, streams
    # Hosts
    vulnerability: Array  # [E, N] float32, 0.05..0.95
    stage: Array  # [E, N] int8, spec.Stage
    compromised: Array  # [E, N] bool
    detected: Array  # [E, N] bool
    detected_at: Array  # [E, N] int16, step of the latest detection
    isolated: Array  # [E, N] bool
    victim: Array  # [E, N] int16, entries in the attacker's victim list
    order: Array  # [E, N] int32, hosts by segment, then free / isolated clean / compromised
    place: Array  # [E, N] int32, inverse of order
    # Counts per segment
    free: Array  # [E, 5] int32, hosts neither compromised nor isolated
    shut: Array  # [E, 5] int32, isolated clean hosts
    stages: Array  # [E, 5] int32, sum of stages
    found: Array  # [E, 5] int32, detected hosts
    apart: Array  # [E, 5] int32, isolated hosts
    sources: Array  # [E, 5] int32, non-isolated hosts of the victim list
    # Attacker
    phase: Array  # [E] int8, spec.Phase
    phase_steps: Array  # [E] int16, steps in the phase
    targets: Array  # [E, 5] int32, hosts chosen by reconnaissance
    num_targets: Array  # [E] int8
    victims: Array  # [E, N] int32, hosts of the victim list, each once
    num_victims: Array  # [E] int32
    stolen: Array  # [E] bool, exfiltrated
    visibility: Array  # [E] float64
    # Alerts
    queue: Array  # [E, 50, 6] float32, ring of alerts
    head: Array  # [E] int16, oldest alert in the ring
    queued: Array  # [E] int16, alerts in the ring
    # Defender
    directive: Array  # [E, 8] float64, in force
    # Episode
    step: Array  # [E] int16
    first_detection: Array  # [E] int16, 0 before
    contained_at: Array  # [E] int16, 0 before
    true_positives: Array  # [E] int32
    false_positives: Array  # [E] int64
    scans: Array  # [E] int64
    total: Array  # [E] float64, reward so far
    # Sums of the current step
    detection: Array  # [E] float64, stage / 5 of hosts detected
    response: Array  # [E] float64
    cost: Array  # [E] float64
    false_scans: Array  # [E] int32
    suppressed: Array  # [E] int32, true alerts suppressed


def allocate(num_envs: int, hosts: int) -> State:
    """Return the state of ``num_envs`` networks with ``hosts`` hosts per segment, not yet drawn."""
    E, N = num_envs, hosts * _S

    def zeros(dtype: type, *shape: int) -> Array:
        return np.zeros((E, *shape), dtype)

    return State(
        rng=zeros(np.uint64, NUM_STREAMS),
        vulnerability=zeros(np.float32, N),
        stage=zeros(np.int8, N),
        compromised=zeros(np.bool_, N),
        detected=zeros(np.bool_, N),
        detected_at=zeros(np.int16, N),
        isolated=zeros(np.bool_, N),
        victim=zeros(np.int16, N),
        order=zeros(np.int32, N),
        place=zeros(np.int32, N),
        free=zeros(np.int32, _S),
        shut=zeros(np.int32, _S),
        stages=zeros(np.int32, _S),
        found=zeros(np.int32, _S),
        apart=zeros(np.int32, _S),
        sources=zeros(np.int32, _S),
        phase=zeros(np.int8),
        phase_steps=zeros(np.int16),
        targets=zeros(np.int32, 5),
        num_targets=zeros(np.int8),
        victims=zeros(np.int32, N),
        num_victims=zeros(np.int32),
        stolen=zeros(np.bool_),
        visibility=zeros(np.float64),
        queue=zeros(np.float32, spec.QUEUE_LENGTH, 6),
        head=zeros(np.int16),
        queued=zeros(np.int16),
        directive=zeros(np.float64, 8),
        step=zeros(np.int16),
        first_detection=zeros(np.int16),
        contained_at=zeros(np.int16),
        true_positives=zeros(np.int32),
        false_positives=zeros(np.int64),
        scans=zeros(np.int64),
        total=zeros(np.float64),
        detection=zeros(np.float64),
        response=zeros(np.float64),
        cost=zeros(np.float64),
        false_scans=zeros(np.int32),
        suppressed=zeros(np.int32),
    )


@njit(cache=True)
def hosts_per_segment(s):  # type: ignore[no-untyped-def]
    """Return H."""
    return s.order.shape[1] // _S


@njit(cache=True)
def draw_network(s, e):  # type: ignore[no-untyped-def]
    """Draw the vulnerabilities of row ``e``."""
    hosts = hosts_per_segment(s)
    for host in range(s.stage.shape[1]):
        drawn = _MEANS[host // hosts] + _SPREAD * normal(s.rng, e, NETWORK)
        s.vulnerability[e, host] = min(max(drawn, _LOW), _HIGH)


@njit(cache=True)
def clear(s, e):  # type: ignore[no-untyped-def]
    """Forget the episode of row ``e``; the network stays."""
    hosts = hosts_per_segment(s)
    s.stage[e] = 0
    s.compromised[e] = False
    s.detected[e] = False
    s.isolated[e] = False
    s.victim[e] = 0
    for host in range(s.stage.shape[1]):
        s.order[e, host] = host
        s.place[e, host] = host
    s.free[e] = hosts
    for counts in (s.shut, s.stages, s.found, s.apart, s.sources):
        counts[e] = 0
    s.phase[e], s.phase_steps[e], s.num_targets[e], s.num_victims[e] = 0, 0, 0, 0
    s.stolen[e] = False
    s.visibility[e] = 0.0
    s.head[e], s.queued[e] = 0, 0
    s.directive[e] = 0.0
    s.step[e], s.first_detection[e], s.contained_at[e] = 0, 0, 0
    s.true_positives[e], s.false_positives[e], s.scans[e] = 0, 0, 0
    s.total[e] = 0.0


@njit(cache=True)
def _swap(s, e, place, other):  # type: ignore[no-untyped-def]
    a, b = s.order[e, place], s.order[e, other]
    s.order[e, place], s.order[e, other] = b, a
    s.place[e, a], s.place[e, b] = other, place


@njit(cache=True)
def set_stage(s, e, host, stage):  # type: ignore[no-untyped-def]
    """Change a host's stage and the sum of its segment."""
    s.stages[e, host // hosts_per_segment(s)] += stage - s.stage[e, host]
    s.stage[e, host] = stage


@njit(cache=True)
def compromise(s, e, host, stage):  # type: ignore[no-untyped-def]
    """Let the attacker take a host that is not isolated, and append it to the victim list."""
    segment = host // hosts_per_segment(s)
    set_stage(s, e, host, stage)
    if not s.compromised[e, host]:
        s.compromised[e, host] = True
        last_free = segment * hosts_per_segment(s) + s.free[e, segment] - 1
        _swap(s, e, s.place[e, host], last_free)
        _swap(s, e, last_free, last_free + s.shut[e, segment])
        s.free[e, segment] -= 1
    if s.victim[e, host] == 0:
        s.victims[e, s.num_victims[e]] = host
        s.num_victims[e] += 1
        s.sources[e, segment] += 1
    s.victim[e, host] += 1


@njit(cache=True)
def isolate(s, e, host):  # type: ignore[no-untyped-def]
    """Isolate a host that is not isolated."""
    segment = host // hosts_per_segment(s)
    s.isolated[e, host] = True
    s.apart[e, segment] += 1
    if s.victim[e, host] > 0:
        s.sources[e, segment] -= 1
    if not s.compromised[e, host]:
        _swap(s, e, s.place[e, host], segment * hosts_per_segment(s) + s.free[e, segment] - 1)
        s.free[e, segment] -= 1
        s.shut[e, segment] += 1


@njit(cache=True)
def clean(s, e, host):  # type: ignore[no-untyped-def]
    """Clean and release an isolated, compromised host; it stays in the victim list."""
    segment = host // hosts_per_segment(s)
    start = segment * hosts_per_segment(s)
    set_stage(s, e, host, 0)
    s.compromised[e, host] = False
    s.isolated[e, host] = False
    s.apart[e, segment] -= 1
    s.sources[e, segment] += 1
    if s.detected[e, host]:
        s.detected[e, host] = False
        s.found[e, segment] -= 1
    first_taken = start + s.free[e, segment] + s.shut[e, segment]
    _swap(s, e, s.place[e, host], first_taken)
    _swap(s, e, first_taken, start + s.free[e, segment])
    s.free[e, segment] += 1
