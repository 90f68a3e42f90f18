"""Fine-tuning from the command line: a bundle in, a bundle out, interrupted and resumed, and wrong input."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.bundle import load_bundle
from evaluation.cli.app import app
from evaluation.games.cc4.policies import make_policy
from evaluation.games.cc4.training import make_env
from evaluation.inputs.errors import BadInput
from evaluation.jobs import finetune
from hmarl_soc import checkpoint
from hmarl_soc.training.validation import Validator
from tests.builders.train_command import TINY


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(autouse=True)
def _few_lessons(monkeypatch):
    """One short episode teaches the mapper little, but all that these tests need."""
    monkeypatch.setattr(finetune, "LESSON_EPISODES", 1)
    monkeypatch.setattr(finetune.spec, "DEFAULT_STEPS", 40)


def command(out, tiny, *more, bundle="hmarl-soc"):
    asked = ["finetune", bundle, "--seed", "0", "--out", str(out), "--config", str(tiny), "--json", *more]
    return CliRunner().invoke(app, asked)


def test_a_bundle_becomes_a_bundle_that_scores_what_validation_said(tmp_path, tiny):
    done = command(tmp_path / "run", tiny, "--steps", "400", "--parts", "all")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout.splitlines()[-1])
    folder = tmp_path / "run" / "bundle"
    assert result["bundle"] == str(folder) and result["steps"] == 400 and not result["interrupted"]
    bundle, start = load_bundle(folder), load_bundle(tmp_path / "run" / "start")
    tuning = bundle.provenance["fine-tuning"]
    assert tuning["from"] == "hmarl-soc" and tuning["rewards used"] is True and tuning["parts"] == "all"
    assert bundle.mapper.temperature == 1.0 and start.provenance.get("fine-tuning") is None
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    scores = {line["steps"]: line["score"] for line in log if line["kind"] == "validation"}
    assert min(scores) == 0 and len(scores) > 3  # the bundle as it came is a candidate too
    assert tuning["validation score"] == max(scores.values()) == scores[tuning["steps"]]
    settings = finetune.configure(tiny, None, None)
    validator = Validator(make_env(settings.environment, 3, rich=True), 3)
    assert validator(make_policy(f"bundle:{folder}"))["score"] == tuning["validation score"]
    again = command(tmp_path / "run", tiny)
    assert again.exit_code == 2 and "exists already" in again.output


def test_resumed_it_ends_as_if_it_had_never_stopped(tmp_path, tiny):
    for name, sittings in (("whole", ["300"]), ("parts", ["140", "300"])):
        for number, steps in enumerate(sittings):
            resume = ["--resume"] if number else []
            done = command(tmp_path / name, tiny, "--steps", steps, "--parts", "adapters", *resume)
            assert done.exit_code == 0, done.output
    whole, parts = (checkpoint.load(tmp_path / name / "last") for name in ("whole", "parts"))
    assert np.array_equal(whole.state["learner"]["scorer"]["of_host"], parts.state["learner"]["scorer"]["of_host"])
    best = [(tmp_path / name / "best" / "manifest.json").read_text() for name in ("whole", "parts")]
    assert json.loads(best[0])["sha256"] == json.loads(best[1])["sha256"]


def test_from_scratch_nothing_that_was_learned_is_left(tmp_path, tiny):
    done = command(tmp_path / "run", tiny, "--steps", "120", "--scratch")
    assert done.exit_code == 0, done.output
    start, source = load_bundle(tmp_path / "run" / "start"), make_policy("bundle:hmarl-soc")
    assert not start.mapper_weights.any() and start.name == "hmarl-soc-scratch"
    carried = finetune.make_carried(start.carried, tmp_path / "run" / "start").weights()
    trained = source.carried.weights()
    assert set(carried) == set(trained)
    weights = [name for name in carried if name.endswith("first.weight")]
    assert weights and all(not np.array_equal(carried[name], trained[name]) for name in weights)


@pytest.mark.parametrize(
    ("more", "bundle", "sentence"),
    [
        ([], "soc-adaptive", "carries no trained HMARL-SOC"),
        ([], "nowhere", "is not a bundle"),
        (["--parts", "legs"], "hmarl-soc", "parts"),
        (["--steps", "0"], "hmarl-soc", "steps"),
        (["--resume"], "hmarl-soc", "start"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, tiny, more, bundle, sentence):
    done = command(tmp_path / "run", tiny, *more, bundle=bundle)
    assert done.exit_code == 2 and sentence in " ".join(done.output.split()), done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[environment]\nlevel = 'apt'\n", "of the SOC simulator"),
        ("[environment]\nknobs = {magic = 1}\n", "unknown knob 'magic'"),
        ("[method]\nclip = 2\n", "clip"),
        ("[method]\nmagic = 2\n", "unknown setting"),
        ("trainer = 5\n", "trainer"),
        ("[trainer]\nvalidate_every = 'often'\n", "validate_every"),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, sentence):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    for steps in (None, 1000):
        with pytest.raises((BadInput, ValueError), match=sentence):
            finetune.configure(path, None, steps)
