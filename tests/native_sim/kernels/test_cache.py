"""Compiled code is kept where it can be; no missing folder, full disk or damaged file stops or misleads a start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KERNEL = """
import warnings
warnings.simplefilter("always")
from native_sim.kernels.jit import kept

@kept()
def triple(x):
    return 3 * x

@kept()
def other(x):
    return x + 1
"""
START = "import kernels as k; print(k.triple(2), k.triple(0.5), sum(k.triple.stats.cache_hits.values()))"
COMPILED, FROM_DISK = "6 1.5 0", "6 1.5 2"
WARNING = "RuntimeWarning: Compiled code cannot be kept, as no folder for it can be written: every start compiles"


@pytest.fixture
def sources(tmp_path):
    """A folder with kernels of its own; the cache of native_sim itself is left alone."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "kernels.py").write_text(KERNEL)
    return folder


def start(sources, code=START, **environment):
    """Run code in a fresh process and return (stdout, stderr)."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(sources)]), **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=given, cwd=sources, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def start_kept(sources, code=START):
    """Do the same with a cache folder that holds the code of these kernels alone."""
    return start(sources, code, NUMBA_CACHE_DIR=str(sources / "cache"))


def kept_files(sources, name, kind):
    return sorted((sources / "cache").glob(f"*/kernels.{name}*.{kind}"))


def block_folders(sources):
    """Take away every folder that Numba could write: beside the sources and in the home. Modes do not bind root."""
    (sources / "__pycache__").write_text("a file where a folder would be made")
    home = sources / "home"
    home.write_text("no folder either")
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home), "NUMBA_CACHE_DIR": "", "PYTHONDONTWRITEBYTECODE": "1"}


def test_compiled_code_is_used_again(sources):
    assert start_kept(sources) == (COMPILED, "")
    assert start_kept(sources) == (FROM_DISK, "")


def test_without_a_folder_it_compiles_and_says_so_once(sources):
    surroundings = block_folders(sources)
    for _ in range(2):
        out, told = start(sources, START + "; k.other(1)", **surroundings)
        assert out == COMPILED
        assert told.count("RuntimeWarning") == 1 and WARNING in told and "NUMBA_CACHE_DIR" in told


@pytest.mark.parametrize("folder", ["taken/cache", "/proc/nowhere"])
def test_a_cache_folder_that_cannot_be_made(sources, folder):
    (sources / "taken").write_text("a file")
    surroundings = {**block_folders(sources), "NUMBA_CACHE_DIR": folder}
    out, told = start(sources, **surroundings)
    assert out == COMPILED and WARNING in told


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_write_nowhere():
    # loads all modules first: the sources may be hidden from others
    loaded = "import os, numba, native_sim.kernels.jit; numba.njit(lambda x: x + 1)(1)"
    become = f"{loaded}; os.setgid(65534); os.setuid(65534); assert not os.access('.', os.W_OK)"
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder)
        sources.chmod(0o755)
        (sources / "kernels.py").write_text(KERNEL)
        out, told = start(sources, f"{become}; {START}", HOME="/nowhere", XDG_CACHE_HOME="/nowhere")
    assert out == COMPILED and told.count("RuntimeWarning") == 1 and WARNING in told


FULL = """
import builtins, errno, os
import kernels as k
from numba.core import caching
def full(self, path):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
caching.IndexDataCacheFile._open_for_write = full
print(k.triple(2), k.triple(0.5))
"""


def test_a_full_disk_is_told_and_not_raised(sources):
    out, told = start_kept(sources, FULL)
    assert out == "6 1.5"
    assert told.count("RuntimeWarning") == 1 and "(No space left on device): every start compiles" in told


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [cut, flipped, lambda content: b"", lambda content: b"garbage\n" * 99])
def test_damaged_files_are_compiled_anew_and_replaced(sources, kind, damage):
    assert start_kept(sources)[0] == COMPILED
    files = kept_files(sources, "triple", kind)
    assert len(files) == (1 if kind == "nbi" else 2)
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert start_kept(sources) == (COMPILED, "")
    assert start_kept(sources) == (FROM_DISK, "")


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_every_flipped_bit_is_found(sources, kind):
    """Each in another place, in one process: what is read is what was written, or nothing."""
    start_kept(sources)
    code = f"""
import pathlib, kernels as k
files = k.triple._cache._cache_file
file = sorted(pathlib.Path({str(sources / "cache")!r}).glob("*/kernels.triple*.{kind}"))[0]
whole = file.read_bytes()
index = files._load_index()
keys = [key for key, name in index.items() if {kind!r} == "nbi" or name == file.name]
true = [repr(files.load(key)) for key in keys]
assert keys and "None" not in true
wrong = 0
for i in range(200):
    place = i * (len(whole) - 1) // 199
    file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << i % 8)]) + whole[place + 1 :])
    for key, value in zip(keys, true):
        wrong += repr(files.load(key)) not in (value, "None")
    wrong += files._load_index() not in (index, {{}})
file.write_bytes(whole)
assert [repr(files.load(key)) for key in keys] == true
print(wrong)
"""
    assert start_kept(sources, code) == ("0", "")


def test_code_of_another_signature_is_not_run(sources):
    """As when two processes that compile for the first time take the same file."""
    start_kept(sources)
    first, second = kept_files(sources, "triple", "nbc")
    first.write_bytes(second.read_bytes())
    assert start_kept(sources) == ("6 1.5 1", "")


def test_a_file_that_may_not_be_read_is_compiled_anew(sources):
    start_kept(sources)
    (index,) = kept_files(sources, "triple", "nbi")
    index.unlink()
    index.mkdir()  # reading a folder fails for root, too
    out, told = start_kept(sources)
    assert out == COMPILED and "could not be kept" in told
