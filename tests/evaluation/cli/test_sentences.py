"""No command ends in a traceback for what a user can mend: one sentence, an exit code, and an answer to --json."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.cli import sentences
from evaluation.cli.app import app
from evaluation.inputs.errors import BadInput, WorkerDied
from tests.builders.commands import callbacks

ROOT = Path(__file__).resolve().parents[3]
PLAY = ("evaluate", "--engine", "native", "--steps", "8", "--episodes", "2", "--policies", "no-defense,random")
ERRORS = [
    (BadInput("this is wrong"), 2, "this is wrong"),
    (WorkerDied("a worker died"), 1, "fewer --workers"),
    (MemoryError(), 1, "not enough memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "not enough memory"),
    (OSError(errno.ENOSPC, "No space left on device", "here"), 1, "no space left at here"),
    (OSError(errno.EIO, "Input/output error"), 1, "Input/output error"),
    (OSError("no number at all"), 1, "no number at all"),
    (PermissionError(errno.EACCES, "Permission denied", "/secret"), 2, "Permission denied at /secret"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", b"/fo\xff"), 2, "Is a directory at /fo"),
    (OSError(errno.ENAMETOOLONG, "File name too long"), 2, "File name too long"),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), 2, "UTF-8"),
    (KeyboardInterrupt(), 130, "Interrupted"),
]


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def in_a_process(*arguments, cwd, shell=None, **environment):
    """Run the command itself, with what surrounds it."""
    command = [sys.executable, "-m", "evaluation.cli", *map(str, arguments)]
    if shell is not None:
        command = ["bash", "-c", shell, "bash", *command]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, env=env, check=False, timeout=300)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    done = call(*PLAY, "--out", out)
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize(
    ("command", "error", "code", "words"),
    [
        *((command, *ERRORS[0]) for command, _ in callbacks()),  # whatever command raises it
        *((("evaluate",), *error) for error in ERRORS[1:]),
        *((("study", "table3"), *error) for error in ERRORS[1:]),  # one of a group in the group
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else type(value).__name__,
)
def test_every_command_tells_an_error_in_one_sentence(command, error, code, words, monkeypatch):
    """The group turns errors into sentences, whatever command raises them and wherever."""
    required = {
        "report": ["x"],
        "compare": ["x", "y"],
        "train": ["--seed", "0", "--out", "x"],
        "finetune": ["x", "--seed", "0", "--out", "x"],
        "calibrate": ["x", "--out", "x"],
        "export": ["--policy", "random"],
    }

    def fails(*_):
        raise error

    monkeypatch.setattr("evaluation.cli.output.make_console", fails)
    monkeypatch.setattr("evaluation.harness.game.find_game", fails)
    done = call(*command, *required.get(command[-1] if len(command) == 1 else "", []), "--json")
    assert done.exit_code == code
    assert isinstance(done.exception, SystemExit)
    told = " ".join(done.stderr.split())
    assert words in told
    assert "Traceback" not in done.output
    answer = json.loads(done.stdout.splitlines()[-1])
    assert words in answer["error"]


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fails(*_):
        raise KeyError("a bug")

    monkeypatch.setattr("evaluation.cli.output.make_console", fails)
    assert isinstance(call("doctor").exception, KeyError)


def test_an_option_that_does_not_exist_is_answered_too(run_folder):
    done = call("report", run_folder, "--jsn", "--json")
    assert done.exit_code == 2
    assert "--jsn" in json.loads(done.stdout)["error"]
    assert call("report", run_folder, "--jsn").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("play",), "unknown command 'play'; known: evaluate, report, compare"),
        (("evalute",), "did you mean evaluate?"),
        (("--foo",), "hmarl-transfer does not take --foo; it takes --version, --quiet, --no-color"),
        (("report", "x", "--jsn"), "report does not take --jsn; it takes --json, --quiet, --no-color; did you mean"),
        (("study", "table3", "--policies", "x"), "study table3 does not take --policies; it takes --out, --seeds"),
        (("study", "table9"), "unknown study 'table9'; known: table3, table4"),
        (("study", "--workers", "2"), "study needs the name of a study; known: table3"),
        (("list", "x"), "unknown list 'x'; known: policies, variants, games, methods, studies"),
        (("train", "--out", "x"), "Missing option '--seed'; see hmarl-transfer train --help"),
        (("train", "--seed"), "Option '--seed' requires an argument; see hmarl-transfer train --help"),
        (("evaluate", "--episodes", "few"), "'--episodes'"),
        (("evaluate", "--episodes", "few"), "; given 'few'; see hmarl-transfer evaluate --help"),
        (("evaluate", "--episodes=few"), "; given 'few'; see hmarl-transfer evaluate --help"),
        (("report", "x", "y"), "see hmarl-transfer report --help"),
        (("x" * 5_000,), "xxx...xxx"),
        (("evaluate", "--episodes", "x" * 5_000), "xxx...xxx"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_parsed_is_one_sentence(arguments, sentence, as_json):
    done = call(arguments[0], *(["--json"] if as_json else []), *arguments[1:])
    assert done.exit_code == 2
    told = done.stderr.strip()
    assert told.startswith("Error: ") and "\n" not in told and len(told) < 700
    assert sentence in told
    assert (json.loads(done.stdout)["error"] == told.removeprefix("Error: ")) if as_json else done.stdout == ""


def test_an_error_after_the_start_says_what_is_kept(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("evaluation.harness.run_folder.RunFolder.append", fails)
    done = call(*PLAY, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 1
    assert "What was finished is kept in" in json.loads(done.stdout.splitlines()[-1])["error"]
    monkeypatch.undo()
    assert call(*PLAY, "--out", tmp_path / "run").exit_code == 0


def test_a_damaged_row_is_refused_on_resume_and_nothing_is_lost(run_folder, tmp_path):
    row = b'{"policy": "random"}\n'
    (tmp_path / "spec.json").write_bytes((run_folder / "spec.json").read_bytes())
    (tmp_path / "episodes.jsonl").write_bytes(row)
    done = call(*PLAY, "--out", tmp_path, "--json")
    assert done.exit_code == 2
    assert "corrupt at line 1" in json.loads(done.stdout.splitlines()[-1])["error"]
    assert (tmp_path / "episodes.jsonl").read_bytes() == row


def test_only_failing_policies_are_told_with_their_reasons(tmp_path, monkeypatch):
    (tmp_path / "failing_policy.py").write_text(
        "from cage4.policies.baselines import NoDefense\n"
        "class Fails(NoDefense):\n"
        "    def act(self, *_):\n"
        "        raise ValueError('no [red] \\udcff :smile:')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = call(*PLAY[:-1], "failing_policy:Fails", "--out", tmp_path / "run", "--json")
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["policies"] == {}
    assert "no [red]" in answer["failures"][0]
    assert "no [red] \\udcff :smile:" in done.stderr
    assert "\\udcff" in (tmp_path / "run" / "run.log").read_text()


@pytest.mark.parametrize("name", ["a:b/run", "file:run", "s3:x/run", "with space/$x$ [red]"])
def test_a_folder_may_be_called_like_an_address(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*PLAY, "--out", name).exit_code == 0
    assert (tmp_path / name / "episodes.parquet").exists()
    done = call("report", name)
    assert done.exit_code == 0, done.output
    assert name in done.output


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files that are not UTF-8")
def test_a_folder_whose_name_is_no_text(tmp_path):
    done = in_a_process(*PLAY, "--out", os.fsdecode(b"\xff/run"), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert os.fsencode(answer["run"]) == b"\xff/run"
    refused = in_a_process(*PLAY[:-1], os.fsdecode(b"no\xffone:P"), "--out", "other", cwd=tmp_path)
    assert refused.returncode == 2
    assert b"UTF-8 text on one line" in refused.stderr
    assert b"Traceback" not in refused.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ('"$@" > /dev/full', 1),
        ('"$@" --json > /dev/full', 1),
        ('set -o pipefail; "$@" | head -c 0', 1),
        ('set -o pipefail; "$@" --json | head -c 0', 1),
        ('"$@" 2> /dev/full', 0),
        ('"$@" >&-', 0),
        ('"$@" --json >&-', 0),
    ],
)
def test_a_closed_or_full_output_is_no_traceback(shell, code, run_folder):
    done = in_a_process("report", run_folder, cwd=run_folder, shell=shell)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_terminal_without_unicode_gets_escapes(run_folder):
    done = in_a_process("report", run_folder, cwd=run_folder, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "no-defense" in done.stdout.decode("ascii")


def test_a_sentence_names_the_file_and_the_reason():
    text, code = sentences.sentence(NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"))
    assert (text, code) == ("Error: the system reports Not a directory at a/b; give a path that can be used", 2)
    assert sentences.sentence(ValueError("a bug")) is None


def test_what_is_given_may_be_huge_and_the_sentence_is_not():
    told, code = sentences.sentence(BadInput(f"the bundle is called {'x' * 100_000}; give it another name"))
    assert code == 2 and len(told) < 2_200 and "letters ...]" in told
    assert told.startswith("Error: the bundle is called x") and told.endswith("; give it another name")
    assert sentences.shortened("y" * 2_000) == "y" * 2_000
