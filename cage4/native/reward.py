"""The blue team's reward, split by subnet and cause."""

from __future__ import annotations

from cage4 import spec
from cage4.native.jit import inner
from cage4.native.world import codes
from cage4.native.world.state import RED_HOST, RED_VERB


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
    """Charge each blue agent for Restore or InvalidAction when it submits one, whatever becomes of it."""
    cost = 0.0  # added up agent by agent, so that the last digit is CybORG's too
    for blue in range(codes.NUM_BLUE):
        if verbs[blue] == codes.RESTORE:
            cost += spec.RESTORE_COST
        elif verbs[blue] == codes.INVALID:
            cost += spec.INVALID_COST
    row.cost = cost
