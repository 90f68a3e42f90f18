"""Scaling: decision and simulator are timed apart, and the report is written from what was measured."""

import pytest
from rich.console import Console

from evaluation.studies.training import scaling


def test_every_size_method_and_batch_has_two_times(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(scaling, "HOSTS", (50, 100))
    monkeypatch.setattr(scaling, "BATCHES", (1, 4))
    monkeypatch.setattr(scaling, "METHODS", ("hmarl-soc", "mappo"))
    found = scaling.scaling(tmp_path, True, False, Console(quiet=True))
    assert {(row["method"], row["hosts"], row["batch"]) for row in found["rows"]} == {
        (method, hosts, batch) for method in ("hmarl-soc", "mappo") for hosts in (50, 100) for batch in (1, 4)
    }
    times = ("decision_us", "decision_cpu_us", "step_us", "step_cpu_us")
    assert all(row[name] > 0 for row in found["rows"] for name in times)
    before = (tmp_path / "table.md").read_text()
    (tmp_path / "table.md").unlink()
    assert scaling.scaling(tmp_path, True, True, Console(quiet=True)) == found
    assert (tmp_path / "table.md").read_text() == before
