"""The study of fine-tuning: its figures from known curves, its grid, and once everything at a tiny size."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.inputs.errors import BadInput
from evaluation.jobs import finetune
from evaluation.studies.recorded import record_summary
from evaluation.studies.transfer import finetuning
from evaluation.studies.transfer.finetuning import STARTS, Size, asked, grid, settings_of
from evaluation.studies.transfer.finetuning_report import (
    SCRATCH,
    TRANSFERRED,
    Curve,
    Result,
    Run,
    compare,
    figures_of,
    results_of,
)

QUIET = Console(file=io.StringIO())


def curve(*scores):
    return Curve(np.arange(len(scores)) * 100.0, np.array(scores, float))


def test_figures_of_a_known_curve():
    known = curve(-100, -50, -20, -40, -10)
    assert known.asymptote == -10 and curve(*[-100] * 8, -20, -10).asymptote == -15
    assert known.steps_to(-50) == 100 and known.steps_to(-15) == 400 and known.steps_to(-5) is None
    assert curve(-100, -100, -100).area(-100) == 0 and curve(0, 0).area(-100) == 1
    assert curve(-100, 0).area(-100) == pytest.approx(0.5) and known.area(-100) == pytest.approx(0.5875)


def test_starts_are_compared_at_equal_parts_budget_and_seed():
    ahead, behind = curve(-50, -40, -30, -30, -30), curve(-100, -90, -80, -60, -40)
    runs = {Run(TRANSFERRED, "all", 500, seed): ahead for seed in range(3)}
    runs |= {Run(SCRATCH, "all", 500, seed): Curve(behind.steps, behind.score - seed) for seed in range(3)}
    runs |= {Run(TRANSFERRED, "heads", 500, 0): ahead, Run(SCRATCH, "adapters", 500, 0): behind}  # nothing to pair with
    (found,) = compare(runs, -100.0)
    assert (found["parts"], found["budget"]) == ("all", 500)
    assert found["jumpstart"]["mean"] == pytest.approx(51) and found["asymptote"]["mean"] == pytest.approx(11)
    assert found["area ratio"]["mean"] > 1 and not found["negative transfer"]
    low, high = found["asymptote"]["ci95"]
    assert low < 11 < high
    swapped = {
        run._replace(start={TRANSFERRED: SCRATCH, SCRATCH: TRANSFERRED}[run.start]): c for run, c in runs.items()
    }
    (worse,) = compare({run: c for run, c in swapped.items() if run.parts == "all"}, -100.0)
    assert worse["negative transfer"] and worse["jumpstart"]["mean"] == pytest.approx(-51)


def test_what_runs_came_to_survives_being_written():
    runs = {
        Run(start, "all", 500, seed): Result(curve(-90, -50 - seed), -60.0, -7.5) for start in STARTS for seed in (0, 1)
    }
    written = json.loads(json.dumps(figures_of(runs, -100.0)))
    assert figures_of(results_of(written), -100.0) == figures_of(runs, -100.0)
    assert [row["score"]["mean"] for row in written["rows"]] == [-60.0, -60.0]


def test_a_flag_needs_more_than_one_seed():
    runs = {Run(TRANSFERRED, "all", 500, 0): curve(-90, -90), Run(SCRATCH, "all", 500, 0): curve(-10, -10)}
    (found,) = compare(runs, -100.0)
    assert found["asymptote"]["ci95"] is None and not found["negative transfer"]


def test_the_grid_has_both_starts_of_everything_and_short_budgets_first(tmp_path):
    runs = grid(Size((2_000, 1_000), ("adapters", "all"), 2))
    assert len(runs) == len({run.folder for run in runs}) == 16 and runs[0].budget == 1_000 and runs[-1].budget == 2_000
    for run in runs:
        assert run._replace(start=SCRATCH) in runs and run._replace(start=TRANSFERRED) in runs
    later = grid(Size((1_000,), ("all",), 2, starts=(SCRATCH,)))
    assert later == [Run(SCRATCH, "all", 1_000, 0), Run(SCRATCH, "all", 1_000, 1)]
    rollouts, blind = [], []
    for budget in (10_000, 100_000, 1_000_000, 10_000_000):
        path = tmp_path / "settings.toml"
        path.write_text(settings_of(Run(SCRATCH, "all", budget, 0), Size()))
        settings = finetune.configure(path, "all", budget)
        rollouts.append(settings.method.rollout)
        blind.append(settings.trainer.validate_every)
    assert rollouts == [1_024, 8_333, 32_768, 32_768]
    assert blind == [2_000, 20_000, 200_000, 500_000]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("10,20", "all", "scratch", 3, 100), "--budgets must be at least 1,000"),
        (("many", "all", "scratch", 3, 100), "given 'many'"),
        (("1000", "all", "scratch", 0, 100), "--seeds must be at least 1; given 0"),
        (("1000", "all,legs", "scratch", 3, 100), "must be of adapters, heads, all"),
        (("1000", "all", "middle", 3, 100), "must be of transferred, scratch, comma-separated; given 'middle'"),
    ],
)
def test_bad_sizes_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        asked(*arguments)


def test_nothing_can_be_tuned_but_a_trained_hierarchy(tmp_path):
    with pytest.raises(BadInput, match="carries no trained HMARL-SOC"):
        finetuning.study("soc-adaptive", tmp_path, finetuning.SMOKE, 0, 1, False, QUIET)


def test_everything_once_and_again_without_playing(tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "LESSON_EPISODES", 1)
    monkeypatch.setattr(finetune.spec, "DEFAULT_STEPS", 40)
    size = finetuning.SMOKE._replace(budgets=(300,), parts=("all",), seeds=1)
    summary = finetuning.study("hmarl-soc", tmp_path, size, 0, 1, False, QUIET)
    assert [row["start"] for row in summary["rows"]] == [TRANSFERRED, SCRATCH]
    assert json.loads((tmp_path / "study.json").read_text())["rows"] == summary["rows"]
    assert summary["at home"] != summary["rows"][1]["at home"]["mean"]  # other roles, and they were measured
    assert "study.svg" in (tmp_path / "study.md").read_text()
    assert (tmp_path / "study.svg").read_text().startswith("<svg")
    monkeypatch.setattr(finetuning, "finetune", None)  # whoever trains again fails
    again = finetuning.study("hmarl-soc", tmp_path, size, 0, 1, False, QUIET)
    assert again == summary
    monkeypatch.setattr(finetuning, "RECORDED", tmp_path / "recorded")
    kept = record_summary(tmp_path, tmp_path / "recorded")
    assert kept == tmp_path / "recorded" / finetuning.NAME / "hmarl-soc.json"
    told = finetuning.study("hmarl-soc", tmp_path / "elsewhere", size, 0, 1, False, QUIET, recorded=True)
    assert told == summary
    assert (tmp_path / "elsewhere" / "study.md").read_text() == (tmp_path / "study.md").read_text()
    assert finetuning._read_recorded("hmarl-soc", size, 0).keys() == set(grid(size))
    for other in (size._replace(episodes=3), size._replace(soc_episodes=3), size._replace(steps=41)):
        assert finetuning._read_recorded("hmarl-soc", other, 0) == {}
    assert finetuning._read_recorded("hmarl-soc", size, 1) == {}
    more = size._replace(seeds=2)
    assert finetuning.study("hmarl-soc", tmp_path, more, 0, 1, True, QUIET)["rows"] == summary["rows"]
    with pytest.raises(BadInput, match="no run of fine-tuning is finished"):
        finetuning.study("hmarl-soc", tmp_path / "other", size, 0, 1, True, QUIET)


@pytest.mark.parametrize("text", ["", "[]", '{"reward": null}'])
def test_a_damaged_score_in_the_soc_simulator_is_named(text, tmp_path):
    (tmp_path / "soc-4.json").write_text(text)
    with pytest.raises(BadInput, match=r"soc-4\.json is damaged .*; delete it, and the same command makes it again"):
        finetuning.measure_at_home(tmp_path, tmp_path / "weights", 4)
