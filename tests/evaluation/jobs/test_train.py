import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from tests.builders.train_command import SMALL, one_line, train


def test_train_then_resume_then_play_without_torch(tmp_path, settings):
    run = ["--config", settings, "--seed", 3, "--out", tmp_path / "run"]
    done = train(*run, "--steps", 88, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["steps"] == 88 and np.isfinite(result["best_score"])
    again = train(*run, "--steps", 168)
    assert again.exit_code == 2 and "holds a run already" in again.output
    more = train(*run, "--steps", 168, "--resume")
    assert more.exit_code == 0 and "168 steps" in more.output
    code = f"import sys, hmarl_soc; hmarl_soc.load_policy({str(tmp_path / 'run')!r}); print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    played = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert played.stdout.strip() == "False"
    names = f"no-defense,weights:{tmp_path / 'run'}"
    scored = CliRunner().invoke(
        app, ["evaluate", "--game", "soc", "--episodes", "2", "--policies", names, "--out", str(tmp_path / "scores")]
    )
    assert scored.exit_code == 0, scored.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "guess"], "unknown method 'guess'; known are hmarl-soc"),
        (["--seed", "-1"], "--seed must be at least 0; given -1"),
        (["--steps", "0"], "--steps must be at least 1; given 0"),
        (["--config", "nowhere.toml"], "cannot be read"),
        (["--base", "best"], "unknown base 'best' of settings; allowed are tuned, table2"),
        (["--resume"], "holds no checkpoint"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, message):
    given = ["--seed", "0", "--out", str(tmp_path / "run"), *arguments]
    done = train(*given)
    assert done.exit_code == 2
    assert message in one_line(done)
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.parametrize(("section", "option"), [("trainer", ["--steps", 8]), ("environment", ["--game", "soc"])])
def test_options_do_not_hide_a_section_that_is_no_table(tmp_path, settings, section, option):
    settings.write_text(f"{section} = 3")
    done = train("--config", settings, "--seed", 0, "--out", tmp_path / "run", *option)
    assert done.exit_code == 2
    assert f"setting '{section}' must be a table of settings; given 3" in one_line(done)


def test_a_run_that_diverges_says_so(tmp_path, settings):
    settings.write_text(SMALL.replace("[method]", "[method]\nreward_scale = 1e30"))
    done = train("--config", settings, "--seed", 0, "--out", tmp_path / "run", "--steps", 800)
    assert done.exit_code == 1
    assert "lower the learning rate or the reward scale" in one_line(done)
