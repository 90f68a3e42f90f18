"""Every number that a command takes has a range: what lies outside is refused in one sentence, whatever the command."""

import types
import typing

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.harness.schema import EvalSpec
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from tests.builders.commands import callbacks

NEEDED = {
    "evaluate": ("--engine", "native", "--policies", "no-defense"),
    "compare": ("{run}", "{run}"),
    "calibrate": ("adaptive",),
    "train": ("--seed", "0"),
    "finetune": ("hmarl-soc", "--seed", "0"),
    "study transfer-zero-shot": ("--bundle", "soc-adaptive"),
}
"""Command -> what else must be given."""
FOLDERS = ("evaluate", "calibrate", "train", "finetune", "study")
"""Commands that write to --out."""
ALLOWED = {("compare", "margin", "0")}
"""What is in range though it is one of the values below. A seed of 0 is in range but for calibrate."""
LISTS = [("bench cage4", "envs"), ("bench native_sim", "threads"), ("study fine-tuning", "budgets")]
"""Options of comma-separated numbers."""
OUTSIDE = ("0", "-1", str(10**21), str(10**300))


def numeric_options():
    """Yield (command, option, type) of every number in the signature of every command."""
    for words, callback in callbacks():
        for name, hint in typing.get_type_hints(callback).items():
            kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            for kind in {int, float} & set(kinds):
                yield " ".join(words), name.replace("_", "-"), kind


def call(command, option, value, tmp_path, run=None):
    needed = [word.format(run=run) for word in NEEDED.get(command, ())]
    out = ["--out", str(tmp_path / "out")] if command.split()[0] in FOLDERS else []
    return CliRunner().invoke(app, [*command.split(), *needed, *out, f"--{option}={value}"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["--engine", "native", "--steps", "8", "--episodes", "2", "--policies", "no-defense"]
    assert CliRunner().invoke(app, ["evaluate", *arguments, "--out", str(folder)]).exit_code == 0
    return folder


def cases():
    for command, option, kind in numeric_options():
        for value in (*OUTSIDE, *(("nan", "inf", "-inf") if kind is float else ())):
            seed_of_all = option == "seed" and value == "0" and command != "calibrate"
            if not seed_of_all and (command, option, value) not in ALLOWED:
                yield command, option, value


def test_every_command_is_walked():
    found = {(command, option) for command, option, _ in numeric_options()}
    assert len(found) >= 50
    assert {("study table3", "seeds"), ("bench train", "seconds"), ("compare", "margin"), ("evaluate", "envs")} <= found


@pytest.mark.parametrize(("command", "option", "value"), list(cases()))
def test_a_number_out_of_range_is_one_sentence(command, option, value, tmp_path, run):
    done = call(command, option, value, tmp_path, run)
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    told = " ".join(done.stderr.split())
    assert f"--{option}" in told
    assert " must be " in told
    assert value[:20] in told or f"{float(value):g}" in told  # what was given, shortened where it is very long
    assert len(told) < 300
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("command", "option"), LISTS)
@pytest.mark.parametrize("value", ["0", "-1", "1,-1", "", ",", "1.5", "nan", "\u0663", str(10**21), "1," + "9" * 5_000])
def test_so_is_one_of_a_list(command, option, value, tmp_path):
    done = call(command, option, value, tmp_path)
    assert done.exit_code == 2, done.output
    told = " ".join(done.stderr.split())
    assert f"--{option} must be" in told or f"--{option} has a blank entry" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["seeds", "steps", "workers"])
def test_zero_is_not_the_default(option, tmp_path):
    """A number is taken as it is given: 0 never means that nothing was."""
    done = call("study table3", option, "0", tmp_path)
    assert done.exit_code == 2
    assert f"--{option} must be at least 1; given 0" in done.stderr


def test_zero_seeds_of_fine_tuning(tmp_path):
    arguments = ["study", "fine-tuning", "--out", str(tmp_path / "out"), "--seeds", "0"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "--seeds must be at least 1; given 0" in done.stderr


def test_the_largest_seed_is_played(tmp_path, run):
    largest = ["--steps", "8", "--episodes", "1", "--policies", "random", "--seed", str(2**63 - 1)]
    assert CliRunner().invoke(app, ["evaluate", *largest, "--out", str(tmp_path / "run")]).exit_code == 0


@pytest.mark.parametrize("value", [0, 2**63 - 1, None])
def test_bounds_are_in_range(value):
    ranges.check("--seed", value, ranges.SEED)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (-1, "--seed must be at least 0; given -1"),
        (2**63, "--seed must be at most 9,223,372,036,854,775,807; given 9223372036854775808"),
        (float("nan"), "--seed must be from 0 to 9,223,372,036,854,775,807; given nan"),
    ],
)
def test_the_sentence_says_what_is_allowed(value, sentence):
    with pytest.raises(BadInput) as error:
        ranges.check("--seed", value, ranges.SEED)
    assert str(error.value) == sentence


def test_lists_of_numbers():
    assert ranges.numbers("--envs", "1, 64", ranges.ENVS) == [1, 64]


@pytest.mark.parametrize("name", ["episodes", "steps", "seed"])
@pytest.mark.parametrize("value", [-1, 10**21])
def test_a_specification_in_a_file_has_the_same_bounds(name, value):
    good = {"engine": "native", "variant": "base-v1", "variant_knobs": {}, "policies": ("random",)}
    EvalSpec(**good)
    with pytest.raises(ValueError, match=name):
        EvalSpec(**good, **{name: value})
