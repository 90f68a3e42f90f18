"""Observations of the reference rules: exact truth beside pure noise, as published (spec.REFERENCE_OBSERVATIONS)."""

from __future__ import annotations

import numpy as np
from numba import njit

from native_sim.rng import normal
from native_sim.soc import spec
from native_sim.soc.reference.state import LABEL, NOISE, OBSERVATION, SEGMENT, TIME, hosts_per_segment

_SEGMENTS = spec.NUM_SEGMENTS
_SCALE = spec.STAGE_SCALE
_LENGTH = spec.QUEUE_LENGTH
_VALUE = np.array([segment.value for segment in spec.SEGMENTS])
_ENDPOINTS = 48
_SHOWN_ALERTS = 10


@njit(cache=True)
def write_observations(s, e, limit, out, i):  # type: ignore[no-untyped-def]
    """Write the four observations of row ``e`` into row ``i`` of the frame."""
    hosts = hosts_per_segment(s)
    taken, found, apart = 0, 0, 0
    for segment in range(_SEGMENTS):
        held = hosts - s.free[e, segment] - s.shut[e, segment]
        taken += held
        found += s.found[e, segment]
        apart += s.apart[e, segment]
        net = out.coordinator[i, 4 * segment : 4 * segment + 4]
        net[0] = held / hosts
        net[1] = s.stages[e, segment] / (_SCALE * hosts)
        net[2] = s.found[e, segment] / hosts
        net[3] = s.apart[e, segment] / hosts
        out.hunter[i, 4 * segment : 4 * segment + 4] = net
        out.responder[i, 4 * segment : 4 * segment + 4] = net
    total = hosts * _SEGMENTS
    out.coordinator[i, 20] = s.step[e] / limit
    out.coordinator[i, 21] = s.queued[e] / _LENGTH
    out.coordinator[i, 22] = taken / total
    out.coordinator[i, 23] = found / (taken + 1.0)
    _write_noise(s, e, out.coordinator[i, 24:], 0.1)
    _write_hunter(s, e, out.hunter[i])
    _write_triage(s, e, limit, out.triage[i])
    _write_responder(s, e, apart / total, out.responder[i])


@njit(cache=True)
def _write_noise(s, e, target, spread):  # type: ignore[no-untyped-def]
    for j in range(target.shape[0]):
        target[j] = spread * normal(s.rng, e, OBSERVATION)


@njit(cache=True)
def _write_hunter(s, e, out):  # type: ignore[no-untyped-def]
    for segment in range(_SEGMENTS):
        start = 20 + 10 * segment
        out[start] = out[4 * segment]
        out[start + 1] = s.visibility[e]
        _write_noise(s, e, out[start + 2 : start + 10], 0.2)
    _write_noise(s, e, out[70:80], 0.1)
    shown = min(_ENDPOINTS, s.stage.shape[1])
    for host in range(shown):
        out[80 + host] = 0.3 * s.stage[e, host] / _SCALE + 0.15 * normal(s.rng, e, OBSERVATION)
    out[80 + shown :] = 0.0


@njit(cache=True)
def _write_triage(s, e, limit, out):  # type: ignore[no-untyped-def]
    out[:] = 0.0
    out[0] = s.queued[e] / _LENGTH
    for j in range(min(_SHOWN_ALERTS, s.queued[e])):
        alert = s.queue[e, (s.head[e] + j) % _LENGTH]
        shown = out[1 + 6 * j : 7 + 6 * j]
        shown[:] = alert
        shown[SEGMENT] = alert[SEGMENT] / _SEGMENTS
        shown[TIME] = alert[TIME] / limit
        shown[LABEL], shown[NOISE] = alert[LABEL], alert[NOISE]


@njit(cache=True)
def _write_responder(s, e, isolated, out):  # type: ignore[no-untyped-def]
    out[20] = isolated
    for segment in range(_SEGMENTS):
        start = 21 + 8 * segment
        out[start] = out[4 * segment]
        out[start + 1] = out[4 * segment + 3]
        out[start + 2] = _VALUE[segment]
        _write_noise(s, e, out[start + 3 : start + 8], 0.1)
    out[61:] = 0.0
