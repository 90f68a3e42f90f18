"""Files that are there whole or not at all, and folders with one writer: by processes that contend and are killed."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from native_sim.storage.writing import (
    LOCK,
    FolderInUse,
    FolderLock,
    is_left_over,
    replacing,
    sweep,
    sweep_beside,
    write_atomically,
)

ROOT = Path(__file__).resolve().parents[3]
CONTEND = """
import os, sys, time
from pathlib import Path
from native_sim.storage.writing import FolderInUse, FolderLock

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
held = 0
while held < rounds:
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except FolderInUse:
        continue
    handle = os.open(folder / "holder", os.O_CREAT | os.O_EXCL)  # fails where another holds the folder too
    os.close(handle)
    if held % 10 == 0:
        time.sleep(0.001)
    os.unlink(folder / "holder")
    held += 1
    lock.release()
"""
HOLD = """
import sys, time
from native_sim.storage.writing import FolderLock, replacing
from pathlib import Path

with FolderLock(sys.argv[1]), replacing(Path(sys.argv[1], "table.bin")) as file:
    file.write(b"half")
    file.flush()
    print("held", flush=True)
    time.sleep(60)
"""


def start(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE)


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder and is in the midst of writing a file there."""
    process = start(HOLD, tmp_path / "run")
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_never_two_holders(tmp_path):
    contenders = [start(CONTEND, tmp_path / "run", 150) for _ in range(6)]
    assert [process.wait(timeout=300) for process in contenders] == [0] * 6
    assert not (tmp_path / "run" / LOCK).exists()


def test_a_folder_that_vanishes_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    """``mkdir(exist_ok=True)`` fails if the folder is there for the attempt and gone for the look at it."""
    real, failed = Path.mkdir, []

    def mkdir(self, *args, **options):
        if not failed:
            failed.append(self)
            raise FileExistsError(errno.EEXIST, "File exists", str(self))
        real(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with FolderLock(tmp_path / "run"):
        assert failed == [tmp_path / "run"] and (tmp_path / "run" / LOCK).exists()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(FileExistsError):
        FolderLock(tmp_path / "run").acquire()


def test_a_held_folder_is_refused_and_a_killed_holder_lets_go(tmp_path, holder):
    run = tmp_path / "run"
    with pytest.raises(FolderInUse, match=f"{run} is in use by another process"):
        FolderLock(run).acquire()
    partial = next(run.glob("table.bin.*.partial"))
    sweep(run)
    assert partial.read_bytes() == b"half"  # it is being written
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with FolderLock(run):
        sweep(run)
        assert [path.name for path in run.iterdir()] == [LOCK]
    assert not list(run.iterdir())


def test_two_locks_of_one_process(tmp_path):
    first = FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(FolderInUse):
        FolderLock(tmp_path).acquire()
    first.release()
    first.release()
    with FolderLock(tmp_path):
        pass


def test_a_forked_child_does_not_keep_the_folder(tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    child = os.fork()
    if not child:
        lock.release()  # not its to release
        time.sleep(60)
        os._exit(0)
    try:
        time.sleep(0.2)
        with pytest.raises(FolderInUse):
            FolderLock(tmp_path).acquire()
        os.close(lock._handle)  # as the death of this process would
        FolderLock(tmp_path).acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_folder_made_for_nothing_vanishes(tmp_path):
    with pytest.raises(ZeroDivisionError), FolderLock(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new").exists()
    with FolderLock(tmp_path / "new"):
        (tmp_path / "new" / "something").touch()
    assert (tmp_path / "new").is_dir()


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    path = tmp_path / "summary.json"
    write_atomically(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == [path.name]
    write_atomically(path, "né")
    assert path.read_bytes() == b"n\xc3\xa9"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_only_left_over_files_are_removed(tmp_path):
    (tmp_path / "best").mkdir()
    left = ["a.json.0123abcd.partial", "best/arrays-0.safetensors.part", "best/manifest.json.partial"]
    kept = ["a.json", "best/manifest.json", "partial", "notes.parts"]
    for name in left + kept:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
    assert all(is_left_over(Path(name).name) for name in [*left, LOCK]) and not any(map(is_left_over, kept))


def test_in_a_folder_of_anybody_only_what_is_left_of_one_file_is_removed(tmp_path):
    target = tmp_path / "s[1].zip"
    for name in ("s[1].zip", "s[1].zip.0123abcd.partial", "s[1].zip.partial", "other.zip.partial", "film.part"):
        (tmp_path / name).touch()
    sweep_beside(target)
    assert {path.name for path in tmp_path.iterdir()} == {"s[1].zip", "other.zip.partial", "film.part"}
    sweep_beside(tmp_path / "nowhere" / "s.zip")
