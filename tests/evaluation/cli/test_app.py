"""The command line as a whole: help, version, completion, and no heavy import before a command runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.inputs.names import COMPLETE, version
from hmarl_soc.config import read_toml
from tests.builders.commands import parsers

ROOT = Path(__file__).resolve().parents[3]
HEAVY = "numpy numba torch scipy matplotlib pyarrow gymnasium pettingzoo joblib pandas sklearn CybORG jinja2"
"""Pydantic is not among them: Typer itself reads the options of a command with it."""


def call(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def in_a_process(*arguments, **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "hmarl_transfer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=120)


def test_help_names_every_command():
    done = call("--help")
    assert done.exit_code == 0
    for path, _ in parsers():
        assert re.search(rf"│ {path[0]} ", done.output), path


@pytest.mark.parametrize("path", [(), ("study",), ("bench",), ("list",), *dict(parsers())], ids=" ".join)
def test_h_is_help(path):
    short, whole = call(*path, "-h"), call(*path, "--help")
    assert short.exit_code == whole.exit_code == 0
    assert short.output == whole.output
    assert "Usage:" in short.output and " ".join(path) in short.output


def test_every_command_has_the_common_options_and_a_help_text_that_is_a_sentence():
    for path, command in parsers():
        names = {name for option in command.params for name in option.opts}
        assert {"--json", "--quiet", "-q", "--no-color"} <= names, path
        assert command.help.strip().endswith("."), path
        for option in command.params:
            assert option.help and option.help.strip().endswith("."), (path, option.name)


def test_the_version_is_printed():
    done = call("--version")
    assert (done.exit_code, done.output) == (0, f"hmarl-transfer {version()}\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version())


def test_the_version_of_a_checkout_that_was_never_installed(monkeypatch):
    monkeypatch.setattr("evaluation.inputs.names.DISTRIBUTION", "nobody-has-this-distribution")
    assert version() == read_toml(ROOT / "pyproject.toml")["project"]["version"]


def complete(*words):
    """Return what bash is offered for the last word."""
    asked = {"COMP_WORDS": " ".join(("hmarl-transfer", *words)), "COMP_CWORD": str(len(words))}
    done = in_a_process(**asked, **{COMPLETE: "complete_bash"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("stu",), {"study"}),
        (("study", "table"), {"table3", "table4"}),
        (("list", ""), {"policies", "variants", "games", "methods", "studies"}),
        (("bench", "n"), {"native_sim"}),
        (("study", "scaling", "--re"), {"--report-only"}),
        (("train", "--method", "i"), {"iql", "ippo"}),
        (("evaluate", "--game", ""), {"cc4", "soc"}),
        (("evaluate", "--engine", "c"), {"cyborg"}),
        (("evaluate", "--variant", "singh-s"), {"singh-stealth"}),
    ],
)
def test_the_shell_completes(words, offered):
    assert set(complete(*words)) == offered


def test_completion_is_quiet_where_another_package_has_one_of_our_names(tmp_path, monkeypatch):
    (tmp_path / "cage4.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "Notice" in in_a_process("--version").stderr
    assert complete("stu") == ["study"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(shell, tmp_path):
    home = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = in_a_process("--install-completion", shell, **home)
    assert done.returncode == 0, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and COMPLETE in path.read_text()]
    assert written, [*tmp_path.rglob("*")]
    assert COMPLETE in in_a_process("--show-completion", shell, **home).stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["study", "table3", "--help"], ["bench", "-h"], ["list", "-h"], ["--version"], ["train", "-h"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_for_help(arguments):
    code = (
        "import sys\nfrom evaluation.cli.app import app\nfrom typer.testing import CliRunner\n"
        f"CliRunner().invoke(app, {arguments})\nprint(sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_nothing_heavy_is_imported_for_completion():
    code = (
        "import atexit, sys\nfrom evaluation.cli.app import main\n"
        f"atexit.register(lambda: print(sorted(set({HEAVY!r}.split()) & set(sys.modules)), file=sys.stderr))\n"
        "sys.argv = ['hmarl-transfer']\nmain()"
    )
    for words in ("hmarl-transfer study t", "hmarl-transfer train --method i"):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), COMPLETE: "complete_bash"}
        env = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
        assert done.stdout and done.stderr.strip() == "[]", done.stderr
