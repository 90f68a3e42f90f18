"""The rows and summaries of the SOC simulator."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from evaluation.harness.schema import Count, Row, RunSummary, ScoreSummary


class SocRecord(Row):
    """An episode of the SOC simulator. ``score`` is the sum of its rewards."""

    length: Count = Field(description="steps played")
    sees_truth: bool = Field(description="whether the policy was shown the true state, which no defender sees")
    wall_s: float = Field(ge=0, description="seconds of this episode's share of the wall time")


class SocPolicySummary(ScoreSummary):
    """The figures of one policy over its episodes of the SOC simulator."""

    sees_truth: bool = Field(description="it was shown the true state: a bound on what knowledge is worth, no defender")


class SocSummary(RunSummary):
    """A run of the SOC simulator."""

    knobs: dict[str, Any] = Field(description="every knob of the variant")
    policies: dict[str, SocPolicySummary]
