"""CybORG is found where it is, and everything else that might be found is told apart; needs no CybORG."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cage4.cyborg import locate as cyborg_locate
from cage4.cyborg.locate import CyborgInfo, CyborgUnavailable, importing, locate

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "8c3c50c" + "0" * 33


def fake_cyborg(folder, version="4.0", enterprise=True, code=""):
    """Write a package that looks like CybORG from outside; returns the checkout."""
    package = folder / "CybORG"
    (package / "Simulator" / "Scenarios").mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    if version is not None:
        (package / "version.txt").write_text(version + "\n")
    if enterprise:
        (package / "Simulator" / "Scenarios" / "EnterpriseScenarioGenerator.py").write_text("")
    return folder


@pytest.fixture
def requirements(monkeypatch):
    """Take what CybORG needs for granted."""
    monkeypatch.setattr(cyborg_locate, "REQUIREMENTS", ())


@pytest.fixture
def set_path(monkeypatch):
    return lambda path: monkeypatch.setenv("CYBORG_PATH", str(path))


def is_one_sentence(reason):
    return reason.endswith(".") and "\n" not in reason and ". " not in reason


@pytest.mark.parametrize("inside", ["", "CybORG"])
def test_a_checkout_or_the_package_in_it(tmp_path, set_path, requirements, inside):
    set_path(fake_cyborg(tmp_path) / inside)
    assert locate() == CyborgInfo(tmp_path, "4.0", None, "")
    assert cyborg_locate.available()
    assert not locate().is_reference  # the commit is not known


def test_the_variable_names_no_folder_or_one_without_cyborg(tmp_path, set_path):
    set_path(tmp_path / "absent")
    assert "absent) is not a folder" in locate().reason
    set_path(tmp_path)
    info = locate()
    assert f"CYBORG_PATH ({tmp_path}) holds no CybORG package" in info.reason
    assert "https://github.com/cage-challenge/cage-challenge-4" in info.reason
    assert "pip install 'hmarl-transfer[cyborg]'" in info.reason
    assert not info.available and is_one_sentence(info.reason)


@pytest.mark.parametrize(
    ("version", "enterprise", "told"),
    [
        ("2.1", False, "is CybORG 2.1, but CybORG 4.0 of CAGE Challenge 4 is needed"),
        ("4.1", True, "is CybORG 4.1, but"),
        ("4.0", False, "is CybORG 4.0 without the scenario of CAGE Challenge 4, but"),
        (None, False, "is a CybORG without a version, but"),
    ],
)
def test_another_cyborg(tmp_path, set_path, requirements, version, enterprise, told):
    set_path(fake_cyborg(tmp_path, version, enterprise))
    info = locate()
    assert told in info.reason and is_one_sentence(info.reason)
    assert info.version == version and info.path == tmp_path


def test_missing_requirements_are_named(tmp_path, set_path, monkeypatch):
    monkeypatch.setattr(cyborg_locate, "REQUIREMENTS", ("sys", "no_such_module", "nor_this"))
    set_path(fake_cyborg(tmp_path))
    assert "needs no_such_module, nor_this, not installed here: run pip install" in locate().reason


def test_commit_of_a_checkout(tmp_path, set_path, requirements):
    set_path(fake_cyborg(tmp_path))
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(COMMIT + "\n")
    assert locate().commit == COMMIT and locate().is_reference
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert locate().commit is None
    (git / "packed-refs").write_text(f"# pack-refs\n{'1' * 40} refs/heads/main\n")
    assert locate().commit == "1" * 40 and not locate().is_reference
    (git / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    assert locate().commit == COMMIT


def test_commit_of_a_linked_work_tree(tmp_path, set_path, requirements):
    checkout, main = fake_cyborg(tmp_path / "tree"), tmp_path / "main" / ".git"
    linked = main / "worktrees" / "tree"
    linked.mkdir(parents=True)
    (checkout / ".git").write_text(f"gitdir: {linked}\n")
    (linked / "HEAD").write_text("ref: refs/heads/topic\n")
    (linked / "commondir").write_text("../..\n")
    (main / "packed-refs").write_text(f"{COMMIT} refs/heads/topic\n")
    set_path(checkout)
    assert locate().commit == COMMIT


def test_importing_refuses_what_is_not_available(tmp_path):
    with (
        pytest.raises(CyborgUnavailable, match=r"^what to do$"),
        importing(CyborgInfo(tmp_path, "4.0", None, "what to do")),
    ):
        raise AssertionError("not reached")


# --------------------------------------------------------------------------------- in a process of their own
def run(code, tmp_path, **variables):
    """Run code where no CybORG is known but the one given by variables."""
    environment = {key: value for key, value in os.environ.items() if key not in ("CYBORG_PATH", "PYTHONPATH")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *variables.pop("path", [])])
    environment.update({key: str(value) for key, value in variables.items()})
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


LOCATE = "from cage4.cyborg.engine import locate; print(locate().reason)"
LOAD = """
from cage4.cyborg import engine as cyborg_engine, locate as cyborg_locate
cyborg_locate.REQUIREMENTS = ()
try:
    cyborg_engine.load_cyborg()
except cyborg_engine.CyborgUnavailable as error:
    print(error)
"""


def test_absent(tmp_path):
    reason = run(LOCATE, tmp_path).stdout.strip()
    if not reason:
        pytest.skip("CybORG is installed for every process of this interpreter")
    assert reason.startswith("CybORG was found neither on sys.path nor in the environment variable CYBORG_PATH: clone")
    assert is_one_sentence(reason)


def test_the_unrelated_package_of_that_name(tmp_path):
    (tmp_path / "cyborg").mkdir()
    (tmp_path / "cyborg" / "__init__.py").write_text("")
    reason = run(LOCATE, tmp_path).stdout
    assert "only the unrelated package 'cyborg' is installed" in reason or not reason.strip()


def test_a_mere_folder_of_that_name_is_no_package(tmp_path):
    (tmp_path / "CybORG").mkdir()
    assert "found neither" in run(LOCATE, tmp_path, path=[str(tmp_path)]).stdout


def test_found_on_the_python_path_but_the_variable_wins(tmp_path):
    on_path, named = fake_cyborg(tmp_path / "one", "2.0"), fake_cyborg(tmp_path / "two", "3.0")
    assert f"{on_path} is CybORG 2.0" in run(LOCATE, tmp_path, path=[str(on_path)]).stdout
    assert "is CybORG 3.0" in run(LOCATE, tmp_path, path=[str(on_path)], CYBORG_PATH=named).stdout


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line second line"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("CybORG = object", "ModuleNotFoundError: No module named 'CybORG.Agents'"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_broken(tmp_path, code, told):
    done = run(LOAD, tmp_path, CYBORG_PATH=fake_cyborg(tmp_path / "x", code=code))
    assert f"CybORG 4.0 in {tmp_path / 'x'} fails to import ({told}" in done.stdout
    assert "clone https://github.com/cage-challenge/cage-challenge-4" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1 and done.stderr == ""


def test_nothing_is_printed_and_nothing_stays_behind(tmp_path):
    noise = (
        "import sys, warnings; print('hello'); print('notice', file=sys.stderr); warnings.warn('old')\n"
        "from ray.rllib.env.multi_agent_env import MultiAgentEnv\nseen = sys.modules['ray.rllib']\n"
    )
    code = """
import sys
from cage4.cyborg.locate import CyborgInfo, importing
from pathlib import Path
before = list(sys.path)
with importing(CyborgInfo(Path('x').resolve(), '4.0', None, '')):
    import CybORG
assert sys.path == before and not [name for name in sys.modules if name.split('.')[0] == 'ray']
print(CybORG.MultiAgentEnv.__name__)
"""
    fake_cyborg(tmp_path / "x", code=noise)
    done = run(code, tmp_path)
    assert done.stdout == "MultiAgentEnv\n" and done.stderr == ""


@pytest.mark.parametrize(
    ("multi_agent_env", "told"),
    [("class MultiAgentEnv: real = True", "True ray"), ("raise ImportError('dm_tree')", "False ray")],
)
def test_ray_is_used_where_it_works(tmp_path, multi_agent_env, told):
    fake_cyborg(tmp_path / "x", code="from ray.rllib.env.multi_agent_env import MultiAgentEnv as E")
    folder = tmp_path / "site" / "ray" / "rllib" / "env"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent, folder.parent.parent):
        (package / "__init__.py").write_text("")
    (folder / "multi_agent_env.py").write_text(multi_agent_env)
    code = """
import sys
from pathlib import Path
from cage4.cyborg.locate import CyborgInfo, importing
with importing(CyborgInfo(Path('x').resolve(), '4.0', None, '')):
    import CybORG
import ray
print(hasattr(CybORG.E, 'real'), ray.__name__)
stand_ins = [name for name, module in sys.modules.items() if name.startswith('ray') and module.__spec__ is None]
assert not stand_ins, stand_ins
"""
    assert run(code, tmp_path, path=[str(tmp_path / "site")]).stdout.strip() == told


def test_another_cyborg_that_is_already_imported_is_refused(tmp_path):
    one, two = fake_cyborg(tmp_path / "one"), fake_cyborg(tmp_path / "two")
    code = "import CybORG\n" + LOAD
    done = run(code, tmp_path, path=[str(one)], CYBORG_PATH=two)
    assert f"already imported from {one}, but {two} is asked for: start a new process" in done.stdout
