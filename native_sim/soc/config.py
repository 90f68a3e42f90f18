"""Every knob of the SOC simulator: its default, unit, allowed range, and the named complexity levels."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from native_sim.finite import is_number
from native_sim.soc import spec

_POSITIVE = (0.0, math.inf)
_UNIT = (0.0, 1.0)


def _knob(default: Any, meaning: str, allowed: tuple[float, float] = _POSITIVE) -> Any:
    return field(default=default, metadata={"meaning": meaning, "allowed": allowed})


@dataclass(frozen=True)
class SocConfig:
    """Settings of a simulation. Knobs marked "corrected" have no effect under the reference rules.

    Raises:
        ValueError: If a value has the wrong type or lies outside its range, naming both.
    """

    rules: str = field(default="corrected", metadata={"meaning": "rule set: corrected or reference"})
    hosts_per_segment: int = _knob(spec.DEFAULT_HOSTS, "hosts in each of the five segments", (2, 20_000))
    max_steps: int = _knob(spec.EPISODE_STEPS, "steps after which an episode is truncated", (1, 10_000))
    networks: str = field(
        default="episode",
        metadata={"meaning": "episode: each episode seed draws its own network; fixed: all share one"},
    )
    network_seed: int = _knob(0, "seed of the network when networks are fixed", (0, 2**63 - 1))
    held_out: bool = field(
        default=False, metadata={"meaning": "draw networks and campaigns from streams that training never sees"}
    )

    # Reward: weights of the parts detection, response, cost and false positives (corrected)
    alpha: float = _knob(1.0, "weight of detection (corrected)", (-100, 100))
    beta: float = _knob(1.5, "weight of response (corrected)", (-100, 100))
    delta: float = _knob(-0.3, "weight of cost (corrected)", (-100, 100))
    lambda_fp: float = _knob(-2.0, "weight of false positives (corrected)", (-100, 100))

    reaches: tuple[tuple[int, ...], ...] = field(
        default=tuple(segment.reaches for segment in spec.SEGMENTS),
        metadata={"meaning": "per segment, the other segments that a foothold in it can attack (corrected)"},
    )

    # Complexity of the campaign (corrected)
    stealth: float = _knob(0.7, "share by which the attacker mutes its traces, 0 loud to 1 silent", _UNIT)
    speed: float = _knob(0.4, "probability that the attacker acts in a step", _UNIT)
    entry_points: int = _knob(2, "segments from which the attacker may enter", (1, 3))
    min_phase_steps: int = _knob(3, "actions that a phase takes at least", (1, 60))
    start_window: int = _knob(60, "the campaign starts at a uniform step from 1 to this", (1, 200))
    exfiltration_steps: float = _knob(15.0, "actions needed to steal the data from one host", (1, 200))
    segments_needed: int = _knob(1, "segments that must be held before data is stolen", (1, 5))
    return_steps: float = _knob(25.0, "mean steps before an evicted attacker tries again", (1, 10_000))
    alarm: float = _knob(0.2, "probability that losing a foothold alarms the attacker", _UNIT)

    # Alerts (corrected)
    office_rate: float = _knob(0.9, "background alerts per step in office hours", (0, 2))
    night_rate: float = _knob(0.35, "background alerts per step in off-peak hours", (0, 2))
    overlap: float = _knob(0.15, "standard deviation of an alert's confidence", (0.01, 1.0))
    separation: float = _knob(0.2, "mean confidence of attack alerts above that of background alerts", _UNIT)
    misattribution: float = _knob(0.15, "probability that an attack alert names a wrong host", _UNIT)

    # Defender (corrected)
    sweep_hosts: int = _knob(40, "hosts of a segment that a full sweep covers in one step", (1, 20_000))
    false_flag_rate: float = _knob(0.01, "false flags per swept clean host at full intensity and scope", _UNIT)
    hold_steps: int = _knob(12, "steps without a live foothold that count as containment", (1, 200))
    remediation_steps: int = _knob(4, "steps that cleaning a host takes", (1, 100))
    campaign_window: int = _knob(25, "steps within which alerts count towards one campaign", (1, 200))

    def __post_init__(self) -> None:
        object.__setattr__(self, "reaches", _check_reaches(self.reaches))
        for entry in fields(self):
            _check(entry.name, getattr(self, entry.name), type(entry.default), entry.metadata.get("allowed"))
        _check_choice("rules", self.rules, spec.RULES)
        _check_choice("networks", self.networks, ("episode", "fixed"))
        _check_connected(self.reaches, self.segments_needed)

    def to_dict(self) -> dict[str, Any]:
        """Return every knob as ``SocConfig(**knobs)`` takes it, in values that JSON gives back unchanged."""
        return {**asdict(self), "reaches": [list(segments) for segments in self.reaches]}

    @property
    def num_hosts(self) -> int:
        """Hosts of the network."""
        return self.hosts_per_segment * spec.NUM_SEGMENTS


LEVELS: Final[dict[str, dict[str, Any]]] = {
    "basic": {"stealth": 0.4, "entry_points": 1},
    "default": {},
    "low-and-slow": {
        "stealth": 0.85,
        "speed": 0.35,
        "start_window": 15,
        "exfiltration_steps": 8.0,
        "entry_points": 1,
    },
    "apt": {"stealth": 0.8, "segments_needed": 3, "entry_points": 3, "min_phase_steps": 4, "start_window": 20},
}
"""Complexity levels: name -> knobs that differ from the defaults."""


def make_config(level: str = "default", **knobs: Any) -> SocConfig:
    """Return the configuration of a complexity level with some knobs changed.

    The reference rules take one network for all episodes by default, as published.

    Raises:
        ValueError: If the level or a knob is unknown, or a value is not allowed.
    """
    _check_choice("level", level, tuple(LEVELS))
    known = {entry.name for entry in fields(SocConfig)}
    unknown = sorted(set(knobs) - known)
    if unknown:
        raise ValueError(f"unknown knob {unknown[0]!r} of the SOC simulator; known knobs: {', '.join(sorted(known))}")
    if knobs.get("rules") == "reference":
        knobs.setdefault("networks", "fixed")
    return replace(SocConfig(), **{**LEVELS[level], **knobs})


def describe() -> Mapping[str, tuple[Any, str]]:
    """Return name -> (default, meaning) of every knob."""
    return {entry.name: (entry.default, entry.metadata["meaning"]) for entry in fields(SocConfig)}


def _check(name: str, value: object, kind: type, allowed: tuple[float, float] | None) -> None:
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (kind in (int, float) and isinstance(value, bool)):
        raise ValueError(f"{name} must be of type {kind.__name__}; given {value!r}")
    if kind in (int, float) and allowed is not None and not is_number(value, *allowed):
        raise ValueError(f"{name} must lie in {allowed[0]:g} to {allowed[1]:g}; given {value!r}")


def _check_reaches(given: Any) -> tuple[tuple[int, ...], ...]:
    """Return the reachability as tuples."""
    try:
        reaches = tuple(tuple(map(operator.index, segments)) for segments in given)
        right = len(reaches) == spec.NUM_SEGMENTS and all(
            set(segments) <= set(range(spec.NUM_SEGMENTS)) - {source} and len(set(segments)) == len(segments)
            for source, segments in enumerate(reaches)
        )
    except TypeError:
        right = False
    if not right:
        raise ValueError(
            f"reaches must list for each of the five segments other segments from 0 to 4, each once; given {given!r}"
        )
    return reaches


def _check_connected(reaches: tuple[tuple[int, ...], ...], needed: int) -> None:
    """Refuse a network in which a campaign can never reach its goal from one of its entry segments."""
    names = [segment.name for segment in spec.SEGMENTS]
    for entry in spec.ENTRIES:
        held, waiting = {entry}, [entry]
        while waiting:
            new = set(reaches[waiting.pop()]) - held
            held |= new
            waiting += new
        for goal, segment in enumerate(spec.SEGMENTS):
            if segment.value >= spec.OBJECTIVE_VALUE and goal not in held:
                raise ValueError(f"reaches cuts {names[goal]} off from {names[entry]}, an entry segment; connect them")
        if len(held) < needed:
            raise ValueError(
                f"segments_needed is {needed}, but only {len(held)} segments can be held from {names[entry]}; "
                "lower it or extend reaches"
            )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; given {value!r}")
