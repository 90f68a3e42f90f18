"""Named, versioned variants of the CC4 scenario: what changes against the official game, as plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cage4 import spec

RED_AGENTS = ("finite-state", "discovery", "verbose", "random-select", "sleep")
GREEN_AGENTS = ("enterprise", "none")


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

    @property
    def id(self) -> str:
        """Name and version, such as ``base-v1``."""
        return f"{self.name}-v{self.version}"

    def to_dict(self) -> dict[str, object]:
        """Return every knob, for the record of a run."""
        return asdict(self)


VARIANTS: dict[str, Variant] = {"base": Variant()}


def get_variant(name: str) -> Variant:
    """Look a variant up by name (``base``) or by id (``base-v1``).

    Raises:
        ValueError: If there is none; the message lists the known names.
    """
    for variant in VARIANTS.values():
        if name in (variant.name, variant.id):
            return variant
    raise ValueError(f"unknown variant {name!r}; known variants: {', '.join(VARIANTS)}")
