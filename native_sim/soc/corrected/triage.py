"""Triage: one analyst who investigates, drops, assembles or enriches the alert at the head of the queue."""

from __future__ import annotations

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import uniform
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import head_of_queue, read_confidence, remove_alert, stealth_now, suppress
from native_sim.soc.corrected.cases import add_evidence
from native_sim.soc.corrected.state import (
    BACKGROUND_HANDLED,
    CONFIDENCE,
    HOST,
    MERGED,
    READINGS,
    RIGHT_ESCALATIONS,
    SEGMENT,
    SEVERITY,
    TECHNIQUE,
    TIME,
    TRIAGE,
    WRONG_ESCALATIONS,
)

_P_VERDICT = 0.9
"""Probability that an investigation finds a foothold whose attacker has no stealth."""
_P_MISTAKE = 0.08
"""Probability that it accuses a clean host."""
_ACCUSED, _CLEARED = 2.0, -1.0
"""Evidence (log odds) of its two outcomes."""
_INVESTIGATION_STEPS = 1
"""Further steps in which the analyst is busy."""
_WRONG_ESCALATION = 0.2
_ENRICH_COST = 0.02
_FULL_CHAIN = 5.0


@inner
def triage(s, k, choice):  # type: ignore[no-untyped-def]
    """Handle the alert at the head of the queue, unless it is empty or the analyst is busy."""
    v = s.evidence
    if v.queued == 0 or v.step <= v.busy_until:
        return
    head = head_of_queue(v)
    if choice == spec.Triage.ESCALATE:
        _escalate(s, k, head)
    elif choice == spec.Triage.SUPPRESS:
        suppress(s, int(v.queue[head, HOST]), s.truth.queue_true[head])
        remove_alert(s, head)
    elif choice == spec.Triage.CORRELATE:
        _correlate(s, k, head)
    else:
        _enrich(s, k, head)


@inner
def _escalate(s, k, head):  # type: ignore[no-untyped-def]
    """Investigate the host that the alert names: the verdict is evidence, and takes the analyst's time."""
    v = s.evidence
    host = int(v.queue[head, HOST])
    if s.truth.queue_true[head]:
        s.ledger.tally[RIGHT_ESCALATIONS] += 1
    else:
        s.ledger.tally[WRONG_ESCALATIONS] += 1
        s.ledger.tally[BACKGROUND_HANDLED] += 1
        s.ledger.parts[3] += _WRONG_ESCALATION
    held = s.hosts[host].foothold > 0
    p = _P_VERDICT * (1.0 - 0.3 * stealth_now(s, k)) if held else _P_MISTAKE
    accused = uniform(s.rng, TRIAGE) < p
    _remember(v, head)
    add_evidence(s, k, host, _ACCUSED if accused else _CLEARED, False)
    v.busy_until = v.step + _INVESTIGATION_STEPS
    remove_alert(s, head)


@inner
def _correlate(s, k, head):  # type: ignore[no-untyped-def]
    """Assemble: alerts of the head's segment within the window join its campaign; those of its host merge into it.

    The merged alert averages the readings of confidence, so it separates the classes better; no alert about
    another host is lost.
    """
    v = s.evidence
    kept = v.queue[head]
    for j in range(v.queued - 1, -1, -1):
        alert = v.queue[j]
        if alert[SEGMENT] != kept[SEGMENT] or abs(alert[TIME] - kept[TIME]) > k.campaign_window:
            continue
        if alert[CONFIDENCE] > 0.5:
            _remember(v, j)
        if j > head and alert[HOST] == kept[HOST]:
            total = kept[READINGS] + alert[READINGS]
            kept[CONFIDENCE] = (kept[CONFIDENCE] * kept[READINGS] + alert[CONFIDENCE] * alert[READINGS]) / total
            kept[SEVERITY] = max(kept[SEVERITY], alert[SEVERITY])
            kept[READINGS] = total
            kept[MERGED] += alert[MERGED]
            s.truth.queue_true[head] = s.truth.queue_true[head] or s.truth.queue_true[j]
            remove_alert(s, j)


@inner
def _enrich(s, k, head):  # type: ignore[no-untyped-def]
    """Look the alert's indicators up: one more reading of its confidence."""
    alert = s.evidence.queue[head]
    reading = read_confidence(s, k, TRIAGE, s.truth.queue_true[head])
    alert[CONFIDENCE] = (alert[CONFIDENCE] * alert[READINGS] + reading) / (alert[READINGS] + 1.0)
    alert[READINGS] += 1.0
    s.ledger.parts[2] += _ENRICH_COST


@inner
def _remember(v, index):  # type: ignore[no-untyped-def]
    """Enter an alert into the campaign."""
    segment, technique = int(v.queue[index, SEGMENT]), int(v.queue[index, TECHNIQUE])
    v.seen[segment, technique] = max(v.seen[segment, technique], int(v.queue[index, TIME]))


@inner
def assemble(s, k):  # type: ignore[no-untyped-def]
    """Rate the campaign: the most techniques seen in one segment within the window, as a share of all five."""
    v = s.evidence
    longest = 0
    for segment in range(spec.NUM_SEGMENTS):
        chain = 0
        for technique in range(spec.NUM_PHASES):
            time = v.seen[segment, technique]
            chain += time > 0 and v.step - time <= k.campaign_window
        longest = max(longest, chain)
    v.campaign = longest / _FULL_CHAIN
