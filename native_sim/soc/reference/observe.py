"""Observations of the reference rules: exact truth beside pure noise, as published (spec.REFERENCE_OBSERVATIONS)."""

from __future__ import annotations

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import normal
from native_sim.soc import spec
from native_sim.soc.reference.state import LABEL, NOISE, OBSERVATION, SEGMENT, TIME, hosts_per_segment

_SEGMENTS = spec.NUM_SEGMENTS
_SCALE = spec.STAGE_SCALE
_LENGTH = spec.QUEUE_LENGTH
_VALUE = np.array([segment.value for segment in spec.SEGMENTS])
_ENDPOINTS = 48
_SHOWN_ALERTS = 10


@inner
def write_observations(s, limit, out, i):  # type: ignore[no-untyped-def]
    """Write the four observations into row ``i`` of the frame."""
    hosts = hosts_per_segment(s)
    taken, found, apart = 0, 0, 0
    for segment in range(_SEGMENTS):
        held = hosts - s.row.free[segment] - s.row.shut[segment]
        taken += held
        found += s.row.found[segment]
        apart += s.row.apart[segment]
        net = out.coordinator[i, 4 * segment : 4 * segment + 4]
        net[0] = held / hosts
        net[1] = s.row.stages[segment] / (_SCALE * hosts)
        net[2] = s.row.found[segment] / hosts
        net[3] = s.row.apart[segment] / hosts
        out.hunter[i, 4 * segment : 4 * segment + 4] = net
        out.responder[i, 4 * segment : 4 * segment + 4] = net
    total = hosts * _SEGMENTS
    out.coordinator[i, 20] = s.row.step / limit
    out.coordinator[i, 21] = s.row.queued / _LENGTH
    out.coordinator[i, 22] = taken / total
    out.coordinator[i, 23] = found / (taken + 1.0)
    _write_noise(s, out.coordinator[i, 24:], 0.1)
    _write_hunter(s, out.hunter[i])
    _write_triage(s, limit, out.triage[i])
    _write_responder(s, apart / total, out.responder[i])


@inner
def _write_noise(s, target, spread):  # type: ignore[no-untyped-def]
    for j in range(target.shape[0]):
        target[j] = spread * normal(s.rng, OBSERVATION)


@inner
def _write_hunter(s, out):  # type: ignore[no-untyped-def]
    for segment in range(_SEGMENTS):
        start = 20 + 10 * segment
        out[start] = out[4 * segment]
        out[start + 1] = s.row.visibility
        _write_noise(s, out[start + 2 : start + 10], 0.2)
    _write_noise(s, out[70:80], 0.1)
    shown = min(_ENDPOINTS, s.hosts.shape[0])
    for host in range(shown):
        out[80 + host] = 0.3 * s.hosts[host].stage / _SCALE + 0.15 * normal(s.rng, OBSERVATION)
    out[80 + shown :] = 0.0


@inner
def _write_triage(s, limit, out):  # type: ignore[no-untyped-def]
    out[:] = 0.0
    out[0] = s.row.queued / _LENGTH
    for j in range(min(_SHOWN_ALERTS, s.row.queued)):
        alert = s.row.queue[(s.row.head + j) % _LENGTH]
        shown = out[1 + 6 * j : 7 + 6 * j]
        shown[:] = alert
        shown[SEGMENT] = alert[SEGMENT] / _SEGMENTS
        shown[TIME] = alert[TIME] / limit
        shown[LABEL], shown[NOISE] = alert[LABEL], alert[NOISE]


@inner
def _write_responder(s, isolated, out):  # type: ignore[no-untyped-def]
    out[20] = isolated
    for segment in range(_SEGMENTS):
        start = 21 + 8 * segment
        out[start] = out[4 * segment]
        out[start + 1] = out[4 * segment + 3]
        out[start + 2] = _VALUE[segment]
        _write_noise(s, out[start + 3 : start + 8], 0.1)
    out[61:] = 0.0
