"""Observations of the corrected rules (spec.OBSERVATIONS), written from the evidence and the clock alone.

Nothing here reads the truth: a test replaces the truth by another and finds the same observations.
"""

from __future__ import annotations

import math

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import hour_of, is_office, priority_of
from native_sim.soc.corrected.cases import CONFIRMED, belief
from native_sim.soc.corrected.state import (
    CONFIDENCE,
    HOST,
    ISOLATED,
    MAX_CASES,
    MERGED,
    OPEN,
    READINGS,
    SEGMENT,
    SEVERITY,
    TECHNIQUE,
    TIME,
)

_SEGMENTS = spec.NUM_SEGMENTS
_ROUTING = int(spec.Directive.ROUTING)
_PER_SEGMENT = 8
_PER_CASE = 7
_HUNTER_CASES, _RESPONDER_CASES = 8, 6
_HUNTER_CASES_AT = spec.OBSERVATIONS["hunter"]["cases"].start
_RESPONDER_CASES_AT = spec.OBSERVATIONS["responder"]["cases"].start
_SHOWN_ALERTS, _PER_ALERT = 6, 9
_COUNT_SCALE = 0.25
"""Counts n are shown as 1 - exp(-n / 4), between 0 and 1 for any size of network."""


@inner
def _squash(count):  # type: ignore[no-untyped-def]
    return 1.0 - math.exp(-_COUNT_SCALE * count) if count != 0.0 else 0.0


@inner
def write_observations(s, k, out, i):  # type: ignore[no-untyped-def]
    """Write the four observations into row ``i`` of the frame."""
    clock = np.empty(4)
    angle = 2.0 * math.pi * hour_of(s) / 24.0
    clock[0], clock[1], clock[2] = s.evidence.step / k.max_steps, math.sin(angle), math.cos(angle)
    clock[3] = is_office(s)
    segments = np.zeros((_SEGMENTS, _PER_SEGMENT))
    confirmed = _summarise(s.evidence, k, segments)
    _write_coordinator(s.evidence, k, clock, segments, confirmed, out.coordinator[i])
    _write_hunter(s.evidence, k, clock, segments, out.hunter[i])
    _write_triage(s, k, clock, confirmed, out.triage[i])
    _write_responder(s.evidence, clock, segments, out.responder[i])
    # The responder sees the first of the hunter's cases.
    first = out.hunter[i, _HUNTER_CASES_AT : _HUNTER_CASES_AT + _PER_CASE * _RESPONDER_CASES]
    out.responder[i, _RESPONDER_CASES_AT : _RESPONDER_CASES_AT + _PER_CASE * _RESPONDER_CASES] = first


@inner
def _summarise(v, k, segments):  # type: ignore[no-untyped-def]
    """Fill what is known per segment; return the number of confirmed cases."""
    confirmed = 0
    for index in range(v.count):
        row = segments[v.host[index] // k.hosts_per_segment]
        row[2] += belief(v.score[index])
        sure = v.score[index] >= CONFIRMED
        confirmed += sure
        row[3] += sure
        if v.status[index] == OPEN:
            row[6] += v.throttled[index]
        else:
            row[4 if v.status[index] == ISOLATED else 5] += 1.0
    for segment in range(_SEGMENTS):
        row = segments[segment]
        row[0], row[1] = v.alerts[segment], 4.0 * v.heat[segment]
        for j in range(_PER_SEGMENT - 1):
            row[j] = _squash(row[j])
        row[7] = v.egress[segment]
    return confirmed


@inner
def _write_coordinator(v, k, clock, segments, confirmed, out):  # type: ignore[no-untyped-def]
    out[:4] = clock
    mean, most = 0.0, 0.0
    for j in range(v.queued):
        mean += v.queue[j, CONFIDENCE]
        most = max(most, v.queue[j, CONFIDENCE])
    out[4] = v.queued / spec.QUEUE_LENGTH
    out[5] = mean / max(1, v.queued)
    out[6] = most
    out[7] = v.busy_until > v.step
    out[8:16] = v.directive
    for segment in range(_SEGMENTS):
        out[16 + _PER_SEGMENT * segment : 16 + _PER_SEGMENT * (segment + 1)] = segments[segment]
    out[56] = v.campaign
    out[57] = v.count / MAX_CASES
    out[58] = _squash(confirmed)
    out[59] = _since(v, v.last_isolation)
    out[60] = _squash(v.hits.sum())
    out[61] = _squash(v.misses.sum())
    out[62] = v.power.sum() / _SEGMENTS
    out[63] = v.verbose.sum() / _SEGMENTS


@inner
def _since(v, step):  # type: ignore[no-untyped-def]
    """Return how fresh an event is: 1 in this step, fading towards 0; 0 if it never happened."""
    return math.exp(-0.05 * (v.step - step)) if step > 0 else 0.0


@inner
def _write_hunter(v, k, clock, segments, out):  # type: ignore[no-untyped-def]
    out[:4] = clock
    out[4:12] = v.directive
    for segment in range(_SEGMENTS):
        row = out[12 + 12 * segment : 24 + 12 * segment]
        row[:8] = segments[segment]
        row[8] = v.power[segment] / _SEGMENTS
        row[9] = v.verbose[segment]
        row[10] = _squash(v.hits[segment])
        row[11] = _squash(v.misses[segment])
    _write_cases(v, k, _HUNTER_CASES, out[_HUNTER_CASES_AT:])


@inner
def _write_cases(v, k, shown, out):  # type: ignore[no-untyped-def]
    """Write the cases of the highest scores, best first."""
    out[: shown * _PER_CASE] = 0.0
    taken = np.zeros(MAX_CASES, np.bool_)
    for j in range(min(shown, v.count)):
        best = -1
        for index in range(v.count):
            if not taken[index] and (best < 0 or v.score[index] > v.score[best]):
                best = index
        taken[best] = True
        row = out[_PER_CASE * j : _PER_CASE * (j + 1)]
        row[0] = belief(v.score[best])
        row[1] = (v.host[best] // k.hosts_per_segment + 1) / _SEGMENTS
        row[2] = v.flagged[best]
        row[3] = 0.25 * v.throttled[best] if v.status[best] == OPEN else 0.5 * v.status[best]
        row[4] = v.telemetry[best]
        row[5] = _since(v, max(1, v.opened[best]))
        row[6] = _since(v, max(1, v.updated[best]))


@inner
def _write_triage(s, k, clock, confirmed, out):  # type: ignore[no-untyped-def]
    v = s.evidence
    out[:] = 0.0
    out[0] = v.queued / spec.QUEUE_LENGTH
    out[1] = v.busy_until > v.step
    out[2:5] = clock[1:4]
    out[5] = v.directive[_ROUTING]
    out[6] = v.campaign
    out[7] = _squash(v.alerts.sum())
    out[8] = _squash(confirmed)
    out[9] = v.count / MAX_CASES
    first = _first_alerts(v)
    for j in range(min(_SHOWN_ALERTS, v.queued)):
        _write_alert(s, k, first[j], out[10 + _PER_ALERT * j : 10 + _PER_ALERT * (j + 1)])


@inner
def _first_alerts(v):  # type: ignore[no-untyped-def]
    """Return the alerts [6] that triage will handle first, in order: by priority of the segment, then by age."""
    first = np.zeros(_SHOWN_ALERTS, np.int64)
    urgency = np.empty(_SHOWN_ALERTS)
    count = 0
    for index in range(v.queued):
        priority = priority_of(v, index)
        if count == _SHOWN_ALERTS and priority <= urgency[count - 1]:
            continue
        count = min(count + 1, _SHOWN_ALERTS)
        j = count - 1
        while j > 0 and urgency[j - 1] < priority:
            first[j], urgency[j] = first[j - 1], urgency[j - 1]
            j -= 1
        first[j], urgency[j] = index, priority
    return first


@inner
def _write_alert(s, k, index, row):  # type: ignore[no-untyped-def]
    v = s.evidence
    alert = v.queue[index]
    case = s.hosts[int(alert[HOST])].case - 1
    row[0] = 1.0
    row[1], row[2] = alert[SEVERITY], alert[CONFIDENCE]
    row[3] = (alert[SEGMENT] + 1.0) / _SEGMENTS
    row[4] = (alert[TECHNIQUE] + 1.0) / spec.NUM_PHASES
    row[5] = _since(v, int(alert[TIME]))
    row[6] = _squash(alert[READINGS] - 1.0)
    row[7] = _squash(alert[MERGED] - 1.0)
    row[8] = belief(v.score[case]) if case >= 0 else 0.0


@inner
def _write_responder(v, clock, segments, out):  # type: ignore[no-untyped-def]
    out[:4] = clock
    out[4:12] = v.directive
    for segment in range(_SEGMENTS):
        out[12 + _PER_SEGMENT * segment : 12 + _PER_SEGMENT * (segment + 1)] = segments[segment]
    out[94] = v.queued / spec.QUEUE_LENGTH
    out[95] = v.campaign


@inner
def write_truth(s, k, out):  # type: ignore[no-untyped-def]
    """Write the state vector [48] (spec.STATE)."""
    t, v = s.truth, s.evidence
    out[:] = 0.0
    for index in range(t.count):
        host = t.host[index]
        case = s.hosts[host].case - 1
        row = out[6 * (host // k.hosts_per_segment) : 6 * (host // k.hosts_per_segment) + 6]
        isolated = case >= 0 and v.status[case] != OPEN
        row[4 if isolated else t.stage[index] - 1] += 1.0
        row[5] += not isolated and case < 0
    out[30 + t.phase] = 1.0
    out[35] = t.progress
    out[36] = v.step >= t.start
    out[37] = v.step < t.alarmed_until
    out[38] = t.free_steps / k.hold_steps
    out[39] = v.step / k.max_steps
    first = _first_alerts(v)
    for j in range(min(_SHOWN_ALERTS, v.queued)):
        held = s.hosts[int(v.queue[first[j], HOST])].foothold > 0
        out[42 + j] = 1.0 if held else -1.0
    out[40] = t.count
    out[41] = t.was_held
