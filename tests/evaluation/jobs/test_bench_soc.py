"""``bench native_sim``: what it measures, in what shape it says so. Small networks; the numbers are not judged."""

import json
import subprocess
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.jobs import bench_soc
from evaluation.jobs import soc_speed as speed


def test_everything_is_measured_once_per_rule_set(monkeypatch):
    starts = []
    monkeypatch.setattr(bench_soc, "HOSTS", (50,))
    monkeypatch.setattr(bench_soc, "LARGEST", 500)
    monkeypatch.setattr(speed, "growth", partial(speed.growth, sizes=(50, 100)))
    monkeypatch.setattr(
        speed, "measure_start", lambda rules, cold=False: starts.append((rules, cold)) or speed.Start(2.0, 1.0)
    )
    done = CliRunner().invoke(app, ["bench", "native_sim", "--envs", "4,8", "--seconds", "0.01", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(row["rules"], row["hosts"], row["num_envs"]) for row in found["rows"]] == [
        ("corrected", 50, 4), ("corrected", 50, 8), ("reference", 50, 4), ("reference", 50, 8),
    ]  # fmt: skip
    assert all(row["steps_per_s"] > 0 for row in found["rows"])
    for rules in ("corrected", "reference"):
        assert [row["hosts"] for row in found["growth"][rules]["rows"]] == [50, 100]
        assert found["growth"][rules]["slower_per_doubling"] > 0
        once = {"seconds": 2.0, "processor_seconds": 1.0}
        assert found["start"][rules] == {"cached_start": once, "cold_start": once}
        assert found["memory"][rules]["hosts"] == 500
        assert found["memory"][rules]["process_mb"] > 10
    assert starts.count(("reference", True)) == 1
    assert "slower per" in done.stderr


@pytest.mark.slow
def test_a_cold_start_compiles_anew_and_leaves_nothing(monkeypatch):
    folders, compiled = [], []
    start = subprocess.run

    def run(command, env, **options):
        done = start(command, env=env, **options)
        if env is not None:
            folders.append(Path(env["NUMBA_CACHE_DIR"]))
            compiled.append(len(list(folders[-1].rglob("*.nbi"))))
        return done

    monkeypatch.setattr(speed.subprocess, "run", run)
    cold = speed.measure_start("reference", cold=True)
    assert compiled[0] > 0 and not folders[0].exists() and cold.seconds > 0
    speed.measure_start("reference")
    assert len(folders) == 1  # the cache that everybody uses
