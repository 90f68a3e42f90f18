"""Named, versioned settings of the simulator: rules, rules and level, or a TOML file of knobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from native_sim.names import check_name
from native_sim.soc import spec
from native_sim.soc.config import LEVELS, SocConfig, make_config
from native_sim.storage.files import read_toml

VERSIONS: Final = {"corrected": 1, "reference": 1}
"""Raised whenever the meaning of a rule set or of one of its levels changes, so that old results keep theirs."""
_REFERENCE_KNOBS: Final = ("rules", "hosts_per_segment", "max_steps", "networks", "network_seed", "held_out")
"""What the reference rules heed; every other knob belongs to the corrected rules."""


@dataclass(frozen=True)
class SocVariant:
    """A setting with a name that results can be filed under."""

    name: str
    config: SocConfig

    @property
    def id(self) -> str:
        """Name and version, such as ``corrected-apt-v1``."""
        return f"{self.name}-v{VERSIONS[self.config.rules]}"


def get_variant(text: str, *, held_out: bool = False) -> SocVariant:
    """Return the variant named ``RULES``, ``RULES:LEVEL`` or ``FILE.toml``.

    Under the reference rules every episode draws its own network here, as under the corrected ones: published rows
    are means over several networks. A file may ask for one fixed network.

    Args:
        text: ``corrected``, ``reference``, ``corrected:apt``, ... or the path of a TOML file of knobs.
        held_out: Value of the knob of this name unless a file sets it.

    Raises:
        ValueError: If there is no such variant, or the file holds something else than knobs in their ranges.
    """
    if text.endswith(".toml"):
        return _load(Path(text), held_out)
    rules, colon, level = text.partition(":")
    names = [*spec.RULES, *(f"corrected:{name}" for name in LEVELS)]
    if rules not in spec.RULES or (colon and level not in LEVELS):
        raise ValueError(
            f"unknown variant {text!r} of the SOC simulator; known variants: {', '.join(names)}; "
            f"or the path of a .toml file"
        )
    if rules == "reference" and colon:
        raise ValueError(f"the reference rules have no levels; give reference alone, not {text!r}")
    name = rules if level in ("", "default") else f"{rules}-{level}"
    return SocVariant(name, _configure({"rules": rules, "level": level or "default"}, held_out))


def _load(path: Path, held_out: bool) -> SocVariant:
    """Read a file of knobs, and beside them ``name``, ``rules`` and ``level``."""
    try:
        knobs = read_toml(path)
        name = check_name("name", knobs.pop("name", "custom"))
        if name in (*spec.RULES, *(f"corrected-{level}" for level in LEVELS)):
            raise ValueError(f"the name {name!r} is taken; give it another, such as custom")
        return SocVariant(name, _configure(knobs, held_out))
    except OSError as error:
        raise ValueError(f"variant file {path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"variant file {path}: {error}") from error


def _configure(given: dict[str, Any], held_out: bool) -> SocConfig:
    knobs = {"held_out": held_out, "networks": "episode", **given}
    if knobs.get("rules") == "reference":
        useless = [name for name in given if name not in _REFERENCE_KNOBS and given[name] != "default"]
        if useless:
            raise ValueError(
                f"{useless[0]} has no effect under the reference rules; leave it out (they heed "
                f"{', '.join(_REFERENCE_KNOBS[1:])})"
            )
    return make_config(**knobs)
