"""CC4 in SOC terms: what a projection must produce, and how the four roles' observations are composed from it.

The two worlds correspond as follows. The zone of each blue agent is one of the five SOC segments, chosen so that
reach and value agree: headquarters is the DMZ, from which the restricted zones (Corporate, Development) are reached,
from which the operational zones (Data Center, Cloud) are reached. A host with suspicion is a case, a host with
unhandled events is an alert. A projection gives the terms below, linearly, for each host and zone; the rest of a
role's observation is bookkeeping (the clock, the queue, the directive in force) and is filled in exactly.

Letters: N rows, S = 5 segments, H host slots, K cases or alerts shown.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

import native_sim.soc.spec as soc
from adapters.cc4.features import freshness, scalars, squash
from native_sim.api import Array

ANY: Final = math.inf
SEGMENT_OF_AGENT: Final = (soc.CORPORATE, soc.DATA_CENTER, soc.DEVELOPMENT, soc.CLOUD, soc.DMZ)
"""Blue agent -> segment: restricted zone A, operational zone A, restricted zone B, operational zone B, HQ."""
DAY_STEPS: Final = 500
"""Steps of a CC4 episode; it is shown as one day from midnight, so the missions begin as the office opens."""


HOST_TERMS: Final = scalars(
    "SOC terms of a host",
    (
        ("belief", 1, "probability that red holds the host"),
        ("flagged", 1, "an Analyse or a process event speaks against it"),
        ("containment", 1, "0.5 while a Remove, 1 while a Restore of it is in progress"),
        ("telemetry", 1, "0.3 if it was looked at, 0.6 if it was and is held"),
        ("opened", 1, "freshness of the intrusion"),
        ("updated", 1, "freshness of red's last action against it"),
        ("severity", 1, "of its alert: 0.3 + 0.1 x phase of an attack, 0.35 of background"),
        ("confidence", 1, "of its alert: 0.55 for an attack, 0.35 for background"),
        ("technique", 1, "of its alert: (phase + 1) / 5, 0.6 for background"),
    ),
)
"""What a projection says of a host slot."""
SEGMENT_FIELDS: Final = (
    "alerts",
    "heat",
    "beliefs",
    "confirmed",
    "isolated",
    "remediating",
    "throttled",
    "egress",
)
"""The first terms of a zone: the row that coordinator and responder see of every segment, and 8 bits of a message."""
HUNTER_FIELDS: Final = (*SEGMENT_FIELDS, "power", "verbose", "hits", "misses")
ZONE_TERMS: Final = scalars(
    "SOC terms of a zone",
    (
        ("alerts", 1, "recent events, n as 1 - exp(-n / 4)"),
        ("heat", 1, "4 x recent confidence above 1/2, likewise"),
        ("beliefs", 1, "hosts that red holds, likewise"),
        ("confirmed", 1, "hosts that red holds and that are known for it, likewise"),
        ("isolated", 1, "Removes in progress, likewise"),
        ("remediating", 1, "Restores in progress, likewise"),
        ("throttled", 1, "blocked sources of traffic, likewise"),
        ("egress", 1, "0.1 (0.3 in the office hours), and 0.4 more while red does damage"),
        ("power", 1, "0.2 while an Analyse is in progress"),
        ("verbose", 1, "share of the hosts with a decoy"),
        ("hits", 1, "recent Analyses that saw a file, n as 1 - exp(-n / 4)"),
        ("misses", 1, "recent Analyses that saw none, likewise"),
        ("campaign", 1, "kinds of red actions in the zone within 25 steps / 5"),
        ("isolation", 1, "freshness of the last Remove or Restore"),
    ),
)
"""What a projection says of a zone."""
_T: Final = {field.name: field.start for field in HOST_TERMS}
_Z: Final = {field.name: field.start for field in ZONE_TERMS}
_HALF: Final = float(squash(np.array(0.5)))
_COUNTED: Final = ("confirmed", "isolated", "remediating", "throttled")
BELIEF_FLOOR: Final = float(squash(np.array(0.13)))
"""The SOC simulator closes a case below a belief of 0.27: less than half of that is shown as nothing."""
CASE_FROM: Final = 0.13
"""Belief from which a host is shown as a case: half of the 0.27 at which the SOC simulator closes one."""
CASES_SHOWN: Final = {"hunter": 8, "responder": 6}
ALERTS_SHOWN: Final = 6
MAX_CASES: Final = 48


class Clock(NamedTuple):
    """What a SOC observation says of the time."""

    time: Array  # [N] step / step limit
    hour: Array  # [N, 2] sine and cosine of the time of day
    office: Array  # [N] 1 from 8 to 18 o'clock


class Cases(NamedTuple):
    """The hosts of a zone as cases and alerts, best first; slots are -1 where there is none."""

    case_slots: Array  # [N, 8] host slots by belief
    cases: Array  # [N, 8, 9] HOST_TERMS of them
    num_cases: Array  # [N] cases in all
    alert_slots: Array  # [N, 6] host slots in the order of handling
    alerts: Array  # [N, 6, 9] HOST_TERMS of them
    ages: Array  # [N, 6] steps since the alert
    readings: Array  # [N, 6] further readings
    merged: Array  # [N, 6] further events of the host
    queued: Array  # [N] alerts in all
    mean_confidence: Array  # [N] over all alerts
    top_confidence: Array  # [N]


def clock(step: Array) -> Clock:
    """Return the SOC clock of CC4 steps [N]."""
    hour = 24.0 * np.asarray(step, np.float64) / DAY_STEPS % 24.0
    angle = 2.0 * np.pi * hour / 24.0
    office = ((hour >= 8.0) & (hour < 18.0)).astype(np.float64)
    time = np.minimum(np.asarray(step, np.float64) / DAY_STEPS, 1.0)
    return Clock(time, np.stack([np.sin(angle), np.cos(angle)], axis=-1), office)


def settle_zone(terms: Array) -> Array:
    """Return projected zone terms [N, Z] as the SOC simulator shows them: in range, and next to nothing is 0."""
    shown = np.clip(terms, 0.0, 1.0)
    for name in _COUNTED:
        shown[:, _Z[name]] = np.where(shown[:, _Z[name]] < _HALF, 0.0, shown[:, _Z[name]])
    shown[:, _Z["beliefs"]] = np.where(shown[:, _Z["beliefs"]] < BELIEF_FLOOR, 0.0, shown[:, _Z["beliefs"]])
    return shown


def settle_hosts(terms: Array, exists: Array) -> Array:
    """Return projected host terms [N, H, 9] in range; all zero where there is no host."""
    return np.clip(terms, 0.0, 1.0) * exists[..., None]


def case_rows(cases: Cases, segment: Array, shown: int) -> Array:
    """Return the seven numbers of the first ``shown`` cases, [N, shown, 7]."""
    terms, present = cases.cases[:, :shown], cases.case_slots[:, :shown] >= 0
    place = np.broadcast_to(((segment + 1) / soc.NUM_SEGMENTS)[:, None], present.shape)
    parts = [terms[..., _T["belief"]], place]
    parts += [terms[..., _T[name]] for name in ("flagged", "containment", "telemetry", "opened", "updated")]
    return np.stack(parts, axis=-1) * present[..., None]


def alert_rows(cases: Cases, segment: Array) -> Array:
    """Return the nine numbers of the first six alerts, [N, 6, 9]."""
    terms, present = cases.alerts, cases.alert_slots >= 0
    place = np.broadcast_to(((segment + 1) / soc.NUM_SEGMENTS)[:, None], present.shape)
    parts = [
        np.ones(present.shape),
        terms[..., _T["severity"]],
        terms[..., _T["confidence"]],
        place,
        terms[..., _T["technique"]],
        freshness(cases.ages),
        squash(cases.readings),
        squash(cases.merged),
        terms[..., _T["belief"]],
    ]
    return np.stack(parts, axis=-1) * present[..., None]


def compose(
    now: Clock, own: Array, segments: Array, cases: Cases, segment: Array, directive: Array, analyst_busy: Array
) -> dict[str, Array]:
    """Return role -> observation in the layout of the SOC simulator.

    Args:
        now: The clock.
        own: [N, Z] terms of the agent's own zone (ZONE_TERMS).
        segments: [N, 5, 12] what is known of all segments, in the order of HUNTER_FIELDS.
        cases: Cases and alerts of the own zone.
        segment: [N] the own segment.
        directive: [N, 8] the directive in force.
        analyst_busy: [N] 1 if the agent cannot act in this step.
    """
    confirmed = squash(_counts(segments[:, :, _Z["confirmed"]]).sum(axis=1))
    counted, campaign = cases.num_cases / MAX_CASES, own[:, _Z["campaign"]]
    queue = cases.queued / soc.QUEUE_LENGTH
    ticks = {"time": now.time, "hour": now.hour, "office": now.office}
    rows = segments[:, :, : len(SEGMENT_FIELDS)]
    parts = {
        "coordinator": {
            **ticks,
            "queue": np.stack([queue, cases.mean_confidence, cases.top_confidence], axis=-1),
            "analyst_busy": analyst_busy,
            "directive": directive,
            "segments": rows,
            "campaign": campaign,
            "cases": counted,
            "confirmed": confirmed,
            "isolation_freshness": own[:, _Z["isolation"]],
            "hits": own[:, _Z["hits"]],
            "misses": own[:, _Z["misses"]],
            "power": soc.NUM_SEGMENTS * segments[:, :, _Z["power"]].mean(axis=1),
            "telemetry": segments[:, :, _Z["verbose"]].mean(axis=1),
        },
        "hunter": {
            **ticks,
            "directive": directive,
            "segments": segments,
            "cases": case_rows(cases, segment, CASES_SHOWN["hunter"]),
        },
        "triage": {
            "queue": queue,
            "analyst_busy": analyst_busy,
            "hour": now.hour,
            "office": now.office,
            "routing": directive[:, soc.Directive.ROUTING],
            "campaign": campaign,
            "alert_rate": squash(_counts(segments[:, :, _Z["alerts"]]).sum(axis=1)),
            "confirmed": confirmed,
            "cases": counted,
            "alerts": alert_rows(cases, segment),
        },
        "responder": {
            **ticks,
            "directive": directive,
            "segments": rows,
            "cases": case_rows(cases, segment, CASES_SHOWN["responder"]),
            "queue": queue,
            "campaign": campaign,
        },
    }
    return {role: soc.OBSERVATIONS[role].pack(parts[role], np.float32) for role in soc.AGENTS}


def _counts(shown: Array) -> Array:
    """Return the counts n that were shown as 1 - exp(-n / 4)."""
    return -4.0 * np.log1p(-np.minimum(shown, 0.999))
