"""What goes wrong with a training run, by the command itself: a full disk, Ctrl-C, a damaged checkpoint, wrong keys."""

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmarl_soc import checkpoint
from tests.builders.train_command import SMALL
from tests.builders.training_runs import call, content, run_of, same

ROOT = Path(__file__).resolve().parents[2]


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_full_disk_ends_the_run_with_a_sentence_and_the_checkpoint_before_goes_on(tmp_path, settings):
    """The system itself refuses what is written beyond a size: the arrays no longer fit, half of them are written."""
    out = tmp_path / "run"
    assert call(*run_of(settings, out, 88))[0] == 0
    kept, size = digest(out / "last"), next((out / "last").glob("*.safetensors")).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        code, said = call(*run_of(settings, out, 168, "--resume"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    assert f"{out} cannot be written (File too large)" in said
    assert "with --resume it goes on from the last checkpoint" in said
    assert digest(out / "last") == kept
    assert call(*run_of(settings, out, 168, "--resume"))[0] == 0
    assert call(*run_of(settings, tmp_path / "whole", 168))[0] == 0
    for ours, whole in zip(content(out), content(tmp_path / "whole"), strict=True):
        same(ours, whole)


def start(settings, out):
    """Start an endless run in a process of its own and wait until it has trained for a while."""
    command = [sys.executable, "-m", "evaluation.cli", *map(str, run_of(settings, out, 10**7))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (out / "last" / checkpoint.MANIFEST).exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def end(process):
    """Wait for the end of a process; return its exit code and what it said in one line."""
    said = process.communicate(timeout=120)[0]
    return process.returncode, " ".join(said.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path, settings, number):
    out = tmp_path / "run"
    process = start(settings, out)
    process.send_signal(number)
    code, said = end(process)
    if number == signal.SIGINT:
        assert code == 130 and "Interrupted and saved; the same command with --resume goes on." in said
    else:
        assert code == -signal.SIGKILL
    steps = checkpoint.load(out / "last").state["steps"] + 80
    assert call(*run_of(settings, out, steps, "--resume"))[0] == 0
    assert call(*run_of(settings, tmp_path / "whole", steps))[0] == 0
    for ours, whole in zip(content(out), content(tmp_path / "whole"), strict=True):
        same(ours, whole)


def harm_arrays(folder):
    path = next(folder.glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def cut_manifest(folder):
    path = folder / checkpoint.MANIFEST
    path.write_text(path.read_text()[:-100])


@pytest.mark.parametrize(
    ("harm", "message"), [(harm_arrays, "is damaged: arrays-"), (cut_manifest, "manifest.json cannot be read")]
)
def test_damage_is_refused_on_resuming_and_on_playing(tmp_path, settings, harm, message):
    out = tmp_path / "run"
    assert call(*run_of(settings, out, 88))[0] == 0
    for folder in (out / "last", out / "best"):
        harm(folder)
    log = (out / "log.jsonl").read_bytes()
    code, said = call(*run_of(settings, out, 168, "--resume"))
    assert code == 2 and message in said and "Traceback" not in said
    assert (out / "log.jsonl").read_bytes() == log
    playing = ("evaluate", "--game", "soc", "--episodes", 2, "--policies", f"weights:{out}", "--out", tmp_path / "x")
    code, said = call(*playing)
    assert code == 2 and message in said
    assert not (tmp_path / "x").exists()


def test_a_checkpoint_of_another_layout_is_refused(tmp_path, settings):
    out = tmp_path / "run"
    assert call(*run_of(settings, out, 88))[0] == 0
    path = out / "last" / checkpoint.MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["digest"]  # as earlier versions wrote it
    manifest["interface"]["agents"][1]["observation"][0][0] = "renamed"
    path.write_text(json.dumps(manifest))
    code, said = call(*run_of(settings, out, 168, "--resume"))
    assert code == 2 and "is of another interface" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("hidden = 16", "hiden = 16"), "unknown setting 'network.hiden'"),
        (("hidden = 16", "hidden = 0"), "setting 'network.hidden'"),
        (("[method.replay]", "[method.buffer]"), "unknown setting 'buffer'"),
        (("max_steps = 12", "max_step = 12"), "unknown knob 'max_step'"),
        (("max_steps = 12", "max_steps = 0"), "max_steps must lie in 1 to 10000"),
        (("[environment]", '[environment]\nlevel = "hard"'), "level must be one of basic, default"),
    ],
)
def test_wrong_keys_and_ranges_are_refused_before_anything_is_written(tmp_path, settings, change, message):
    settings.write_text(SMALL.replace(*change))
    code, said = call(*run_of(settings, tmp_path / "run", 88))
    assert code == 2 and message in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()
