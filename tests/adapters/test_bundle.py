import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from adapters import bundle as bundles
from adapters.bundle import INDEX, TENSORS, BundleError, load_bundle
from adapters.cc4.mapper_table import MapperConfig
from native_sim.storage.seals import SEAL, sealed


@pytest.fixture
def folder(bundle, tmp_path):
    bundle.save(tmp_path / "saved")
    return tmp_path / "saved"


def edit(folder, **changes):
    """Change the index as whoever forges one would: with a seal that fits."""
    path = folder / INDEX
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **changes})))


def test_a_changed_number_in_the_index_is_told(folder):
    path = folder / INDEX
    path.write_text(path.read_text().replace('"suspect_from": 0.05', '"suspect_from": 0.15'))
    with pytest.raises(BundleError, match=r"bundle\.json was changed since it was written; restore it"):
        load_bundle(folder)


def test_an_index_of_an_earlier_version_has_no_seal(bundle, folder):
    path = folder / INDEX
    document = json.loads(path.read_text())
    del document[SEAL]
    path.write_text(json.dumps(document))
    assert load_bundle(folder).mapper == bundle.mapper


def test_a_bundle_is_read_as_it_was_written(bundle, folder):
    found = load_bundle(folder)
    assert found.name == "test" and found.carried == bundle.carried and found.assignment == "natural"
    assert found.mapper == bundle.mapper and found.provenance == bundle.provenance
    for one, other in ((found.hosts, bundle.hosts), (found.zones, bundle.zones)):
        assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))
    assert all(np.array_equal(x, y) for x, y in zip(found.directive_codec, bundle.directive_codec, strict=True))


def test_settings_survive(bundle, tmp_path):
    replace(bundle, assignment="paper", mapper=MapperConfig(pace=0.5)).save(tmp_path / "b")
    found = load_bundle(tmp_path / "b")
    assert found.assignment == "paper" and found.mapper.pace == 0.5


def test_the_same_bundle_gives_the_same_bytes(bundle, folder, tmp_path):
    bundle.save(tmp_path / "again")
    for name in (INDEX, TENSORS):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_description_tells_where_it_comes_from(bundle):
    text = bundle.describe()
    assert "carries kind scripted, name adaptive" in text and "assignment natural, table mapper" in text
    assert "calibration: episodes 0" in text


def test_another_layout_is_refused(folder):
    digests = bundles.layout_digests()
    edit(folder, layouts={**digests, "CC4 features": "0" * 16})
    with pytest.raises(BundleError, match="made for another layout of CC4 features; calibrate it again"):
        load_bundle(folder)


def test_layout_digests_depend_on_every_layout(monkeypatch):
    before = bundles.layout_digests()
    monkeypatch.setattr(bundles.features, "HOST", bundles.features.ZONE)
    monkeypatch.setattr(bundles.spec, "NUM_ACTIONS", (1,))
    after = bundles.layout_digests()
    assert {name for name in before if before[name] != after[name]} == {"CC4 features", "CC4 actions"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / INDEX).unlink(), "is not a bundle"),
        (lambda f: (f / INDEX).write_text("{"), "cannot be read"),
        (lambda f: (f / INDEX).write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda f: (f / INDEX).write_text("[]"), "has format None"),
        (lambda f: edit(f, format=99), "has format 99, and this version reads 1"),
        (lambda f: edit(f, carried=None), "damaged .no carried"),
        (lambda f: edit(f, files={}), "lists no tensors.safetensors"),
        (lambda f: (f / TENSORS).unlink(), "has lost its file tensors.safetensors"),
        (lambda f: (f / TENSORS).write_bytes(b"x" * 50), "was changed"),
        (lambda f: edit(f, assignment="mine"), "unknown assignment 'mine'"),
        (lambda f: edit(f, mapper={"speed": 1}), "damaged"),
        (lambda f: edit(f, mapper={"pace": "x"}), "pace of a mapper is a number of at least 0; given 'x'"),
        (lambda f: edit(f, mapper={"suspicion": -1.0}), "suspicion of a mapper is .* given -1.0"),
        (lambda f: edit(f, mapper={"suspect_from": float("nan")}), "cannot be read .*NaN is no finite number"),
        (lambda f: edit(f, mapper={"temperature": True}), "temperature of a mapper is .* given True"),
        (lambda f: edit(f, mapper={"watch": None}), "watch of a mapper is true or false; given None"),
    ],
)
def test_damage_is_told_in_one_sentence(folder, damage, message):
    damage(folder)
    with pytest.raises(BundleError, match=message) as caught:
        load_bundle(folder)
    assert "\n" not in str(caught.value)


def test_tensors_that_are_none_are_refused_even_with_a_fitting_digest(bundle, folder):
    (folder / TENSORS).write_bytes(b"not a safetensors file")
    edit(folder, files=bundles._digests(folder))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(folder)


@pytest.mark.parametrize("value", [np.zeros(7), np.full(8, np.nan)])
def test_numbers_that_do_not_fit_make_no_bundle(bundle, value):
    with pytest.raises(BundleError, match="usual_directive of a bundle must be finite numbers of shape"):
        replace(bundle, usual_directive=value)


def test_a_lost_policy_file_is_noticed(bundle, tmp_path):
    (tmp_path / "b" / "policy").mkdir(parents=True)
    (tmp_path / "b" / "policy" / "weights").write_bytes(b"1")
    bundle.save(tmp_path / "b")
    load_bundle(tmp_path / "b")
    (tmp_path / "b" / "policy" / "weights").unlink()
    with pytest.raises(BundleError, match="has lost its file policy/weights"):
        load_bundle(tmp_path / "b")


def without(folder, name):
    files = json.loads((folder / INDEX).read_text())["files"]
    edit(folder, files={path: digest for path, digest in files.items() if path != name})


def test_every_file_of_a_bundle_must_be_listed(bundle, tmp_path):
    carrying = replace(bundle, carried={"kind": "trained", "name": "mine"})
    (tmp_path / "b" / "policy" / "deep").mkdir(parents=True)
    names = ("policy/manifest.json", "policy/deep/weights")
    for name in names:
        (tmp_path / "b" / name).write_bytes(b"1")
    carrying.save(tmp_path / "b")
    (tmp_path / "b" / "policy" / ".DS_Store").write_bytes(b"1")
    (tmp_path / "b" / "notes.txt").write_bytes(b"1")
    load_bundle(tmp_path / "b")
    index = (tmp_path / "b" / INDEX).read_bytes()
    for name in (*names, TENSORS):
        without(tmp_path / "b", name)
        with pytest.raises(BundleError, match=f"it lists no {name}"):
            load_bundle(tmp_path / "b")
        (tmp_path / "b" / INDEX).write_bytes(index)
    shutil.rmtree(tmp_path / "b" / "policy")
    edit(tmp_path / "b", files={TENSORS: json.loads(index)["files"][TENSORS]})
    with pytest.raises(BundleError, match="it lists no policy"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", ["../other.txt", "/etc/hostname"])
def test_a_bundle_lists_no_file_outside_itself(folder, name):
    edit(folder, files={**json.loads((folder / INDEX).read_text())["files"], name: "0" * 64})
    with pytest.raises(BundleError, match="which lies elsewhere"):
        load_bundle(folder)


def test_a_folder_that_cannot_be_written_is_told(bundle, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        bundle.save(tmp_path / "file")
