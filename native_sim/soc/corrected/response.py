"""Response: throttle suspects, isolate confirmed hosts, remediate and release them."""

from __future__ import annotations

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import uniform
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import is_office
from native_sim.soc.corrected.cases import CONFIRMED, SUSPECT, note_detection
from native_sim.soc.corrected.hunting import capacity
from native_sim.soc.corrected.state import (
    ENDED,
    ENDED_DELAY,
    FALSE_ISOLATIONS,
    ISOLATED,
    ISOLATIONS,
    OPEN,
    REMEDIATING,
    REMEDIATIONS,
    RESPONDER,
    close_case,
    remove_foothold,
)
from native_sim.soc.corrected.topology import VALUE

_PACE = 0.35
"""Share of the isolations and remediations asked for that are done in a step at neutral priority."""
_POSTURE = 1.0
"""Log odds by which a full posture shifts the isolation threshold."""
_ISOLATION_COST, _REMEDIATION_COST = 0.1, 0.3
_DISRUPTION, _THROTTLE_DISRUPTION = 0.05, 0.0125
"""Cost per step of a host of value 1 off the network, and of a throttled one; doubled in office hours."""
_FILTER_COST, _FILTER_RELIEF = 0.08, 0.02
_FALSE_ISOLATION = 0.5
FASTEST_ISOLATION = 0.5
"""Credit for isolating a foothold in the step after its confirmation; it falls with the steps since then."""
_ALARM_STEPS = 25
_POSTURE_AT, _FILTER_AT = int(spec.Directive.POSTURE), int(spec.Directive.FILTER)
_ISOLATE, _REMEDIATE = int(spec.Response.ISOLATE), int(spec.Response.REMEDIATE)
_THROTTLE, _RELEASE = int(spec.Response.THROTTLE), int(spec.Response.RELEASE)


@inner
def respond(s, k, action):  # type: ignore[no-untyped-def]
    """Respond: 5 isolation and 5 remediation intensities, throttle, release; -1 is off."""
    v = s.evidence
    pace = capacity(v)
    threshold = CONFIRMED - _POSTURE * v.directive[_POSTURE_AT]
    throttle = (action[_THROTTLE] + 1.0) / 2.0
    release = (action[_RELEASE] + 1.0) / 2.0
    for index in range(v.count - 1, -1, -1):  # backwards, because closing a case moves the last one
        segment = v.host[index] // k.hosts_per_segment
        speed = min(1.0, _PACE * pace[segment])
        v.throttled[index] = False
        if v.status[index] == OPEN:
            isolation = speed * (action[_ISOLATE + segment] + 1.0) / 2.0
            if v.score[index] >= threshold and uniform(s.rng, RESPONDER) < isolation:
                _isolate(s, k, index)
            elif v.score[index] >= SUSPECT and uniform(s.rng, RESPONDER) < throttle:
                v.throttled[index] = True
        if v.status[index] == ISOLATED:
            remedy = speed * (action[_REMEDIATE + segment] + 1.0) / 2.0
            if v.score[index] < SUSPECT and uniform(s.rng, RESPONDER) < release:
                close_case(s, index)
            elif uniform(s.rng, RESPONDER) < remedy:
                v.status[index] = REMEDIATING
                v.due[index] = v.step + k.remediation_steps
                s.ledger.tally[REMEDIATIONS] += 1
                s.ledger.parts[2] += _REMEDIATION_COST * VALUE[segment]


@inner
def _isolate(s, k, index):  # type: ignore[no-untyped-def]
    """Cut a host off; the attacker may notice the loss."""
    v, t = s.evidence, s.truth
    host, step = v.host[index], v.step
    v.status[index] = ISOLATED
    v.last_isolation = step
    s.ledger.tally[ISOLATIONS] += 1
    s.ledger.parts[2] += _ISOLATION_COST * VALUE[host // k.hosts_per_segment]
    foothold = s.hosts[host].foothold - 1
    if foothold < 0:
        s.ledger.tally[FALSE_ISOLATIONS] += 1
        s.ledger.parts[3] += _FALSE_ISOLATION
        return
    note_detection(s, host)
    if t.isolated[foothold] == 0:  # isolating it again after a release pays nothing
        t.isolated[foothold] = step
        delay = step - t.found[foothold]
        s.ledger.parts[1] += FASTEST_ISOLATION / max(1, delay)
        s.ledger.tally[ENDED] += 1
        s.ledger.tally[ENDED_DELAY] += delay
    if uniform(s.rng, RESPONDER) < k.alarm:
        t.alarmed_until = step + _ALARM_STEPS


@inner
def finish_remediations(s):  # type: ignore[no-untyped-def]
    """Return hosts whose remediation is done to service: clean and patched."""
    v = s.evidence
    for index in range(v.count - 1, -1, -1):
        if v.status[index] == REMEDIATING and v.step >= v.due[index]:
            host = v.host[index]
            if s.hosts[host].foothold > 0:
                remove_foothold(s, s.hosts[host].foothold - 1)
            s.hosts[host].patched = True
            close_case(s, index)


@inner
def charge_disruption(s, k):  # type: ignore[no-untyped-def]
    """Charge hosts off the network, throttled hosts, and the boundary filter."""
    v = s.evidence
    busy = 2.0 if is_office(s) else 1.0
    for index in range(v.count):
        value = VALUE[v.host[index] // k.hosts_per_segment]
        if v.status[index] != OPEN:
            s.ledger.parts[2] += busy * _DISRUPTION * value
        elif v.throttled[index]:
            s.ledger.parts[2] += busy * _THROTTLE_DISRUPTION * value
    barrier = v.directive[_FILTER_AT]
    s.ledger.parts[2] += busy * barrier * (_FILTER_COST if barrier > 0.0 else _FILTER_RELIEF)
