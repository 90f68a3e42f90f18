"""The study command: every option reaches the study that takes it, and the other studies refuse it."""

import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from evaluation.cli import app as cli
from evaluation.inputs.errors import BadInput
from evaluation.studies import command
from evaluation.studies.command import STUDIES, Options
from tests.builders.commands import callbacks

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


_TRAINED = {"out", "seeds", "steps", "workers", "smoke", "report_only", "recorded"}
_WATCHED = {"out", "policies", "episodes", "smoke", "report_only"}
_PLAYED = {"out", "bundle", "engine", "variant", "episodes", "seed", "workers"}
TAKES = {
    **dict.fromkeys(("table3", "table4", "k-sweep", "reward-weights", "apt"), _TRAINED),
    "explain": _TRAINED - {"recorded"},  # it asks the weights of the runs, which are not recorded
    "scaling": {"out", "smoke", "report_only"},
    "tuning": _TRAINED - {"seeds"},
    **dict.fromkeys(("behaviours", "roles"), _WATCHED),
    "transfer-zero-shot": _PLAYED,
    "fine-tuning": {"budgets", "parts", "starts", "seeds", "bundle", "episodes", "seed"} | (_TRAINED - {"steps"}),
    "cross-simulator": _PLAYED | {"smoke"},
}
"""Study -> its options."""


def words(option, value):
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def call(*arguments):
    done = CliRunner().invoke(cli.app, ["study", *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_every_study_is_here():
    assert set(TAKES) == set(STUDIES) == {path[1] for path, _ in callbacks() if path[0] == "study"}


@pytest.mark.parametrize("option", OTHER_THAN_DEFAULT)
@pytest.mark.parametrize("name", STUDIES)
def test_an_option_counts_or_is_refused(name, option, monkeypatch, tmp_path):
    """An option that counts may also stand before the name of the study, as in earlier versions."""
    seen = []
    monkeypatch.setitem(command.STUDIES, name, lambda name, asked, console: seen.append((name, asked)))
    value = OTHER_THAN_DEFAULT[option]
    out, given = ["--out", str(tmp_path)], words(option, value)
    for arguments in ([name, *out, *given], [*given, name, *out], [*out, *given, name]):
        code, said = call(*arguments)
        if option in TAKES[name]:
            expected = (value,) if option == "bundle" else value
            (found, asked), seen[:] = seen[0], []
            assert code == 0 and found == name and getattr(asked, option) == expected
        else:
            assert code == 2 and not seen
            assert f"study {name} does not take {given[0]}; it takes --" in said
            taken = said.partition("; it takes ")[2].partition(";")[0].split(", ")
            assert {f"--{one.replace('_', '-')}" for one in TAKES[name]} < set(taken)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", STUDIES)
def test_without_options_a_study_gets_its_defaults(name, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setitem(command.STUDIES, name, lambda name, asked, console: seen.append(asked))
    assert call(name, "--out", str(tmp_path))[0] == 0
    rest = {"out": tmp_path, "workers": seen[0].workers, "seeds": seen[0].seeds, "episodes": seen[0].episodes}
    assert seen[0] == Options(**rest)
    assert seen[0].seeds == (None if "seeds" not in TAKES[name] else 3 if name == "fine-tuning" else 5)
    assert seen[0].episodes == (100 if "bundle" in TAKES[name] else None)


def test_the_help_of_a_study_shows_its_options_alone():
    for name, takes in TAKES.items():
        done = CliRunner().invoke(cli.app, ["study", name, "--help"], terminal_width=300, env={"COLUMNS": "300"})
        plain = re.sub(
            r"\x1b\[[0-9;]*m", "", done.output
        )  # whether help is coloured is decided when Typer is first used
        shown = {word for line in plain.splitlines() for word in line.split()[:2] if word.startswith("--")}
        assert shown - {"--json", "--quiet", "--no-color", "--help"} == {f"--{one.replace('_', '-')}" for one in takes}


def test_an_unknown_study_is_named_with_those_that_are_known(tmp_path):
    code, said = call("table9", "--out", str(tmp_path))
    assert code == 2 and "unknown study 'table9'; known: table3" in said
    assert all(name in said for name in STUDIES)
    with pytest.raises(BadInput, match="unknown study 'table9'; known: table3"):
        command.run("table9", Options(tmp_path), QUIET)


def test_a_report_alone_needs_something_to_report(tmp_path):
    code, said = call("k-sweep", "--report-only", "--out", str(tmp_path))
    assert code == 2 and "no run of k-sweep is finished" in said


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
    command.run(name, Options(Path("out"), **asked), QUIET)
    assert tuple(calls[0][: len(expected)]) == expected


def test_values_out_of_range_stay_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="--budgets must be at least 1,000; given 5"):
        command.run("fine-tuning", Options(tmp_path, budgets="5"), QUIET)
