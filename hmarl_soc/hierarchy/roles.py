"""The roles of the hierarchy: their names, what the responder's network puts out, and where they can play."""

from __future__ import annotations

from typing import Final

from hmarl_soc.interface import Interface

LOWER: Final = ("hunter", "triage", "responder")
"""Agents below the coordinator."""
TYPES: Final = ("hold", "isolate", "remediate", "both")
"""Response types."""
INTENSITIES: Final = 2
"""Of a response: of isolating and of remediating."""
VOTES: Final = 2
"""Of a segment: throttle and release."""
OUTPUTS: Final = len(TYPES) + INTENSITIES + VOTES
"""Numbers that the responder's network puts out per segment."""


def check_roles(interface: Interface) -> None:
    """Refuse an environment that the hierarchy cannot play.

    Raises:
        ValueError: If its agents have other names or kinds of actions.
    """
    names = [agent.name for agent in interface.agents]
    if set(names) != {"coordinator", *LOWER}:
        raise ValueError(f"HMARL-SOC plays coordinator, {', '.join(LOWER)}; this environment has {', '.join(names)}")
    for agent in interface.agents:
        if agent.discrete != (agent.name == "triage"):
            raise ValueError(
                f"HMARL-SOC needs a discrete triage and boxes for the other agents; {agent.name} is not so"
            )
    numbers = interface["responder"].actions
    if numbers < 4 or numbers % 2:
        raise ValueError(f"the responder needs two numbers per segment and two more; it has {numbers}")
