"""The policies of the SOC simulator by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from evaluation.policies import weights
from evaluation.policies.registry import Kind, Registry, make_policy, refused
from evaluation.policies.silenced import Silenced
from evaluation.policies.soc_players import soc_players
from native_sim.api import Policy
from native_sim.soc import policies

CHEATS: Final = ("oracle",)
"""Played only when named: they see what no defender sees."""


def _load_constant(path: Path, registry: Registry) -> Policy:
    """Read the same action for every step from a JSON file."""
    del registry
    return policies.constant_from_file(path)


def _load_without(path: Path, registry: Registry) -> Policy:
    """Make ``ROLE/NAME``: a policy of which one role does nothing."""
    role, name = _role_and_name(path)
    return Silenced(make_policy(name, registry), role)


def _role_and_name(path: Path) -> tuple[str, str]:
    """Split ``ROLE/NAME``."""
    role, _, name = path.as_posix().partition("/")
    return role, name


KINDS: Final = {
    "constant": Kind(_load_constant),
    "weights": weights.KIND,
    "without": Kind(_load_without, lambda path: _role_and_name(path)[1]),
    "bundle": refused("a bundle carries a policy onto CC4; use --game cc4"),
}


@cache
def soc_registry(rules: str) -> Registry:
    """Return the policies of the SOC simulator under a rule set."""
    named = policies.POLICIES[rules]
    fair = tuple(name for name in named if name not in CHEATS)
    return Registry(
        named=named,
        defaults=fair,
        players=soc_players(rules),
        kinds=KINDS,
        everything=fair,
        others="constant:FILE.json, weights:DIR, without:ROLE/NAME or module:object",
        wants=("state",) if rules == "corrected" else (),
    )
