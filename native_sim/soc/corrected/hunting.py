"""Threat hunting: sweeps of segments, examination of suspects, telemetry, and the search for known indicators."""

from __future__ import annotations

import math

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import below, binomial, normal, uniform
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import stealth_now
from native_sim.soc.corrected.cases import add_evidence
from native_sim.soc.corrected.state import CLEAN_SCANS, FALSE_FLAGS, HUNTER, REMEDIATING

_EXAMINED = np.array([0.0, 0.55, 0.7, 0.85, 0.95])
"""Probability that an examination hits a foothold of each stage whose attacker has no stealth."""
_EXAMINED_FALSE = 0.03
_HIT, _MISS = 1.8, -0.6
"""Evidence (log odds) of the outcomes of an examination."""
_SWEPT = 0.12
"""Probability that a full sweep finds an unsuspected foothold of stage 4 whose attacker has no stealth."""
_SWEEP_HIT, _SEARCH_HIT = 1.2, 1.5
_SEARCHED, _SEARCHED_FALSE = 0.15, 0.1
_EXAMINATION_STEPS = 3.0
"""Steps for which a suspect waits at neutral power."""
_SWEEP_COST, _TELEMETRY_COST, _SEARCH_COST = 0.1, 0.05, 0.1
_FALSE_FLAG = 0.5
_FOCUS = math.log(4.0)
"""A full priority gives a segment four times the people of a neutral one."""
_SEGMENTS = spec.NUM_SEGMENTS
_PRIORITY = int(spec.Directive.PRIORITY)
_INTENSITY, _SCOPE = int(spec.Hunting.INTENSITY), int(spec.Hunting.SCOPE)
_TELEMETRY, _SEARCH = int(spec.Hunting.TELEMETRY), int(spec.Hunting.SEARCH)


@inner
def capacity(v):  # type: ignore[no-untyped-def]
    """Return the share of the analysts that the directive gives each segment [5], times 5; all 1 when neutral."""
    shares = np.empty(_SEGMENTS)
    for segment in range(_SEGMENTS):
        shares[segment] = math.exp(_FOCUS * v.directive[_PRIORITY + segment])
    return shares * (_SEGMENTS / shares.sum())


@inner
def hunt(s, k, action):  # type: ignore[no-untyped-def]
    """Hunt: 5 intensities, 5 scopes, 5 telemetry levels and the indicator search; -1 is off."""
    v = s.evidence
    share = capacity(v)
    for segment in range(_SEGMENTS):
        intensity = (action[_INTENSITY + segment] + 1.0) / 2.0
        scope = (action[_SCOPE + segment] + 1.0) / 2.0
        v.verbose[segment] = (action[_TELEMETRY + segment] + 1.0) / 2.0
        v.power[segment] = intensity * share[segment]
        s.ledger.parts[2] += _SWEEP_COST * intensity * (0.2 + scope) + _TELEMETRY_COST * v.verbose[segment]
        if intensity * scope > 0.0:
            _sweep(s, k, segment, scope)
    _examine(s, k)
    search = (action[_SEARCH] + 1.0) / 2.0
    if search > 0.0:
        _search(s, k, search)


@inner
def _sweep(s, k, segment, scope):  # type: ignore[no-untyped-def]
    """Look at hosts nobody suspects; false flags grow with the square of intensity, hits linearly."""
    v, t = s.evidence, s.truth
    force = v.power[segment] * scope
    covered = min(k.hosts_per_segment, k.sweep_hosts)
    visible = (1.0 - 0.5 * stealth_now(s, k)) * (1.0 + 0.5 * v.campaign) * covered / k.hosts_per_segment
    for index in range(t.count):
        host = t.host[index]
        if host // k.hosts_per_segment != segment or s.hosts[host].case > 0:
            continue
        if uniform(s.rng, HUNTER) < _SWEPT * force * visible * t.stage[index] / 4.0:
            v.hits[segment] += 1.0
            add_evidence(s, k, host, _SWEEP_HIT, True)
    # Clean hosts are all alike: draw how many are flagged, then which.
    intensity = force / max(1.0, v.power[segment]) if v.power[segment] > 0.0 else 0.0
    s.ledger.tally[CLEAN_SCANS] += int(covered * min(1.0, max(force, intensity)))
    for _ in range(binomial(s.rng, HUNTER, covered, min(1.0, k.false_flag_rate * force * force))):
        host = segment * k.hosts_per_segment + below(s.rng, HUNTER, k.hosts_per_segment)
        if s.hosts[host].foothold == 0:
            _flag_clean(s, k, host, _SWEEP_HIT)


@inner
def _flag_clean(s, k, host, weight):  # type: ignore[no-untyped-def]
    s.evidence.hits[host // k.hosts_per_segment] += 1.0
    s.ledger.tally[FALSE_FLAGS] += 1
    s.ledger.parts[3] += _FALSE_FLAG
    add_evidence(s, k, host, weight, True)


@inner
def _examine(s, k):  # type: ignore[no-untyped-def]
    """Examine suspects, isolated ones too; power sets how often each one's turn comes."""
    v, t = s.evidence, s.truth
    visible = (1.0 - 0.4 * stealth_now(s, k)) * (1.0 + 0.3 * v.campaign)
    for index in range(v.count):
        host = v.host[index]
        segment = host // k.hosts_per_segment
        if v.status[index] == REMEDIATING:
            continue
        if uniform(s.rng, HUNTER) >= min(1.0, v.power[segment] / _EXAMINATION_STEPS):
            continue
        foothold = s.hosts[host].foothold - 1
        held = foothold >= 0
        p = min(0.98, visible * _EXAMINED[t.stage[foothold]]) if held else _EXAMINED_FALSE
        hit = uniform(s.rng, HUNTER) < p
        v.telemetry[index] = min(max(0.3 + 0.3 * held + 0.15 * normal(s.rng, HUNTER), 0.0), 1.0)
        if not held:
            s.ledger.tally[CLEAN_SCANS] += 1
        if hit and not held:
            _flag_clean(s, k, host, _HIT)
        elif hit:
            v.hits[segment] += 1.0
            add_evidence(s, k, host, _HIT, True)
        else:
            v.misses[segment] += 1.0
            add_evidence(s, k, host, _MISS, False)


@inner
def _search(s, k, effort):  # type: ignore[no-untyped-def]
    """Look everywhere for the indicators of confirmed cases; those of a false case lead to clean hosts."""
    v, t = s.evidence, s.truth
    true, false = 0, 0
    for index in range(v.count):
        if v.confirmed[index] > 0:
            held = s.hosts[v.host[index]].foothold > 0
            true += held
            false += not held
    if true + false == 0:
        return
    s.ledger.parts[2] += _SEARCH_COST * effort
    if true > 0:
        p = _SEARCHED * effort * (1.0 - 0.5 * stealth_now(s, k))
        for index in range(t.count):
            host = t.host[index]
            if s.hosts[host].case == 0 and uniform(s.rng, HUNTER) < p:
                v.hits[host // k.hosts_per_segment] += 1.0
                add_evidence(s, k, host, _SEARCH_HIT, True)
    if uniform(s.rng, HUNTER) < _SEARCHED_FALSE * effort * false / (true + false):
        host = below(s.rng, HUNTER, k.hosts_per_segment * _SEGMENTS)
        if s.hosts[host].foothold == 0:
            _flag_clean(s, k, host, _SEARCH_HIT)
