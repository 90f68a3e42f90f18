"""A game and a metric from another package: evaluated, resumed, reported, compared and trained without an edit here."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from native_sim.checks import check_vector_env

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "tests" / "plugins" / "matching"


def command(*arguments, path=PACKAGE):
    """Return the words and the surroundings of a command with a package installed."""
    places = os.pathsep.join([str(ROOT), str(path), os.environ.get("PYTHONPATH", "")])
    return [sys.executable, "-m", "evaluation.cli", *map(str, arguments)], {**os.environ, "PYTHONPATH": places}


def run(*arguments, path=PACKAGE):
    words, surroundings = command(*arguments, path=path)
    return subprocess.run(words, env=surroundings, capture_output=True, text=True, check=False)


def answer(*arguments, path=PACKAGE):
    done = run(*arguments, "--json", path=path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def rows(folder):
    import pyarrow.parquet as parquet

    return [
        {name: value for name, value in row.items() if name != "wall_s"}
        for row in parquet.read_table(folder / "episodes.parquet").to_pylist()
    ]


def evaluate(folder, *options):
    return answer("evaluate", "--game", "matching", "--episodes", 12, "--seed", 3, "--out", folder, *options)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matching") / "run"
    return folder, evaluate(folder)


def test_its_environment_keeps_the_contract(monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE))
    made = importlib.import_module("matching.env").MatchingEnv
    check_vector_env(lambda count: made(count, steps=8), steps=20)


def test_it_is_evaluated_with_its_metrics(played):
    folder, told = played
    assert set(told["policies"]) == {"no-defense", "chance"}
    found = told["policies"]["chance"]
    assert 0 < found["mean"] < 40 and found["n"] == 12
    assert set(found["metrics"]) == {"both_wrong", "per_step"}
    for row in rows(folder):
        assert row["metrics"]["per_step"] == pytest.approx(row["score"] / row["length"])
    assert any(row["length"] < 20 for row in rows(folder))  # an episode may end early


def test_its_report_names_scores_metrics_and_directions(played):
    text = (played[0] / "report.md").read_text().replace("\\", "")
    assert "The matching game" in text or "the matching game" in text
    for words in ("both_wrong, count ↓", "per_step, points ↑", "steps in which no guard was right", "no-defense"):
        assert words in text, words


def test_workers_environments_and_interruptions_change_nothing(played, tmp_path):
    evaluate(tmp_path / "many", "--workers", 2, "--envs", 3)
    assert rows(tmp_path / "many") == rows(played[0])
    words, surroundings = command(
        *("evaluate", "--game", "matching", "--episodes", 12, "--seed", 3, "--envs", 1, "--out", tmp_path / "cut")
    )
    process = subprocess.Popen(words, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = tmp_path / "cut" / "episodes.jsonl"
    while process.poll() is None and not (lines.exists() and lines.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    evaluate(tmp_path / "cut")
    assert rows(tmp_path / "cut") == rows(played[0])


def test_runs_are_compared_with_their_metrics(played, tmp_path):
    evaluate(tmp_path / "other", "--variant", "many")
    refused = run("compare", played[0], tmp_path / "other")
    assert refused.returncode == 2 and "variant differs: base and many" in refused.stderr
    told = answer("compare", played[0], played[0])
    assert [entry["verdict"] for entry in told["policies"]] == ["identical", "identical"]
    assert {metric["name"] for metric in told["policies"][0]["metrics"]} == {"both_wrong", "per_step"}


def test_what_is_trained_in_it_plays_it(tmp_path):
    settings = tmp_path / "small.toml"
    settings.write_text(
        "[environment]\nnum_envs = 8\n[trainer]\nsteps = 6000\nvalidate_every = 2000\nvalidation_episodes = 8\n"
        "averaging = 0\nsave_every = 3000\n[method]\nreward_scale = 0.5\nrollout = 512\nminibatch = 128\n"
        "[method.network]\nattention = false\nhidden = 32\n"
    )
    out = tmp_path / "run"
    told = answer(*("train", "--game", "matching", "--method", "ippo", "--config", settings, "--seed", 0, "--out", out))
    assert told["best_score"] > 25  # of 40; by chance it is 11 to 14
    found = evaluate(tmp_path / "played", "--policies", f"no-defense,weights:{out}")["policies"]
    assert found[f"weights:{out}"]["mean"] > found["no-defense"]["mean"] + 10
    refused = run("evaluate", "--policies", f"weights:{out}", "--episodes", 1, "--out", tmp_path / "none")
    assert refused.returncode == 2
    assert "were trained in the matching game; use --game matching" in " ".join(refused.stderr.split())


def test_a_metric_of_another_package_is_in_rows_summary_report_and_comparison(tmp_path):
    out = tmp_path / "run"
    told = answer(*("evaluate", "--policies", "no-defense,sentinel", "--episodes", 3, "--steps", 60, "--out", out))
    assert "quiet_steps" in told["policies"]["sentinel"]["metrics"]
    for row in rows(out):
        assert row["metrics"]["quiet_steps"] == np.sum(np.array(row["step_rewards"]) == 0)
    assert "quiet_steps, count ↑" in (out / "report.md").read_text().replace("\\", "")
    told = answer("compare", out, out)
    assert [metric["name"] for metric in told["policies"][0]["metrics"]] == ["quiet_steps"]


BROKEN = {
    "cannot be imported (ModuleNotFoundError: No module named 'nowhere')": "x = nowhere:Game",
    "is no evaluation.harness.game.Game": "x = broken:number",
    "Can't instantiate abstract class Half": "x = broken:Half",
    "lacks key, name": "x = broken:Nameless",
    "is taken twice: by broken beside this project": "cc4 = broken:number",
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_broken_games_are_told_in_one_sentence(tmp_path, sentence):
    entry = BROKEN[sentence]
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[hmarl_transfer.games]\n{entry}\n")
    (tmp_path / "broken.py").write_text(
        "from evaluation.harness.game import Game\nfrom evaluation.games.simple import SimpleGame\n"
        "number = int\n\nclass Half(Game):\n    key = name = 'x'\n\n"
        "class Nameless(SimpleGame):\n    def make_env(self, num_envs, steps, **knobs): pass\n"
    )
    done = run("evaluate", "--game", entry.partition(" ")[0], "--episodes", 1, "--out", tmp_path / "o", path=tmp_path)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and sentence in said and "broken" in said and "Traceback" not in said, said
    assert not (tmp_path / "o").exists()


BROKEN_METRICS = {
    "is no evaluation.harness.metrics.Metric": "M = 3",
    "cannot be imported (ValueError: metric x: unit is 'miles'": "M = Metric('x', 'miles', 'less', '', of=len)",
    "takes a name that soc has already": "M = Metric('csr', 'share', 'less', '', of=len, game='soc')",
    "metric 'x' fails (ZeroDivisionError": "M = Metric('x', 'share', 'less', '', of=lambda row: 1 / 0, game='soc')",
    "metric 'x' is inf in an episode": "M = Metric('x', 'share', 'less', '', of=lambda row: 1e999, game='soc')",
}


@pytest.mark.parametrize("sentence", BROKEN_METRICS)
def test_broken_metrics_are_told_in_one_sentence(tmp_path, sentence):
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[hmarl_transfer.metrics]\nx = broken:M\n")
    (tmp_path / "broken.py").write_text(f"from evaluation.harness.metrics import Metric\n{BROKEN_METRICS[sentence]}\n")
    asked = ("evaluate", "--game", "soc", "--policies", "no-defense", "--episodes", 1, "--out", tmp_path / "o")
    done = run(*asked, path=tmp_path)
    said = " ".join((done.stderr + done.stdout).split())
    assert done.returncode in (1, 2) and sentence in said and "Traceback" not in done.stderr, said
