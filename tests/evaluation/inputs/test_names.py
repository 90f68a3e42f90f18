"""Our common names: ours come first in the command, theirs in a user's policy, and what cannot work is one sentence."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evaluation.foreign.inside import child
from evaluation.inputs import names
from evaluation.jobs import doctor

ROOT = Path(__file__).resolve().parents[3]
POLICY = """
    import {name}
    from evaluation_free import PRICE
    from native_sim import Decision, Policy
    import numpy as np
    from cage4 import actions, spec

    class Mine(Policy):
        def initial_memory(self, num_envs):
            return None

        def act(self, obs, mask, memory, draws):
            assert {name}.MINE == PRICE
            return Decision({{n: np.full(len(draws), actions.SLEEP[i]) for i, n in enumerate(spec.BLUE_AGENTS)}}, None)
"""


def command(here, *arguments, module="hmarl_transfer", path=()):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def evaluate(here, *arguments, **options):
    asked = ("evaluate", "--engine", "native", "--steps", "10", "--episodes", "2", "--out", str(here / "run"), "--json")
    return command(here, *asked, *arguments, **options)


def test_there_is_one_list_of_our_names():
    assert child.OURS == names.OURS
    assert child.ROOT == names.ROOT == ROOT


@pytest.mark.parametrize(
    ("name", "where", "module"),
    [
        ("adapters", "here", "evaluation.cli"),
        ("evaluation", "path", "hmarl_transfer"),
        pytest.param("adapters", "path", "hmarl_transfer", marks=pytest.mark.slow),
        pytest.param("evaluation", "here", "hmarl_transfer", marks=pytest.mark.slow),
        pytest.param("hmarl_soc", "here", "hmarl_transfer", marks=pytest.mark.slow),
    ],
)
def test_a_policy_with_a_module_of_our_name_plays(tmp_path, name, where, module):
    other = tmp_path if where == "here" else tmp_path / "library"
    other.mkdir(exist_ok=True)
    (other / f"{name}.py").write_text("MINE = 3\n")
    (tmp_path / "evaluation_free.py").write_text("PRICE = 3\n")
    (tmp_path / "policy.py").write_text(textwrap.dedent(POLICY).format(name=name))
    workers = ("--workers", "2", "--envs", "1") if module == "evaluation.cli" else ()
    path = () if where == "here" else (other,)
    done = evaluate(tmp_path, "--policies", "no-defense,policy:Mine", *workers, module=module, path=path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])["policies"]
    assert answer["policy:Mine"]["mean"] == answer["no-defense"]["mean"]
    notices = [line for line in done.stderr.splitlines() if line.startswith("Notice:")]
    assert len(notices) == 1
    assert notices[0].startswith(f"Notice: {other / name}.py has the name of a package of hmarl-transfer; ")


def test_a_folder_without_python_is_no_module(tmp_path):
    for name in names.OURS:
        (tmp_path / name).mkdir()
    done = command(tmp_path, "evaluate", "--policies", "nonsense")
    assert done.returncode == 2
    assert "Notice" not in done.stderr and "unknown policy 'nonsense'" in done.stderr


def test_ours_are_put_first_and_the_path_of_policies_stays(tmp_path, monkeypatch):
    (tmp_path / "a" / "adapters").mkdir(parents=True)
    (tmp_path / "a" / "adapters" / "__init__.py").write_text("")
    (tmp_path / "b").mkdir()
    a, b, root = str(tmp_path / "a"), str(tmp_path / "b"), str(ROOT)
    for before, after in (
        ([a, b, root], [b, root, a]),
        ([b, a], [b, root, a]),
        ([b, root, a], [b, root, a]),
        ([b, root], [b, root]),
        (["", b, root], [b, root, ""]),
        ([str(tmp_path), b], [b, root, str(tmp_path)]),
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(before))
        monkeypatch.setattr(names, "_USER_PATH", [])
        names.put_ours_first()
        assert sys.path == after
    monkeypatch.setattr(names, "_USER_PATH", [a, root])
    assert names.user_path() == [a, root]


def test_what_we_hide_is_told(tmp_path):
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").write_text("")
    record = tmp_path / "adapter_library-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: adapter-library\nVersion: 1.0\n")
    (record / "RECORD").write_text("adapters/__init__.py,,\n")
    code = "import sys; from evaluation.inputs import names; print(*names.notices(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'adapters' / '__init__.py'} (of adapter-library) is hidden by hmarl-transfer")


class Installed:
    """A distribution with one file, as metadata shows it."""

    def __init__(self, name, file, content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self.metadata, self.files = {"Name": name}, [self]
        self.parts, self.hash, self._file = file.parts, type("Hash", (), {"mode": "sha256", "value": digest}), file

    def locate(self):
        return self._file


@pytest.mark.parametrize(("theirs", "broken"), [("adapters", True), ("hmarl-transfer", False)])
def test_a_package_that_another_distribution_overwrote_is_refused(monkeypatch, capsys, theirs, broken):
    file = ROOT / "adapters" / "__init__.py"
    monkeypatch.setattr(names.metadata, "distribution", lambda name: Installed(name, file, b"as it was installed"))
    monkeypatch.setattr(names.metadata, "distributions", lambda: [Installed(theirs, file, b"")])
    monkeypatch.setattr(names, "_USER_PATH", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    if not broken:  # a file that somebody changed is nobody's collision
        names.settle()
        return
    with pytest.raises(SystemExit) as caught:
        names.settle()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"Error: {file} was overwritten by another distribution (of adapters); " in error


def test_a_package_that_ours_replaced_is_told_by_the_doctor(monkeypatch):
    file = ROOT / "adapters" / "__init__.py"
    ours, theirs = (Installed(name, file, b"") for name in ("hmarl_transfer", "adapters"))
    monkeypatch.setattr(names.metadata, "distributions", lambda: [ours])
    assert names.replaced() == []
    monkeypatch.setattr(names.metadata, "distributions", lambda: [ours, theirs])
    (check,) = doctor._our_packages()
    assert check.status == "warn" and check.advice
    assert f"{file.parent} is also the place of a package (of adapters), whose files" in check.found


def test_an_installed_file_as_it_was_is_fine(monkeypatch):
    file = ROOT / "adapters" / "__init__.py"
    monkeypatch.setattr(names.metadata, "distribution", lambda name: Installed(name, file, file.read_bytes()))
    assert not names._is_overwritten(file)


def test_another_package_that_was_imported_first_is_refused(monkeypatch, tmp_path):
    other = type(sys)("adapters")
    other.__file__ = str(tmp_path / "adapters.py")
    monkeypatch.setitem(sys.modules, "adapters", other)
    with pytest.raises(names.Collision, match="another adapters was imported from"):
        names.check()


def test_a_missing_package_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(names, "ROOT", tmp_path)
    with pytest.raises(names.Collision, match="is incomplete: there is no"):
        names.check()
