"""Scripted defenders by name, for either rule set, and the constant policy from a mapping or a JSON file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy
from native_sim.finite import is_number
from native_sim.soc import spec
from native_sim.storage.files import read_json

BEST_CONSTANT: Final[dict[str, dict[str, Any]]] = {
    # Found by benchmarks/soc_evidence.py at the default level, on training networks.
    "corrected": {
        "coordinator": [0.4, 0.54, 0.63, 0.44, -0.13, -0.97, 0.5, 0.96],
        "hunter": [
            -0.04,
            0.68,
            0.82,
            -0.16,
            -0.43,
            -0.75,
            -0.76,
            -0.81,
            -0.84,
            -0.85,
            -0.93,
            -0.76,
            -0.81,
            -0.88,
            -0.93,
            0.98,
        ],
        "responder": [0.26, 0.23, 0.33, 0.71, 0.69, 0.22, -0.86, -0.88, 0.03, 0.27, 0.75, 0.3],
        "triage": 2,
    },
    # Set by hand: hunt just below the false-scan cliff, isolate, never clean.
    "reference": {
        "coordinator": [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0],
        "hunter": [0.39, 0.39, 0.39, 0.39, 0.39, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "triage": 3,
        "responder": [0.79, 0.79, 0.79, 0.79, 0.79, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 0.0],
    },
}
"""Rules -> role -> action: the best constant actions known, which every learned defender has to beat."""
_NUMBERS: Final = {role: layout.size for role, layout in spec.ACTIONS.items()}
_PRIORITY: Final = spec.per_segment(spec.Directive.PRIORITY)
_INTENSITY: Final = spec.per_segment(spec.Hunting.INTENSITY)
_SCOPE: Final = spec.per_segment(spec.Hunting.SCOPE)
_TELEMETRY: Final = spec.per_segment(spec.Hunting.TELEMETRY)
_ISOLATE: Final = spec.per_segment(spec.Response.ISOLATE)
_REMEDIATE: Final = spec.per_segment(spec.Response.REMEDIATE)


class _Stateless(Policy):
    """A policy that remembers nothing; subclasses choose actions from observations and draws."""

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose."""
        return Decision(self.choose(obs, draws), None)

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Return role -> actions; a role left out does nothing."""
        raise NotImplementedError


class NoDefense(_Stateless):
    """No role acts."""

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Return no action."""
        return {}


class RandomActions(_Stateless):
    """Every number is uniform in its range, every triage choice equally likely."""

    draws_per_agent = max(_NUMBERS.values())

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Use the draws."""
        return {
            "coordinator": 2.0 * draws[:, spec.COORDINATOR, : _NUMBERS["coordinator"]] - 1.0,
            "hunter": 2.0 * draws[:, spec.HUNTER, : _NUMBERS["hunter"]] - 1.0,
            "triage": np.floor(4.0 * draws[:, spec.TRIAGE, 0]).astype(np.int64),
            "responder": 2.0 * draws[:, spec.RESPONDER, : _NUMBERS["responder"]] - 1.0,
        }


class ConstantActions(_Stateless):
    """The same action in every step.

    Args:
        actions: Any of ``coordinator`` (8 numbers in [-1, 1]), ``hunter`` (16), ``triage`` (index 0 to 3) and
            ``responder`` (12); a missing role does nothing.

    Raises:
        ValueError: If a role is unknown, or a length or range is wrong.
    """

    def __init__(self, actions: Mapping[str, Any]) -> None:
        unknown = sorted(set(actions) - set(spec.AGENTS))
        if unknown:
            raise ValueError(f"unknown role {unknown[0]!r} in a constant policy; roles are {', '.join(spec.AGENTS)}")
        self.actions: dict[str, Array] = {}
        for role, given in actions.items():
            self.actions[role] = _constant_choice(given) if role == "triage" else _constant_numbers(role, given)

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Repeat the action for every row."""
        return {role: np.broadcast_to(value, (len(draws), *value.shape)) for role, value in self.actions.items()}


def _constant_choice(given: object) -> Array:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= 3:
        raise ValueError(f"triage of a constant policy must be an integer from 0 to 3; given {given!r}")
    return np.array(given)


def _constant_numbers(role: str, given: Any) -> Array:
    try:
        value = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        value = np.empty(0)
    if value.shape != (_NUMBERS[role],) or not (np.abs(value) <= 1.0).all():
        raise ValueError(f"{role} of a constant policy must be {_NUMBERS[role]} numbers in -1 to 1; given {given!r}")
    return value


def constant_from_file(path: str | Path) -> ConstantActions:
    """Read a constant policy from a JSON file.

    Raises:
        ValueError: If the file cannot be read or does not hold a constant policy.
    """
    try:
        actions = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"constant policy {str(path)!r} cannot be read ({error}); give a JSON file") from error
    if not isinstance(actions, dict):
        raise ValueError(
            f"constant policy {str(path)!r} must be a JSON object of roles; it is {type(actions).__name__}"
        )
    return ConstantActions(actions)


class ReferenceRuleSoar(_Stateless):
    """Rule-SOAR as published; it reads the true share of compromised hosts, which the reference rules show."""

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Scan with a boost, always escalate, respond while something is compromised."""
        count = len(draws)
        directive = _filled("coordinator", count, 0.0)
        directive[:, spec.ReferenceDirective.SCAN_BOOST] = 1.0
        taken = _field(spec.REFERENCE_OBSERVATIONS, obs, "coordinator", "compromised") > 0
        response = _filled("responder", count, 0.0)
        response[taken, _ISOLATE] = response[taken, _REMEDIATE] = 0.5
        return {
            "coordinator": directive,
            "hunter": _filled("hunter", count, 0.0),
            "triage": np.zeros(count, np.int64),
            "responder": response,
        }


def _filled(role: str, count: int, number: float) -> FloatArray:
    """Return actions [N, U] of a role, all numbers alike."""
    return np.full((count, _NUMBERS[role]), number)


def _field(layouts: Mapping[str, Any], obs: ObservationBatch, role: str, name: str) -> Array:
    """Return a named field [N, ...] of an observation."""
    field = layouts[role][name]
    values: Array = obs[role][:, field.slice].reshape(len(obs[role]), *field.shape)
    return values


def _see(obs: ObservationBatch, role: str, name: str) -> Array:
    return _field(spec.OBSERVATIONS, obs, role, name)


class RuleSoar(_Stateless):
    """Playbooks without judgement: enrich doubtful alerts once, escalate likely ones, look at every suspect, search for
    the indicators of what is confirmed, and isolate it."""

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Apply fixed thresholds; no directive, no sweeps, no telemetry."""
        count = len(draws)
        alert = _see(obs, "triage", "alerts")[:, 0]
        confidence, readings = alert[:, 2], alert[:, 6]
        doubtful = np.where((readings == 0) & (confidence > 0.4), int(spec.Triage.ENRICH), int(spec.Triage.SUPPRESS))
        hunting = _filled("hunter", count, -1.0)
        hunting[:, _INTENSITY], hunting[:, spec.Hunting.SEARCH] = 1.0, 1.0
        response = _filled("responder", count, 1.0)
        response[:, spec.Response.THROTTLE] = -1.0
        return {
            "hunter": hunting,
            "triage": np.where(confidence > 0.5, int(spec.Triage.ESCALATE), doubtful),
            "responder": response,
        }


@dataclass(frozen=True)
class Tactics:
    """Thresholds of the adaptive defender, tuned on training networks.

    Raises:
        ValueError: If one is not a finite number.
    """

    escalate_from: float = 0.5  # confidence of an alert
    enrich_from: float = 0.41
    sure_from: float = 0.56
    belief_weight: float = 0.24  # what the case of the alert's host adds
    most_readings: float = 0.35  # as observed: 0.22 is one further reading, 0.39 two, 0.53 three
    focus: float = 1.7  # how sharply priorities follow suspicion
    posture: float = 0.2  # once something is confirmed
    filter: float = 1.0  # once something is confirmed
    quiet_filter: float = 1.0  # before that
    routing: float = -1.0
    scope: float = -1.0  # in suspected segments, once something is confirmed
    telemetry: float = 0.44  # in segments with a confirmed host
    suspect_telemetry: float = 0.15  # in other segments with cases
    search_from: float = 0.5  # belief of the best case
    throttle: float = 0.95

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not is_number(getattr(self, entry.name)):
                raise ValueError(f"{entry.name} of tactics is a finite number; given {getattr(self, entry.name)!r}")


class Adaptive(_Stateless):
    """A scripted defender that follows the evidence.

    The coordinator sends people where suspicion is; the hunter looks at suspects there, and searches for indicators
    once something is confirmed; triage enriches doubtful alerts and escalates likely ones; the responder throttles
    suspects, isolates and remediates confirmed hosts, and releases those that were cleared.

    Args:
        without: Roles that do nothing, for ablations.
        tactics: Thresholds.
    """

    def __init__(self, without: tuple[str, ...] = (), tactics: Tactics | None = None) -> None:
        self.without = without
        self.tactics = tactics or Tactics()

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Decide per role."""
        response = _filled("responder", len(draws), 1.0)
        response[:, spec.Response.THROTTLE] = self.tactics.throttle
        actions = {
            "coordinator": self._direct(obs),
            "hunter": self._hunt(obs),
            "triage": self._triage(obs),
            "responder": response,
        }
        return {role: action for role, action in actions.items() if role not in self.without}

    def _direct(self, obs: ObservationBatch) -> Array:
        tactics = self.tactics
        segments = _see(obs, "coordinator", "segments")
        suspicion = segments[:, :, 2] + 0.3 * segments[:, :, 1] + 0.5 * segments[:, :, 3]
        most = suspicion.max(axis=1, keepdims=True)
        directive = _filled("coordinator", len(suspicion), 0.0)
        wanted = np.clip(tactics.focus * suspicion / np.maximum(most, 1e-6) - tactics.focus / 2, -1, 1)
        directive[:, _PRIORITY] = np.where(most > 0.05, wanted, 0.0)
        active = _see(obs, "coordinator", "confirmed") > 0.0
        directive[:, spec.Directive.ROUTING] = tactics.routing
        directive[:, spec.Directive.POSTURE] = np.where(active, tactics.posture, 0.0)
        directive[:, spec.Directive.FILTER] = np.where(active, tactics.filter, tactics.quiet_filter)
        return directive

    def _hunt(self, obs: ObservationBatch) -> Array:
        tactics = self.tactics
        segments = _see(obs, "hunter", "segments")
        best = _see(obs, "hunter", "cases")[:, 0, 0]
        suspected, confirmed = segments[:, :, 2] > 0.0, segments[:, :, 3] > 0.0
        active = confirmed.any(axis=1, keepdims=True)
        hunting = _filled("hunter", len(segments), -1.0)
        hunting[:, _INTENSITY] = np.where(suspected, 1.0, -1.0)
        hunting[:, _SCOPE] = np.where(active & suspected, tactics.scope, -1.0)
        quiet = np.where(suspected, tactics.suspect_telemetry, -1.0)
        hunting[:, _TELEMETRY] = np.where(confirmed, tactics.telemetry, quiet)
        hunting[:, spec.Hunting.SEARCH] = np.where(best > tactics.search_from, 1.0, -1.0)
        return hunting

    def _triage(self, obs: ObservationBatch) -> Array:
        tactics = self.tactics
        alert = _see(obs, "triage", "alerts")[:, 0]
        confidence, readings, belief = alert[:, 2], alert[:, 6], alert[:, 8]
        leaning = confidence + tactics.belief_weight * np.where(belief > 0, belief - 0.2, 0.0)
        doubtful = (readings < tactics.most_readings) & (leaning < tactics.sure_from) & (leaning > tactics.enrich_from)
        settled = np.where(leaning > tactics.escalate_from, int(spec.Triage.ESCALATE), int(spec.Triage.SUPPRESS))
        return np.where(doubtful, int(spec.Triage.ENRICH), settled)


class Oracle(_Stateless):
    """A cheat that reads the true state: what perfect knowledge is worth, not a defender."""

    wants = ("state",)

    def choose(self, obs: ObservationBatch, draws: FloatArray) -> dict[str, Array]:
        """Look where the attacker is, and escalate only alerts about hosts that are held."""
        truth = spec.STATE.unpack(obs["state"])
        live = truth["segments"][:, :, :4].sum(axis=2)
        unknown = truth["segments"][:, :, 5] > 0
        count = len(live)
        directive = _filled("coordinator", count, 0.0)
        there = live > 0
        active = there.any(axis=1)
        directive[:, _PRIORITY] = np.where(active[:, None], np.where(there, 0.5, -0.5), 0.0)
        directive[:, spec.Directive.ROUTING] = np.where(active, -1.0, 0.0)
        directive[:, spec.Directive.POSTURE] = -0.5
        directive[:, spec.Directive.FILTER] = np.where(active, 1.0, -1.0)
        hunting = _filled("hunter", count, -1.0)
        hunting[:, _INTENSITY] = np.where(there, 1.0, -1.0)
        hunting[:, _SCOPE] = np.where(unknown, -0.85, -1.0)
        hunting[:, _TELEMETRY] = np.where(unknown, 1.0, -1.0)
        hunting[:, spec.Hunting.SEARCH] = np.where(active, 1.0, -1.0)
        held = truth["alerts"][:, 0] > 0
        return {
            "coordinator": directive,
            "hunter": hunting,
            "triage": np.where(held, int(spec.Triage.ESCALATE), int(spec.Triage.SUPPRESS)),
            "responder": _filled("responder", count, 1.0),
        }


POLICIES: Final[dict[str, dict[str, Callable[[], Policy]]]] = {
    "corrected": {
        "no-defense": NoDefense,
        "random": RandomActions,
        "best-constant": lambda: ConstantActions(BEST_CONSTANT["corrected"]),
        "rule-soar": RuleSoar,
        "adaptive": Adaptive,
        "oracle": Oracle,
    },
    "reference": {
        "no-defense": NoDefense,
        "random": RandomActions,
        "best-constant": lambda: ConstantActions(BEST_CONSTANT["reference"]),
        "rule-soar": ReferenceRuleSoar,
    },
}
"""Rules -> name -> factory. ``oracle`` cheats: it reads the true state."""


def make_policy(name: str, rules: str = "corrected") -> Policy:
    """Make a policy by name; ``constant:FILE.json`` reads a constant one.

    Raises:
        ValueError: If the rules or the name are unknown, or the file holds no constant policy.
    """
    if rules not in POLICIES:
        raise ValueError(f"unknown rules {rules!r}; allowed are {', '.join(POLICIES)}")
    if name.startswith("constant:"):
        return constant_from_file(name.removeprefix("constant:"))
    known = POLICIES[rules]
    if name not in known:
        raise ValueError(f"unknown policy {name!r} under {rules} rules; known: {', '.join(known)}, constant:FILE.json")
    return known[name]()
