"""Whole evaluations of the SOC simulator: right metrics, the same bytes in any way, failures kept apart."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.games.soc.game import Soc
from evaluation.harness.run_folder import ROWS, TABLE, RunFolder
from evaluation.jobs.evaluate import resolve
from native_sim.soc.config import SocConfig
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.policies import make_policy
from native_sim.soc.variants import get_variant
from tests.builders.playing import play_soc as play

ROOT = Path(__file__).resolve().parents[2]
POLICIES = "no-defense,random,adaptive,oracle"
MINE = """
    import os, signal
    import numpy as np
    from native_sim import Decision, Policy



    def calls():
        # over all processes of the policy: each batch has one of its own
        with open("calls", "a+") as file:
            file.write(".")
            return file.tell()


    def harness():
        # the parent of the process that watches over this one
        with open(f"/proc/{os.getppid()}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])


    class Mine(Policy):
        '''Hunts harder with every step, remembers how long, and leaves out three roles.'''

        draws_per_agent = 1

        def initial_memory(self, num_envs):
            return {"steps": np.zeros(num_envs)}

        def act(self, obs, mask, memory, draws):
            if "DIE_AT" in os.environ and calls() == int(os.environ["DIE_AT"]):
                os.kill(harness(), getattr(signal, os.environ["DIE_OF"]))
                signal.pause()
            steps = memory["steps"] + 1
            hunting = np.full((len(draws), 16), -1.0)
            hunting[:, :5] = np.minimum(steps / 100, draws[:, 1, 0])[:, None]
            return Decision({"hunter": hunting}, {"steps": steps})


    class Wrong(Mine):
        def act(self, obs, mask, memory, draws):
            decision = super().act(obs, mask, memory, draws)
            exec(os.environ["WRONG"], {"np": np, "a": decision.actions, "n": len(draws)})
            return decision
"""
runner = CliRunner()


def call(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


def evaluate(out, *options, policies=POLICIES, episodes=5):
    command = ("evaluate", "--game", "soc", "--episodes", episodes, "--seed", 3, "--policies", policies, "--out", out)
    return call(*command, "--json", *options)


def answer(done):
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = evaluate(out)
    assert done.exit_code == 0, done.output
    return out


# ----------------------------------------------------------------------------------------------------- numbers
def test_metrics_are_those_of_the_simulators_own_loop(whole):
    folder = RunFolder.open(whole)
    config = SocConfig(**folder.spec.variant_knobs)
    assert (config.held_out, config.networks) == (True, "episode")
    env = SocVectorEnv(config, 5, with_state=True)
    rows = folder.read()
    for name in folder.spec.policies:
        expected = play(env, make_policy(name), folder.spec.episode_seeds())
        played = [row for row in rows if row.policy == name]
        assert list(played[0].metrics) == list(expected)
        for metric, values in expected.items():
            ours = [np.nan if row.metrics[metric] is None else row.metrics[metric] for row in played]
            np.testing.assert_array_equal(ours, values, err_msg=f"{name}, {metric}")
        assert [row.score for row in played] == expected["reward"].tolist()
        assert [row.length for row in played] == expected["length"].tolist()


def test_the_json_holds_every_metric_and_no_nan(whole):
    result = answer(call("report", whole, "--json"))
    assert set(result) == {"policies", "engine", "variant", "run"}
    assert (result["engine"], result["variant"]) == ("soc", "corrected-v1")
    summary = json.loads((whole / "summary.json").read_text(), parse_constant=pytest.fail)
    for name, row in result["policies"].items():
        assert row["metrics"] == summary["policies"][name]["metrics"]
        assert {"reward", "mttd", "mttr", "fpr", "csr", "length", "exfiltrated", "compromised"} < set(row["metrics"])
        assert row["metrics"]["reward"]["mean"] == row["mean"]
        assert row["metrics"]["reward"]["ci95"] == row["ci95"]
    nothing = result["policies"]["no-defense"]["metrics"]
    assert nothing["mttr"] == dict.fromkeys(("mean", "std", "ci95", "pooled", "pooled_ci95")) | {"n": 0}
    assert nothing["csr"]["mean"] == 0.0
    assert summary["policies"]["random"]["metrics"]["fpr"]["pooled"] > 0


def test_the_oracle_is_played_only_when_named_and_called_a_cheat(whole):
    assert "oracle" not in resolve("soc", "corrected", None, "", 1, 0).policies
    text = (whole / "report.md").read_text()
    assert "| oracle (cheats: sees the true state) | 5 |" in text
    assert "adaptive (cheats" not in text
    assert "of oracle over" not in text  # the lead names the best defender
    assert "held out" in text


def test_other_metrics_and_other_rules(tmp_path):
    done = evaluate(tmp_path / "run", "--variant", "reference", policies="no-defense,rule-soar,best-constant")
    assert done.exit_code == 0, done.output
    metrics = answer(done)["policies"]["rule-soar"]["metrics"]
    assert metrics["fpr"]["pooled"] is None and 0.0 < metrics["fpr"]["mean"] < 1.0
    assert "fpr pooled" not in done.output
    assert "true_positives" in (tmp_path / "run" / "report.md").read_text().replace("\\", "")


# -------------------------------------------------------------------------------------- the same bytes in any way
@pytest.fixture
def here(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    return tmp_path


def run(here, out, *options, policy="mine:Mine", **environment):
    command = [
        sys.executable,
        "-m",
        "evaluation.cli",
        "evaluate",
        "--game",
        "soc",
        "--steps",
        "60",
        "--seed",
        "5",
    ]
    command += ["--policies", f"no-defense,{policy}", "--episodes", "4", "--out", str(here / out), "--json", *options]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=900, check=False)


def test_workers_kills_and_interrupts_change_nothing(here):
    done = run(here, "whole")
    assert done.returncode == 0, done.stderr
    expected = (here / "whole" / "summary.json").read_bytes()
    assert len(done.stdout.splitlines()) == 1
    done = run(here, "workers", "--workers", "2", "--envs", "3")
    assert done.returncode == 0, done.stderr
    assert (here / "workers" / "summary.json").read_bytes() == expected
    for death, code in (("SIGKILL", -signal.SIGKILL), ("SIGINT", 130)):
        (here / "calls").unlink(missing_ok=True)
        died = run(here, death, "--envs", "1", DIE_AT="150", DIE_OF=death)  # 60 calls an episode: in the third one
        assert died.returncode == code, died.stderr
        rows = [json.loads(row)["policy"] for row in (here / death / ROWS).read_text().splitlines()]
        assert rows == ["no-defense"] * 4 + ["mine:Mine"] * 2
        again = run(here, death)
        assert again.returncode == 0, again.stderr
        assert "6 of 8 episodes are there already" in again.stderr
        assert (here / death / "summary.json").read_bytes() == expected
        assert (here / death / TABLE).exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("a['hunter'][0, 3] = np.nan", "the action of hunter contains NaN"),
        ("a['hunter'] = a['hunter'][:, :15]", "the action of hunter must have shape"),
        ("a['hunter'] *= 2", "the action of hunter must lie in -1 to 1"),
        ("a['triage'] = np.zeros(n)", "the action of triage must be an integer per row"),
        ("a['triage'] = np.full(n, 4)", "the action of triage must lie in 0 to 3"),
        ("a['analyst'] = np.zeros(n)", "unknown role 'analyst'"),
        ("raise LookupError('no idea')", "raised LookupError: no idea"),
    ],
)
def test_a_wrong_answer_is_the_policys_failure(here, monkeypatch, wrong, sentence):
    monkeypatch.chdir(here)
    monkeypatch.setenv("WRONG", wrong)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.syspath_prepend(here)
    done = evaluate(here / "run", policies="no-defense,mine:Wrong", episodes=2)
    assert done.exit_code == 1, done.output
    assert f"policy mine:Wrong: {sentence}" in done.stderr
    assert {name: row["n"] for name, row in answer(done)["policies"].items()} == {"no-defense": 2}
    assert "Traceback" in (here / "run" / "run.log").read_text()
    assert "Traceback" not in done.output


# ---------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--policies", "nonsense"), "unknown policy 'nonsense' under the corrected rules of the SOC simulator; known"),
        (("--policies", "oracle", "--variant", "reference"), "unknown policy 'oracle' under the reference rules"),
        (("--policies", "reactive"), "unknown policy 'reactive'"),
        (
            ("--policies", "cage4.policies.scripted:Reactive"),
            "wants 'busy', which is not shown under the corrected rules",
        ),
        (("--variant", "hard"), "unknown variant 'hard' of the SOC simulator; known variants: corrected, reference"),
        (("--variant", "corrected:hard"), "unknown variant 'corrected:hard'"),
        (("--variant", "reference:apt"), "the reference rules have no levels"),
        (("--variant", "nowhere.toml"), "variant file nowhere.toml cannot be read"),
        (("--steps", "0"), "--steps sets max_steps: max_steps must lie in 1 to 10000; given 0"),
        (("--policies", "constant:nowhere.json"), "cannot be read"),
        (("--policies", "constant:"), "cannot be read"),
        (("--engine", "socc"), "unknown engine 'socc' of the SOC simulator; choose auto or native"),
        (("--game", "socc"), "unknown game 'socc'; known are cc4, soc"),
        (("--game", "cc4", "--variant", "corrected"), "unknown variant 'corrected'"),
        (("--game", "cc4", "--policies", "constant:x.json"), "is a policy of the SOC simulator; use --game soc"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, options, sentence):
    done = call("evaluate", "--game", "soc", "--episodes", "1", "--out", tmp_path / "run", *options)
    assert done.exit_code == 2, done.output
    assert sentence in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"hunter": [0, 0]}', "hunter of a constant policy must be 16 numbers in -1 to 1"),
        ('{"hunters": [0, 0]}', "unknown role 'hunters' in a constant policy"),
        ('{"triage": 4}', "triage of a constant policy must be an integer from 0 to 3; given 4"),
        ('{"coordinator": [NaN, 0, 0, 0, 0, 0, 0, 0]}', "NaN is no finite number"),
        ('{"coordinator": [2, 0, 0, 0, 0, 0, 0, 0]}', "coordinator of a constant policy must be 8 numbers"),
        ("[1]", "must be a JSON object of roles"),
        ("{", "give a JSON file"),
    ],
)
def test_bad_constants_are_one_sentence(tmp_path, content, sentence):
    (tmp_path / "c.json").write_text(content)
    done = evaluate(tmp_path / "run", policies=f"constant:{tmp_path / 'c.json'}")
    assert done.exit_code == 2, done.output
    assert sentence in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


def test_a_constant_file_is_a_policy_and_part_of_the_question(tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"triage": 0}')
    name = f"constant:{file}"
    assert evaluate(tmp_path / "run", policies=f"no-defense,{name}", episodes=2).exit_code == 0
    file.write_text('{"triage": 1}')
    done = evaluate(tmp_path / "run", policies=f"no-defense,{name}", episodes=2)
    assert done.exit_code == 2
    assert "not be comparable" in done.stderr


# ------------------------------------------------------------------------------------------------ several runs
def test_runs_are_compared_with_runs_of_the_same_game(whole, tmp_path):
    same = call("compare", whole, whole, "--json")
    assert same.exit_code == 0, same.output
    assert {entry["verdict"] for entry in answer(same)["policies"]} == {"identical"}
    cc4 = tmp_path / "cc4"
    cc4_run = ("evaluate", "--engine", "native", "--steps", 10, "--episodes", 1, "--policies", "no-defense")
    assert call(*cc4_run, "--out", cc4).exit_code == 0
    done = call("compare", cc4, whole)
    assert done.exit_code == 2
    assert "only runs of one game can be compared" in " ".join(done.output.split())
    before = {path.name: path.read_bytes() for path in cc4.iterdir() if path.is_file()}
    done = evaluate(cc4)
    assert done.exit_code == 2
    assert "asks something else (game 'cc4' there, 'soc' now" in " ".join(done.output.split())
    assert {path.name: path.read_bytes() for path in cc4.iterdir() if path.is_file()} == before


def test_two_settings_of_one_name_are_not_compared(tmp_path):
    for stealth in (0.1, 0.9):
        (tmp_path / "mine.toml").write_text(f"stealth = {stealth}\nhosts_per_segment = 4\nmax_steps = 20\n")
        done = evaluate(tmp_path / str(stealth), "--variant", tmp_path / "mine.toml", policies="random", episodes=1)
        assert done.exit_code == 0, done.output
        assert answer(done)["variant"] == "custom-v1"
    done = call("compare", tmp_path / "0.1", tmp_path / "0.9")
    assert done.exit_code == 2
    assert "call two different settings custom-v1" in " ".join(done.output.split())


def test_rows_of_another_game_are_corrupt_rows(whole, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "spec.json").write_bytes((whole / "spec.json").read_bytes())
    (copy / ROWS).write_text('{"policy": "random", "index": 0, "seed": 1, "score": 0.0, "step_rewards": []}\n')
    done = call("report", copy)
    assert done.exit_code == 2
    assert "is corrupt at line 1" in " ".join(done.output.split())


def test_variants_may_keep_training_networks(tmp_path):
    (tmp_path / "training.toml").write_text("held_out = false\n")
    assert get_variant(str(tmp_path / "training.toml"), held_out=True).config.held_out is False
    assert get_variant("corrected").config.held_out is False
    spec = resolve("soc", "corrected:apt", 50, "", 1, 0)
    assert (spec.variant, spec.steps, spec.variant_knobs["max_steps"]) == ("corrected-apt-v1", 50, 50)
    assert spec.variant_knobs["held_out"] is True


def test_batches_keep_within_memory(tmp_path):
    (tmp_path / "large.toml").write_text("hosts_per_segment = 20000\n")
    for variant, steps, envs in (
        ("corrected", None, 500),
        (tmp_path / "large.toml", None, 50),
        ("reference", 10000, 20),
    ):
        spec = resolve("soc", str(variant), steps, "", 1, 0)
        assert Soc().batch_size(spec) == envs
