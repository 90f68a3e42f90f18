"""The report of a SOC run, from synthetic rows: every metric is shown, gaps are dashes, odd names do no harm."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from evaluation.games.soc import plots as plots_soc
from evaluation.games.soc.schema import SocRecord, SocSummary
from evaluation.harness.schema import EvalSpec
from evaluation.harness.summary import summarise, summary_json
from evaluation.reporting import report
from native_sim.soc.config import make_config
from tests.builders.figure_checks import check_layout, check_svg

LONG = [f"constant:studies/search/of-the-best-action-{i}.json" for i in range(4)]
CASES = {
    "usual": (("no-defense", "random", "adaptive", "oracle"), 12),
    "one policy": (("adaptive",), 6),
    "long names": (("no-defense", *LONG, "<b>|[red]"), 5),
    "one episode": (("no-defense", "adaptive"), 1),
    "large numbers": (("no-defense", "rule-soar", "weights:runs/reference"), 20),
}
GOOD = {"commit": "abc1234", "dirty": False}


def make_row(spec: EvalSpec, policy: str, index: int) -> SocRecord:
    rng = np.random.default_rng([spec.episode_seeds()[index], *map(ord, policy)])
    idle = policy == "no-defense"
    flags, scans = float(rng.integers(0, 3)), 0.0 if idle else float(rng.integers(100, 400))
    reward = float(rng.normal(-12, 2) if idle else rng.normal(3, 8))
    if policy == "rule-soar":
        reward = 100.0 * reward - 1500.0
    contained = 0.0 if idle else float(rng.random() < 0.5)
    metrics: dict[str, float | None] = {
        "mttd": float(rng.integers(5, 90)),
        "mttr": None if idle or rng.random() < 0.3 else float(rng.integers(5, 90)),
        "fpr": flags / scans if scans else None,
        "csr": contained,
        "length": float(rng.integers(60, 201)),
        "exfiltrated": 1.0 - contained,
        "compromised": float(rng.integers(0, 9)),
        "reward": reward,
        "false_flags": flags if scans else 0.0,
        "clean_scans": scans,
        "brand_new_metric": float(rng.random()),
    }
    names = {"policy": policy, "engine": spec.engine, "variant": spec.variant}
    seed = spec.episode_seeds()[index]
    cheats = policy == "oracle"
    return SocRecord(
        **names, index=index, seed=seed, score=reward, length=99, sees_truth=cheats, metrics=metrics, wall_s=0.1
    )


def case(name: str, **changes: Any) -> tuple[SocSummary, list[SocRecord]]:
    policies, episodes = CASES[name]
    fields: dict[str, Any] = {
        "engine": "soc",
        "variant": "corrected-v1",
        "variant_knobs": make_config(held_out=True).to_dict(),
        "steps": 200,
        "episodes": episodes,
        "seed": 7,
        "policies": policies,
    }
    spec = EvalSpec(**{**fields, **changes})
    rows = [make_row(spec, policy, index) for policy in policies for index in range(episodes)]
    summary = summarise(spec, rows)
    assert isinstance(summary, SocSummary)
    return summary, rows


@pytest.mark.parametrize("name", CASES)
def test_reports_of_all_cases(name: str) -> None:
    summary, _ = case(name)
    text = report.render_markdown(summary, GOOD, {"rewards": "rewards.svg", "outcomes": "outcomes.svg"})
    assert "nan" not in text.lower()
    assert "None" not in text
    for metric in ("csr", "exfiltrated", "mttd", "mttr", "fpr", "compromised", "length", "brand_new_metric"):
        assert re.search(rf"\| {metric}\b", text.replace("\\", "")), metric
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    page = report.render_html(summary, GOOD, {"rewards": "<svg ></svg>"})
    assert "<b>" not in page
    assert 'aria-label="Rewards of the episodes"' in page
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report.terminal_table(summary))
    printed = console.export_text()
    assert max(map(len, printed.splitlines())) <= 80
    heads = next(line for line in printed.splitlines() if "policy" in line).split()
    assert heads == ["policy", "n", "reward", "95", "%", "interval", "gain", "csr", "exfil.", "fpr"]


@pytest.mark.parametrize("name", CASES)
def test_figures_of_all_cases(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, rows = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = report.figures(summary, rows)
    assert drawn == report.figures(summary, rows[::-1])
    for figure, svg in drawn.items():
        check_svg(figure, svg)
    with monkeypatch.context() as patch:
        check_layout(lambda: plots_soc._draw_rewards(summary, rows), patch)
    with monkeypatch.context() as patch:
        check_layout(lambda: plots_soc._draw_outcomes(summary), patch)


def test_a_summary_read_back_is_the_one_written() -> None:
    summary, _ = case("usual")
    assert SocSummary.model_validate_json(summary_json(summary)) == summary


def test_a_run_of_cheats_alone_names_no_best_defender() -> None:
    summary, _ = case("usual")
    alone = summary.model_copy(update={"policies": {"oracle": summary.policies["oracle"]}})
    assert "No episode of a defender" in report.render_markdown(alone, GOOD, {})


def test_the_score_of_the_literature_is_not_for_other_games() -> None:
    summary, _ = case("usual", variant="base-v1", steps=500)
    versus = summary.policies["adaptive"].versus_baseline
    assert versus is not None
    assert versus["normalised_score"] is None


def test_training_networks_are_said() -> None:
    summary, _ = case("usual", variant_knobs=make_config().to_dict())
    text = report.render_markdown(summary, GOOD, {})
    assert "of the streams that training uses" in text
