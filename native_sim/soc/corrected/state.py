"""State of the corrected rules: arrays over E environments of N = 5 H hosts, gathered in four tables.

The truth (what the attacker holds and does) and the evidence (what the defender's tools have shown) are two tables.
Observations are written from the evidence alone. Both keep short tables of the hosts that something has happened to, so
that no step walks over clean hosts.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from native_sim.kernels.jit import inner
from native_sim.soc import spec
from native_sim.soc.config import SocConfig
from native_sim.soc.frames import Array

CAMPAIGN, ATTACKER, TRACES, BACKGROUND, TRIAGE, HUNTER, RESPONDER, METERS = range(8)
"""Purposes of the random streams."""
NUM_STREAMS = 8
MAX_FOOTHOLDS = 32
MAX_CASES = 48
MAX_PENDING = 24
_S, _P = spec.NUM_SEGMENTS, spec.NUM_PHASES

# Columns of an alert
SEVERITY, CONFIDENCE, SEGMENT, HOST, TECHNIQUE, TIME, MERGED, READINGS, READY = range(9)
ALERT_COLUMNS = 9

# States of a case
OPEN, ISOLATED, REMEDIATING = range(3)

# Columns of the tally of an episode
FALSE_FLAGS, CLEAN_SCANS, RIGHT_ESCALATIONS, WRONG_ESCALATIONS, BACKGROUND_HANDLED, ATTACK_SUPPRESSED = range(6)
ISOLATIONS, FALSE_ISOLATIONS, FOOTHOLDS, FOUND, FOUND_DELAY, ENDED, ENDED_DELAY, REMEDIATIONS, RETURNS = range(6, 15)
NUM_TALLIES = 15


TRUTH = np.dtype(
    [
        ("host", np.int32, (MAX_FOOTHOLDS,)),  # host of a foothold
        ("stage", np.int8, (MAX_FOOTHOLDS,)),  # spec.Stage 1..4
        ("since", np.int16, (MAX_FOOTHOLDS,)),  # step of the compromise
        ("found", np.int16, (MAX_FOOTHOLDS,)),  # step at which it was confirmed, 0 before
        ("isolated", np.int16, (MAX_FOOTHOLDS,)),  # step at which it was first isolated, 0 before
        ("muted", np.int16, (MAX_FOOTHOLDS,)),  # its traces are rarer until this step: an alert about it was suppressed
        ("count", np.int8),  # footholds
        ("hidden", np.float64),  # sum of stage / 5 over the footholds not confirmed, at the end of the last step
        ("network", np.uint64),  # key of the network
        ("entries", np.int8, (3,)),  # segments that the attacker may enter
        ("start", np.int16),  # step of the first action
        ("phase", np.int8),  # spec.Phase
        ("phase_steps", np.int16),  # actions in the phase
        ("success", np.bool_),  # the phase has reached its goal
        ("targets", np.int32, (5,)),  # hosts chosen by reconnaissance
        ("num_targets", np.int8),
        ("returns_at", np.int16),  # step at which an evicted attacker tries again, 0 if not evicted
        ("alarmed_until", np.int16),
        ("progress", np.float64),  # share of the data stolen
        ("stolen", np.bool_),
        ("stealing", np.float64, (_S,)),  # share stolen from each segment in this step
        ("queue_true", np.uint8, (spec.QUEUE_LENGTH,)),  # 1 if the queued alert comes from the attack
        ("pending_true", np.uint8, (MAX_PENDING,)),
        ("was_held", np.bool_),  # there has been a foothold
        ("free_steps", np.int16),  # steps since the last live foothold
        ("first_held", np.int16),  # step of the first compromise, 0 before
        ("first_found", np.int16),  # step of the first confirmation, 0 before
    ],
    align=True,
)
"""What the defender cannot see."""

EVIDENCE = np.dtype(
    [
        ("step", np.int16),
        ("start_hour", np.float64),  # time of day at step 0, hours
        ("directive", np.float64, (spec.DIRECTIVE_SIZE,)),  # in force
        # Alerts, oldest first
        ("queue", np.float32, (spec.QUEUE_LENGTH, ALERT_COLUMNS)),
        ("queued", np.int16),
        ("pending", np.float32, (MAX_PENDING, ALERT_COLUMNS)),  # raised but not yet delivered
        ("num_pending", np.int16),
        ("busy_until", np.int16),  # last step in which the analyst is busy
        ("seen", np.int16, (_S, _P)),  # step of the newest assembled alert by segment and technique, 0 none
        ("campaign", np.float64),  # share of a full chain of techniques assembled, 0..1
        # Cases: hosts under suspicion
        ("host", np.int32, (MAX_CASES,)),
        ("score", np.float64, (MAX_CASES,)),  # log odds of being held, -2..6
        ("flagged", np.uint8, (MAX_CASES,)),  # 1 if a sweep or search has hit it
        ("status", np.int8, (MAX_CASES,)),  # OPEN, ISOLATED or REMEDIATING
        ("throttled", np.uint8, (MAX_CASES,)),
        ("opened", np.int16, (MAX_CASES,)),  # step
        ("updated", np.int16, (MAX_CASES,)),  # step of the last evidence
        ("confirmed", np.int16, (MAX_CASES,)),  # step at which the score passed the threshold, 0 before
        ("due", np.int16, (MAX_CASES,)),  # step at which remediation is done
        ("telemetry", np.float64, (MAX_CASES,)),  # reading of the last examination
        ("count", np.int8),  # cases
        # Per segment, fading by a tenth per step unless said otherwise
        ("alerts", np.float64, (_S,)),  # alerts delivered
        ("heat", np.float64, (_S,)),  # confidence above one half delivered
        ("hits", np.float64, (_S,)),  # examinations and sweeps that hit
        ("misses", np.float64, (_S,)),  # examinations that did not
        ("egress", np.float64, (_S,)),  # reading of this step
        ("power", np.float64, (_S,)),  # sweep power of this step
        ("verbose", np.float64, (_S,)),  # telemetry level of this step, 0..1
        ("last_isolation", np.int16),  # step, 0 before
    ],
    align=True,
)
"""What the tools have shown, and what the defender has done."""

LEDGER = np.dtype(
    [
        ("parts", np.float64, (4,)),  # reward parts of this step
        ("part_sums", np.float64, (4,)),  # of the episode
        ("total", np.float64),  # reward of the episode
        ("tally", np.int64, (NUM_TALLIES,)),  # counts of the episode
    ],
    align=True,
)
"""The books: reward and counts."""

HOST_STATE = np.dtype(
    [
        ("foothold", np.int8),  # truth: 1 + index in the table of footholds, 0 without
        ("case", np.int8),  # evidence: 1 + index in the table of cases, 0 without
        ("patched", np.bool_),  # evidence: remediated in this episode
    ],
    align=True,
)
"""What is kept of every host."""


class State(NamedTuple):
    """All of it; every field of a table is an array over E, such as ``state.truth["phase"]`` [E]."""

    rng: Array  # [E, 8] uint64, streams
    truth: Array  # [E] TRUTH
    evidence: Array  # [E] EVIDENCE
    ledger: Array  # [E] LEDGER
    hosts: Array  # [E, N] HOST_STATE


class Row(NamedTuple):
    """One environment of a state, as kernels pass it around."""

    rng: Any  # [8] uint64
    truth: Any  # one TRUTH
    evidence: Any  # one EVIDENCE
    ledger: Any  # one LEDGER
    hosts: Any  # [N] HOST_STATE


_KNOBS = [entry.name for entry in fields(SocConfig) if type(entry.default) in (int, float)]
KNOBS = np.dtype(
    [
        *((e.name, type(e.default)) for e in fields(SocConfig) if e.name in _KNOBS),
        ("reach", np.int8, (_S, _S)),  # segments reached from each, -1 where there are fewer
        ("num_reached", np.int8, (_S,)),
    ],
    align=True,
)
"""The configuration as kernels read it; units as in SocConfig."""


def make_knobs(config: SocConfig) -> Array:
    """Return the knobs of a configuration, [1] KNOBS."""
    knobs = np.zeros(1, KNOBS)
    for name in _KNOBS:
        knobs[name] = getattr(config, name)
    knobs["reach"] = -1
    for source, segments in enumerate(config.reaches):
        knobs["reach"][0, source, : len(segments)] = segments
        knobs["num_reached"][0, source] = len(segments)
    return knobs


def allocate(num_envs: int, hosts: int) -> State:
    """Return the state of ``num_envs`` networks with ``hosts`` hosts per segment, all zero."""
    return State(
        rng=np.zeros((num_envs, NUM_STREAMS), np.uint64),
        truth=np.zeros(num_envs, TRUTH),
        evidence=np.zeros(num_envs, EVIDENCE),
        ledger=np.zeros(num_envs, LEDGER),
        hosts=np.zeros((num_envs, hosts * _S), HOST_STATE),
    )


@njit(inline="always")
def row_of(state, e):  # type: ignore[no-untyped-def]
    """Return row ``e``."""
    return Row(state.rng[e], state.truth[e], state.evidence[e], state.ledger[e], state.hosts[e])


@inner
def clear_truth(t):  # type: ignore[no-untyped-def]
    """Forget the campaign; footholds of hosts are cleared apart."""
    t.count, t.phase, t.phase_steps, t.success = 0, 0, 0, False
    t.hidden = 0.0
    t.num_targets, t.returns_at, t.alarmed_until = 0, 0, 0
    t.progress, t.stolen, t.stealing[:] = 0.0, False, 0.0
    t.was_held, t.free_steps, t.first_held, t.first_found = False, 0, 0, 0


@inner
def clear_evidence(v):  # type: ignore[no-untyped-def]
    """Forget everything the tools have shown; cases of hosts are cleared apart."""
    v.step, v.queued, v.num_pending, v.busy_until, v.count = 0, 0, 0, 0, 0
    v.last_isolation = 0
    v.directive[:] = 0.0
    v.seen[:] = 0
    v.campaign = 0.0
    for meter in (v.alerts, v.heat, v.hits, v.misses, v.egress, v.power, v.verbose):
        meter[:] = 0.0


@inner
def is_isolated(s, host):  # type: ignore[no-untyped-def]
    """Tell whether a host is cut off, waiting for or under remediation."""
    case = s.hosts[host].case - 1
    return case >= 0 and s.evidence.status[case] != OPEN


@inner
def is_throttled(s, host):  # type: ignore[no-untyped-def]
    """Tell whether a host's traffic is throttled."""
    case = s.hosts[host].case - 1
    return case >= 0 and s.evidence.throttled[case]


@inner
def add_foothold(s, host, stage):  # type: ignore[no-untyped-def]
    """Let the attacker take a clean host; nothing happens when it holds as many as it can manage."""
    t, step = s.truth, s.evidence.step
    index = t.count
    if index == MAX_FOOTHOLDS:
        return
    t.host[index], t.stage[index], t.since[index] = host, stage, step
    t.found[index], t.isolated[index], t.muted[index] = 0, 0, 0
    s.hosts[host].foothold = index + 1
    t.count += 1
    t.was_held = True
    if t.first_held == 0:
        t.first_held = step
    s.ledger.tally[FOOTHOLDS] += 1


@inner
def remove_foothold(s, index):  # type: ignore[no-untyped-def]
    """Take a foothold from the attacker; the last of the table fills the gap."""
    t = s.truth
    last = t.count - 1
    s.hosts[t.host[index]].foothold = 0
    if index != last:
        for column in (t.since, t.found, t.isolated, t.muted):
            column[index] = column[last]
        t.host[index], t.stage[index] = t.host[last], t.stage[last]
        s.hosts[t.host[index]].foothold = index + 1
    t.count = last


@inner
def count_live(s):  # type: ignore[no-untyped-def]
    """Count the footholds that are not isolated."""
    live = 0
    for index in range(s.truth.count):
        live += not is_isolated(s, s.truth.host[index])
    return live


@inner
def close_case(s, index):  # type: ignore[no-untyped-def]
    """Strike a case from the table; the last fills the gap."""
    v = s.evidence
    last = v.count - 1
    s.hosts[v.host[index]].case = 0
    if index != last:
        for column in (v.opened, v.updated, v.confirmed, v.due):
            column[index] = column[last]
        v.host[index], v.status[index] = v.host[last], v.status[last]
        v.score[index], v.telemetry[index] = v.score[last], v.telemetry[last]
        v.flagged[index], v.throttled[index] = v.flagged[last], v.throttled[last]
        s.hosts[v.host[index]].case = index + 1
    v.count = last
