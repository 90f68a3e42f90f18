"""Every kind of file that is loaded, with every wrong value at every key: one sentence, and never a traceback."""

import hashlib
import json
import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.bundle import PACKAGED
from cage4.variants import Variant
from cage4.variants import get_variant as cc4_variant
from evaluation.cli.app import app
from evaluation.games.cc4.policies import CC4
from evaluation.games.soc.policies import soc_registry
from evaluation.harness.schema import EvalSpec
from evaluation.inputs.errors import BadInput
from evaluation.jobs.finetune import configure
from evaluation.jobs.train import _resolve
from evaluation.policies.registry import make_policy
from evaluation.studies.behaviour.behaviours import _measured
from evaluation.studies.behaviour.explain import _read as read_explained
from evaluation.studies.behaviour.roles import _read as read_returns
from evaluation.studies.files import read_object, read_validations
from evaluation.studies.training.runs import Job, read_held_out, read_trained
from hmarl_soc.config import RunConfig
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.training.runs import make_env, make_teacher
from native_sim.soc.config import SocConfig
from native_sim.soc.corrected.reward import METRICS
from native_sim.soc.variants import get_variant as soc_variant
from tests.builders import mutations

SOC = soc_registry("corrected")
SAMPLE = 200
"""Mutants of a document that are tried here; all of them with the slow tests."""
FEW = 60
"""The same where a whole report is made of each."""


def tries(document, sample=SAMPLE):
    """Return a sample of the mutants of a document, the same ones every time; all of them for None."""
    found = list(mutations.mutants(document, most=1))
    return found if sample is None or len(found) <= sample else random.Random(0).sample(found, sample)


def refused_in_one_sentence(load, what):
    """Load a file that may be wrong; return whether it was refused."""
    try:
        load()
    except (BadInput, ValueError) as error:
        assert not isinstance(error, UnicodeError | json.JSONDecodeError), what
        text = str(error)
        assert text, what
        assert "Traceback" not in text, what
        assert len(text) < 2_000, what
        return True
    return False


def check(path, load, documents, write=mutations.as_json, sample=SAMPLE, sound=()):
    """Try whole files that are none (but for those that are ``sound``), and mutants of documents that must load."""
    for name, text in mutations.texts():
        path.write_bytes(text)
        assert name in sound or refused_in_one_sentence(load, name), f"{name} was taken"
    for document in documents:
        path.write_bytes(write(document))
        load()
        refused = 0
        for what, wrong in tries(document, sample):
            try:
                text = write(wrong)
            except (TypeError, AttributeError):  # nothing that this language can say
                continue
            path.write_bytes(text)
            refused += refused_in_one_sentence(load, what)
        assert refused
        path.write_bytes(write(document))
        load()


def as_toml(document):
    """Return a document as the bytes of a TOML file, of inline tables."""
    return "".join(f"{json.dumps(name)} = {_toml(value)}\n" for name, value in document.items()).encode(
        "utf-8", "surrogatepass"
    )


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(name)} = {_toml(part)}' for name, part in value.items())}}}"
    raise TypeError(value)


# ------------------------------------------------------------------------------------------------ run folders
@pytest.fixture(scope="module", params=["cc4", "soc"])
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    arguments = ["--game", request.param, "--steps", "8", "--episodes", "2", "--policies", "no-defense,random"]
    done = CliRunner().invoke(app, ["evaluate", *arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


def report(folder):
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    if done.exit_code:
        assert done.exit_code == 2
        raise BadInput(" ".join(done.stderr.split()))


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr("evaluation.reporting.report.figures", lambda summary, rows: {})


def copied(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_the_specification_of_a_run(run, tmp_path, undrawn):
    folder = copied(run, tmp_path)
    path = folder / "spec.json"
    check(path, lambda: report(folder), [json.loads(path.read_text())], sample=FEW)


def test_a_specification_whose_digest_was_forged_too(run, tmp_path, undrawn):
    folder = copied(run, tmp_path)
    path = folder / "spec.json"
    document = json.loads(path.read_text())
    tried = 0
    for what, wrong in tries(document["spec"], 3 * FEW):
        try:
            spec = EvalSpec.model_validate(wrong)
            forged = {"spec": spec.model_dump(mode="json"), "id": spec.id, "seeds": spec.episode_seeds()}
        except (ValueError, TypeError):
            continue
        path.write_bytes(mutations.as_json({**document, **forged}))
        refused_in_one_sentence(lambda: report(folder), what)
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("name", ["episodes.jsonl", "episodes.parquet"])
def test_the_rows_of_a_run_that_are_none(name, run, tmp_path, undrawn):
    folder = copied(run, tmp_path)
    (folder / "episodes.parquet").unlink()
    for what, text in mutations.texts():
        (folder / name).write_bytes(text + b"\n")
        assert refused_in_one_sentence(lambda: report(folder), what)


# ------------------------------------------------------------------------------------------ bundles, weights
@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(PACKAGED / "hmarl-soc", tmp_path / "bundle"))


def test_the_index_of_a_bundle(bundle):
    path = bundle / "bundle.json"
    check(path, lambda: make_policy(f"bundle:{bundle}", CC4), [json.loads(path.read_text())])


def test_the_tensors_of_a_bundle_whose_digest_was_forged_too(bundle):
    path, index = bundle / "tensors.safetensors", bundle / "bundle.json"
    good, document = path.read_bytes(), json.loads(index.read_text())
    size = 8 + int.from_bytes(good[:8], "little")
    head = json.loads(good[8:size])

    def load(header):
        data = len(header).to_bytes(8, "little") + header + good[size:]
        path.write_bytes(data)
        document["files"][path.name] = hashlib.sha256(data).hexdigest()
        index.write_bytes(mutations.as_json(document))
        make_policy(f"bundle:{bundle}", CC4)

    load(mutations.as_json(head))
    for what, text in mutations.texts():
        assert refused_in_one_sentence(lambda text=text: load(text), what)
    first = dict(list(head.items())[:1])
    for what, wrong in mutations.mutants(first, most=2):
        forged = mutations.as_json({**head, **wrong} if isinstance(wrong, dict) else wrong)
        refused_in_one_sentence(lambda forged=forged: load(forged), what)


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)])
def test_the_manifest_of_trained_weights(sample, bundle):
    path = bundle / "policy" / "manifest.json"
    weights = Path(shutil.copytree(path.parent, bundle / "weights"))
    load = lambda: make_policy(f"weights:{weights}", SOC)  # noqa: E731
    check(weights / path.name, load, [json.loads(path.read_text())], sample=sample)


def test_a_constant_policy(tmp_path):
    path = tmp_path / "constant.json"
    document = {"coordinator": [0.0] * 8, "hunter": [0.1] * 16, "triage": 2, "responder": [0.0] * 12}
    check(path, lambda: make_policy(f"constant:{path}", SOC), [document])


# --------------------------------------------------------------------------------------- variants, settings
def test_a_variant_of_cc4(tmp_path):
    path = tmp_path / "variant.toml"
    choices = cc4_variant("singh-stealth").red_choices
    document = Variant(name="custom", red_choices=choices).to_dict()
    check(path, lambda: cc4_variant(str(path)), [document], as_toml, sound=["empty"])


def test_a_variant_of_the_soc_simulator(tmp_path):
    path = tmp_path / "variant.toml"
    document = {"name": "custom", **SocConfig().to_dict()}
    check(path, lambda: soc_variant(str(path)), [document], as_toml, sound=["empty"])


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)])
def test_settings_of_training(sample, tmp_path):
    path = tmp_path / "settings.toml"

    def load():
        settings, _ = _resolve("hmarl-soc", path, None, None, None)
        if settings.environment.num_envs < 300:
            make_env(settings.environment)
            make_teacher(settings.environment)

    check(path, load, [RunConfig(method=HmarlConfig()).to_dict()], as_toml, sample, ["empty"])


def test_settings_of_fine_tuning(tmp_path):
    path = tmp_path / "settings.toml"
    check(path, lambda: configure(path, None, None), [configure(None, None, None).to_dict()], as_toml, sound=["empty"])


# ----------------------------------------------------------------------------------------------- studies
@pytest.fixture
def job(tmp_path):
    return Job(None, 0, None, "default", 2, tmp_path)


def test_how_a_training_run_ended(job, tmp_path):
    document = {"steps": 8, "episodes": 2, "best_score": -1.5, "last_sitting_s": 0.1}
    check(tmp_path / "trained.json", lambda: read_trained(job), [document])


def test_the_metrics_of_held_out_episodes(job, tmp_path):
    document = {"episodes": 2, "level": "default", "metrics": {name: [0.5, None] for name in ("return", *METRICS)}}
    check(tmp_path / "held-out-default.json", lambda: read_held_out(job), [document])


def test_the_log_of_a_training_run(tmp_path):
    document = {"kind": "validation", "steps": 8, "score": -1.5}
    check(tmp_path / "log.jsonl", lambda: read_validations(tmp_path), [document], sound=["empty", "NUL"])


def test_the_returns_of_the_study_of_roles(tmp_path):
    path = tmp_path / "log.json"
    check(path, lambda: read_returns(path, 2), [{"policy": [0.5, 1.5], "teacher": [0.5, 2.5]}])


def test_what_was_explained(tmp_path):
    path = tmp_path / "explained.json"
    areas = {"hunter": {"attention": [0.1, 0.2], "chance": [0.3, 0.4]}}
    document = {"areas": areas, "reports": [{"step": 3, "reports": [{"words": "because"}]}]}
    check(path, lambda: read_explained(path), [document])


def test_an_object_of_any_study(tmp_path):
    path = tmp_path / "summary.json"
    for name, text in mutations.texts():
        path.write_bytes(text)
        if name != "NUL":
            assert refused_in_one_sentence(lambda: read_object(path), name)


def test_the_log_of_a_policys_behaviour(tmp_path):
    from evaluation.studies.behaviour.behaviours import _save, play

    path = tmp_path / "log.npz"
    tables = play(make_policy("random", SOC), 3)
    _save(path, tables)
    _measured(path)
    for name, text in mutations.texts():
        path.write_bytes(text)
        assert refused_in_one_sentence(lambda: _measured(path), name)
    for name, table in tables.items():
        for wrong in (None, np.zeros(0), np.zeros((3, 1)), np.array("x"), np.zeros((2, 2, 2)), table.astype(str)):
            changed = {**tables, name: wrong}
            if wrong is None:
                del changed[name]
            _save(path, changed)
            refused_in_one_sentence(lambda: _measured(path), f"{name} = {wrong}")
