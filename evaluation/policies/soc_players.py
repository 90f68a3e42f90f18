"""The four roles of the SOC simulator as players: what trained weights of theirs must fit."""

from __future__ import annotations

from evaluation.policies.registry import Players
from native_sim.soc.spec import AGENTS, OBSERVATIONS, REFERENCE_OBSERVATIONS


def soc_players(rules: str) -> Players:
    """Return the roles under a rule set, ``corrected`` or ``reference``."""
    observations = OBSERVATIONS if rules == "corrected" else REFERENCE_OBSERVATIONS
    return Players(AGENTS, observations, where=f" under the {rules} rules of the SOC simulator")
