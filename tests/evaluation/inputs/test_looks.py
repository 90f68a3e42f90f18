"""What was given in the place of something else is told, with the name under which it can be used."""

import json
import shutil
import zipfile

import pytest
from typer.testing import CliRunner

from adapters.bundle import bundle_folder
from evaluation.cli.app import app
from evaluation.games.cc4.policies import CC4, make_policy
from evaluation.games.soc.policies import soc_registry
from evaluation.inputs.errors import BadInput, split_list
from evaluation.inputs.looks import hint, look
from evaluation.policies import registry
from evaluation.policies.registry import check_policies


@pytest.fixture
def places(tmp_path):
    """Folders and files of every kind that this project writes or reads."""
    packaged = bundle_folder("hmarl-soc")
    shutil.copytree(packaged, tmp_path / "bundle")
    shutil.copytree(packaged / "policy", tmp_path / "weights")
    shutil.copytree(packaged / "policy", tmp_path / "train" / "best")
    manifest = json.loads((packaged / "policy" / "manifest.json").read_text())
    (tmp_path / "train" / "last").mkdir()
    (tmp_path / "train" / "last" / "manifest.json").write_text(json.dumps({**manifest, "kind": "training"}))
    (tmp_path / "train" / "log.jsonl").write_text("")
    shutil.copytree(packaged, tmp_path / "tuned" / "bundle")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "log.jsonl").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.json").write_text("{}")
    for name in ("study", "empty", "odd"):
        (tmp_path / name).mkdir()
    (tmp_path / "study" / "table.md").write_text("")
    (tmp_path / "odd" / "x.bin").write_text("")
    for place in ("submission", "around/mine", "modules", "checkout/CybORG"):
        (tmp_path / place).mkdir(parents=True)
    for place in (
        "submission/submission.py",
        "around/mine/submission.py",
        "modules/own.py",
        "checkout/CybORG/__init__.py",
    ):
        (tmp_path / place).write_text("")
    with zipfile.ZipFile(tmp_path / "around.zip", "w") as file:
        file.writestr("mine/submission.py", "")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "")
    return tmp_path


KINDS = {
    "bundle": ("a bundle", "bundle:{}"),
    "bundle/policy": ("the policy inside a bundle", "bundle:{parent}"),
    "bundle/bundle.json": ("a file of a bundle", "bundle:{parent}"),
    "weights": ("trained weights", "weights:{}"),
    "train": ("a run folder of train", "weights:{}"),
    "train/best": ("trained weights", "weights:{}"),
    "train/last": ("a checkpoint to resume training from", "weights:{parent}"),
    "train/log.jsonl": ("a file of a run folder of train", "weights:{parent}"),
    "tuned": ("a run folder of finetune", "bundle:{}/bundle"),
    "begun": ("a run folder of train without best weights", ""),
    "run": ("a run folder of evaluate", ""),
    "run/spec.json": ("a file of a run folder of evaluate", ""),
    "study": ("a folder of a study", ""),
    "submission": ("a CC4 submission", "{}"),
    "submission/submission.py": ("a file of a CC4 submission", "{parent}"),
    "around": ("a folder around a CC4 submission", "{}/mine"),
    "around.zip": ("a zip around a CC4 submission", ""),
    "modules": ("a folder of Python modules", ""),
    "modules/own.py": ("a Python module", ""),
    "checkout": ("a checkout of CybORG", ""),
    "empty": ("an empty folder", ""),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_recognised(places, name):
    what, spelling = KINDS[name]
    path = places / name
    found = look(path)
    assert (found.what, found.spelling) == (what, spelling.format(path, parent=path.parent))
    assert hint("something else", path) == f"; {found}"
    assert not spelling or hint(found.spelling, path) == ""


@pytest.mark.parametrize("name", ["odd", "other.zip", "odd/x.bin", "absent"])
def test_what_is_not_recognised_is_left_alone(places, name):
    assert look(places / name) is None and hint("x", places / name) == ""


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"kind": "weights", "interface": 1}', "[" * 100_000])
def test_a_damaged_manifest_is_still_weights(places, manifest):
    (places / "weights" / "manifest.json").write_text(manifest)
    assert look(places / "weights").what == "trained weights"


def test_weights_of_cc4_are_spelled_without_an_engine(places):
    path = places / "weights" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert "--game soc" in str(look(places / "weights"))
    for number, agent in enumerate(manifest["interface"]["agents"]):
        agent["name"] = f"blue_agent_{number}"
    path.write_text(json.dumps(manifest))
    assert str(look(places / "weights")) == f"it looks like trained weights: give weights:{places / 'weights'}"


@pytest.mark.parametrize("engine", ["native", "cyborg"])
@pytest.mark.parametrize("name", sorted({*KINDS} - {"submission"}))
def test_a_policy_that_is_none_is_told_what_it_is(places, name, engine):
    path = places / name
    with pytest.raises(BadInput) as caught:
        check_policies((str(path),), engine, CC4)
    sentence = str(caught.value)
    assert f"it looks like {KINDS[name][0]}" in sentence and "\n" not in sentence
    assert KINDS[name][1].format(path, parent=path.parent) in sentence


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("weights:{}/run", "it looks like a run folder of evaluate"),
        ("weights:{}/bundle", "it looks like a bundle: give bundle:{}/bundle"),
        ("weights:{}/submission", "it looks like a CC4 submission: give {}/submission with --engine cyborg"),
        ("weights:{}/tuned", "it looks like a run folder of finetune: give bundle:{}/tuned/bundle"),
        ("bundle:{}/weights", "it looks like trained weights: give weights:{}/weights with --game soc"),
        ("bundle:{}/train@ops-only", "it looks like a run folder of train: give weights:{}/train"),
        ("bundle:{}/tuned", "it looks like a run folder of finetune: give bundle:{}/tuned/bundle"),
        ("bundle:{}/empty", "it looks like an empty folder"),
        ("bundle:{}/bundle/bundle.json", "it looks like a file of a bundle: give bundle:{}/bundle"),
    ],
)
def test_a_kind_that_does_not_fit_is_told_which_does(places, given, what):
    with pytest.raises(BadInput) as caught:
        make_policy(given.format(places))
    assert what.format(places) in str(caught.value) and "\n" not in str(caught.value)


def test_in_the_soc_simulator_too(places):
    soc = soc_registry("corrected")
    for given, what in (
        (f"weights:{places / 'run'}", "it looks like a run folder of evaluate"),
        (f"constant:{places / 'bundle'}", f"it looks like a bundle: give bundle:{places / 'bundle'}"),
        (str(places / "train"), f"it looks like a run folder of train: give weights:{places / 'train'}"),
    ):
        with pytest.raises(BadInput) as caught:
            check_policies((given,), "soc", soc)
        assert what in str(caught.value)


def test_what_fits_is_refused_for_its_own_reason_alone(places):
    (places / "weights" / "manifest.json").write_text("{}")
    with pytest.raises(BadInput) as caught:
        registry.make_policy(f"weights:{places / 'weights'}", soc_registry("corrected"))
    assert "it looks like" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        ("export", "--policy", "{}/train", "--out", "{}/a.zip"),
        ("export", "--policy", "bundle:{}/train", "--out", "{}/a.zip"),
        ("finetune", "{}/train", "--seed", "0", "--out", "{}/new"),
        ("calibrate", "{}/run", "--out", "{}/new"),
        ("evaluate", "--policies", "{}/train", "--out", "{}/new"),
        ("study", "transfer-zero-shot", "--bundle", "{}/train", "--out", "{}/new"),
    ],
)
def test_every_command_tells_it(places, command):
    done = CliRunner().invoke(app, [part.format(places) for part in command])
    assert done.exit_code == 2, done.output
    assert "it looks like a run folder of" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not (places / "a.zip").exists() and not (places / "new" / "spec.json").exists()


# --------------------------------------------------------------------------------------------------- lists of entries
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",,,", "--policies has a blank entry"),
        (" ", "--policies has a blank entry"),
        ("random,", "--policies has a blank entry"),
        ("random,,no-defense", "--policies has a blank entry"),
        ("random, random", "each policy may be named once, and 'random' is there twice"),
    ],
)
def test_blank_and_doubled_entries_are_refused(tmp_path, text, sentence):
    done = CliRunner().invoke(app, ["evaluate", "--policies", text, "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("parity", "--variants", "{}"),
        ("parity", "--reds", "{}"),
        ("parity", "--drivers", "{}"),
        ("study", "fine-tuning", "--budgets", "{}"),
        ("study", "fine-tuning", "--parts", "{}"),
        ("study", "fine-tuning", "--starts", "{}"),
        ("study", "behaviours", "--policies", "{}"),
        ("study", "cross-simulator", "--variant", "{}"),
    ],
)
def test_every_option_of_several_entries_refuses_them(tmp_path, command):
    out = () if command[0] == "parity" else ("--out", str(tmp_path))
    for text, sentence in ((",,,", "has a blank entry"), ("a,a", "named once, and 'a' is there twice")):
        done = CliRunner().invoke(app, [part.format(text) for part in command] + list(out))
        assert done.exit_code == 2, done.output
        assert sentence in " ".join(done.output.split())


def test_a_list_keeps_its_order():
    assert split_list("--x", " b,a , c") == ["b", "a", "c"]
