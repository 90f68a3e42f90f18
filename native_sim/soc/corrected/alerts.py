"""Alerts: the traces of an attack and background traffic look alike, arrive late, and may name the wrong host."""

from __future__ import annotations

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import below, normal, uniform
from native_sim.soc import spec
from native_sim.soc.corrected.cases import add_evidence
from native_sim.soc.corrected.state import (
    ATTACK_SUPPRESSED,
    BACKGROUND,
    BACKGROUND_HANDLED,
    CONFIDENCE,
    HOST,
    MAX_PENDING,
    MERGED,
    METERS,
    READINGS,
    READY,
    SEGMENT,
    SEVERITY,
    TECHNIQUE,
    TIME,
    TRACES,
)
from native_sim.soc.corrected.topology import noisy_host

_LOUDNESS = np.array([0.15, 0.35, 0.5, 0.4, 0.6])
"""Probability of a trace per action and phase of an attacker without stealth."""
_MUTING = 0.6
"""Share of the traces that full stealth removes."""
_ALARM_STEALTH = 0.15
_BACKGROUND_MEAN = 0.35
_TRUE_TECHNIQUE = 0.7
"""Probability that the hint of an attack alert names the right technique."""
_VERBOSE_BACKGROUND = 0.4
"""Background alerts that full telemetry adds, as a share; it doubles the traces of an attack."""
_MAX_DELAY = 3
_FADE = 0.9
_OFFICE = (8.0, 18.0)
_HOURS_PER_STEP = 24.0 / spec.EPISODE_STEPS
_MISS = 0.1
"""Charge for dropping an alert about an attack."""
_LENGTH = spec.QUEUE_LENGTH
_PRIORITY, _ROUTING = int(spec.Directive.PRIORITY), int(spec.Directive.ROUTING)
_WEIGHTS = np.cumsum(np.array([0.25, 0.35, 0.2, 0.1, 0.1]))
"""Distribution of background alerts over the segments, cumulative."""
_ROUTED_LOW, _ROUTED_HIGH = 0.3, 0.25
"""A full routing rule drops alerts below 0.3, or opens cases for those above 0.75."""
_ROUTED_WEIGHT = 0.8
"""Evidence (log odds) of an alert that the routing rule turns into a case unseen."""


@inner
def stealth_now(s, k):  # type: ignore[no-untyped-def]
    """Return the present stealth; an alarmed attacker is more careful."""
    alarmed = s.evidence.step < s.truth.alarmed_until
    return min(1.0, k.stealth + _ALARM_STEALTH * alarmed)


@inner
def leave_trace(s, k, host, phase, weight):  # type: ignore[no-untyped-def]
    """Perhaps raise an alert about an action of the attacker on ``host``."""
    t, v = s.truth, s.evidence
    segment = host // k.hosts_per_segment
    p = weight * _LOUDNESS[phase] * (1.0 - _MUTING * stealth_now(s, k)) * (1.0 + v.verbose[segment])
    foothold = s.hosts[host].foothold - 1
    if foothold >= 0 and v.step < t.muted[foothold]:
        p *= 0.5
    if uniform(s.rng, TRACES) >= p:
        return
    named = host
    if uniform(s.rng, TRACES) < k.misattribution:
        named = segment * k.hosts_per_segment + below(s.rng, TRACES, k.hosts_per_segment)
    technique = phase
    if uniform(s.rng, TRACES) >= _TRUE_TECHNIQUE:
        technique = below(s.rng, TRACES, spec.NUM_PHASES)
    severity = _clip(0.3 + 0.1 * phase + 0.2 * normal(s.rng, TRACES))
    _send(s, k, TRACES, named, technique, severity, True)


@inner
def read_confidence(s, k, stream, true):  # type: ignore[no-untyped-def]
    """Draw one reading of an alert's confidence; the two classes overlap."""
    return _clip(_BACKGROUND_MEAN + k.separation * true + k.overlap * normal(s.rng, stream))


@inner
def _clip(x):  # type: ignore[no-untyped-def]
    return min(max(x, 0.0), 1.0)


@inner
def _send(s, k, stream, host, technique, severity, true):  # type: ignore[no-untyped-def]
    v = s.evidence
    index = v.num_pending
    if index == MAX_PENDING:
        return
    alert = v.pending[index]
    alert[SEVERITY], alert[CONFIDENCE] = severity, read_confidence(s, k, stream, true)
    alert[SEGMENT], alert[HOST], alert[TECHNIQUE] = host // k.hosts_per_segment, host, technique
    alert[TIME], alert[MERGED], alert[READINGS] = v.step, 1, 1
    alert[READY] = v.step + below(s.rng, stream, _MAX_DELAY)
    s.truth.pending_true[index] = true
    v.num_pending += 1


@inner
def hour_of(s):  # type: ignore[no-untyped-def]
    """Return the time of day in hours, 0 to 24."""
    return (s.evidence.start_hour + _HOURS_PER_STEP * s.evidence.step) % 24.0


@inner
def is_office(s):  # type: ignore[no-untyped-def]
    """Tell whether it is between 8 and 18 o'clock."""
    hour = hour_of(s)
    return _OFFICE[0] <= hour < _OFFICE[1]


@inner
def raise_background(s, k):  # type: ignore[no-untyped-def]
    """Raise background alerts: on average a rate per step, half of them about chronically noisy hosts."""
    rate = (k.office_rate if is_office(s) else k.night_rate) / 3.0 * (1.0 + _VERBOSE_BACKGROUND)
    for _ in range(3):
        if uniform(s.rng, BACKGROUND) >= rate:
            continue
        u = uniform(s.rng, BACKGROUND)
        segment = 0
        while segment < spec.NUM_SEGMENTS - 1 and u >= _WEIGHTS[segment]:
            segment += 1
        shown = 1.0 + _VERBOSE_BACKGROUND * s.evidence.verbose[segment]
        if uniform(s.rng, BACKGROUND) >= shown / (1.0 + _VERBOSE_BACKGROUND):
            continue
        host = segment * k.hosts_per_segment + below(s.rng, BACKGROUND, k.hosts_per_segment)
        if uniform(s.rng, BACKGROUND) < 0.5:
            host = noisy_host(k, segment, uniform(s.rng, BACKGROUND))
        technique = below(s.rng, BACKGROUND, spec.NUM_PHASES)
        severity = _clip(0.35 + 0.2 * normal(s.rng, BACKGROUND))
        _send(s, k, BACKGROUND, host, technique, severity, False)


@inner
def read_meters(s, k):  # type: ignore[no-untyped-def]
    """Let the per-segment counts fade, and read the firewall's egress meters."""
    v = s.evidence
    base = 0.3 if is_office(s) else 0.1
    for segment in range(spec.NUM_SEGMENTS):
        for meter in (v.alerts, v.heat, v.hits, v.misses):
            meter[segment] *= _FADE
        flow = min(0.4, 3.0 * s.truth.stealing[segment])
        v.egress[segment] = _clip(base + 0.1 * normal(s.rng, METERS) + flow)


@inner
def deliver(s, k):  # type: ignore[no-untyped-def]
    """Move the alerts that are ready into the queue, past the directive's routing rule."""
    v, t = s.evidence, s.truth
    routing = v.directive[_ROUTING]
    kept = 0
    for j in range(v.num_pending):
        if v.pending[j, READY] > v.step:
            v.pending[kept] = v.pending[j]
            t.pending_true[kept] = t.pending_true[j]
            kept += 1
            continue
        alert = v.pending[j]
        segment = int(alert[SEGMENT])
        v.alerts[segment] += 1.0
        v.heat[segment] += max(0.0, alert[CONFIDENCE] - 0.5)
        if routing > 0.0 and alert[CONFIDENCE] < _ROUTED_LOW * routing:
            suppress(s, int(alert[HOST]), t.pending_true[j])
        elif routing < 0.0 and alert[CONFIDENCE] > 1.0 + _ROUTED_HIGH * routing:
            add_evidence(s, k, int(alert[HOST]), _ROUTED_WEIGHT, False)
            _append(s, alert, t.pending_true[j])
        else:
            _append(s, alert, t.pending_true[j])
    v.num_pending = kept


@inner
def suppress(s, host, true):  # type: ignore[no-untyped-def]
    """Drop an alert unseen; about an attack, it teaches the sensors to look away from the host for a while."""
    if true:
        s.ledger.tally[ATTACK_SUPPRESSED] += 1
        s.ledger.parts[0] -= _MISS
        foothold = s.hosts[host].foothold - 1
        if foothold >= 0:
            s.truth.muted[foothold] = s.evidence.step + 20
    else:
        s.ledger.tally[BACKGROUND_HANDLED] += 1


@inner
def _append(s, alert, true):  # type: ignore[no-untyped-def]
    v = s.evidence
    if v.queued == _LENGTH:
        remove_alert(s, 0)
    v.queue[v.queued] = alert
    s.truth.queue_true[v.queued] = true
    v.queued += 1


@inner
def remove_alert(s, index):  # type: ignore[no-untyped-def]
    """Take an alert out of the queue; the others keep their order."""
    v, t = s.evidence, s.truth
    for j in range(index + 1, v.queued):
        v.queue[j - 1] = v.queue[j]
        t.queue_true[j - 1] = t.queue_true[j]
    v.queued -= 1


@inner
def priority_of(v, index):  # type: ignore[no-untyped-def]
    """Return the priority that the directive gives the segment of an alert of the queue."""
    return v.directive[_PRIORITY + int(v.queue[index, SEGMENT])]


@inner
def head_of_queue(v):  # type: ignore[no-untyped-def]
    """Return the index of the alert that triage handles next: highest priority of its segment, then oldest."""
    best = 0
    for j in range(1, v.queued):
        if priority_of(v, j) > priority_of(v, best):
            best = j
    return best
