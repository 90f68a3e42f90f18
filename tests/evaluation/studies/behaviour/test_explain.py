"""The explain study: measured once per run, reported from what was written."""

import json

import pytest
from rich.console import Console

from evaluation.inputs.errors import BadInput
from evaluation.studies.behaviour import explain
from evaluation.studies.training import runs, study
from evaluation.studies.training.plans import REFERENCE, Arm, Size

QUIET = Console(quiet=True)
TINY = Size(256, 8, 128, 4, 8, study.SMOKE.settings)


def test_a_trained_run_is_measured_once_and_told_in_words(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    job = runs.Job(Arm(REFERENCE, REFERENCE), 0, TINY, "default", 8, tmp_path / "run")
    runs.execute(job)
    found = explain.explain([job], tmp_path / "explain", True, QUIET)
    assert set(found["roles"]) == {"coordinator", "hunter", "triage", "responder"}
    for role, attributions in found["roles"].items():
        assert set(attributions) == {"attention", "gradient", "random"}, role
    reports = json.loads((tmp_path / "explain" / "reports.json").read_text())
    weights = [reason["weight"] for one in reports[0]["reports"] for reason in one["reasons"]]
    assert weights and all(0.0 <= weight <= 1.0 for weight in weights)
    before = (tmp_path / "explain" / "table.md").read_text()
    assert "because of" in before
    monkeypatch.setattr(explain, "_measure", None)  # it would fail if it were called
    assert explain.explain([job], tmp_path / "explain", True, QUIET) == found
    assert (tmp_path / "explain" / "table.md").read_text() == before


def test_differences_are_attention_minus_the_others():
    areas = [
        {"triage": {"attention": [0.2, 0.9], "gradient": [0.1, 0.9], "random": [0.5, 0.5 + 0.1 * s]}} for s in (0, 1)
    ]
    found = explain._summarise(areas)
    assert found["roles"]["triage"]["attention"]["deletion"]["values"] == [0.2, 0.2]
    assert found["versus"]["triage"]["gradient"]["deletion"]["mean"] == pytest.approx(0.1)
    assert found["versus"]["triage"]["random"]["insertion"]["mean"] == pytest.approx(0.35)
    assert found["versus"]["triage"]["random"]["insertion"]["p"] < 1.0


def test_nothing_to_explain_is_said(tmp_path):
    with pytest.raises(BadInput, match="no run to explain is finished"):
        explain.explain([], tmp_path / "explain", True, QUIET)
