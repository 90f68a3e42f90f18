"""The attacker of the corrected rules: a campaign through five phases that needs live footholds, and adapts."""

from __future__ import annotations

import math

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import below, uniform
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import leave_trace
from native_sim.soc.corrected.state import (
    ATTACKER,
    CAMPAIGN,
    MAX_FOOTHOLDS,
    RETURNS,
    add_foothold,
    is_isolated,
    is_throttled,
)
from native_sim.soc.corrected.topology import VALUE, vulnerability

_ENTRIES = np.array(spec.ENTRIES)
_P_ACCESS, _P_EXECUTE, _P_MOVE = 0.5, 0.6, 0.4
_CANDIDATES = 12
"""Hosts that reconnaissance looks at; it keeps the five most vulnerable."""
_PATIENCE = 12
"""Actions without success after which initial access starts over."""
_THROTTLE = 0.3
"""What throttling leaves of a foothold's chances and of its traffic."""
_FILTER_TIGHT, _FILTER_LOOSE = 0.6, 0.3
"""Change of lateral movement under a full boundary filter, and under a fully relaxed one."""
_ALARM_SPEED = 0.25
_FILTER_AT = int(spec.Directive.FILTER)
_BEACON = 0.03
"""Traces per step of a live foothold that does nothing."""


@inner
def plan_campaign(s, k):  # type: ignore[no-untyped-def]
    """Draw when and where the attacker starts."""
    t = s.truth
    t.start = 1 + below(s.rng, CAMPAIGN, k.start_window)
    first = below(s.rng, CAMPAIGN, 3)
    for j in range(3):
        t.entries[j] = _ENTRIES[(first + (j if j < k.entry_points else 0)) % 3]


@inner
def act_attacker(s, k):  # type: ignore[no-untyped-def]
    """Let the attacker act if it does so in this step; idle footholds still beacon."""
    t, step = s.truth, s.evidence.step
    t.stealing[:] = 0.0
    if step < t.start:
        return
    for index in range(t.count):
        if not is_isolated(s, t.host[index]):
            leave_trace(s, k, t.host[index], t.phase, _BEACON)
    alarmed = step < t.alarmed_until
    if uniform(s.rng, ATTACKER) >= k.speed + _ALARM_SPEED * alarmed:
        return
    if t.phase >= spec.Phase.EXECUTION and not _has_foothold(s, k):
        return
    _act_phase(s, k, alarmed)


@inner
def _has_foothold(s, k):  # type: ignore[no-untyped-def]
    """Tell whether a foothold is live; one who lost all of them waits, then starts over."""
    t, step = s.truth, s.evidence.step
    for index in range(t.count):
        if not is_isolated(s, t.host[index]):
            t.returns_at = 0
            return True
    if t.returns_at == 0:
        wait = -k.return_steps * math.log(1.0 - uniform(s.rng, ATTACKER))
        t.returns_at = step + 1 + int(min(wait, 10_000.0))
    elif step >= t.returns_at:
        t.returns_at = 0
        s.ledger.tally[RETURNS] += 1
        _enter_phase(t, 0)
    return False


@inner
def _enter_phase(t, phase):  # type: ignore[no-untyped-def]
    t.phase, t.phase_steps, t.success = phase, 0, False


@inner
def _act_phase(s, k, alarmed):  # type: ignore[no-untyped-def]
    """Play one action of the present phase, then move on if its goal was reached at any time in it."""
    t = s.truth
    phase = t.phase
    t.phase_steps += 1
    if phase == spec.Phase.RECONNAISSANCE:
        _scout(s, k)
    elif phase == spec.Phase.INITIAL_ACCESS:
        _access(s, k)
    elif phase == spec.Phase.EXECUTION:
        _execute(s, k)
    elif phase == spec.Phase.LATERAL_MOVEMENT:
        _execute(s, k)
        _move(s, k, 2 if alarmed else 1)
        t.success = _can_steal(s, k)
    else:
        _steal(s, k)
    if t.success and t.phase_steps >= k.min_phase_steps and phase < spec.Phase.EXFILTRATION:
        _enter_phase(t, phase + 1)


@inner
def _scout(s, k):  # type: ignore[no-untyped-def]
    """Look at random hosts of an entry segment and keep the most vulnerable ones."""
    t = s.truth
    segment = t.entries[below(s.rng, ATTACKER, 3)]
    count = 0
    host = segment * k.hosts_per_segment
    for _ in range(_CANDIDATES):
        host = segment * k.hosts_per_segment + below(s.rng, ATTACKER, k.hosts_per_segment)
        known = s.hosts[host].foothold > 0 or is_isolated(s, host)
        for j in range(count):
            known = known or t.targets[j] == host
        if known:
            continue
        weakness = vulnerability(s, k, host)
        if count == 5 and weakness <= vulnerability(s, k, t.targets[4]):
            continue
        count = min(count + 1, 5)
        j = count - 1
        while j > 0 and vulnerability(s, k, t.targets[j - 1]) < weakness:
            t.targets[j] = t.targets[j - 1]
            j -= 1
        t.targets[j] = host
    t.num_targets = count
    t.success = count > 0
    leave_trace(s, k, host, 0, 1.0)


@inner
def _access(s, k):  # type: ignore[no-untyped-def]
    """Attack the targets that are clean and reachable; start over if none is left or patience runs out."""
    t = s.truth
    open_targets = 0
    traced = -1
    for j in range(t.num_targets):
        host = t.targets[j]
        if s.hosts[host].foothold > 0 or is_isolated(s, host):
            continue
        open_targets += 1
        traced = host if traced < 0 else traced
        if uniform(s.rng, ATTACKER) < _P_ACCESS * vulnerability(s, k, host):
            add_foothold(s, host, 1)
            t.success = True
            traced = host
    if traced >= 0:
        leave_trace(s, k, traced, 1, 1.0)
    if not t.success and (open_targets == 0 or t.phase_steps >= _PATIENCE):
        _enter_phase(t, 0)


@inner
def _execute(s, k):  # type: ignore[no-untyped-def]
    """Run code on hosts that were only accessed."""
    t = s.truth
    ready = False
    for index in range(t.count):
        host = t.host[index]
        if is_isolated(s, host):
            continue
        if t.stage[index] == 1 and uniform(s.rng, ATTACKER) < _P_EXECUTE * _leverage(s, host):
            t.stage[index] = 2
            leave_trace(s, k, host, 2, 1.0)
        ready = ready or t.stage[index] >= 2
    if t.phase == spec.Phase.EXECUTION:
        t.success = ready


@inner
def _leverage(s, host):  # type: ignore[no-untyped-def]
    return _THROTTLE if is_throttled(s, host) else 1.0


@inner
def _move(s, k, attempts):  # type: ignore[no-untyped-def]
    """From every segment with a working foothold, attack random hosts of a segment it reaches."""
    t = s.truth
    barrier = s.evidence.directive[_FILTER_AT]
    passage = 1.0 - (_FILTER_TIGHT if barrier > 0.0 else _FILTER_LOOSE) * barrier
    origin = np.full(spec.NUM_SEGMENTS, -1)  # the foothold that each segment is left from
    for index in range(t.count):
        if t.stage[index] >= 2 and not is_isolated(s, t.host[index]):
            origin[t.host[index] // k.hosts_per_segment] = index
    for source in range(spec.NUM_SEGMENTS):
        if origin[source] < 0 or k.num_reached[source] == 0:
            continue
        for _ in range(attempts):
            segment = k.reach[source, below(s.rng, ATTACKER, k.num_reached[source])]
            host = segment * k.hosts_per_segment + below(s.rng, ATTACKER, k.hosts_per_segment)
            if t.count == MAX_FOOTHOLDS or s.hosts[host].foothold > 0 or is_isolated(s, host):
                continue
            p = _P_MOVE * vulnerability(s, k, host) * passage * _leverage(s, t.host[origin[source]])
            if uniform(s.rng, ATTACKER) < p:
                add_foothold(s, host, 3)
                leave_trace(s, k, host, 3, 1.0)
            else:
                leave_trace(s, k, t.host[origin[source]], 3, 0.6)


@inner
def _can_steal(s, k):  # type: ignore[no-untyped-def]
    """Tell whether a live foothold is where the data is, and enough segments are held."""
    t = s.truth
    held = np.zeros(spec.NUM_SEGMENTS, np.bool_)
    ready = False
    for index in range(t.count):
        if not is_isolated(s, t.host[index]):
            segment = t.host[index] // k.hosts_per_segment
            held[segment] = True
            ready = ready or (t.stage[index] >= 3 and VALUE[segment] >= spec.OBJECTIVE_VALUE)
    return ready and held.sum() >= k.segments_needed


@inner
def _steal(s, k):  # type: ignore[no-untyped-def]
    """Send data out from up to three footholds; without one, go back to lateral movement."""
    t = s.truth
    if not _can_steal(s, k):
        _enter_phase(t, 3)
        return
    senders = 0
    for index in range(t.count):
        host = t.host[index]
        segment = host // k.hosts_per_segment
        if VALUE[segment] < spec.OBJECTIVE_VALUE or t.stage[index] < 3 or is_isolated(s, host):
            continue
        t.stage[index] = 4
        senders += 1
        if senders <= 3:
            t.stealing[segment] += _leverage(s, host) / k.exfiltration_steps
            leave_trace(s, k, host, 4, 0.7)
    t.progress += t.stealing.sum()
    t.stolen = t.progress >= 1.0
    _move(s, k, 1)
