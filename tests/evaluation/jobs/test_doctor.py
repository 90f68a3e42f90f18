"""The doctor finds each problem, says what to do, and fails only for what breaks the main job."""

import io
import json
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest
from numba.core import caching
from rich.console import Console

from cage4.cyborg import locate as cyborg_locate
from cage4.cyborg.locate import CyborgInfo
from evaluation.jobs import doctor
from evaluation.jobs.doctor import Check, diagnose, render


def only(checks, name):
    (check,) = [check for check in checks if check.name == name]
    return check


@pytest.fixture
def no_cyborg(monkeypatch):
    info = CyborgInfo(None, None, None, "CybORG was found nowhere: clone it: and set CYBORG_PATH.")
    monkeypatch.setattr(cyborg_locate, "locate", lambda: info)


@pytest.fixture
def checkout(monkeypatch):
    """Make the doctor read the requirements of this checkout, whether or not it is installed."""

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "metadata", absent)


def test_this_installation_is_well(no_cyborg):
    checks = diagnose(smoke=False)
    assert [check for check in checks if check.status == "fail"] == []
    names = {check.name for check in checks}
    assert {"python", "numpy", "numba", "our packages", "cyborg", "compiled cache", "gpu", "machine"} <= names


def test_everything_that_is_not_ok_says_what_to_do(no_cyborg):
    for check in diagnose(smoke=False):
        assert check.status in ("ok", "warn", "fail") and check.found
        assert check.status == "ok" or check.advice


def test_missing_cyborg_is_no_failure(no_cyborg):
    check = only(diagnose(), "cyborg")
    assert (check.status, check.found) == ("warn", "CybORG was found nowhere")
    assert check.advice == "clone it: and set CYBORG_PATH."


def test_another_commit_of_cyborg_is_told(monkeypatch):
    info = CyborgInfo(Path("/there"), "4.0", "1" * 40, "")
    monkeypatch.setattr(cyborg_locate, "locate", lambda: info)
    check = only(diagnose(smoke=False), "cyborg")
    assert check.status == "warn" and "commit 1111111" in check.found and "8c3c50c" in check.advice


def test_requirements_of_a_checkout(checkout):
    python, requirements = doctor._declared()
    assert python.startswith(">=3.")
    assert any(text.startswith("numpy") for text in requirements)
    assert not any("extra" in text for text in requirements)


@pytest.mark.parametrize(
    ("declared", "status", "found"),
    [
        ("numpy>=1.0", "ok", metadata.version("numpy")),
        ("numpy<1.0", "warn", "outside <1.0"),
        ("no-such-package>=1", "fail", "not installed"),
    ],
)
def test_versions_are_compared(monkeypatch, declared, status, found):
    ignored = ["ignored>=1; extra == 'dev'", "ignored>=1; python_version < '3'"]
    monkeypatch.setattr(doctor, "_declared", lambda: (">=3.10", [declared, *ignored]))
    (check,) = doctor._requirements()
    assert check.status == status and found in check.found
    assert (check.advice == "") == (status == "ok") and (status == "ok" or declared in check.advice)


def test_an_unsupported_python_fails(monkeypatch):
    monkeypatch.setattr(doctor, "_declared", lambda: ("<3.0", []))
    (check,) = doctor._python()
    assert check.status == "fail" and "Python that is <3.0" in check.advice


def test_a_foreign_package_of_our_name_fails(monkeypatch, tmp_path):
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "adapters", raising=False)
    (check,) = doctor._our_packages()
    assert check.status == "fail" and f"adapters is {tmp_path / 'adapters' / '__init__.py'}" in check.found


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache folder of its own, which does not exist yet."""
    folder = tmp_path / "kernels"
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))  # which was read from the environment at import
    return folder


def test_compiled_cache(cache):
    (check,) = doctor._compiled_code()
    assert check.status == "ok" and "empty" in check.found and str(cache) in check.found
    doctor._cache_folders()[0].joinpath("step.1.nbc").write_bytes(bytes(3 * 2**20))
    (check,) = doctor._compiled_code()
    assert check.found.startswith("1 kernels, 3.0 MiB")


def test_a_given_cache_folder_that_cannot_be_used_is_told(cache):
    cache.write_text("a file")
    (check,) = doctor._compiled_code()
    assert check.status == "warn" and f"NUMBA_CACHE_DIR is {cache}, which cannot be written" in check.found
    assert "__pycache__ instead" in check.found  # beside the sources, or in the home


def test_no_cache_folder_at_all_is_told_with_what_it_costs(cache, monkeypatch, tmp_path):
    cache.write_text("a file")
    monkeypatch.setattr(caching.InTreeCacheLocator, "from_function", classmethod(lambda *_: None))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("HOME", str(cache))
    (check,) = doctor._compiled_code()
    assert check.status == "warn" and "each start, and each worker, compiles: 20 s" in check.found
    assert "NUMBA_CACHE_DIR" in check.advice


def test_a_disk_without_room_for_compiled_code_is_told(cache, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    (check,) = doctor._compiled_code()
    assert check.status == "warn" and check.found.startswith("1.0 MiB are free")


def test_plain_python_instead_of_compiled_code_is_told(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    (check,) = doctor._compiled_code()
    assert check.advice == "unset NUMBA_DISABLE_JIT"


@pytest.mark.parametrize(
    ("seen", "torch", "status"),
    [
        ("", None, "ok"),
        ("H100", None, "ok"),
        ("", False, "ok"),
        ("H100", False, "warn"),
        ("H100", True, "ok"),
    ],
)
def test_gpu(monkeypatch, seen, torch, status):
    cuda = SimpleNamespace(is_available=lambda: torch, get_device_name=lambda n: "H100")
    fake = SimpleNamespace(cuda=cuda, __version__="2.0", __spec__=None)
    monkeypatch.setattr(doctor, "_nvidia_smi", lambda: seen)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if torch is None else "found")
    monkeypatch.setitem(sys.modules, "torch", fake)
    (check,) = doctor._gpu()
    assert check.status == status and ("H100" in check.found) == bool(seen)


def test_a_machine_with_little_memory_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "_memory_gib", lambda: 0.5)
    (check,) = doctor._machine()
    assert check.status == "warn" and "0.5 GiB" in check.found
    monkeypatch.setattr(doctor, "_memory_gib", lambda: None)
    (check,) = doctor._machine()
    assert check.status == "ok" and "memory unknown" in check.found


def test_a_look_that_raises_is_reported_and_the_others_go_on(monkeypatch, no_cyborg):
    def broken():
        raise OSError("disk on fire")
        yield

    monkeypatch.setattr(doctor, "_gpu", broken)
    checks = diagnose(smoke=False)
    assert only(checks, "gpu").status == "warn" and "disk on fire" in only(checks, "gpu").found
    assert only(checks, "machine")


def test_table_and_json():
    check = Check("cyborg", "warn", "missing", "run pip install 'hmarl-transfer[cyborg]'")
    out = io.StringIO()
    Console(file=out, width=120).print(render([check]))
    assert "hmarl-transfer[cyborg]" in out.getvalue()  # the brackets are no markup
    expected = {"name": "cyborg", "status": "warn", "found": "missing", "advice": check.advice}
    assert json.loads(json.dumps(check.to_json())) == expected


@pytest.mark.cyborg
def test_smoke_run_plays_the_reference_and_notices_what_does_not(monkeypatch):
    assert only(diagnose(smoke=True), "cyborg smoke run").status == "ok"
    assert "cyborg smoke run" not in {check.name for check in diagnose(smoke=False)}
    monkeypatch.setattr(doctor, "SMOKE_DIGEST", "another")
    assert doctor._smoke().status == "warn"


def test_a_cyborg_that_does_not_import_is_a_warning(monkeypatch):
    from cage4.cyborg import engine as cyborg_engine

    def broken(**_):
        raise cyborg_engine.CyborgUnavailable("it fails to import")

    monkeypatch.setattr(cyborg_engine, "CyborgEpisode", broken)
    assert doctor._smoke() == Check("cyborg smoke run", "warn", "it fails to import", "see docs/cyborg.md")
