"""Exported policies of a user's own: in every shape the zip plays alone, and what does not load is not handed over."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.export import rehearsal
from evaluation.export import submission as exporting
from evaluation.export.submission import Labels, export
from evaluation.foreign.sources.observed import Observation
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import closure_of
from tests.builders.judging import judge
from tests.builders.shapes import ANSWER, SHAPES, array, policy

LABELS = Labels("name", "team", "technique")
ALLOWED = sorted(exporting.AT_THE_JUDGE)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder in which a user works, and from which nothing stays importable."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    for name in list(sys.modules):
        if name.partition(".")[0] in ("joblib", "sklearn", "yaml"):  # so that own modules of these names are found
            monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)
    yield folder
    tops = {path.name.partition(".")[0] for path in folder.iterdir()} | {"own", "helper", "team", "packed", "lazy"}
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in tops:
            del sys.modules[name]


@pytest.fixture
def without_cyborg(monkeypatch):
    """Let no CybORG be found, which makes rehearsals shorter."""
    monkeypatch.delenv("CYBORG_PATH", raising=False)


QUICK = (
    "a package with relative imports",
    "folders without __init__",
    "the else of TYPE_CHECKING",
    "what is not installed, caught",
    "importlib with a literal",
    "a name computed at import",
    "a coding cookie",
    "a helper called like an installed package",
    "data read when it decides",
    "data read from where the user works",
    "a package that the judge lacks",
)
"""Shapes that the quick suite exports; the long one exports all."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SHAPES]
)
def test_the_zip_holds_what_the_policy_is_made_of_and_plays_alone(tmp_path, workplace, without_cyborg, name):
    shape, out = SHAPES[name], tmp_path / "out" / "a.zip"
    shape.write(workplace)
    if shape.refused:
        with pytest.raises(BadInput) as caught:
            export(shape.name, out, LABELS)
        assert shape.refused in str(caught.value) and "\n" not in str(caught.value)
        assert not out.parent.exists() or not list(out.parent.iterdir())
        return
    names = export(shape.name, out, LABELS)
    files = {path.relative_to(workplace).as_posix(): path for path in closure_of(shape.name).files().values()}
    carried = {shape.carried.get(name, name): path for name, path in files.items()}
    assert set(carried) <= set(names) and not set(shape.unused) & set(names)
    with zipfile.ZipFile(out) as archive:
        assert all(archive.read(name) == path.read_bytes() for name, path in carried.items() if path.suffix != ".zip")
        archive.extractall(tmp_path / "folder")
    for path in files.values():
        path.unlink()
    tops = {name.partition("/")[0].removesuffix(".py") for name in carried} - {"yaml", "joblib", "sklearn"}
    zipped, extracted = (judge(tmp_path, place, tops) for place in (out, tmp_path / "folder"))
    assert zipped == extracted
    assert zipped[2] == []


def test_it_plays_where_the_process_knows_other_modules_of_its_names(tmp_path, workplace, without_cyborg):
    (workplace / "own.py").write_text(policy("import helper", inner="import lazy; assert lazy.helper.ANSWER == 42"))
    (workplace / "helper.py").write_text(ANSWER)
    (workplace / "lazy.py").write_text("import helper\n")
    export("own:Own", tmp_path / "a.zip", LABELS)
    for name in ("own", "helper", "lazy"):
        (workplace / f"{name}.py").write_text("raise LookupError('the other one')\n")
    code = f"""
        import sys, types
        sys.path.append({str(Path(exporting.__file__).parents[1])!r})
        import cage4.spec, native_sim
        sys.path.append({str(workplace)!r})
        helper = sys.modules['helper'] = types.ModuleType('helper')
        from evaluation.export.rehearsal import _StandIn
        sys.meta_path.insert(0, _StandIn())
        sys.path.insert(0, {str(tmp_path / "a.zip")!r})
        from submission.submission import TEAM
        del sys.path[0]
        from cage4 import spec
        import numpy as np
        obs = {{f"blue_agent_{{i}}": np.zeros((1, 1)) for i in range(5)}}
        chosen = TEAM._policy.act(obs, {{}}, TEAM._policy.initial_memory(1), np.zeros((1, 5, 0)))
        assert sys.modules['helper'] is helper and 'lazy' not in sys.modules
        assert sys.modules['cage4.spec'] is cage4.spec and type(chosen) is not native_sim.Decision
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"own.py": policy("import quick"), "quick.so": b"x"}, "imports quick, which is compiled code"),
        ({"own.py": policy("import metadata"), "metadata.py": ANSWER}, "its own module metadata has the name of one"),
        ({"own.py": policy("open('metadata')"), "metadata": ANSWER}, "its own file metadata has the name of one"),
        ({"own.py": policy("import evaluation.inputs.errors, cage4.spec")}, ""),
        ({"own.py": policy("from native_sim import make_vec")}, "cannot import name 'make_vec' from 'native_sim'"),
    ],
)
def test_what_cannot_come_along_is_told(tmp_path, workplace, without_cyborg, monkeypatch, files, sentence):
    for name, content in files.items():
        (workplace / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    if "quick.so" in files:  # it cannot be loaded here either
        monkeypatch.setattr(exporting, "make_policy", lambda name: exporting.POLICIES["sentinel"]())
        monkeypatch.setattr("evaluation.policies.registry.observe", lambda *asked: Observation([], sys.path))
    if not sentence:
        export("own:Own", tmp_path / "a.zip", LABELS)
        return
    with pytest.raises(BadInput) as caught:
        export("own:Own", tmp_path / "a.zip", LABELS)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.glob("a.zip*"))


def test_data_from_elsewhere_are_told(tmp_path, workplace, without_cyborg):
    (tmp_path / "w.npy").write_bytes(array())
    (workplace / "own.py").write_text(policy(f"W = np.load({str(tmp_path / 'w.npy')!r})"))
    with pytest.raises(BadInput, match=r"it reads .*w\.npy, which lies outside .*work, the folder of its modules"):
        export("own:Own", tmp_path / "a.zip", LABELS)
    assert not list(tmp_path.glob("a.zip*"))


def test_an_own_module_with_a_name_of_ours_is_told(tmp_path, workplace, without_cyborg, monkeypatch):
    (workplace / "own.py").write_text(policy("def late():\n    import cage4.mine"))
    (workplace / "cage4").mkdir()
    (workplace / "cage4" / "mine.py").write_text("")
    (workplace / "cage4" / "__init__.py").write_text("")
    with pytest.raises(BadInput, match="its own module cage4 has the name of one"):
        export("own:Own", tmp_path / "a.zip", LABELS)


def test_a_refusal_of_the_command_is_one_sentence_and_leaves_an_older_zip(tmp_path, workplace, without_cyborg):
    (workplace / "own.py").write_text(policy("__import__('scipy')"))
    (tmp_path / "a.zip").write_bytes(b"old")
    done = CliRunner().invoke(app, ["export", "--policy", "own:Own", "--out", str(tmp_path / "a.zip")])
    assert done.exit_code == 2 and "Traceback" not in done.output
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert [path.name for path in tmp_path.glob("a.zip*")] == ["a.zip"]


@pytest.mark.parametrize("failing", ["os.fsync", "Path.replace"])
def test_nothing_half_written_stays(tmp_path, workplace, without_cyborg, monkeypatch, failing):
    def fail(*given):
        assert list(tmp_path.glob("a.zip.*.partial"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"native_sim.storage.writing.{failing}", fail)
    with pytest.raises(BadInput, match=r"cannot write .*a\.zip \(No space left on device\)"):
        export("no-defense", tmp_path / "a.zip", LABELS)
    assert not list(tmp_path.glob("a.zip*"))


# ------------------------------------------------------------------------------------------------------ the rehearsal
def packed(text, **more):
    return exporting.pack({"submission/__init__.py": b"", "submission/submission.py": text.encode(), **more})


WHOLE = "class Submission:\n    NAME = TEAM = TECHNIQUE = ''\n    AGENTS = {}\n    wrap = None\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", None),
        ("from CybORG.Simulator.Actions import Sleep\nclass Mine(Sleep): pass\nMine('x')", None),
        ("import numpy, torch.nn, networkx, matplotlib.pyplot, gymnasium", None),
        ("import cage4", "No module named 'cage4'"),
        ("import evaluation.inputs.errors", "No module named 'evaluation'"),
        ("import numba", "No module named 'numba'"),
        ("import pytest", "No module named 'pytest'"),
        ("import typer", "No module named 'typer'"),
        ("import scipy.stats", "No module named 'scipy'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import os; os._exit(3)", "ended its process while it was loaded, with exit code 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("del Submission.AGENTS", "AGENTS"),
        ("print('noise'); import sys; sys.__stdout__.write('noise')", None),
        ("import threading, time; threading.Thread(target=time.sleep, args=(99,)).start()", None),
    ],
)
def test_a_rehearsal_has_only_what_the_judge_has(without_cyborg, source, reason):
    found = rehearsal.rehearse(packed(WHOLE + source), ALLOWED, [])
    assert found is None if reason is None else reason in found


def test_a_hang_is_told(without_cyborg, monkeypatch):
    monkeypatch.setattr(rehearsal, "TIME_LIMIT_S", 2.0)
    assert rehearsal.rehearse(packed("while True: pass"), ALLOWED, []) == "it did not load within 2 s"


def test_files_of_the_user_are_not_there(without_cyborg, tmp_path):
    (tmp_path / "w.txt").write_text("x")
    source = WHOLE + f"open({str(tmp_path / 'w.txt')!r})"
    assert rehearsal.rehearse(packed(source), ALLOWED, []) is None
    assert "FileNotFoundError" in rehearsal.rehearse(packed(source), ALLOWED, [tmp_path / "w.txt"])


def test_a_rehearsal_finds_no_module_where_the_user_works(workplace, without_cyborg):
    (workplace / "yaml.py").write_text("raise LookupError('the wrong one')")
    assert rehearsal.rehearse(packed(WHOLE + "import yaml; yaml.safe_load"), ALLOWED, []) is None


@pytest.mark.cyborg
def test_a_rehearsal_takes_the_real_cyborg_where_it_is():
    source = WHOLE + "import CybORG\nassert CybORG.CYBORG_VERSION == '4.0', CybORG.CYBORG_VERSION\n"
    assert rehearsal.rehearse(packed(source), ALLOWED, []) is None
    assert "ImportError" in rehearsal.rehearse(packed("from CybORG.Agents import NoSuchAgent"), ALLOWED, [])
    assert os.environ
