"""evaluate, report, compare: bad input is one sentence and exit code 2, and reports are rebuilt from rows alone."""

import json

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.harness.run_folder import SPEC, TABLE

runner = CliRunner()
QUICK = ("evaluate", "--engine", "native", "--steps", "30", "--episodes", "3")


def call(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    done = call(*QUICK, "--out", out)
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--policies", "nonsense"), "unknown policy 'nonsense'; known policies: no-defense, random, random-unmasked"),
        (("--policies", "random,random"), "each policy may be named once"),
        (("--policies", "no.such:thing"), "cannot be loaded (ModuleNotFoundError"),
        (("--policies", "json:dumps"), "cannot be loaded (TypeError"),
        (("--policies", "collections:OrderedDict"), "must be a native_sim.Policy"),
        (("--policies", "there-is-no/submission.zip"), "unknown policy"),
        (("--engine", "cyborgg"), "unknown engine 'cyborgg'"),
        (("--variant", "hard"), "unknown variant 'hard'; known variants: base"),
        (("--episodes", "0"), "--episodes must be at least 1; given 0"),
        (("--episodes", "-3"), "--episodes must be at least 1; given -3"),
        (("--steps", "2"), "--steps must be at least 3; given 2"),
        (("--seed", "-1"), "--seed must be at least 0; given -1"),
        (("--workers", "0"), "--workers must be at least 1; given 0"),
        (("--envs", "0"), "--envs must be at least 1; given 0"),
        (("--episodes", "many"), "Invalid value for '--episodes'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, options, sentence):
    done = call(*QUICK, "--out", tmp_path / "run", *options)
    assert done.exit_code == 2, done.output
    assert sentence in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


def test_submissions_need_cyborg_and_a_submission_file(tmp_path):
    done = call(*QUICK, "--policies", tmp_path)
    assert done.exit_code == 2
    assert "is no CC4 submission" in " ".join(done.output.split())
    (tmp_path / "submission.py").write_text("")
    done = call(*QUICK, "--policies", tmp_path)
    assert done.exit_code == 2
    assert "use --engine cyborg" in " ".join(done.output.split())


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    done = call(*QUICK, "--out", tmp_path / "file" / "run")
    assert done.exit_code == 2
    assert "--out" in done.output


def test_what_was_asked_is_kept_beside_what_it_came_to(tmp_path):
    assert (
        call("evaluate", "--steps", "10", "--episodes", "1", "--policies", "random", "--out", tmp_path).exit_code == 0
    )
    document = json.loads((tmp_path / SPEC).read_text())
    assert document["provenance"]["asked"] == {
        "game": "cc4",
        "engine": "auto",
        "variant": "base",
        "policies": "random",
    }
    assert (document["spec"]["engine"], document["spec"]["variant"]) == ("native", "base-v1")
    assert len(document["seeds"]) == 1


def test_report_rebuilds_everything(run_folder):
    names = ("summary.json", "report.md", "report.html")
    before = {name: (run_folder / name).read_bytes() for name in names}
    figures = {path.name: path.read_bytes() for path in (run_folder / "figures").iterdir()}
    assert figures
    for name in names:
        (run_folder / name).unlink()
    done = call("report", run_folder, "--json")
    assert done.exit_code == 0
    assert {name: (run_folder / name).read_bytes() for name in names} == before
    assert {path.name: path.read_bytes() for path in (run_folder / "figures").iterdir()} == figures
    assert json.loads(done.stdout.splitlines()[-1])["policies"]["random"]["n"] == 3


def test_compare_a_run_with_itself_and_with_a_worse_one(run_folder, tmp_path):
    same = call("compare", run_folder, run_folder, "--json")
    assert same.exit_code == 0, same.output
    other = tmp_path / "other"
    assert call(*QUICK, "--seed", "9", "--out", other).exit_code == 0
    assert call("compare", run_folder, other).exit_code in (0, 1)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_what_is_no_run_folder_is_refused(command, tmp_path, run_folder):
    arguments = (tmp_path,) if command == "report" else (run_folder, tmp_path)
    done = call(command, *arguments)
    assert done.exit_code == 2
    assert "is not a run folder" in " ".join(done.output.split())


def test_a_truncated_table_and_another_format(run_folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (SPEC, TABLE):
        (copy / name).write_bytes((run_folder / name).read_bytes())
    (copy / TABLE).write_bytes((run_folder / TABLE).read_bytes()[:-100])
    done = call("report", copy)
    assert done.exit_code == 2
    assert "corrupt or truncated" in " ".join(done.output.split())
    (copy / SPEC).write_text(json.dumps({**json.loads((copy / SPEC).read_text()), "format": 0}))
    done = call("report", copy)
    assert done.exit_code == 2
    assert "run-folder format 0" in " ".join(done.output.split())
