"""Reward of a step from its named parts, the end of an episode, and the metrics written then.

A foothold can never earn more than it costs: what its confirmation and its isolation pay was charged when it was
taken and when it advanced, and it costs more for every step it lives. So there is nothing to gain from letting the
attacker spread and then cleaning up.
"""

from __future__ import annotations

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.soc import spec
from native_sim.soc.corrected.response import FASTEST_ISOLATION
from native_sim.soc.corrected.state import (
    BACKGROUND_HANDLED,
    CLEAN_SCANS,
    ENDED,
    ENDED_DELAY,
    FALSE_FLAGS,
    FALSE_ISOLATIONS,
    FOOTHOLDS,
    FOUND,
    FOUND_DELAY,
    ISOLATIONS,
    RETURNS,
    RIGHT_ESCALATIONS,
    WRONG_ESCALATIONS,
    count_live,
    is_isolated,
)
from native_sim.soc.corrected.topology import VALUE

METRICS = (
    "mttd",
    "mttr",
    "fpr",
    "csr",
    "length",
    "exfiltrated",
    "compromised",
    "reward",
    "detection_delay",
    "detection_delay_censored",
    "detected_share",
    "response_delay",
    "scan_fpr",
    "alert_fpr",
    "isolation_precision",
    "escalation_precision",
    "footholds",
    "returns",
    "reward_detection",
    "reward_response",
    "reward_cost",
    "reward_false_positive",
    "false_flags",
    "clean_scans",
    "wrong_escalations",
    "background_handled",
    "isolations",
    "false_isolations",
)
"""Of an episode; docs/soc-simulator.md defines each. NaN where a ratio has nothing to divide by."""

_STOLEN = 10.0
_CONTAINED = 5.0
_DWELL = 0.02
"""Charge per step and live foothold, times the host's value and stage / 5."""


@inner
def settle(s, k, out, i):  # type: ignore[no-untyped-def]
    """Decide whether the episode ends, add up the reward, and write the metrics of a finished episode."""
    t, step = s.truth, s.evidence.step
    dwell = _charge_footholds(s, k)
    if t.was_held:
        t.free_steps = 0 if count_live(s) > 0 else t.free_steps + 1
    contained = t.free_steps >= k.hold_steps and not t.stolen
    if t.stolen:  # what is live now stays: an early end saves nothing
        s.ledger.parts[0] -= _STOLEN + dwell * (k.max_steps - step)
    s.ledger.parts[1] += _CONTAINED * contained
    reward = (
        k.alpha * s.ledger.parts[0]
        + k.beta * s.ledger.parts[1]
        + k.delta * s.ledger.parts[2]
        + k.lambda_fp * s.ledger.parts[3]
    )
    s.ledger.part_sums[:] += s.ledger.parts
    s.ledger.total += reward
    out.reward[i] = reward
    out.parts[i] = s.ledger.parts
    out.terminated[i] = contained or t.stolen
    out.truncated[i] = step >= k.max_steps and not out.terminated[i]
    if out.terminated[i] or out.truncated[i]:
        _write_metrics(s, contained, out.metrics[i])


@inner
def _charge_footholds(s, k):  # type: ignore[no-untyped-def]
    """Charge what the attacker has gained, credit what was confirmed; return the charge for the live footholds."""
    t = s.truth
    hidden, dwell = 0.0, 0.0
    for index in range(t.count):
        host = t.host[index]
        depth = t.stage[index] / spec.STAGE_SCALE
        if t.found[index] == 0:
            hidden += depth
        if not is_isolated(s, host):
            dwell += _DWELL * VALUE[host // k.hosts_per_segment] * depth
        if t.since[index] == s.evidence.step:
            s.ledger.parts[1] -= FASTEST_ISOLATION
    s.ledger.parts[0] += t.hidden - hidden - dwell
    t.hidden = hidden
    return dwell


@inner
def _ratio(part, whole):  # type: ignore[no-untyped-def]
    return part / whole if whole > 0 else np.nan


@inner
def _write_metrics(s, contained, m):  # type: ignore[no-untyped-def]
    t, n, step = s.truth, s.ledger.tally, s.evidence.step
    found = t.first_found if t.first_found > 0 else step
    m[0] = found - t.first_held if t.was_held else np.nan
    ended = step if not contained else step - t.free_steps + 1
    m[1] = ended - t.first_found if t.first_found > 0 else np.nan
    m[2] = _ratio(n[FALSE_FLAGS], n[CLEAN_SCANS])
    m[3] = contained
    m[4] = step
    m[5] = t.stolen
    m[6] = count_live(s)
    m[7] = s.ledger.total
    waiting = 0
    for index in range(t.count):
        if t.found[index] == 0:
            waiting += step - t.since[index]
    m[8] = _ratio(n[FOUND_DELAY], n[FOUND])
    m[9] = _ratio(n[FOUND_DELAY] + waiting, n[FOOTHOLDS])
    m[10] = _ratio(n[FOUND], n[FOOTHOLDS])
    m[11] = _ratio(n[ENDED_DELAY], n[ENDED])
    m[12] = m[2]
    m[13] = _ratio(n[WRONG_ESCALATIONS], n[BACKGROUND_HANDLED])
    m[14] = 1.0 - _ratio(n[FALSE_ISOLATIONS], n[ISOLATIONS])
    m[15] = _ratio(n[RIGHT_ESCALATIONS], n[RIGHT_ESCALATIONS] + n[WRONG_ESCALATIONS])
    m[16] = n[FOOTHOLDS]
    m[17] = n[RETURNS]
    m[18:22] = s.ledger.part_sums
    m[22] = n[FALSE_FLAGS]
    m[23] = n[CLEAN_SCANS]
    m[24] = n[WRONG_ESCALATIONS]
    m[25] = n[BACKGROUND_HANDLED]
    m[26] = n[ISOLATIONS]
    m[27] = n[FALSE_ISOLATIONS]
