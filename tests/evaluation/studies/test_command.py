"""The study command: every option reaches the study that takes it, and no other study takes it silently."""

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from evaluation.cli import app as cli
from evaluation.inputs.errors import BadInput
from evaluation.studies import command
from evaluation.studies.command import STUDIES, Options

QUIET = Console(quiet=True)
OTHER_THAN_DEFAULT = {
    "workers": 2,
    "seeds": 4,
    "steps": 5000,
    "budgets": "2000",
    "parts": "heads",
    "starts": "scratch",
    "smoke": True,
    "report_only": True,
    "recorded": True,
    "policies": "adaptive",
    "bundle": "soc-adaptive",
    "episodes": 7,
    "engine": "native",
    "variant": "phishing",
    "seed": 9,
}


def words(option, value):
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def call(*arguments):
    done = CliRunner().invoke(cli.app, ["study", *arguments])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("option", OTHER_THAN_DEFAULT)
@pytest.mark.parametrize("name", STUDIES)
def test_an_option_counts_or_is_refused(name, option, monkeypatch, tmp_path):
    seen = []
    takes = STUDIES[name][1]
    monkeypatch.setitem(command.STUDIES, name, (lambda name, asked, console: seen.append(asked), takes))
    value = OTHER_THAN_DEFAULT[option]
    code, said = call(name, "--out", str(tmp_path), *words(option, value))
    if option in takes:
        expected = (value,) if option == "bundle" else value
        assert code == 0 and getattr(seen[0], option) == expected
    else:
        assert code == 2 and not seen
        assert f"study {name} does not take {words(option, value)[0]}; it takes --" in said
    assert not list(tmp_path.iterdir())


def test_an_unknown_study_is_named_with_those_that_are_known(tmp_path):
    code, said = call("table9", "--out", str(tmp_path))
    assert code == 2 and "unknown study 'table9'; known: table3" in said
    assert all(name in said for name in STUDIES)


def test_every_study_is_in_the_help():
    found = CliRunner().invoke(cli.app, ["study", "--help"], terminal_width=300, env={"COLUMNS": "300"})
    for name in STUDIES:
        assert name in found.output, name


@pytest.mark.parametrize(
    ("name", "module", "asked", "expected"),
    [
        ("table3", "training", {"seeds": 2, "workers": 3, "steps": 9}, ("table3", "out", 2, 3, 9)),
        ("k-sweep", "training", {}, ("k-sweep", "out", 5, 1, None)),
        ("tuning", "tuning", {"workers": 3, "steps": 9}, ("out", 3, 9, False, False, False)),
        ("behaviours", "behaviours", {"policies": "a,b", "episodes": 3}, (("a", "b"), "out/behaviours", 3)),
        ("transfer-zero-shot", "transfer_zero_shot", {"bundle": ("x",)}, (("x",), "out/transfer-zero-shot", "auto")),
        ("cross-simulator", "cross_simulator", {}, ("soc-adaptive", "out/cross-simulator", "auto", ["base"])),
        ("fine-tuning", "finetuning", {"bundle": ("x",)}, ("x", "out/fine-tuning")),
    ],
)
def test_studies_are_called_with_what_was_asked(name, module, asked, expected, monkeypatch):
    calls = []

    def study(*arguments):
        calls.append([str(a) if hasattr(a, "parts") and hasattr(a, "suffix") else a for a in arguments])

    monkeypatch.setattr(getattr(command, module), "study", study)
    command.run(name, Options(Path("out"), **asked), set(asked), QUIET)
    assert tuple(calls[0][: len(expected)]) == expected


def test_values_out_of_range_stay_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="--budgets must be at least 1,000; given 5"):
        command.run("fine-tuning", Options(tmp_path, budgets="5"), {"budgets"}, QUIET)
