"""The blue team's reward, split by subnet and cause."""

from __future__ import annotations

from numba import njit

from cage4 import spec
from cage4.native import codes
from cage4.native.state import RED_HOST, RED_VERB


@njit(cache=True)
def charge(s, e, zone, part):  # type: ignore[no-untyped-def]
    """Charge one failure or impact at the rate of the phase."""
    s.parts[e, zone, part] += codes.REWARDS[s.phase[e], zone, part]


@njit(cache=True)
def charge_impacts(s, e):  # type: ignore[no-untyped-def]
    """Charge every Impact that was due, succeeded or not, if its agent still holds a session."""
    for agent in range(codes.NUM_RED):
        due = s.red_due[e, agent]
        if due[RED_VERB] == codes.IMPACT and s.ses_count[e, agent] > 0:
            charge(s, e, due[RED_HOST] // codes.SLOTS, codes.RIA)


@njit(cache=True)
def charge_commands(s, e, verbs):  # type: ignore[no-untyped-def]
    """Charge Restore for each blue agent that submitted it, whether or not it will be carried out."""
    cost = 0
    for blue in range(codes.NUM_BLUE):
        if verbs[blue] == codes.RESTORE:
            cost += spec.RESTORE_COST
    s.cost[e] = cost
