"""The vocabulary of the SOC simulator as tables: roles, segments, phases, tools, and what every index means.

Pure data, safe to import anywhere. Layouts exist once per rule set, because the two rule sets show different things
in vectors of the same size.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

from native_sim.api import Layout

RULES: Final = ("corrected", "reference")
AGENTS: Final = ("coordinator", "hunter", "triage", "responder")
"""The roles, in the order in which they act."""
COORDINATOR, HUNTER, TRIAGE, RESPONDER = range(4)
NUM_AGENTS: Final = 4
OBSERVATION_SIZES: Final = (64, 128, 64, 96)
ACTION_SIZES: Final = (8, 16, 4, 12)
"""Numbers in [-1, 1] per role; for triage, the number of choices."""
DIRECTIVE_SIZE: Final = ACTION_SIZES[COORDINATOR]
EPISODE_STEPS: Final = 200
TIME_LIMIT_END: Final = "truncated"
"""The attack would go on after the last step, so the limit interrupts; see :data:`native_sim.api.TimeLimitEnd`."""
DEFAULT_HOSTS: Final = 40
"""Hosts per segment."""
QUEUE_LENGTH: Final = 50
"""Alerts that the queue holds; the oldest is dropped for a new one."""


class Segment(NamedTuple):
    """A network segment."""

    name: str
    value: float  # of one host, 0..1
    vulnerability: float  # mean over hosts, 0..1; the standard deviation is VULNERABILITY_SPREAD
    reaches: tuple[int, ...]  # segments that a foothold here can attack


SEGMENTS: Final = (
    Segment("DMZ", 0.6, 0.40, (1, 2)),
    Segment("Corporate", 0.8, 0.30, (0, 2, 3)),
    Segment("Development", 0.7, 0.35, (1, 3, 4)),
    Segment("Data Center", 1.0, 0.20, (1, 2, 4)),
    Segment("Cloud", 0.9, 0.25, (2, 3)),
)
NUM_SEGMENTS: Final = len(SEGMENTS)
DMZ, CORPORATE, DEVELOPMENT, DATA_CENTER, CLOUD = range(NUM_SEGMENTS)
ENTRIES: Final = (DMZ, CORPORATE, DEVELOPMENT)
"""Segments from which an attacker may enter under the corrected rules."""
VULNERABILITY_SPREAD: Final = 0.1
VULNERABILITY_RANGE: Final = (0.05, 0.95)
OBJECTIVE_VALUE: Final = 0.9
"""Data is stolen from segments of at least this value: Data Center and Cloud."""
STAGE_SCALE: Final = 5.0
"""Stages (0 clean to 4 stealing) are divided by this where a fraction is wanted."""


class Phase(IntEnum):
    """Phases of a campaign, with their ATT&CK techniques."""

    RECONNAISSANCE = 0  # T1595
    INITIAL_ACCESS = 1  # T1190
    EXECUTION = 2  # T1059
    LATERAL_MOVEMENT = 3  # T1021
    EXFILTRATION = 4  # T1048


TECHNIQUES: Final = ("T1595", "T1190", "T1059", "T1021", "T1048")
NUM_PHASES: Final = len(Phase)


class Stage(IntEnum):
    """How far the attacker is on one host."""

    CLEAN = 0
    ACCESSED = 1
    EXECUTED = 2
    MOVED = 3
    STEALING = 4


class Triage(IntEnum):
    """What triage can do with the alert at the head of the queue."""

    ESCALATE = 0
    SUPPRESS = 1
    CORRELATE = 2
    ENRICH = 3


REWARD_PARTS: Final = ("detection", "response", "cost", "false_positive")
"""The parts of the reward, before their weights."""


class Tool(NamedTuple):
    """One of the fifteen tool interfaces: an observation channel, or an action with a cost and a latency."""

    system: str
    name: str
    kind: str  # "observation" or "action"
    where: str  # the entries that carry it
    cost: str
    latency: str


TOOLS: Final = (
    Tool("SIEM", "alert queue", "observation", "triage: alerts", "none", "0 to 2 steps until an alert is queued"),
    Tool("SIEM", "correlation", "action", "triage: 2 (correlate)", "none", "none"),
    Tool("SIEM", "routing rule", "action", "coordinator: routing", "none", "none"),
    Tool(
        "EDR",
        "segment sweep",
        "action",
        "hunter: intensity, scope",
        "0.1 x I x (0.2 + S) per segment",
        "a suspect waits 3 steps on average",
    ),
    Tool("EDR", "host score", "observation", "hunter, responder: cases", "none", "with each examination"),
    Tool("EDR", "verbose telemetry", "action", "hunter: telemetry", "0.05 per segment and step", "next step"),
    Tool(
        "SOAR",
        "isolation",
        "action",
        "responder: isolate",
        "0.1 x value; 0.05 x value per step isolated",
        "3 steps on average",
    ),
    Tool("SOAR", "remediation", "action", "responder: remediate", "0.3 x value", "remediation_steps (4)"),
    Tool("SOAR", "release", "action", "responder: release", "none", "none"),
    Tool("TIP", "technique hint", "observation", "triage: alerts", "none", "with the alert"),
    Tool("TIP", "enrichment", "action", "triage: 3 (enrich)", "0.02", "one step of the analyst"),
    Tool("TIP", "indicator search", "action", "hunter: search", "0.1 per step with a confirmed case", "none"),
    Tool("firewall", "egress meter", "observation", "all but triage: segments", "none", "each step"),
    Tool("firewall", "throttle", "action", "responder: throttle", "0.0125 x value per step throttled", "next step"),
    Tool("firewall", "boundary filter", "action", "coordinator: filter", "0.08 per step", "next step"),
)

Entry = tuple[str, tuple[int, ...], float, float, str]
"""Name, shape, smallest value, largest value, meaning."""


def _layout(name: str, size: int, entries: tuple[Entry, ...]) -> Layout:
    layout = Layout.of(name, entries)
    if layout.size != size:
        raise ValueError(f"layout {name} has {layout.size} entries; it must have {size}")
    return layout


_ANY: Final = math.inf
_S: Final = NUM_SEGMENTS
_UNUSED: Final = "has no effect"

_REFERENCE_NET: Final[tuple[Entry, ...]] = (
    (
        "network",
        (_S, 4),
        0,
        1,
        "per segment, exact: share compromised, mean stage / 5, share detected, share isolated",
    ),
)
REFERENCE_OBSERVATIONS: Final[dict[str, Layout]] = {
    "coordinator": _layout(
        "reference coordinator",
        64,
        (
            *_REFERENCE_NET,
            ("time", (), 0, 1, "step / step limit"),
            ("queue", (), 0, 1, "alerts queued / 50"),
            ("compromised", (), 0, 1, "share of hosts compromised"),
            ("detected", (), 0, 1, "detected hosts / (compromised hosts + 1)"),
            ("noise", (40,), -_ANY, _ANY, "N(0, 0.1)"),
        ),
    ),
    "hunter": _layout(
        "reference hunter",
        128,
        (
            *_REFERENCE_NET,
            (
                "segments",
                (_S, 10),
                -_ANY,
                _ANY,
                "per segment: share compromised, visibility of the attacker, 8 x N(0, 0.2)",
            ),
            ("noise", (10,), -_ANY, _ANY, "N(0, 0.1)"),
            ("endpoints", (48,), -_ANY, _ANY, "hosts 0..47: 0.3 x stage / 5 + N(0, 0.15); 0 where there is no host"),
        ),
    ),
    "triage": _layout(
        "reference triage",
        64,
        (
            ("queue", (), 0, 1, "alerts queued / 50"),
            (
                "alerts",
                (10, 6),
                0,
                1,
                "oldest first: severity, confidence, segment / 5, label (1 true), step / step limit, noise",
            ),
            ("unused", (3,), 0, 0, "always 0"),
        ),
    ),
    "responder": _layout(
        "reference responder",
        96,
        (
            *_REFERENCE_NET,
            ("isolated", (), 0, 1, "share of hosts isolated"),
            (
                "segments",
                (_S, 8),
                -_ANY,
                _ANY,
                "per segment: share compromised, share isolated, value, 5 x N(0, 0.1)",
            ),
            ("unused", (35,), 0, 0, "always 0"),
        ),
    ),
}
REFERENCE_ACTIONS: Final[dict[str, Layout]] = {
    "coordinator": _layout(
        "reference directive",
        8,
        (
            ("scan_boost", (), -1, 1, "adds 0.15 x (d + 1) to every hunting intensity"),
            ("scope_boost", (), -1, 1, "adds 0.10 x (d + 1) to every hunting scope"),
            ("unused_2_3", (2,), -1, 1, _UNUSED),
            ("urgency_boost", (), -1, 1, "adds 0.10 x (d + 1) to every isolation intensity"),
            ("unused_5_7", (3,), -1, 1, _UNUSED),
        ),
    ),
    "hunter": _layout(
        "reference hunting",
        16,
        (
            ("intensity", (_S,), -1, 1, "per segment; (a + 1) / 2 is the intensity before the boost"),
            ("scope", (_S,), -1, 1, "per segment; (a + 1) / 2 is the scope before the boost"),
            ("unused", (6,), -1, 1, _UNUSED),
        ),
    ),
    "responder": _layout(
        "reference response",
        12,
        (
            ("isolate", (_S,), -1, 1, "per segment; (a + 1) / 2 is the intensity before the boost"),
            ("remediate", (_S,), -1, 1, "per segment; (a + 1) / 2 is the probability"),
            ("unused", (2,), -1, 1, _UNUSED),
        ),
    ),
}

_CLOCK: Final[tuple[Entry, ...]] = (
    ("time", (), 0, 1, "step / step limit"),
    ("hour", (2,), -1, 1, "sine and cosine of the time of day"),
    ("office", (), 0, 1, "1 from 8 to 18 o'clock"),
)
_DIRECTIVE: Final[Entry] = ("directive", (DIRECTIVE_SIZE,), -1, 1, "the directive in force")
_SEGMENT_MEANING: Final = (
    "per segment, counts n as 1 - exp(-n / 4): recent alerts, 4 x recent confidence above 1/2, sum of beliefs of its "
    "cases, confirmed, isolated, remediating, throttled; and the egress meter"
)
_SEGMENT_ROWS: Final[Entry] = ("segments", (_S, 8), 0, 1, _SEGMENT_MEANING)
_CASE_MEANING: Final = (
    "highest score first: belief, (segment + 1) / 5, flagged, containment (0.25 throttled, 0.5 isolated, 1 "
    "remediating), telemetry of the last examination, freshness of opening and of the last evidence; 0 without"
)
OBSERVATIONS: Final[dict[str, Layout]] = {
    "coordinator": _layout(
        "coordinator",
        64,
        (
            *_CLOCK,
            ("queue", (3,), 0, 1, "alerts queued / 50, mean and largest confidence"),
            ("analyst_busy", (), 0, 1, "1 if triage cannot act in the next step"),
            _DIRECTIVE,
            _SEGMENT_ROWS,
            ("campaign", (), 0, 1, "techniques assembled in one segment within the window / 5"),
            ("cases", (), 0, 1, "cases / 48"),
            ("confirmed", (), 0, 1, "confirmed cases n as 1 - exp(-n / 4)"),
            ("isolation_freshness", (), 0, 1, "1 right after an isolation, fading by 5 % per step"),
            ("hits", (), 0, 1, "recent hits of sweeps and examinations"),
            ("misses", (), 0, 1, "recent examinations that found nothing"),
            ("power", (), 0, 5, "mean sweep power of the last step"),
            ("telemetry", (), 0, 1, "mean telemetry level of the last step"),
        ),
    ),
    "hunter": _layout(
        "hunter",
        128,
        (
            *_CLOCK,
            _DIRECTIVE,
            (
                "segments",
                (_S, 12),
                0,
                1,
                _SEGMENT_MEANING + "; sweep power / 5, telemetry level, recent hits, recent misses",
            ),
            ("cases", (8, 7), 0, 1, _CASE_MEANING),
        ),
    ),
    "triage": _layout(
        "triage",
        64,
        (
            ("queue", (), 0, 1, "alerts queued / 50"),
            ("analyst_busy", (), 0, 1, "1 if triage cannot act in the next step"),
            ("hour", (2,), -1, 1, "sine and cosine of the time of day"),
            ("office", (), 0, 1, "1 from 8 to 18 o'clock"),
            ("routing", (), -1, 1, "the directive's routing rule"),
            ("campaign", (), 0, 1, "techniques assembled in one segment within the window / 5"),
            ("alert_rate", (), 0, 1, "recent alerts n as 1 - exp(-n / 4)"),
            ("confirmed", (), 0, 1, "confirmed cases n as 1 - exp(-n / 4)"),
            ("cases", (), 0, 1, "cases / 48"),
            (
                "alerts",
                (6, 9),
                0,
                1,
                "in the order of handling: present, severity, confidence, (segment + 1) / 5, (technique + 1) / 5, "
                "freshness, further readings and merged alerts as 1 - exp(-n / 4), belief of the host's case",
            ),
        ),
    ),
    "responder": _layout(
        "responder",
        96,
        (
            *_CLOCK,
            _DIRECTIVE,
            _SEGMENT_ROWS,
            ("cases", (6, 7), 0, 1, _CASE_MEANING),
            ("queue", (), 0, 1, "alerts queued / 50"),
            ("campaign", (), 0, 1, "techniques assembled in one segment within the window / 5"),
        ),
    ),
}
ACTIONS: Final[dict[str, Layout]] = {
    "coordinator": _layout(
        "directive",
        8,
        (
            ("priority", (_S,), -1, 1, "per segment: share of hunters and responders, and of the head of the queue"),
            ("routing", (), -1, 1, "above 0: drop alerts below 0.3 d; below 0: open cases for alerts above 1 + 0.25 d"),
            ("posture", (), -1, 1, "lowers the score from which a case may be isolated by d"),
            ("filter", (), -1, 1, "above 0: hampers lateral movement at a cost; below 0: the reverse"),
        ),
    ),
    "hunter": _layout(
        "hunting",
        16,
        (
            ("intensity", (_S,), -1, 1, "per segment: how often suspects are examined and segments swept; -1 off"),
            ("scope", (_S,), -1, 1, "per segment: share of the segment that is swept beyond suspects; -1 none"),
            ("telemetry", (_S,), -1, 1, "per segment: verbose telemetry, more alerts of both kinds; -1 off"),
            ("search", (), -1, 1, "search for the indicators of confirmed cases; -1 off"),
        ),
    ),
    "responder": _layout(
        "response",
        12,
        (
            ("isolate", (_S,), -1, 1, "per segment: isolate confirmed cases; -1 off"),
            ("remediate", (_S,), -1, 1, "per segment: remediate isolated hosts; -1 off"),
            ("throttle", (), -1, 1, "throttle suspects; -1 off"),
            ("release", (), -1, 1, "release isolated hosts whose score has fallen; -1 off"),
        ),
    ),
}


class Directive(IntEnum):
    """Columns of a directive [..., 8]: where each field of its layout starts."""

    PRIORITY = ACTIONS["coordinator"]["priority"].start  # the first of five, one per segment
    ROUTING = ACTIONS["coordinator"]["routing"].start
    POSTURE = ACTIONS["coordinator"]["posture"].start
    FILTER = ACTIONS["coordinator"]["filter"].start


class Hunting(IntEnum):
    """Columns of a hunter's action [..., 16]: where each field of its layout starts."""

    INTENSITY = ACTIONS["hunter"]["intensity"].start  # the first of five, one per segment
    SCOPE = ACTIONS["hunter"]["scope"].start  # the first of five
    TELEMETRY = ACTIONS["hunter"]["telemetry"].start  # the first of five
    SEARCH = ACTIONS["hunter"]["search"].start


class Response(IntEnum):
    """Columns of a responder's action [..., 12]: where each field of its layout starts."""

    ISOLATE = ACTIONS["responder"]["isolate"].start  # the first of five, one per segment
    REMEDIATE = ACTIONS["responder"]["remediate"].start  # the first of five
    THROTTLE = ACTIONS["responder"]["throttle"].start
    RELEASE = ACTIONS["responder"]["release"].start


class ReferenceDirective(IntEnum):
    """Columns of a directive [..., 8] that have an effect under the reference rules."""

    SCAN_BOOST = REFERENCE_ACTIONS["coordinator"]["scan_boost"].start
    SCOPE_BOOST = REFERENCE_ACTIONS["coordinator"]["scope_boost"].start
    URGENCY_BOOST = REFERENCE_ACTIONS["coordinator"]["urgency_boost"].start


def per_segment(first: int) -> slice:
    """Return the columns of a field that has one number per segment, given its first column."""
    return slice(first, first + NUM_SEGMENTS)


WISHES: Final = Layout.of(
    "wishes",
    (
        ("always", (), 1, 1, "1"),
        ("intensity", (), 0, NUM_SEGMENTS, "the hunter's intensity in the segment x attention"),
        ("scope", (), 0, NUM_SEGMENTS, "the hunter's intensity x its scope x attention"),
        ("telemetry", (), 0, 1, "the hunter's telemetry in the segment"),
        ("isolate", (), 0, NUM_SEGMENTS, "the responder's isolation in the segment x attention"),
        ("remediate", (), 0, NUM_SEGMENTS, "the responder's remediation in the segment x attention"),
        ("throttle", (), 0, 1, "the responder's throttle"),
        ("release", (), 0, 1, "the responder's release"),
        ("close", (), 0, 1, "the directive's filter where it is above 0"),
        ("reopen", (), 0, 1, "the size of the directive's filter where it is below 0"),
        ("escalate", (), 0, 1, "1 if triage escalates"),
        ("enrich", (), 0, 1, "1 if triage enriches"),
        ("posture", (), -1, 1, "the directive's posture"),
    ),
)
"""What the roles want of one agent elsewhere, as numbers: levels are (a + 1) / 2, attention is 1 when neutral.

The weights of a learned mapper are kept in this order: whoever reads them, to play or to learn, takes it from here.
"""
OPTION_ACTION: Final = Layout.of(
    "option",
    (
        ("option", (), 0, _ANY, "number of the option taken"),
        ("triage", (), -1, len(Triage) - 1, "what triage does with the alert at the head of the queue; -1 for nothing"),
        ("directive", (DIRECTIVE_SIZE,), -1, 1, "the directive that the agent would give"),
    ),
)
"""An action of an agent that takes scored options, as carried defenders do when they learn."""
STATE: Final = _layout(
    "state",
    48,
    (
        (
            "segments",
            (_S, 6),
            0,
            32,
            "per segment: live footholds of stages 1 to 4, isolated ones, live ones without a case",
        ),
        ("phase", (NUM_PHASES,), 0, 1, "one-hot"),
        ("progress", (), 0, _ANY, "share of the data stolen"),
        ("started", (), 0, 1, "the campaign has begun"),
        ("alarmed", (), 0, 1, "the attacker knows that it was noticed"),
        ("free", (), 0, _ANY, "steps without a live foothold / steps that count as containment"),
        ("time", (), 0, 1, "step / step limit"),
        ("footholds", (), 0, 32, "footholds, isolated ones included"),
        ("was_held", (), 0, 1, "there has been a foothold"),
        ("alerts", (6,), -1, 1, "in the order of handling: 1 the host named is held, -1 it is not, 0 no alert"),
    ),
)
"""The truth, for centralised critics and for the oracle; never part of an observation."""
