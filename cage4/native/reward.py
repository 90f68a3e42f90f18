"""The blue team's reward, split by subnet and cause."""

from __future__ import annotations

from cage4 import spec
from cage4.native import codes
from cage4.native.state import RED_HOST, RED_VERB
from native_sim.jit import inner


@inner
def charge(row, zone, part):  # type: ignore[no-untyped-def]
    """Charge one failure or impact at the rate of the phase."""
    row.parts[zone, part] += codes.REWARDS[row.phase, zone, part]


@inner
def charge_impacts(row):  # type: ignore[no-untyped-def]
    """Charge every Impact that was due, succeeded or not, if its agent still holds a session."""
    for agent in range(codes.NUM_RED):
        due = row.red_due[agent]
        if due[RED_VERB] == codes.IMPACT and row.ses_count[agent] > 0:
            charge(row, due[RED_HOST] // codes.SLOTS, codes.RIA)


@inner
def charge_commands(row, verbs):  # type: ignore[no-untyped-def]
    """Charge Restore for each blue agent that submitted it, whether or not it will be carried out."""
    cost = 0
    for blue in range(codes.NUM_BLUE):
        if verbs[blue] == codes.RESTORE:
            cost += spec.RESTORE_COST
    row.cost = cost
