"""The report of a run of the SOC simulator: what it says, as sections, and the table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluation.games.soc.schema import SocPolicySummary, SocSummary
from evaluation.harness.schema import MetricSummary
from evaluation.harness.summary import BASELINE
from evaluation.reporting.parts import (
    NONE,
    Section,
    Table,
    caveats,
    interval,
    number,
    pair_table,
    pairs_note,
    provenance_table,
    span,
    terminal_scores,
    versus_table,
)

if TYPE_CHECKING:
    from rich.table import Table as RichTable

FIGURES: Final = {
    "rewards": (
        "Rewards of the episodes",
        "Density above, up to 200 episodes as dots below, mean (diamond) and its 95 % interval (bar).",
    ),
    "outcomes": (
        "Containment, theft and false alarms",
        "Share of episodes contained and of episodes in which the data was stolen; clean hosts flagged per clean host "
        "looked at, pooled over episodes (under the reference rules the mean of the rate they define). Bars of the "
        "means with 95 % intervals.",
    ),
}
"""Name of a figure -> its title and caption."""
CHEATS: Final = "cheats: sees the true state"
_GROUPS: Final = (
    ("Outcome", ("csr", "exfiltrated")),
    ("Extent", ("compromised", "footholds", "returns", "length")),
    ("Speed, in steps", ("mttd", "mttr", "detection_delay", "detection_delay_censored", "response_delay")),
    (
        "Accuracy, as fractions",
        ("detected_share", "fpr", "alert_fpr", "isolation_precision", "escalation_precision"),
    ),
    ("Parts of the reward, before their weights", ("reward_detection", "reward_response", "reward_cost",
     "reward_false_positive")),
)  # fmt: skip
_SAME: Final = ("reward", "scan_fpr")
"""Shown elsewhere: the score, and another name of fpr."""
_METRICS_NOTE: Final = (
    "Means over the episodes that define a metric, n being their number where that is not all of them, with 95 % "
    "intervals. Ratios marked as pooled are sums of counts over all episodes, which a few busy episodes decide less "
    "than a mean of ratios."
)
_VERSUS_NOTE: Final = (
    "Differences of the reward are taken on the seeds that both have played. P(better) is the probability that an "
    "episode of the policy is worth more than one of the baseline, ties counted half. p-values are Holm-corrected "
    "over the policies."
)


def title(summary: SocSummary) -> str:
    """Return the headline."""
    return f"Defending an enterprise: the SOC simulator, {summary.variant}"


def lead(summary: SocSummary) -> str:
    """Return the answer in a few sentences; a policy that sees the truth is no answer."""
    honest = [name for name, found in summary.policies.items() if not found.sees_truth]
    if not honest:
        return "No episode of a defender was finished, so there is nothing to report yet."
    best = max(honest, key=lambda name: summary.policies[name].mean)
    found = summary.policies[best]
    episodes = "1 episode" if found.n == 1 else f"{found.n} episodes"
    start = "The mean reward" if len(honest) == 1 else "The best mean reward"
    text = f"{start} is {interval(found.mean, found.ci95, 2)}, of {best} over {episodes}."
    versus = found.versus_baseline
    if versus:
        gain = interval(versus.difference, versus.difference_ci95, 2, sign=True)
        text += f" On the same seeds that is {gain} against {BASELINE}."
    contained, stolen = (_percent(found.metrics[name].mean) for name in ("csr", "exfiltrated"))
    return f"{text} It contains {contained} of the campaigns; {stolen} steal the data. Brackets are 95 % intervals."


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def sections(summary: SocSummary, provenance: Mapping[str, Any]) -> list[Section]:
    """Return the report in the order of a reader's questions; sections without content are left out."""
    versus = {_label(name, found): found.versus_baseline for name, found in summary.policies.items()}
    found = [
        Section("Rewards", table=_reward_table(summary), figures=("rewards",)),
        Section(
            "What it came to", text=_METRICS_NOTE, table=_metric_table(summary, *_GROUPS[0]), figures=("outcomes",)
        ),
        *(Section(name, table=_metric_table(summary, name, metrics)) for name, metrics in _GROUPS[1:]),
        Section("Other metrics", table=_metric_table(summary, "Other metrics", _others(summary))),
        Section(f"Against {BASELINE}", text=_VERSUS_NOTE, table=versus_table(versus, digits=2)),
        Section("All pairs", text=pairs_note(summary), table=pair_table(summary, 2)),
    ]
    measured = Section("How this was measured", points=_method(summary))
    made = Section("Where this comes from", table=provenance_table(summary, provenance))
    return [section for section in found if section.table] + [measured, made]


def _label(name: str, found: SocPolicySummary) -> str:
    return f"{name} ({CHEATS})" if found.sees_truth else name


def _reward_table(summary: SocSummary) -> Table | None:
    rows = [
        [
            _label(name, found),
            str(found.n),
            interval(found.mean, found.ci95, 2),
            number(found.std, 2),
            interval(found.iqm, found.iqm_ci95, 2),
            number(found.median, 2),
            f"{number(found.minimum, 2)} to {number(found.maximum, 2)}",
        ]
        for name, found in summary.policies.items()
    ]
    columns = ["policy", "n", "mean", "std", "IQM", "median", "range"]
    return Table("Sum of the rewards of an episode", columns, rows) if rows else None


def _metric_table(summary: SocSummary, caption: str, names: Sequence[str]) -> Table | None:
    policies = summary.policies
    known = [name for name in names if any(name in found.metrics for found in policies.values())]
    if not known:
        return None
    pooled = {name for name in known if _is_pooled(summary, name)}
    every = [found.metrics[name] for found in policies.values() for name in known]
    digits = 3 if all(metric.mean is None or abs(metric.mean) <= 1 for metric in every) else 2
    rows = [
        [_label(policy, found), *(_cell(found.metrics[name], found.n, name in pooled, digits) for name in known)]
        for policy, found in policies.items()
    ]
    columns = ["policy", *(f"{name}, pooled" if name in pooled else name for name in known)]
    return Table(caption, columns, rows)


def _is_pooled(summary: SocSummary, name: str) -> bool:
    """Tell whether a metric is a ratio of counts, of any policy."""
    return any(found.metrics[name].pooled is not None for found in summary.policies.values())


def _cell(metric: MetricSummary, episodes: int, pooled: bool, digits: int) -> str:
    """Return a value with its interval, and the number of episodes it stands on if that is not all."""
    value, bounds = (metric.pooled, metric.pooled_ci95) if pooled else (metric.mean, metric.ci95)
    text = interval(value, bounds, digits)
    if pooled or metric.n in (0, episodes):
        return text
    return f"{text[:-1]}; n = {metric.n}]" if bounds is not None else f"{text} [n = {metric.n}]"


def _others(summary: SocSummary) -> list[str]:
    """Return the metrics that no other table shows, so that none is ever left out."""
    shown = {*_SAME, *(name for _, names in _GROUPS for name in names)}
    every = dict.fromkeys(name for found in summary.policies.values() for name in found.metrics)
    return [name for name in every if name not in shown]


def _method(summary: SocSummary) -> list[str]:
    knobs = summary.knobs
    networks = "one network for all" if knobs["networks"] == "fixed" else "a network of its own for every episode"
    streams = "held out: no training episode has them" if knobs["held_out"] else "of the streams that training uses"
    points = [
        f"Game: {knobs['rules']} rules, {5 * knobs['hosts_per_segment']} hosts, at most {summary.steps} steps; "
        f"{networks}; networks and campaigns are {streams}.",
        f"Episodes: {summary.episodes} per policy were asked for. All policies play the same seeds, spawned from base "
        f"seed {summary.seed}, so that differences are paired.",
        "Intervals: 95 %. Of rewards and differences, percentile bootstrap of 10 000 resamples; of csr and "
        "exfiltrated, Wilson; of other metrics, percentile bootstrap of 2000 resamples of whole episodes. Their random "
        "numbers derive from the base seed, so the same rows give the same report. IQM is the mean of the middle half.",
    ]
    if knobs["rules"] == "reference":
        points.append(
            "The reference rules are there to compare with published rows: their observations hold the truth, and a "
            "constant action beats every published method. Learned results belong under the corrected rules."
        )
    return points


def terminal_table(summary: SocSummary) -> RichTable:
    """Return the main figures as a table for the terminal; missing episodes are said in the caption."""
    streams = "held-out networks" if summary.knobs["held_out"] else "training networks"
    title = f"SOC simulator, {summary.variant}, {streams}, {summary.steps} steps, base seed {summary.seed}"
    gain = f"gain: over {BASELINE}, same seeds"
    notes = [*caveats(summary, {}), f"{gain}; fpr pooled over episodes" if _is_pooled(summary, "fpr") else gain]
    if any(found.sees_truth for found in summary.policies.values()):
        notes.append(f"* {CHEATS}")
    rows = [
        (
            f"{name}*" if found.sees_truth else name,
            str(found.n),
            number(found.mean),
            span(found.ci95),
            number(found.versus_baseline.difference, sign=True) if found.versus_baseline else NONE,
            number(found.metrics["csr"].mean, 2),
            number(found.metrics["exfiltrated"].mean, 2),
            number(found.metrics["fpr"].shown[0], 3),
        )
        for name, found in summary.policies.items()
    ]
    columns = ("n", "reward", "95 % interval", "gain", "csr", "exfil.", "fpr")
    return terminal_scores(title, notes, columns, rows, len("best-constant"))
