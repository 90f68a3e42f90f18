"""Whole evaluations with code that is not ours: whatever one policy does, the others are played and reported."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from evaluation.harness.run_folder import LOG

ROOT = Path(__file__).resolve().parents[2]
BAD = """
    import os, sys, time
    import numpy as np
    from cage4 import actions, spec
    from native_sim import Decision, Policy

    class Good(Policy):
        def initial_memory(self, num_envs):
            return None

        def act(self, obs, mask, memory, draws):
            print("good")
            return Decision({n: np.full(len(draws), actions.SLEEP[i]) for i, n in enumerate(spec.BLUE_AGENTS)}, None)

    def bad(act):
        return type("Bad", (Good,), {"act": act})

    def evil(*_):
        class Evil(BaseException):
            def __str__(self):
                raise SystemExit(0)
        raise Evil

    def aside(self, *arguments):
        os.chdir("/")
        if not os.fork():
            time.sleep(600)
        return Good.act(self, *arguments)

    Exit = bad(lambda *_: sys.exit(0))
    Hard = bad(lambda *_: os._exit(0))
    Hang = bad(lambda *_: time.sleep(600))
    Nothing = bad(lambda *_: None)
    Evil = bad(evil)
    Aside = bad(aside)
"""
HELPED = """
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(__file__).parent))
    from brain import CHOICE
    from cage4.policies.baselines import NoDefense, RandomValid
    Mine = {"sleep": NoDefense, "random": RandomValid}[CHOICE]
"""


def asked(here, policies, *options):
    command = [sys.executable, "-m", "hmarl_transfer", "evaluate", "--engine", "native", "--steps", "10", "--episodes"]
    command += ["4", "--policies", ",".join(policies), "--out", str(here / "run"), "--json", *options]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {"args": command, "cwd": here, "env": {**os.environ, "PYTHONPATH": paths}, "text": True}


def evaluate(here, policies, *options):
    return subprocess.run(**asked(here, policies, *options), capture_output=True, timeout=900, check=False)


@pytest.mark.parametrize("options", [(), ("--workers", "2", "--envs", "2")])
def test_the_others_are_played_and_reported(tmp_path, options):
    (tmp_path / "bad.py").write_text(textwrap.dedent(BAD))
    expected = {
        "bad:Exit": "raised SystemExit: 0",
        "bad:Hard": "ended its process (exit code 0) in act()",
        "bad:Hang": "took longer than 10 s for act(); --time-limit allows more",
        "bad:Nothing": "act() must return a native_sim.Decision; it returned NoneType",
        "bad:Evil": "raised Evil: its message cannot be shown",
    }
    order = ("bad:Exit", "bad:Hard", "bad:Good", "bad:Hang", "no-defense", "bad:Nothing", "bad:Evil", "bad:Aside")
    done = evaluate(tmp_path, order, "--time-limit", "10", *options)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    answer = json.loads(done.stdout)["policies"]
    assert list(answer) == ["bad:Good", "no-defense", "bad:Aside"]
    assert {(row["mean"], row["n"]) for row in answer.values()} == {(answer["no-defense"]["mean"], 4)}
    log = (tmp_path / "run" / LOG).read_text()
    for name, sentence in expected.items():
        assert f"policy {name}: {sentence} (traceback in " in " ".join(done.stderr.split())
        assert f"policy {name}: {sentence}\n" in log
    assert "in <lambda>" in log and "policy bad:Good, episodes 0 to " in log and "\ngood\n" in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_helpers_of_one_name_are_each_policys_own(tmp_path, workers):
    for folder, choice in (("a", "sleep"), ("b", "random")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "policy.py").write_text(textwrap.dedent(HELPED))
        (tmp_path / folder / "brain.py").write_text(f"CHOICE = {choice!r}\n")
    (tmp_path / "rich.py").write_text(
        "from cage4.policies.baselines import RandomValid as Mine\n"
    )  # as an installed one
    names = ["random", "b.policy:Mine", "a.policy:Mine", "no-defense", "rich:Mine"]
    done = evaluate(tmp_path, names, "--workers", workers, "--envs", "2")
    assert done.returncode == 0, done.stderr
    means = {name: row["mean"] for name, row in json.loads(done.stdout)["policies"].items()}
    assert means["a.policy:Mine"] == means["no-defense"] != means["random"]
    assert means["b.policy:Mine"] == means["rich:Mine"] == means["random"]


def test_what_cannot_be_loaded_ends_with_exit_code_2_before_anything_is_played(tmp_path):
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    done = evaluate(tmp_path, ["no-defense", "leaving:Policy"])
    assert done.returncode == 2
    assert "policy 'leaving:Policy' cannot be loaded (SystemExit: 0)" in done.stderr
    assert not (tmp_path / "run").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--time-limit", "--memory-limit"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_limits_are_checked(tmp_path, option, value):
    from typer.testing import CliRunner

    from evaluation.cli.app import app

    done = CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path / "run"), option, value])
    assert done.exit_code == 2
    assert f"{option} must be " in " ".join(done.output.split())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("options", [(), ("--workers", "2", "--envs", "2")])
def test_ctrl_c_ends_everything(tmp_path, options):
    waiting = """
    from bad import Good, bad
    import os, time

    def act(*_):
        with open(f"pid-{os.getpid()}", "w"):
            time.sleep(600)

    Waiting = bad(act)
    """
    (tmp_path / "bad.py").write_text(textwrap.dedent(BAD))
    (tmp_path / "waiting.py").write_text(textwrap.dedent(waiting))
    harness = subprocess.Popen(
        **asked(tmp_path, ["bad:Good", "waiting:Waiting"], *options), stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("pid-*"))) < (2 if options else 1) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(harness.pid, signal.SIGINT)  # as a terminal does
    error = harness.communicate(timeout=120)[1]
    assert harness.returncode == 130
    assert "Interrupted. What was finished is kept" in " ".join(error.split()) and "Traceback" not in error
    pids = [int(path.name.partition("-")[2]) for path in tmp_path.glob("pid-*")]
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert pids and not any(Path(f"/proc/{pid}").exists() for pid in pids)
