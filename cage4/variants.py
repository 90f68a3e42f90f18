"""Named, versioned variants of the CC4 scenario: what changes against the official game, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cage4 import spec
from native_sim.finite import is_number
from native_sim.names import check_name
from native_sim.storage.files import read_toml

RED_AGENTS = ("finite-state", "discovery", "verbose", "random-select", "sleep")
GREEN_AGENTS = ("enterprise", "none")

MOST_VERSION = 9999
"""Of a variant, at most."""

RED_STATES = ("K", "KD", "S", "SD", "U", "UD", "R", "RD")
"""What a finite-state red knows of a host: rows of a choice table."""
RED_ACTIONS = (
    "DiscoverRemoteSystems",
    "AggressiveServiceDiscovery",
    "StealthServiceDiscovery",
    "DiscoverDeception",
    "ExploitRemoteService",
    "PrivilegeEscalate",
    "Impact",
    "DegradeServices",
    "Withdraw",
)
"""Columns of a choice table, in the order of CybORG's ``state_transitions_probability``."""

Choices = tuple[tuple[float, ...], ...]
"""[state][action] -> probability; 0 also stands for CybORG's None."""

FINITE_STATE_CHOICES: Choices = (
    (0.5, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.25, 0.0, 0.0, 0.25, 0.5, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.25, 0.75, 0.0, 0.0, 0.0, 0.0),
    (0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0),
)
"""What FiniteStateRedAgent (and VerboseFSRed) does."""
DISCOVERY_CHOICES: Choices = (
    (0.25, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.25, 0.0, 0.0, 0.0, 0.75, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0),
)
"""What DiscoveryFSRed does."""


def _with_rows(**rows: tuple[float, ...]) -> Choices:
    return tuple(rows.get(state, row) for state, row in zip(RED_STATES, FINITE_STATE_CHOICES, strict=True))


_AGGRESSIVE_ONLY = _with_rows(
    K=(0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), KD=(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
)
_STEALTH_ONLY = _with_rows(
    K=(0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), KD=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
)
_IMPACT_ONLY = _with_rows(
    R=(0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0), RD=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
)


@dataclass(frozen=True)
class Variant:
    """One scenario. Every field at its default is the official game."""

    name: str = "base"
    version: int = 1
    """Raised whenever the meaning of the name changes, so that old results keep theirs."""
    red: str = "finite-state"
    """One of :data:`RED_AGENTS`."""
    green: str = "enterprise"
    """One of :data:`GREEN_AGENTS`."""
    min_users: int = spec.MIN_USERS
    """Fewest user hosts of a subnet (1 to 10)."""
    max_users: int = spec.MAX_USERS
    min_servers: int = spec.MIN_SERVERS
    """Fewest server hosts of a subnet (1 to 6)."""
    max_servers: int = spec.MAX_SERVERS
    phishing_rate: float = 0.01
    """Probability that a green user's local work opens a phishing mail."""
    false_alarm_rate: float = 0.01
    """Probability that green work or access raises an alarm."""
    aggressive_scan_detection: float = 0.75
    """Probability that an aggressive service scan is seen."""
    stealth_scan_detection: float = 0.25
    """Probability that a stealth service scan is seen."""
    red_one_tick: bool = False
    """Whether every red action takes one tick, instead of up to four."""
    red_choices: Choices | None = None
    """Probabilities of a finite-state red, [8 states][9 actions] (:data:`RED_STATES`, :data:`RED_ACTIONS`); None
    keeps those of :attr:`red`."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not 1 <= self.version <= MOST_VERSION:
            raise ValueError(f"version must lie in 1 to {MOST_VERSION}; given {self.version}")
        if self.red not in RED_AGENTS:
            raise ValueError(f"unknown red agent {self.red!r}; choose one of {', '.join(RED_AGENTS)}")
        if self.green not in GREEN_AGENTS:
            raise ValueError(f"unknown green agent {self.green!r}; choose one of {', '.join(GREEN_AGENTS)}")
        if not 1 <= self.min_users <= self.max_users <= spec.MAX_USERS:
            raise ValueError(
                f"user hosts per subnet must satisfy 1 <= min_users <= max_users <= {spec.MAX_USERS}; "
                f"given {self.min_users} and {self.max_users}"
            )
        if not 1 <= self.min_servers <= self.max_servers <= spec.MAX_SERVERS:
            raise ValueError(
                f"server hosts per subnet must satisfy 1 <= min_servers <= max_servers <= {spec.MAX_SERVERS}; "
                f"given {self.min_servers} and {self.max_servers}"
            )
        for name in _RATES:
            if not is_number(getattr(self, name), 0.0, 1.0):
                raise ValueError(f"{name} is a probability between 0 and 1; given {getattr(self, name)}")
        if self.red_choices is not None:
            _check_choices(self.red, self.red_choices)

    @property
    def choices(self) -> Choices:
        """The choice table in force, [8 states][9 actions]."""
        if self.red_choices is not None:
            return self.red_choices
        return DISCOVERY_CHOICES if self.red == "discovery" else FINITE_STATE_CHOICES

    @property
    def id(self) -> str:
        """Name and version, such as ``base-v1``."""
        return f"{self.name}-v{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return every knob as plain JSON values, for the record of a run."""
        knobs = asdict(self)
        if self.red_choices is not None:
            knobs["red_choices"] = [list(row) for row in self.red_choices]
        return knobs

    @classmethod
    def from_dict(cls, knobs: Mapping[str, Any]) -> Variant:
        """Make a variant from some or all of its knobs: the inverse of :meth:`to_dict`.

        Raises:
            ValueError: One sentence on the first knob that is unknown, of a wrong type or impossible.
        """
        known = {field.name: field for field in fields(cls)}
        for name, value in knobs.items():
            if name not in known:
                raise ValueError(f"a variant has no knob {name!r}; it has {', '.join(known)}")
            if name != "red_choices":
                _check_type(name, value, type(known[name].default))
        given = dict(knobs)
        if given.get("red_choices") is not None:
            given["red_choices"] = _choices(given["red_choices"])
        return cls(**given)


def _check_type(name: str, value: Any, wanted: type) -> None:
    allowed = (int, float) if wanted is float else wanted
    if not isinstance(value, allowed) or (isinstance(value, bool) and wanted is not bool):
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise ValueError(f"{name} must be {words[wanted]}; given {value!r}")


def _choices(table: Any) -> Choices:
    try:
        return tuple(tuple(float(p) for p in row) for row in table)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"red_choices must be rows of probabilities; given {table!r}") from None


_RATES = ("phishing_rate", "false_alarm_rate", "aggressive_scan_detection", "stealth_scan_detection")


def _check_choices(red: str, choices: Choices) -> None:
    if red not in ("finite-state", "discovery", "verbose"):
        raise ValueError(f"red_choices needs a finite-state red agent; {red!r} does not use them")
    if len(choices) != len(RED_STATES) or any(len(row) != len(RED_ACTIONS) for row in choices):
        raise ValueError(f"red_choices must have {len(RED_STATES)} rows of {len(RED_ACTIONS)} probabilities")
    for state, row in zip(RED_STATES, choices, strict=True):
        if not all(is_number(value, 0.0, 1.0) for value in row) or abs(sum(row) - 1.0) > 1e-9:
            raise ValueError(f"red_choices of state {state} must be probabilities that add up to 1; given {row}")


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(),
        Variant("const-size", min_users=spec.MAX_USERS, min_servers=spec.MAX_SERVERS),
        Variant("phishing", phishing_rate=0.75),
        Variant(
            "stealthy-red",
            false_alarm_rate=0.75,
            aggressive_scan_detection=0.05,
            stealth_scan_detection=0.01,
        ),
        Variant("aggressive-red", red_one_tick=True),
        Variant("singh-aggressive", red_choices=_AGGRESSIVE_ONLY),
        Variant("singh-stealth", red_choices=_STEALTH_ONLY),
        Variant("singh-impact", red_choices=_IMPACT_ONLY),
    )
}
"""The named scenarios, each at its newest version.

``const-size``, ``phishing``, ``stealthy-red`` and ``aggressive-red`` follow the generalisation study of CC4, whose
patches were not published; its rates of scan detection are not stated exactly, and 0.05 and 0.01 are our choice.
The three ``singh`` variants are Singh et al.'s reds: only aggressive scans, only stealthy ones, and Impact wherever
the original would degrade services.
"""


def get_variant(name: str) -> Variant:
    """Look a variant up by name (``base``), by id (``base-v1``), or read one from a TOML file (``my-red.toml``).

    Raises:
        ValueError: If there is none; the message lists the known names, or says what is wrong with the file.
    """
    for variant in VARIANTS.values():
        if name in (variant.name, variant.id):
            return variant
    if name.endswith(".toml"):
        return load_variant(Path(name))
    raise ValueError(f"unknown variant {name!r}; known variants: {', '.join(VARIANTS)}; or the path of a .toml file")


def load_variant(path: Path) -> Variant:
    """Read a custom variant: a TOML file of knobs, those left out being the official game's.

    Raises:
        ValueError: One sentence naming the file and what is wrong with it.
    """
    try:
        knobs = read_toml(path)
        variant = Variant.from_dict({"name": "custom", **knobs})
    except OSError as error:
        raise ValueError(f"variant file {path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"variant file {path}: {error}") from error
    if variant.name in VARIANTS:
        raise ValueError(f"variant file {path}: the name {variant.name!r} is taken; give it another, such as custom")
    return variant
