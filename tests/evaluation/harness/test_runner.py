"""Whole evaluations: workers change nothing, a killed run resumes to the same bytes, failures lose nothing."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from evaluation.harness import runner
from evaluation.harness.run_folder import ROWS, TABLE
from tests.builders.factories import make_spec

ROOT = Path(__file__).resolve().parents[3]
POLICY = """
    import os, signal
    from cage4.policies.baselines import RandomValid

    def calls():
        # counted in a file: every batch is played by a process of its own
        file = os.open("calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, b".")
        return os.fstat(file).st_size

    def harness():
        # the parent of the process that watches over this one
        with open(f"/proc/{os.getppid()}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])

    class Mine(RandomValid):
        def act(self, obs, mask, memory, draws):
            count = calls()
            if count == int(os.environ.get("DIE_AT", 0)):
                os.kill(harness(), getattr(signal, os.environ["DIE_OF"]))
                signal.pause()
            if count == int(os.environ.get("RAISE_AT", 0)):
                raise LookupError("no idea")
            return super().act(obs, mask, memory, draws)
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(POLICY))
    return tmp_path


def evaluate(here, out, *options, **environment):
    command = [
        sys.executable,
        "-m",
        "evaluation.cli",
        "evaluate",
        "--engine",
        "native",
        "--steps",
        "30",
        "--seed",
        "5",
    ]
    command += ["--policies", "no-defense,mine:Mine", "--episodes", "6", "--out", str(here / out), "--json", *options]
    (here / "calls").unlink(missing_ok=True)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        cwd=here,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def summary(here, out):
    return (here / out / "summary.json").read_bytes()


@pytest.fixture
def whole(here):
    done = evaluate(here, "whole")
    assert done.returncode == 0, done.stderr
    return summary(here, "whole")


def test_json_is_the_last_line(here, whole):
    done = evaluate(here, "whole")
    answer = json.loads(done.stdout.splitlines()[-1])
    assert set(answer) == {"policies", "engine", "variant", "run"}
    assert (answer["engine"], answer["variant"]) == ("native", "base-v1")
    assert set(answer["policies"]["no-defense"]) == {"mean", "std", "ci95", "n"}
    assert answer["policies"]["mine:Mine"]["n"] == 6
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("options", [("--workers", "2"), ("--envs", "1"), ("--envs", "4", "--workers", "2")])
def test_workers_and_environments_change_nothing(here, whole, options):
    done = evaluate(here, "other", *options)
    assert done.returncode == 0, done.stderr
    assert summary(here, "other") == whole
    assert (here / "other" / TABLE).exists()


@pytest.mark.parametrize("death", ["SIGKILL", "SIGINT"])
def test_a_killed_run_resumes_to_the_same_bytes(here, whole, death):
    # with one environment the policy is called 29 times per episode: it dies in its third one
    died = evaluate(here, "killed", "--envs", "1", DIE_AT="70", DIE_OF=death)
    assert died.returncode == (-signal.SIGKILL if death == "SIGKILL" else 130)
    assert not (here / "killed" / "summary.json").exists()
    rows = (here / "killed" / ROWS).read_text().splitlines()
    assert [json.loads(row)["policy"] for row in rows] == ["no-defense"] * 6 + ["mine:Mine"] * 2
    if death == "SIGKILL":  # and the kill came in the middle of writing a row
        with (here / "killed" / ROWS).open("a") as file:
            file.write(rows[-1][:100])
    again = evaluate(here, "killed", "--envs", "1")
    assert again.returncode == 0, again.stderr
    assert "8 of 12 episodes are there already" in again.stderr
    assert summary(here, "killed") == whole


def test_a_killed_worker_is_one_sentence_and_resumes(here, whole):
    died = evaluate(here, "killed", "--envs", "1", "--workers", "2", DIE_AT="70", DIE_OF="SIGKILL")
    assert died.returncode == 1
    assert "a worker process died" in died.stderr
    assert "Traceback" not in died.stderr
    again = evaluate(here, "killed", "--workers", "2")
    assert again.returncode == 0, again.stderr
    assert summary(here, "killed") == whole


def test_a_failing_policy_costs_only_its_own_episodes(here, whole):
    failed = evaluate(here, "failed", "--envs", "1", RAISE_AT="40")
    assert failed.returncode == 1
    assert "mine:Mine: raised LookupError: no idea" in failed.stderr
    assert "LookupError" in (here / "failed" / "run.log").read_text()
    answer = json.loads(failed.stdout.splitlines()[-1])
    assert {name: row["n"] for name, row in answer["policies"].items()} == {"no-defense": 6, "mine:Mine": 1}
    assert (
        "1 of 6" in (here / "failed" / "report.md").read_text().splitlines()[0]
        or "interrupted" in (here / "failed" / "report.md").read_text().splitlines()[0].lower()
    )
    mended = evaluate(here, "failed")
    assert mended.returncode == 0
    assert summary(here, "failed") == whole


def test_a_changed_policy_does_not_join_an_old_run(here, whole):
    (here / "mine.py").write_text((here / "mine.py").read_text() + "\n# changed\n")
    done = evaluate(here, "whole")
    assert done.returncode == 2
    assert "not be comparable" in done.stderr
    assert summary(here, "whole") == whole


def test_a_batch_is_played_with_one_thread_per_matrix_product(monkeypatch):
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    class Game:
        def play(self, *_):
            return [blas()]

        def measured(self, rows, _):
            return rows

    monkeypatch.setattr(runner, "find_game", lambda key: Game())
    with threadpool_limits(2, user_api="blas"):
        before = blas()
        assert runner.play_batch(make_spec(), runner.Batch("full", ())) == [{1}]
        assert blas() == before
