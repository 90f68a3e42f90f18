"""Assignments: which blue agent plays which roles of the SOC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cage4.spec as spec
import native_sim.soc.spec as soc

COORDINATING_AGENT: Final = 4
"""Agent 4 watches headquarters; its messages carry the directive."""


@dataclass(frozen=True)
class Assignment:
    """Roles of the five blue agents.

    Raises:
        ValueError: If an agent or a role is unknown, or another agent than 4 coordinates.
    """

    name: str
    roles: tuple[tuple[str, ...], ...]
    """Blue agent -> its roles."""

    def __post_init__(self) -> None:
        if len(self.roles) != spec.NUM_BLUE:
            raise ValueError(f"an assignment names the roles of {spec.NUM_BLUE} agents; given {len(self.roles)}")
        for agent, roles in enumerate(self.roles):
            unknown = sorted(set(roles) - set(soc.AGENTS))
            if unknown:
                raise ValueError(f"unknown role {unknown[0]!r} of agent {agent}; roles are {', '.join(soc.AGENTS)}")
            if "coordinator" in roles and agent != COORDINATING_AGENT:
                raise ValueError(f"the coordinator acts through agent {COORDINATING_AGENT}; given agent {agent}")

    def has(self, agent: int, role: str) -> bool:
        """Return whether an agent plays a role."""
        return role in self.roles[agent]


_ZONE: Final = ("hunter", "triage", "responder")
ASSIGNMENTS: Final = {
    "natural": Assignment("natural", (_ZONE, _ZONE, _ZONE, _ZONE, ("coordinator", *_ZONE))),
    "paper": Assignment("paper", (("hunter",), ("hunter",), ("triage",), ("responder",), ("coordinator",))),
}
"""Name -> assignment. ``natural``: every agent runs all roles on its own zone, and the coordinator sits with agent 4.
``paper``: one role per agent, as in the HMARL-SOC paper, so that no zone has all of them."""


def get_assignment(name: str) -> Assignment:
    """Return an assignment by name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in ASSIGNMENTS:
        raise ValueError(f"unknown assignment {name!r}; known: {', '.join(ASSIGNMENTS)}")
    return ASSIGNMENTS[name]
