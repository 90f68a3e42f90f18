"""A compiled kernel on disk is used again exactly as long as nothing that went into it has changed."""

import subprocess
import sys

import pytest

from native_sim.kernels import jit

PACKAGE = {
    "__init__.py": "",
    "deep.py": "from native_sim.kernels.jit import inner\n\n@inner\ndef deep(x):\n    return x + 1\n",
    "callee.py": """
from pkg.deep import deep
from native_sim.kernels.jit import inner

@inner
def callee(x):
    return deep(x)
""",
    "other.py": "IDLE = 1\n",
    "entry.py": """
from native_sim.kernels.jit import fingerprint, kept
from pkg.callee import callee

def _compile(fingerprint):
    @kept()
    def loop(x):
        _ = fingerprint
        return callee(x)
    return loop

loop = _compile(fingerprint(__name__))
print(loop(1), sum(loop.stats.cache_hits.values()))
""",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "pkg"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    return folder


def start(folder):
    """Run the entry module in a fresh process whose project root is the folder's parent; return (value, hits)."""
    code = (
        "import sys, pathlib; from native_sim.kernels import jit; "
        f"jit._ROOT = pathlib.Path({str(folder.parent)!r}); sys.path.insert(0, str(jit._ROOT)); import pkg.entry"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    value, hits = done.stdout.split()
    return int(value), int(hits)


def test_a_changed_callee_is_compiled_anew(package):
    assert start(package) == (2, 0)
    assert start(package) == (2, 1)  # from the cache
    (package / "other.py").write_text("IDLE = 2\n")  # nothing that the kernel imports
    assert start(package) == (2, 1)
    text = (package / "deep.py").read_text()
    (package / "deep.py").write_text(text.replace("+ 1", "+ 10"))  # two files away from the cached function
    assert start(package) == (11, 0)
    assert start(package) == (11, 1)


@pytest.mark.parametrize(
    ("module", "covered", "outside"),
    [
        (
            "native_sim.soc.corrected.kernel",
            {"rng", "alerts", "cases", "spec", "state", "topology"},
            {"policies", "env", "faces"},
        ),
        ("native_sim.soc.reference.kernel", {"rng", "observe", "state", "spec"}, {"attacker", "policies"}),
        ("cage4.native.kernel", {"red", "green", "blue", "rich", "spec", "rng"}, {"engine", "faces"}),
    ],
)
def test_fingerprints_cover_what_is_compiled_in(module, covered, outside):
    names = {path.stem for path in jit.sources(module)}
    assert covered <= names
    assert not outside & names
    assert jit.fingerprint(module) == jit.fingerprint(module)
    assert jit.fingerprint(module) != jit.fingerprint("native_sim.kernels.rng")


def test_own_random_numbers_of_a_package_are_its_own():
    """Files of one name in two packages are both covered where both are imported."""
    paths = jit.sources("native_sim.soc.corrected.kernel")
    assert len(paths) == len(set(paths))
    assert any(path.as_posix().endswith("native_sim/kernels/rng.py") for path in paths)
