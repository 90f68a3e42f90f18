"""Whatever ends a command in the midst of writing, the same command or --resume goes on, and nothing is left behind.

Processes are killed by the system at the moment when a file is written and has not taken its place yet.
"""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from adapters.bundle import bundle_folder, load_bundle
from evaluation.export.submission import Labels, export
from evaluation.inputs.errors import BadInput
from evaluation.jobs import calibrate, finetune
from evaluation.studies.training import runs
from evaluation.studies.training.plans import SMOKE, Arm
from hmarl_soc import checkpoint
from hmarl_soc.registry import load_policy
from native_sim.storage.writing import LOCK, FolderLock, is_left_over
from tests.builders.train_command import TINY
from tests.builders.training_runs import call, content, run_of, same

ROOT = Path(__file__).resolve().parents[2]
QUIET = Console(quiet=True)
KILLED = """
import os, signal, sys
from pathlib import Path

from evaluation.jobs import finetune
from evaluation.cli.app import app

finetune.LESSON_EPISODES, finetune.spec.DEFAULT_STEPS = 1, 40
left, written = int(sys.argv[1]), os.fsync

def fsync(handle):
    global left
    written(handle)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
app(sys.argv[2:])
"""


def killed(number, *arguments):
    """Run a command in a process that is killed when it has written, but not put in place, its n-th file."""
    command = [sys.executable, "-c", KILLED, str(number), *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def left_over(folder):
    return [path.name for path in folder.rglob("*") if is_left_over(path.name)]


@pytest.fixture
def full_disk():
    """Refuse files beyond a size, by the system itself; call with the size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "LESSON_EPISODES", 1)
    monkeypatch.setattr(finetune.spec, "DEFAULT_STEPS", 40)
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


# -------------------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("size", [0, 20_000])
def test_a_training_on_a_full_disk_begins_again(tmp_path, settings, full_disk, size):
    out = tmp_path / "run"
    full_disk(size)
    code, said = call(*run_of(settings, out, 88))
    full_disk(resource.RLIM_INFINITY)
    assert code == 1 and f"{out} cannot be written (File too large); make room, and the same command" in said
    assert not out.exists() or left_over(out) == []
    code, said = call(*run_of(settings, out, 88, "--resume"))
    assert code == 2 and "holds no checkpoint to go on from; start it without --resume" in said
    assert call(*run_of(settings, out, 88))[0] == 0
    assert call(*run_of(settings, tmp_path / "whole", 88))[0] == 0
    same(content(out), content(tmp_path / "whole"))


SLOW = pytest.mark.slow


@pytest.mark.parametrize("number", [1, 3, *(pytest.param(number, marks=SLOW) for number in (2, 4, 6))])
def test_a_training_killed_while_saving_goes_on_and_cleans(tmp_path, settings, number):
    out = tmp_path / "run"
    killed(number, *run_of(settings, out, 168))
    assert len(left_over(out)) == 2  # the lock, and what was being written
    resume = ["--resume"] if (out / "last" / checkpoint.MANIFEST).exists() else []
    assert bool(resume) == (number > 2)
    code, said = call(*run_of(settings, out, 168, *resume))
    assert code == 0, said
    assert left_over(out) == [] and len(list((out / "last").iterdir())) == 2
    assert call(*run_of(settings, tmp_path / "whole", 168))[0] == 0
    for ours, whole in zip(content(out), content(tmp_path / "whole"), strict=True):
        same(ours, whole)


def test_a_run_that_is_there_is_not_begun_again(tmp_path, settings):
    out = tmp_path / "run"
    assert call(*run_of(settings, out, 40))[0] == 0
    code, said = call(*run_of(settings, out, 40))
    assert code == 2 and "holds a run already; give another folder, or --resume" in said
    shutil.rmtree(out / "last")
    best = (out / "best" / checkpoint.MANIFEST).read_bytes()
    code, said = call(*run_of(settings, out, 40))
    assert code == 2 and "holds a run already, without a checkpoint to go on from; give another folder" in said
    assert (out / "best" / checkpoint.MANIFEST).read_bytes() == best


def test_a_short_training_ends_with_its_best_weights_and_goes_on_as_if_it_had_been_longer(tmp_path, settings):
    out, whole = tmp_path / "run", tmp_path / "whole"
    code, said = call(*run_of(settings, out, 40, "--json"))
    assert code == 0 and "best validation" in said
    load_policy(out)
    best = checkpoint.load(out / "best", "weights").state
    assert best["steps"] == 40
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [(line["steps"], line["score"]) for line in log if line["kind"] == "validation"] == [(40, best["score"])]
    for steps in (56, 168):
        assert call(*run_of(settings, out, steps, "--resume"))[0] == 0
    assert call(*run_of(settings, whole, 168))[0] == 0
    for ours, other in zip(content(out), content(whole), strict=True):
        same(ours, other)
    same(checkpoint.load(out / "best").state, checkpoint.load(whole / "best").state)


def test_two_trainings_never_share_a_folder(tmp_path, settings):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "evaluation.cli", *map(str, run_of(settings, out, 10**7))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            while not (out / "last" / checkpoint.MANIFEST).exists():
                assert process.poll() is None
            for more in ([], ["--resume"]):
                code, said = call(*run_of(settings, out, 10**7, *more))
                assert code == 2 and f"{out} is in use by another process; wait for it or choose another" in said
        finally:
            process.kill()
    assert call(*run_of(settings, out, checkpoint.load(out / "last").state["steps"] + 8, "--resume"))[0] == 0


# ----------------------------------------------------------------------------------------------------- fine-tuning
def tuned(out, tiny, *more):
    return ("finetune", "hmarl-soc", "--seed", 0, "--out", out, "--config", tiny, "--steps", 40, *more)


def test_what_is_left_of_the_beginning_of_a_fine_tuning_does_not_count(tmp_path, tiny):
    out = tmp_path / "run"
    shutil.copytree(bundle_folder("hmarl-soc") / "policy", out / "start" / "policy")
    (out / "start" / "policy" / "arrays-0123456789abcdef.safetensors.part").write_bytes(b"half")
    (out / "start" / "tensors.safetensors.89abcdef.partial").write_bytes(b"half")
    (out / "events.out.tfevents.1.host").touch()
    (out / LOCK).touch()
    code, said = call(*tuned(out, tiny, "--resume"))
    assert code == 2 and "start it without --resume" in said
    with FolderLock(out):
        code, said = call(*tuned(out, tiny))
        assert code == 2 and f"{out} is in use by another process" in said
    code, said = call(*tuned(out, tiny))
    assert code == 0, said
    assert left_over(out) == []
    load_bundle(out / "start")
    load_bundle(out / "bundle")


@pytest.mark.parametrize("name", ["notes.txt", "bundle", "best", "log.jsonl"])
def test_a_fine_tuning_leaves_other_content_alone(tmp_path, tiny, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).touch()
    code, said = call(*tuned(tmp_path / "run", tiny))
    assert code == 2 and "exists already" in said
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


def test_a_fine_tuning_on_a_full_disk_begins_again(tmp_path, tiny, full_disk):
    out = tmp_path / "run"
    full_disk(20_000)
    code, said = call(*tuned(out, tiny))
    full_disk(resource.RLIM_INFINITY)
    assert code == 1 and "make room, and the same command begins again" in said
    code, said = call(*tuned(out, tiny))
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 12))
def test_a_fine_tuning_killed_while_writing_goes_on_and_cleans(tmp_path, tiny, number):
    out = tmp_path / "run"
    killed(number, *tuned(out, tiny))
    resume = ["--resume"] if (out / "last" / checkpoint.MANIFEST).exists() else []
    code, said = call(*tuned(out, tiny, *resume))
    assert code == 0, said
    assert left_over(out) == []
    load_bundle(out / "bundle")


# ----------------------------------------------------------------------------------------- calibration and export
@pytest.fixture
def quick(monkeypatch):
    """Calibrations that give the packaged bundle at once."""
    monkeypatch.setattr(calibrate, "make_bundle", lambda *_: load_bundle(bundle_folder("hmarl-soc")))
    return bundle_folder("hmarl-soc") / "policy"


def test_what_is_left_of_a_calibration_does_not_count(tmp_path, quick):
    out = tmp_path / "made"
    (out / "policy").mkdir(parents=True)
    for name in (LOCK, "tensors.safetensors", "bundle.json.0123abcd.partial", "policy/arrays-0.safetensors"):
        (out / name).write_bytes(b"half")
    with FolderLock(out), pytest.raises(BadInput, match="is in use by another process"):
        calibrate.calibrate_command(str(quick), out, 2, 1000, 60, "table", QUIET)
    calibrate.calibrate_command(str(quick), out, 2, 1000, 60, "table", QUIET)
    assert left_over(out) == [] and len(list((out / "policy").iterdir())) == 2
    with pytest.raises(BadInput, match="exists already"):
        calibrate.calibrate_command(str(quick), out, 2, 1000, 60, "table", QUIET)


@pytest.mark.parametrize("name", ["notes.txt", "policy/notes.txt", "bundle.json"])
def test_a_calibration_leaves_other_content_alone(tmp_path, quick, name):
    path = tmp_path / "made" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(BadInput, match="exists already"):
        calibrate.calibrate_command(str(quick), tmp_path / "made", 2, 1000, 60, "table", QUIET)
    assert path.exists() and len(list(path.parent.iterdir())) == 1


def test_a_calibration_on_a_full_disk_begins_again(tmp_path, quick, full_disk):
    full_disk(20_000)
    with pytest.raises(OSError, match="File too large"):
        calibrate.calibrate_command(str(quick), tmp_path / "made", 2, 1000, 60, "table", QUIET)
    full_disk(resource.RLIM_INFINITY)
    calibrate.calibrate_command(str(quick), tmp_path / "made", 2, 1000, 60, "table", QUIET)
    load_bundle(tmp_path / "made")


def test_an_export_cleans_what_a_killed_one_left(tmp_path, full_disk):
    out = tmp_path / "mine.zip"
    for name in ("mine.zip.partial", "mine.zip.0123abcd.partial", "yours.zip.partial"):
        (tmp_path / name).touch()
    full_disk(1000)
    with pytest.raises(BadInput, match="cannot write"):
        export("no-defense", out, Labels("a", "b", "c"))
    full_disk(resource.RLIM_INFINITY)
    assert [path.name for path in tmp_path.iterdir()] == ["yours.zip.partial"]
    export("no-defense", out, Labels("a", "b", "c"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.zip", "yours.zip.partial"]


# ------------------------------------------------------------------------------------------- evaluations, studies
PLAYING = ("evaluate", "--game", "soc", "--episodes", 2, "--policies", "no-defense,random", "--steps", 20)


def test_an_evaluation_killed_before_it_began_begins(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (LOCK, "spec.json.partial", "spec.json.0123abcd.partial"):
        (tmp_path / "run" / name).touch()
    code, said = call(*PLAYING, "--out", tmp_path / "run")
    assert code == 0, said
    assert left_over(tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_an_evaluation_killed_while_writing_goes_on_and_cleans(tmp_path, number):
    out = tmp_path / "run"
    killed(number, *PLAYING, "--out", out)
    code, said = call(*PLAYING, "--out", out)
    assert code == 0, said
    assert left_over(out) == [] and not (out / "episodes.jsonl").exists()
    assert call(*PLAYING, "--out", tmp_path / "whole")[0] == 0
    assert (out / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


def job(out):
    return runs.make_job(Arm("mappo", "mappo"), 0, SMOKE, out, episodes=4)


def test_a_run_of_a_study_is_held_and_cleaned(tmp_path):
    wanted = job(tmp_path)
    with FolderLock(wanted.folder), pytest.raises(BadInput, match=r"is in use by another process.*goes on"):
        runs.execute(wanted)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for name in ("log.jsonl", "run.json.0123abcd.partial", "held-out-default.json.partial"):
        (wanted.folder / name).touch()
    assert runs.execute(wanted)[1] == runs.DONE
    assert left_over(tmp_path) == [] and not (wanted.folder / "last").exists()
    (wanted.folder / "last").mkdir()  # as a kill leaves it between the end of training and this
    runs.held_out_file(wanted).unlink()
    assert runs.execute(wanted)[1] == runs.DONE and not (wanted.folder / "last").exists()
    before = {path: path.read_bytes() for path in wanted.folder.iterdir() if path.is_file()}
    assert runs.train(wanted)[1] == runs.DONE  # there is nothing to do
    assert before == {path: path.read_bytes() for path in wanted.folder.iterdir() if path.is_file()}


def test_two_studies_of_a_name_never_share_a_folder(tmp_path):
    asked = ("study", "scaling", "--smoke", "--out", tmp_path)
    with FolderLock(tmp_path / "scaling"):
        code, said = call(*asked)
    assert code == 2 and f"{tmp_path / 'scaling'} is in use by another process" in said
    assert call(*asked)[0] == 0
    with FolderLock(tmp_path / "scaling"):  # what is there can be reported all the same
        assert call(*asked, "--report-only")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3, 4, 9])
def test_a_study_killed_while_writing_goes_on_and_cleans(tmp_path, number):
    asked = ("study", "table4", "--smoke", "--seeds", 1, "--out", tmp_path / "studies")
    killed(number, *asked)
    code, said = call(*asked)
    assert code == 0, said
    assert left_over(tmp_path / "studies") == []


def test_every_file_that_takes_the_place_of_another_is_written_by_one_helper():
    """Only ``native_sim.storage.writing`` renames files into place: it knows what is left behind and cleans it."""
    packages = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
    sources = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    words = (r"os\.(replace|rename)\(", r"\.rename\(", r"""["']\.part(ial)?["']""", r"\w\.replace\([^,()]*\)$")
    renames = re.compile("|".join(words), re.MULTILINE)
    found = [path.relative_to(ROOT).as_posix() for path in sources if renames.search(path.read_text(encoding="utf-8"))]
    assert found == ["native_sim/storage/writing.py"]
