"""Cases: the hosts under suspicion, each with its evidence as log odds."""

from __future__ import annotations

import math

from native_sim.kernels.jit import inner
from native_sim.soc.corrected.state import FOUND, FOUND_DELAY, MAX_CASES, OPEN, close_case

CONFIRMED = 2.5
"""Score at which a case counts as confirmed and may be isolated."""
SUSPECT = 1.0
"""Score from which a host may be throttled, and below which an isolated one may be released."""
_LOWEST, _HIGHEST = -2.0, 6.0
_DISMISSED = -1.0
_IDLE_STEPS = 60


@inner
def add_evidence(s, k, host, weight, flag):  # type: ignore[no-untyped-def]
    """Add log odds to a host's case; good evidence opens one, and a full table gives up its weakest open case."""
    v = s.evidence
    index = s.hosts[host].case - 1
    if index < 0:
        if weight <= 0.0:
            return
        index = _open_case(s, host)
        if index < 0:
            return
    v.score[index] = min(max(v.score[index] + weight, _LOWEST), _HIGHEST)
    v.flagged[index] = v.flagged[index] or flag
    v.updated[index] = v.step
    if v.score[index] >= CONFIRMED and v.confirmed[index] == 0:
        v.confirmed[index] = v.step
        note_detection(s, host)


@inner
def note_detection(s, host):  # type: ignore[no-untyped-def]
    """Note the confirmation of a foothold, once."""
    t, step = s.truth, s.evidence.step
    foothold = s.hosts[host].foothold - 1
    if foothold < 0 or t.found[foothold] > 0:
        return
    t.found[foothold] = step
    s.ledger.tally[FOUND] += 1
    s.ledger.tally[FOUND_DELAY] += step - t.since[foothold]
    if t.first_found == 0:
        t.first_found = step


@inner
def _open_case(s, host):  # type: ignore[no-untyped-def]
    """Return the index of a new case, or -1 if all cases are being worked on."""
    v = s.evidence
    if v.count == MAX_CASES:
        weakest = -1
        for j in range(MAX_CASES):
            if v.status[j] == OPEN and (weakest < 0 or v.score[j] < v.score[weakest]):
                weakest = j
        if weakest < 0:
            return -1
        close_case(s, weakest)
    index = v.count
    v.host[index], v.score[index], v.status[index] = host, 0.0, OPEN
    v.flagged[index], v.throttled[index], v.telemetry[index] = False, False, 0.0
    v.opened[index], v.updated[index] = v.step, v.step
    v.confirmed[index], v.due[index] = 0, 0
    s.hosts[host].case = index + 1
    v.count += 1
    return index


@inner
def dismiss_cases(s):  # type: ignore[no-untyped-def]
    """Close open cases that the evidence speaks against, or that nothing was heard of for long."""
    v = s.evidence
    for index in range(v.count - 1, -1, -1):
        idle = v.step - v.updated[index] > _IDLE_STEPS
        if v.status[index] == OPEN and (idle or v.score[index] <= _DISMISSED):
            close_case(s, index)


@inner
def belief(score):  # type: ignore[no-untyped-def]
    """Return the probability that a score stands for, if evidence were what it claims to be."""
    return 1.0 / (1.0 + math.exp(-score))
