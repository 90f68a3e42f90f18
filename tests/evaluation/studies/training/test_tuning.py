"""The search of settings: the same for every method, sound settings only, resumed, never on held-out networks."""

import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.inputs.errors import BadInput
from evaluation.studies.training import runs, tuning
from evaluation.studies.training.plans import FULL, Arm, run_settings
from hmarl_soc.config import parse
from hmarl_soc.registry import config_class
from hmarl_soc.tuned import merge

QUIET = Console(quiet=True)
METHODS = list(tuning.SPACES)


def leaves(value, path=""):
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in leaves(part, f"{path}.{name}".strip(".")).items()}
    return {path: value}


@pytest.fixture
def faked(monkeypatch):
    """Trials that end at once; returns the labels of those that were trained."""
    trained = []

    def train(job):
        trained.append(job.arm.label)
        job.folder.mkdir(parents=True)
        score = -float(len(trained) % 5)
        (job.folder / runs.TRAINED).write_text(json.dumps({"steps": 5, "episodes": 1, "best_score": score}))
        lines = [{"kind": "validation", "steps": 5 * i, "score": score - i % 2} for i in (1, 2, 3)]
        (job.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return job, runs.DONE

    monkeypatch.setattr(tuning, "train", train)
    return trained


def search(out, report_only=False, recorded=False, smoke=True, console=QUIET):
    return tuning.study(out, 1, None, smoke, report_only, recorded, console)


@pytest.mark.parametrize("method", METHODS)
def test_every_trial_has_sound_settings_and_the_same_budget(method):
    seen, lengths = set(), set()
    for trial in range(tuning.TRIALS):
        second = trial >= tuning.ROUNDS[0]
        arm = Arm(method, method, tuning.settings_of(method, trial, 2 if second else None))
        config = parse(run_settings(arm, FULL), config_class(method)).to_dict()
        assert config["trainer"]["steps"] == FULL.steps
        assert config["method"]["advice"]["final"] == 0.0
        advice = config["method"]["advice"]
        lengths.add((second, advice["steps"], advice.get("role_steps", {}).get("triage")))
        assert {"gamma": 0.99, "reward_scale": 0.2}.items() <= config["method"].items()
        seen.add(json.dumps(config["method"], sort_keys=True))
    assert len(seen) == tuning.TRIALS
    assert {length for length in lengths if not length[0]} == {(False, 150_000, None)} and len(lengths) > 4


@pytest.mark.parametrize("method", METHODS)
def test_a_trial_does_not_depend_on_the_settings_in_use(method):
    """Trials stay what they were when what they found is taken over."""
    for trial, near in ((0, None), (1, None), (tuning.ROUNDS[0], 1)):
        settings = tuning.settings_of(method, trial, near)
        tuned = config_class(method).tuned
        assert set(leaves(tuned)) <= set(leaves(settings))
        assert merge(tuned, settings) == settings


@pytest.mark.parametrize("method", METHODS)
def test_every_drawn_setting_takes_all_kinds_of_values(method):
    space = tuning.SPACES[method]
    assert set(space.first) == set(space.draws)
    drawn = [leaves(tuning.settings_of(method, trial)) for trial in range(1, 200)]
    for name in space.draws:
        assert len({row[name] for row in drawn}) >= (2 if name == "drawn" else 3), name
    assert drawn == [leaves(tuning.settings_of(method, trial)) for trial in range(1, 200)]


@pytest.mark.parametrize("method", METHODS)
def test_the_second_round_varies_the_trial_that_it_is_given(method):
    names = tuning.SPACES[method].draws
    near = leaves(tuning.settings_of(method, 3))
    rows = [leaves(tuning.settings_of(method, trial, 3)) for trial in range(20, 220)]
    kept = {name: np.mean([row[name] == near[name] for row in rows]) for name in names}
    assert all(0.65 < share < 1.0 for share in kept.values()), kept
    assert len({tuple(row[name] for name in names) for row in rows}) > 20


def test_the_second_round_is_near_the_best_of_the_first(faked, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "ROUNDS", (3, 2))
    asked = []
    real = tuning.settings_of
    monkeypatch.setattr(tuning, "settings_of", lambda *given: asked.append(given) or real(*given))
    found = tuning.study(tmp_path, 1, 1024, False, False, False, QUIET)
    for method, rows in found["methods"].items():
        assert sorted(trial["trial"] for trial in rows["trials"]) == [0, 1, 2, 3, 4]
        first = [trial for trial in rows["trials"] if trial["trial"] < 3]
        assert {near for name, trial, near in asked if name == method and trial >= 3} == {first[0]["trial"]}
        assert {near for name, trial, near in asked if name == method and trial < 3} == {None}


def test_all_methods_are_tried_equally_often_and_the_best_comes_first(faked, tmp_path):
    found = search(tmp_path)
    assert {method: len(rows["trials"]) for method, rows in found["methods"].items()} == dict.fromkeys(METHODS, 2)
    assert faked[: len(METHODS)] == [f"{method}, trial 0" for method in METHODS]
    for rows in found["methods"].values():
        scores = [trial["best_score"] for trial in rows["trials"]]
        assert scores == sorted(scores, reverse=True)
    table = (tmp_path / "tuning" / "table.md").read_text()
    assert "| qmix | 2 | " in table and "mixing_width 32" in table and "epsilon_steps" not in table
    assert json.loads((tmp_path / "tuning" / "summary.json").read_text()) == found


def test_finished_trials_are_not_done_again(faked, monkeypatch, tmp_path):
    search(tmp_path)
    monkeypatch.setattr(tuning, "RECORDED", tmp_path / "recorded" / "summary.json")
    assert tuning.record(tmp_path / "tuning") == tuning.RECORDED
    monkeypatch.setattr(tuning, "train", None)
    assert search(tmp_path) == search(tmp_path, report_only=True)
    again = search(tmp_path / "elsewhere", recorded=True)
    assert again["methods"] == json.loads(tuning.RECORDED.read_text())["methods"]


def test_interrupted_search_stops_and_a_diverged_trial_is_left_out(faked, monkeypatch, tmp_path):
    told = Console(record=True, quiet=False, file=(tmp_path / "told").open("w"))
    good = tuning.train

    def diverge(job):
        return (job, "loss became nan") if job.arm.label == "iql, trial 1" else good(job)

    monkeypatch.setattr(tuning, "train", diverge)
    found = search(tmp_path / "one", console=told)
    assert len(found["methods"]["iql"]["trials"]) == 1
    assert "iql, trial 1: loss became nan" in told.export_text()
    monkeypatch.setattr(tuning, "train", lambda job: (job, runs.INTERRUPTED))
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "two")


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="no trial is finished"):
        search(tmp_path, report_only=True)
    with pytest.raises(BadInput, match="--workers must be at least 1; given 0"):
        tuning.study(tmp_path, 0, None, True, False, False, QUIET)


def test_real_trials_are_validated_and_never_held_out(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(runs, "_score", None)
    monkeypatch.setattr(tuning, "SPACES", {"mappo": tuning.SPACES["mappo"]})
    found = search(tmp_path)
    assert [trial["trial"] for trial in found["methods"]["mappo"]["trials"]] in ([0, 1], [1, 0])
    assert not list(tmp_path.rglob("held-out-*"))
    assert not list(tmp_path.rglob("last"))


def test_the_settings_in_use_are_the_best_of_the_recorded_search():
    summary = json.loads(tuning.RECORDED.read_text(encoding="utf-8"))
    assert summary["steps"] == FULL.steps and summary["dirty"] is False
    assert set(summary["methods"]) == set(METHODS)
    for method, tried in summary["methods"].items():
        assert sorted(trial["trial"] for trial in tried["trials"]) == list(range(tuning.TRIALS)), method
        best = max(tried["trials"], key=lambda trial: trial["best_score"])
        assert config_class(method).tuned == best["settings"], method
    assert config_class("ippo").tuned == config_class("mappo").tuned
