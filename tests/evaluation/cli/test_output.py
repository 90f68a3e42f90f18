"""--json, --quiet and --no-color: what is printed where, before and behind the name of a command."""

import json
import os
import re

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.cli.output import COMMON, Output, command
from evaluation.reporting.terminal import QuietConsole
from tests.builders.train_command import SMALL

PLAY = ("evaluate", "--steps", "8", "--episodes", "2", "--policies", "no-defense")
COLOR = {"FORCE_COLOR": "1", "NO_COLOR": None, "TERM": "xterm-256color"}
COLORED = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7])[;m]")


def call(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.mark.parametrize("flag", ["--quiet", "-q"])
def test_quiet_prints_nothing_where_all_is_well(flag, tmp_path):
    for arguments in ((flag, *PLAY), (*PLAY, flag)):
        done = call(*arguments, "--out", tmp_path)
        assert (done.exit_code, done.output) == (0, "")
        assert (tmp_path / "report.html").exists()
    assert call("report", tmp_path, flag).output == "" != call("report", tmp_path).output
    for kind in ("methods", "games"):
        assert call("list", kind, flag).output == ""


def test_quiet_and_json_print_the_object_alone(tmp_path):
    done = call(*PLAY, "--out", tmp_path, "--quiet", "--json")
    assert done.stderr == "" and json.loads(done.stdout)["policies"]["no-defense"]["n"] == 2


def test_errors_stay(tmp_path, monkeypatch):
    done = call(*PLAY, "--out", tmp_path, "--quiet", "--variant", "hard")
    assert done.exit_code == 2 and done.stdout == "" and "unknown variant 'hard'" in done.stderr
    (tmp_path / "failing_policy.py").write_text(
        "from cage4.policies.baselines import NoDefense\n"
        "class Fails(NoDefense):\n"
        "    def act(self, *_):\n"
        "        raise ValueError('on purpose')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = call(*PLAY[:-1], "failing_policy:Fails", "--out", tmp_path / "run", "--quiet")
    assert done.exit_code == 1 and done.stdout == "" and "on purpose" in done.stderr


def test_errors_of_training_stay(tmp_path):
    (tmp_path / "wild.toml").write_text(SMALL.replace("[method]", "[method]\nreward_scale = 1e30"))
    asked = ("train", "--config", tmp_path / "wild.toml", "--seed", "0", "--steps", "800")
    done = call(*asked, "--out", tmp_path / "run", "--quiet")
    assert done.exit_code == 1 and done.stdout == "" and "lower the learning rate" in " ".join(done.stderr.split())


def test_notices_stay(capsys):
    console = QuietConsole()
    console.print("a table")
    console.print("resumed under other code", style="yellow")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "resumed under other code\n")


def test_no_color_is_heard_everywhere():
    for arguments in (("--help",), ("evaluate", "--variant", "x"), ("doctor", "--no-smoke")):
        assert COLORED.search(call(*arguments, env=COLOR).output), arguments
    plain = [
        ("doctor", "--no-smoke", "--no-color"),
        ("study", "--no-color", "table9"),
        ("study", "table3", "--policies", "x", "--no-color"),
        ("--help", "--no-color"),
        ("--no-color", "evaluate", "--variant", "x"),
        ("evaluate", "--variant", "x", "--no-color"),
    ]
    for arguments in plain:
        assert not COLORED.search(call(*arguments, env=COLOR).output), arguments
    assert not COLORED.search(call("--help", env={**COLOR, "NO_COLOR": "1"}).output)


@pytest.mark.parametrize("before", [None, "", "1"])
def test_no_color_ends_with_the_command(before, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if before is not None:
        monkeypatch.setenv("NO_COLOR", before)
    assert call("--no-color", "list", "studies").exit_code == 0
    assert os.environ.get("NO_COLOR") == before


def test_a_command_keeps_its_own_options_and_gets_the_common_ones():
    toy, seen = typer.Typer(), []

    @toy.command()
    @command
    def play(output: Output, number: int = 3) -> None:
        """Play."""
        seen.append((number, output.as_json))
        output.finish({"number": number})

    done = CliRunner().invoke(toy, ["--number", "4", "--json"])
    assert (json.loads(done.stdout), seen) == ({"number": 4}, [(4, True)])
    known = {name for option in get_command(toy).params for name in option.opts}
    assert {f"--{name.removeprefix('as_').replace('_', '-')}" for name in (*COMMON, "number")} <= known
