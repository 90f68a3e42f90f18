"""Fingerprints: every file that decides what a policy does counts, by name and content, and no other."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.bundle import bundle_folder
from evaluation.foreign.sources import closure
from evaluation.foreign.sources.imports import read_source
from evaluation.foreign.sources.modules import Modules, Whose, whose
from evaluation.foreign.sources.observed import Recorder
from evaluation.games.cc4.policies import CC4
from evaluation.games.soc.policies import soc_registry
from evaluation.inputs.errors import BadInput
from evaluation.jobs.evaluate import prepare
from evaluation.policies import registry as policies
from evaluation.policies.registry import closure_of, fingerprint
from tests.builders.shapes import ANSWER, SHAPES, policy


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relative(found, folder):
    return {path.relative_to(folder).as_posix() for path in found.files().values()}


@pytest.mark.parametrize("name", SHAPES)
def test_a_policy_is_made_of_the_files_it_uses_and_no_others(workplace, name):
    shape = SHAPES[name]
    shape.write(workplace)
    assert relative(closure_of(shape.name), workplace) == set(shape.used)


def test_modules_with_names_of_pythons_own_do_not_get_in_the_way(workplace):
    (workplace / "own.py").write_text(policy("import helper"))
    (workplace / "helper.py").write_text(ANSWER)
    for name in ("json", "subprocess", "typing", "numpy"):
        (workplace / f"{name}.py").write_text("raise LookupError('the wrong one')")
    assert relative(closure_of("own:Own"), workplace) >= {"own.py", "helper.py"}


def test_what_a_policy_writes_is_no_part_of_it(workplace):
    inner = (
        "open('log.txt', 'a'); Path('a.log').write_text('x'); (Path() / 'b.log').open(mode='w'); "
        "np.save(f'{0}.npy', 1); open('in.txt').read(); Path('too.txt').read_text(); open('w'); open('b', 'rb')"
    )
    (workplace / "own.py").write_text(policy("from pathlib import Path", inner=inner))
    for name in ("log.txt", "a.log", "b.log", "0.npy", "in.txt", "too.txt", "w", "b"):
        (workplace / name).write_text("x")
    assert relative(closure_of("own:Own"), workplace) == {"own.py", "in.txt", "too.txt", "w", "b"}


def test_what_a_compiler_keeps_of_a_policy_is_no_part_of_it(workplace):
    top = "import numba\n@numba.njit(cache=True)\ndef one():\n    return 1\none()"
    (workplace / "own.py").write_text(policy(top))
    prints = [fingerprint("own:Own", CC4) for _ in range(3)]
    assert list((workplace / "__pycache__").glob("*.nbi")), "the cache was not used"
    assert prints[0] == prints[1] == prints[2]


@pytest.mark.parametrize(
    "name", ["a helper's helper", "folders without __init__", "data in a folder, with a computed name"]
)
def test_any_change_of_a_used_file_changes_the_fingerprint(workplace, name):
    shape = SHAPES[name]
    shape.write(workplace)
    before = fingerprint(shape.name, CC4)
    for path in shape.unused:
        (workplace / path).write_text("changed")
    assert fingerprint(shape.name, CC4) == before
    for path in shape.used:
        place = workplace / path
        content = place.read_bytes()
        place.write_bytes(content + (b"# changed\n" if path.endswith(".py") else b"x"))
        assert fingerprint(shape.name, CC4) != before, path
        place.write_bytes(content)
    assert fingerprint(shape.name, CC4) == before


def test_a_moved_project_is_the_same_and_exchanged_files_are_not(tmp_path, monkeypatch):
    prints = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        SHAPES["data in a folder, with a computed name"].write(tmp_path / place)
        monkeypatch.chdir(tmp_path / place)
        prints.append(fingerprint("own:Own", CC4))
    assert prints[0] == prints[1]
    (tmp_path / "there" / "own.py").write_text(policy("import a, b"))
    (tmp_path / "there" / "a.py").write_text("X = 1")
    (tmp_path / "there" / "b.py").write_text("X = 2")
    first = fingerprint("own:Own", CC4)
    (tmp_path / "there" / "a.py").write_text("X = 2")
    (tmp_path / "there" / "b.py").write_text("X = 1")
    assert fingerprint("own:Own", CC4) != first


# ------------------------------------------------------------------------------------------------ any graph of imports
STYLES = (
    "import {to}",
    "from {parent} import {last}",
    "def late():\n    import {to}",
    "try:\n    import {to}\nexcept ImportError:\n    pass",
    "import importlib as i\ndef late():\n    i.import_module('{to}')",
    "class A:\n    import {to} as x",
    "x = lambda: __import__('{to}')",
)
NAMES = ("own", "a", "b.c", "b.d.e", "f.g", "json", "b.h")


@st.composite
def graphs(draw):
    """Draw which modules import which, and how; b is a package with ``__init__`` or without."""
    edges = draw(
        st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES[1:]), st.sampled_from(STYLES)), max_size=9)
    )
    return edges, draw(st.booleans()), draw(st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_the_closure_of_any_graph_is_what_can_be_reached(tmp_path, graph):
    edges, b_has_init, mark = graph
    folder = tmp_path / "graph"
    shutil.rmtree(folder, ignore_errors=True)
    inits = ["b/__init__.py"] * b_has_init
    texts = {f"{name.replace('.', '/')}.py": "" for name in NAMES} | dict.fromkeys(inits, "")
    for source, to, style in edges:
        parent, _, last = to.rpartition(".")
        how = style if parent or "{parent}" not in style else STYLES[0]
        texts[f"{source.replace('.', '/')}.py"] += how.format(to=to, parent=parent, last=last) + "\n"
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"\xef\xbb\xbf" * mark + text.encode())
    reached, waiting = set(), ["own"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [to for source, to, _ in edges if source == name]
    expected = {f"{name.replace('.', '/')}.py" for name in reached}
    expected |= set(inits) if any(name.startswith("b.") for name in reached) else set()
    found = closure.find("own", [str(folder), *sys.path])
    assert relative(found, folder) == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_source_stops_the_reader(source):
    assert read_source(source, "a.b").imports is not None


def test_an_expression_of_a_thousand_parts_hides_no_import():
    deep = "x = " + "+".join(["1"] * 1500) + "\nimport a\n"
    assert [found.name for found in read_source(deep.encode(), "").imports] == ["a"]


# ------------------------------------------------------------------------------------------------------- what is whose
def test_whose_a_file_is(tmp_path):
    import json as standard

    import numpy

    assert whose(Path(numpy.__file__)) is Whose.INSTALLED
    assert whose(Path(standard.__file__)) is Whose.STANDARD
    assert whose(Path(policies.__file__)) is Whose.OURS
    assert whose(tmp_path / "evaluation" / "policies.py") is Whose.OWN


def test_a_package_that_was_installed_into_any_folder_is_not_the_users(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("")
    (tmp_path / "theirs-1.0.dist-info").mkdir()
    (tmp_path / "theirs-1.0.dist-info" / "RECORD").write_text("theirs/__init__.py,,\n")
    (tmp_path / "mine.py").write_text("")
    modules = Modules([str(tmp_path)])
    assert modules.find("theirs").whose is Whose.INSTALLED and modules.find("mine").whose is Whose.OWN


def test_finding_runs_nothing(tmp_path):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "__init__.py").write_text("raise SystemExit('this ran')")
    (tmp_path / "team" / "own.py").write_text("import team.helper")
    (tmp_path / "team" / "helper.py").write_text("raise SystemExit('this ran')")
    found = closure.find("team.own", [str(tmp_path)])
    assert relative(found, tmp_path) == {"team/__init__.py", "team/own.py", "team/helper.py"}
    assert closure.find("team.absent", [str(tmp_path)]) is None


def test_modules_of_the_user_with_names_of_ours_are_the_users(workplace):
    files = {"own.py": policy("import evaluation, adapters.mine as mine\nevaluation.ANSWER"), "evaluation.py": ANSWER}
    files |= {"adapters/mine.py": ANSWER, "adapters/__init__.py": ""}
    for name, text in files.items():
        (workplace / name).parent.mkdir(exist_ok=True)
        (workplace / name).write_text(text)
    assert relative(closure_of("own:Own"), workplace) == set(files)


def test_a_recorder_tells_inputs_from_outputs_and_from_what_libraries_read(workplace):
    (workplace / "in.txt").write_text("in")
    (workplace / "both.txt").write_text("old")
    (workplace / "reader.py").write_text(
        "import wave, json, pathlib\n"
        "def read():\n"
        "    pathlib.Path('in.txt').read_text(); open('out.txt', 'w').close()\n"
        "    open('both.txt').close(); open('both.txt', 'a').close()\n"
        "    open('/proc/self/stat').close(); pathlib.Path(json.__file__).read_bytes()\n"
    )
    code = (
        "import sys, json; from evaluation.foreign.sources.observed import Recorder\n"
        "with Recorder() as recorder:\n    import reader; reader.read()\n"
        "open('in.txt')\nprint(json.dumps([path.name for path in recorder.files()]))"
    )
    root = Path(policies.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(workplace), str(root)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == ["in.txt", "reader.py"]


def test_a_recorder_hears_nothing_outside_its_block(tmp_path):
    (tmp_path / "x.txt").write_text("")
    with Recorder() as recorder:
        pass
    (tmp_path / "x.txt").read_text()
    assert tmp_path / "x.txt" not in recorder.files()


# ---------------------------------------------------------------------------------------------------- in the run folder
def test_a_policy_that_loads_only_once_is_told(workplace):
    (workplace / "own.py").write_text(policy("import pathlib\npathlib.Path('once').mkdir()"))
    policies.make_policy("own:Own", CC4)
    with pytest.raises(BadInput, match=r"can be made once but not a second time.*FileExistsError") as caught:
        fingerprint("own:Own", CC4)
    assert "\n" not in str(caught.value)


def test_results_in_the_same_folder_are_no_data_of_a_policy(workplace):
    (workplace / "own.py").write_text(policy("OUT = 'runs'; LOGS = '.'; UP = '..'"))
    before = fingerprint("own:Own", CC4)
    for name in ("spec.json", "episodes.jsonl"):
        (workplace / "runs" / "one").mkdir(parents=True, exist_ok=True)
        (workplace / "runs" / "one" / name).write_text("{}")
    assert fingerprint("own:Own", CC4) == before


def test_a_changed_policy_never_joins_an_old_run(workplace):
    read = "from pathlib import Path\nX = Path(__file__).with_name('w.' + 'npy').read_bytes()\n"
    files = {"own.py": policy("import helper"), "helper.py": read, "w.npy": "1"}
    for name, content in files.items():
        (workplace / name).write_text(content)

    def begin():
        prepare("native", None, 10, "own:Own", 1, 0, 1, None, workplace / "run").close()

    begin()
    begin()
    for name, content in files.items():
        (workplace / name).write_text(content + "\n# changed\n")
        with pytest.raises(BadInput, match=r"was started with policies .* choose another --out") as caught:
            begin()
        assert "\n" not in str(caught.value)
        (workplace / name).write_text(content)
    begin()


def test_a_submission_is_its_whole_folder(tmp_path, monkeypatch):
    folder = tmp_path / "sub"
    (folder / "deep").mkdir(parents=True)
    for name in ("submission.py", "brain.py", "deep/w.bin"):
        (folder / name).write_text("X = 1\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "w.bin").write_text("1")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    prints = [fingerprint(str(folder), CC4)]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("")
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_text("")
    assert fingerprint(str(folder), CC4) == prints[0]
    for name, content in (("brain.py", "X = 2"), ("deep/w.bin", "2"), ("linked/w.bin", "2"), ("new.txt", "")):
        (folder / name).write_text(content)
        prints.append(fingerprint(str(folder), CC4))
    (folder / "deep" / "w.bin").rename(folder / "w.bin")
    prints.append(fingerprint(str(folder), CC4))
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "outside.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    (folder / "submission.py").write_text("import outside\n")
    prints.append(fingerprint(str(folder), CC4))
    (tmp_path / "path" / "outside.py").write_text("X = 1")
    prints.append(fingerprint(str(folder), CC4))
    assert len(set(prints)) == len(prints)


def test_a_zip_is_its_bytes(tmp_path):
    for text in "ab":
        with zipfile.ZipFile(tmp_path / f"{text}.zip", "w") as file:
            file.writestr("submission.py", text)
    first = fingerprint(str(tmp_path / "a.zip"), CC4)
    shutil.copy(tmp_path / "b.zip", tmp_path / "a.zip")
    assert fingerprint(str(tmp_path / "a.zip"), CC4) != first


def test_weights_and_bundles_count_by_what_is_loaded_of_them(tmp_path):
    soc = soc_registry("corrected")
    shutil.copytree(bundle_folder("hmarl-soc"), tmp_path / "b")
    shutil.copytree(bundle_folder("hmarl-soc") / "policy", tmp_path / "run" / "best")
    names = (
        f"bundle:{tmp_path / 'b'}@ops-only",
        f"weights:{tmp_path / 'run'}",
        f"without:hunter/weights:{tmp_path / 'run'}",
    )
    registries = (CC4, soc, soc)
    before = [*map(fingerprint, names, registries)]
    assert before[1] == before[2] != before[0]
    assert fingerprint("bundle:hmarl-soc", CC4) == before[0]
    (tmp_path / "b" / "notes.txt").write_text("")
    (tmp_path / "run" / "log.jsonl").write_text("")
    assert [*map(fingerprint, names, registries)] == before
    for file in (*(tmp_path / "b").rglob("*.*"), *(tmp_path / "run" / "best").iterdir()):
        content = file.read_bytes()
        if file.suffix == ".txt":
            continue
        file.write_bytes(content + b" ")
        assert [*map(fingerprint, names, registries)] != before, file
        file.write_bytes(content)
    with pytest.raises(BadInput, match="holds no checkpoint"):
        fingerprint(f"weights:{tmp_path}", soc)


def test_files_of_a_constant_policy_count(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    soc = soc_registry("corrected")
    before = fingerprint(f"constant:{tmp_path / 'c.json'}", soc)
    (tmp_path / "c.json").write_text('{"a": 1}')
    assert fingerprint(f"constant:{tmp_path / 'c.json'}", soc) != before
    assert ANSWER
