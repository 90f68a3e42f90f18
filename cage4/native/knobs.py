"""A variant and an episode length as the plain numbers the kernels read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.native.world import codes
from cage4.variants import RED_ACTIONS, Choices, Variant


class Knobs(NamedTuple):
    """What stays the same in all rows and episodes of an engine."""

    steps: int  # length of an episode in CybORG's sense
    phase_1: int  # first step call (from 0) of phase 1
    phase_2: int  # first step call of phase 2
    min_users: int  # fewest user hosts of a subnet
    max_users: int
    min_servers: int  # fewest server hosts of a subnet
    max_servers: int
    green_acts: int  # 0 if all green agents sleep
    red_policy: int  # codes.POLICY_*
    phishing_rate: float  # probability
    false_alarm_rate: float  # probability
    aggressive_rate: float  # probability that an aggressive scan is seen
    stealth_rate: float  # probability that a stealth scan is seen
    duration: npt.NDArray[np.int64]  # [10] int64: ticks of each red command
    choice: npt.NDArray[np.float64]  # [10, 9] float64: [state] cumulative probabilities in drawing order
    priority: npt.NDArray[np.float64]  # [10] float64: [state] weight of DiscoveryFSRed's choice of a host


_POLICIES = {
    "finite-state": codes.POLICY_FSM,
    "verbose": codes.POLICY_FSM,
    "discovery": codes.POLICY_DISCOVERY,
    "random-select": codes.POLICY_RANDOM,
    "sleep": codes.POLICY_SLEEP,
}
_DISCOVERY_PRIORITY = (0.0, 20.0, 20.0, 20.0, 20.0, 10.0, 10.0, 0.0, 0.0, 0.0)


def _cumulative(choices: Choices) -> npt.NDArray[np.float64]:
    """Reorder [state][action] to red's drawing order and add up as NumPy's ``choice(p=...)`` does."""
    columns = [RED_ACTIONS.index(name) for name in codes.RED_VERB_NAMES[:-1]]
    table = np.ones((codes.NUM_STATES, len(columns)))
    for state, row in enumerate(choices, start=1):
        sums = np.cumsum([row[column] for column in columns])
        table[state] = sums / sums[-1]
    return table


def make_knobs(variant: Variant, steps: int) -> Knobs:
    """Translate a variant.

    Raises:
        ValueError: If ``steps`` is not an integer of at least 3.
    """
    count: Any = steps
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 3:
        raise ValueError(f"steps must be an integer of at least 3 (three phases); given {steps!r}")
    first, second, _ = spec.phase_lengths(int(steps))
    duration = np.array(codes.RED_DURATION, np.int64)
    if variant.red_one_tick:
        duration[:] = 1
    return Knobs(
        steps=int(steps),
        phase_1=first,
        phase_2=first + second,
        min_users=variant.min_users,
        max_users=variant.max_users,
        min_servers=variant.min_servers,
        max_servers=variant.max_servers,
        green_acts=int(variant.green == "enterprise"),
        red_policy=_POLICIES[variant.red],
        phishing_rate=float(variant.phishing_rate),
        false_alarm_rate=float(variant.false_alarm_rate),
        aggressive_rate=float(variant.aggressive_scan_detection),
        stealth_rate=float(variant.stealth_scan_detection),
        duration=duration,
        choice=_cumulative(variant.choices),
        priority=np.array(_DISCOVERY_PRIORITY),
    )
