import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import Checkpoint, CheckpointError

STATE = {
    "net": {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0)},
    "counts": [np.arange(3), np.uint8(7), 2**100, None, "text", 0.1, True],
    "generator": np.random.default_rng(1).bit_generator.state,
}


def made(**state):
    return Checkpoint("training", "toy", {"agents": []}, {"gamma": 0.5}, {**STATE, **state})


def test_everything_comes_back(tmp_path):
    checkpoint.save(tmp_path / "c", made())
    back = checkpoint.load(tmp_path / "c", "training")
    assert (back.method, back.interface, back.config) == ("toy", {"agents": []}, {"gamma": 0.5})
    assert (back.state["net"]["w"] == np.arange(6.0).reshape(2, 3)).all() and back.state["net"]["b"].shape == (0,)
    assert back.state["counts"][1:] == [7, 2**100, None, "text", 0.1, True]
    assert back.state["generator"] == STATE["generator"]


def test_only_the_newest_arrays_stay(tmp_path):
    for number in range(3):
        checkpoint.save(tmp_path, made(number=np.array(number)))
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoint.load(tmp_path).state["number"] == 2


@pytest.mark.parametrize("fails", ["arrays", "manifest"])
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, fails):
    checkpoint.save(tmp_path, made(number=np.array(1)))
    written = os.fsync

    def full(handle):
        if fails in Path(f"/proc/self/fd/{handle}").readlink().name:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, made(number=np.array(2)))
    monkeypatch.undo()
    assert checkpoint.load(tmp_path).state["number"] == 1
    assert not list(tmp_path.glob("*.part*"))
    checkpoint.save(tmp_path, made(number=np.array(3)))
    assert len(list(tmp_path.iterdir())) == 2


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def change(folder, old, new):
    path = folder / checkpoint.MANIFEST
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def edit(folder, **changes):
    """Change a manifest as earlier versions wrote it: without a digest."""
    path = folder / checkpoint.MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    path.write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: flip(next(folder.glob("*.safetensors"))), "is damaged: arrays-"),
        (lambda folder: next(folder.glob("*.safetensors")).unlink(), "lacks its arrays"),
        (lambda folder: (folder / checkpoint.MANIFEST).write_text("{"), "cannot be read"),
        (lambda folder: (folder / checkpoint.MANIFEST).unlink(), "holds no checkpoint"),
        (lambda folder: change(folder, "0.1", "0.2"), "manifest.json is not what was written"),
        (lambda folder: change(folder, '"digest": "', '"digest": "0'), "manifest.json is not what was written"),
        (lambda folder: edit(folder, format=99), "is of format 99; this version reads format 1"),
        (lambda folder: edit(folder, state={"x": {"array": "gone"}}), "is damaged"),
        (lambda folder: edit(folder, arrays=5), "'arrays' of manifest.json is of type int"),
        (lambda folder: edit(folder, config=[]), "'config' of manifest.json is of type list"),
        (lambda folder: edit(folder, arrays="../other/arrays.safetensors"), "its arrays lie elsewhere"),
        (lambda folder: edit(folder, kind="weights"), "kind 'weights'; needed is 'training'"),
    ],
)
def test_damage_is_named_in_one_sentence(tmp_path, harm, message):
    checkpoint.save(tmp_path, made())
    harm(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path, "training")


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(TypeError, match="/bad/0 is function"):
        checkpoint.save(tmp_path, made(bad=[lambda: 0]))
    assert not list(tmp_path.iterdir())
