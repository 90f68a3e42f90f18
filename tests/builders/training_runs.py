"""Training runs by the command line, and what they leave behind."""

import json

import numpy as np
from typer.testing import CliRunner

from evaluation.cli.app import app
from hmarl_soc import checkpoint


def call(*arguments):
    """Run a command in this process; return its exit code and what it said in one line."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.exit_code, " ".join(done.output.split())


def run_of(settings, out, steps, *options):
    return ("train", "--config", settings, "--seed", 3, "--out", out, "--steps", steps, *options)


def content(out):
    """What a run left: its state, and the lines of its log without the time they took."""
    state = checkpoint.load(out / "last").state
    state["spent_s"] = state["log"]["bytes"] = state["log"]["sha256"] = None  # times are in them
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return state, [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def same(one, other):
    """Compare nested values exactly."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list | tuple):
        for first, second in zip(one, other, strict=True):
            same(first, second)
    else:
        np.testing.assert_array_equal(one, other)
