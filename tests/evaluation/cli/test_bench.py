"""bench, parity, doctor: every bench has its own options, and cage4 is meant where none is named."""

import json

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.jobs.bench import SUBJECTS
from tests.builders.commands import callbacks, parsers


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "coffee"), "unknown bench 'coffee'; known: cage4, native_sim, train"),
        (("bench", "cage"), "did you mean cage4?"),
        (("bench", "cage4", "--envs", "1,x"), "--envs must be positive whole numbers"),
        (("bench", "cage4", "--threads", "0"), "--threads must be positive whole numbers"),
        (("bench", "cage4", "--seconds", "0"), "--seconds must be at least 0.001; given 0.0"),
        (("bench", "cage4", "--threads", "4096"), "threads"),
        (("bench", "native_sim", "--envs", "many"), "--envs must be positive whole numbers"),
        (("bench", "train", "--envs", "8"), "bench train does not take --envs; it takes --seconds"),
    ],
)
def test_bench_refuses_nonsense(arguments, sentence):
    done = call(*arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--variants", "hard"), "unknown variant 'hard'"),
        (("--drivers", "wild"), "unknown driver 'wild'; known drivers: sleep"),
        (("--reds", "purple"), "unknown red agent 'purple'"),
        (("--episodes", "0"), "--episodes must be at least 1"),
        (("--steps", "2"), "--steps must be at least 3"),
        (("--workers", "0"), "--workers must be at least 1"),
        (("--seed", "-1"), "--seed must be at least 0"),
    ],
)
def test_parity_refuses_nonsense(arguments, sentence):
    done = call("parity", *arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())


@pytest.mark.cyborg
def test_parity_finds_no_difference():
    done = call("parity", "--drivers", "valid,commands", "--reds", "finite-state,sleep", "--steps", "20", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["diverged"] is False
    assert [(row["red"], row["driver"], row["steps"]) for row in answer["rows"]] == [
        ("finite-state", "valid", 19),
        ("finite-state", "commands", 19),
        ("sleep", "valid", 19),
        ("sleep", "commands", 19),
    ]


def test_doctor_answers():
    done = call("doctor", "--no-smoke", "--json")
    assert done.exit_code in (0, 1)
    checks = json.loads(done.stdout.splitlines()[-1])["checks"]
    assert all(check["status"] in ("ok", "warn", "fail") for check in checks)


@pytest.fixture
def measured(monkeypatch):
    """What the measurements were asked, instead of measuring."""
    calls = []
    monkeypatch.setattr("evaluation.jobs.bench.bench", lambda *asked: calls.append(asked[:-1]) or {})
    monkeypatch.setattr("evaluation.jobs.train.bench", lambda *asked: calls.append(("train", *asked[:-1])) or {})
    return calls


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ("cage4", "1,64,1024", "1,2", 2.0, True)),
        (("cage4",), ("cage4", "1,64,1024", "1,2", 2.0, True)),
        (("--envs", "1", "--no-cold"), ("cage4", "1", "1,2", 2.0, False)),
        (("--no-cold", "--seconds", "3", "native_sim"), ("native_sim", "200", "1", 3.0, False)),
        (("native_sim", "--threads", "2"), ("native_sim", "200", "2", 2.0, True)),
        (("train", "--seconds", "1"), ("train", 1.0)),
        (("--seconds=1", "train", "--json"), ("train", 1.0)),
    ],
)
def test_every_spelling_measures_what_is_named(arguments, expected, measured):
    done = call("bench", *arguments)
    assert done.exit_code == 0, done.output
    assert measured == [expected]


def test_an_option_value_is_not_taken_for_a_name(measured):
    assert call("bench", "--envs", "train", "native_sim").exit_code == 0
    assert measured == [("native_sim", "train", "1", 2.0, True)]


def test_defaults_are_those_of_the_measurement():
    found = {path[1]: command for path, command in parsers() if path[0] == "bench"}
    for name, (envs, threads) in SUBJECTS.items():
        defaults = {option.name: option.default for option in found[name].params}
        assert (defaults["envs"], defaults["threads"]) == (envs, threads)
    assert set(found) == {*SUBJECTS, "train"}


def test_help_of_the_group_and_of_a_member():
    for arguments in (("--help",), ("-h",), ("--seconds", "1", "-h")):
        done = call("bench", *arguments)
        assert done.exit_code == 0 and "native_sim" in done.output
    assert "--envs" not in call("bench", "train", "-h").output
    assert ("bench", "train") in dict(callbacks())
