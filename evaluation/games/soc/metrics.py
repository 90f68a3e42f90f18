"""The metrics of the SOC simulator, each declared once; docs/soc-simulator.md defines them."""

from __future__ import annotations

from typing import Final

from evaluation.harness.metrics import Counts, Metric

_SCAN_FPR: Final = Counts(("false_flags",), ("clean_scans",))
"""May exceed 1: a sweep of low intensity counts the hosts that it looks at rounded down."""
_SHARED: Final = (
    Metric("mttd", "steps", "less", "steps from the first compromise to the first confirmed foothold"),
    Metric("mttr", "steps", "less", "steps from that confirmation to the containment that held"),
    Metric("csr", "yes or no", "more", "whether the attack was contained"),
    Metric("length", "steps", "less", "steps of the episode"),
    Metric("exfiltrated", "yes or no", "less", "whether the data was stolen"),
    Metric("compromised", "count", "less", "live footholds at the end"),
    Metric("reward", "points", "more", "sum of rewards"),
)
METRICS: Final[dict[str, tuple[Metric, ...]]] = {
    "corrected": (
        *_SHARED,
        Metric("fpr", "ratio", "less", "clean hosts flagged per clean host looked at", counts=_SCAN_FPR),
        Metric("scan_fpr", "ratio", "less", "another name of fpr", counts=_SCAN_FPR),
        Metric(
            "alert_fpr",
            "share",
            "less",
            "background alerts escalated per background alert handled",
            counts=Counts(("wrong_escalations",), ("background_handled",)),
        ),
        Metric(
            "isolation_precision",
            "share",
            "more",
            "isolations of compromised hosts per isolation",
            counts=Counts(("isolations", "false_isolations"), ("isolations",)),
        ),
        Metric("escalation_precision", "share", "more", "escalations of attack alerts per escalation"),
        Metric("detected_share", "share", "more", "footholds confirmed per foothold"),
        Metric("detection_delay", "steps", "less", "mean steps to the confirmation of a confirmed foothold"),
        Metric("detection_delay_censored", "steps", "less", "the same over all footholds, to the end at most"),
        Metric("response_delay", "steps", "less", "mean steps from confirmation to isolation"),
        Metric("footholds", "count", "less", "footholds in all"),
        Metric("returns", "count", "less", "times the attacker came back after losing all"),
        Metric("reward_detection", "points", "more", "part of the reward, before its weight"),
        Metric("reward_response", "points", "more", "part of the reward, before its weight"),
        Metric("reward_cost", "points", "more", "part of the reward, before its weight"),
        Metric("reward_false_positive", "points", "more", "part of the reward, before its weight"),
        Metric("false_flags", "count", "less", "clean hosts flagged"),
        Metric("clean_scans", "count", "neither", "clean hosts looked at"),
        Metric("wrong_escalations", "count", "less", "background alerts escalated"),
        Metric("background_handled", "count", "neither", "background alerts handled"),
        Metric("isolations", "count", "neither", "hosts isolated"),
        Metric("false_isolations", "count", "less", "clean hosts isolated"),
    ),
    "reference": (
        *_SHARED,
        Metric("fpr", "share", "less", "as the published rules define it: no ratio of these counts, and capped"),
        Metric("true_positives", "count", "more", "hits of scans and alerts"),
        Metric("false_positives", "count", "less", "misses of scans and alerts"),
        Metric("scans", "count", "neither", "scans"),
        Metric("phase", "count", "less", "phase of the attack at the end"),
    ),
}
"""Rules -> metrics. Under the reference rules no ratio is pooled: sums of those counts may be negative or exceed 1."""
