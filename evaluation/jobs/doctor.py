"""Looks at an installation and says, problem by problem, what to do about it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evaluation.inputs import names

if TYPE_CHECKING:
    from rich.table import Table

Status = Literal["ok", "warn", "fail"]

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "hmarl-transfer"
OUR_PACKAGES = names.OURS
SMOKE_STEPS = 5
SMOKE_DIGEST = "7fe8e4566deb41df167407f5c142d2f5ac5bd2225bfe668529108abce87261df"
"""Of what the reference shows and pays in the first steps of the episode that :func:`_smoke` plays."""
ENOUGH_MEMORY_GIB = 2.0
_REINSTALL = f"run pip install --upgrade {DISTRIBUTION}"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    """``fail`` breaks the main job, ``warn`` costs a feature or speed."""
    found: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""

    def to_json(self) -> dict[str, str]:
        """Return the four fields."""
        return asdict(self)


def diagnose(smoke: bool = True) -> list[Check]:
    """Look at the interpreter, the packages, CybORG, the compiled code, the GPU and the machine; never raises.

    Args:
        smoke: Also import CybORG, if it is found, and play five steps (some seconds).
    """
    looks: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("python", _python),
        ("packages", _requirements),
        ("our packages", _our_packages),
        ("cyborg", lambda: _cyborg(smoke)),
        ("compiled code", _compiled_code),
        ("gpu", _gpu),
        ("machine", _machine),
    ]
    checks: list[Check] = []
    for name, look in looks:
        try:
            for check in look():
                checks.append(check)
        except Exception as error:  # noqa: BLE001  # a doctor does not die of what he finds
            found = f"could not be looked at ({type(error).__name__}: {error})"
            checks.append(Check(name, "warn", found, f"{_REINSTALL} if something does not work"))
    return checks


def render(checks: list[Check]) -> Table:
    """Return the checks as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table(title="hmarl-transfer doctor")
    for heading in ("check", "status", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        # Text, not str: square brackets in advice such as "[cyborg]" are no markup.
        table.add_row(check.name, Text(check.status, styles[check.status]), Text(check.found), Text(check.advice))
    return table


# ------------------------------------------------------------------------------------------------ interpreter, packages
def _python() -> Iterator[Check]:
    from packaging.specifiers import SpecifierSet

    found = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    needed = _declared()[0]
    if platform.python_version() in SpecifierSet(needed, prereleases=True):
        yield Check("python", "ok", found)
    else:
        yield Check("python", "fail", found, f"use a Python that is {needed}")


def _requirements() -> Iterator[Check]:
    from packaging.requirements import Requirement

    for text in _declared()[1]:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield Check(needed.name, "fail", "not installed", f"{_REINSTALL}, or pip install '{text}'")
            continue
        if needed.specifier.contains(version, prereleases=True):
            yield Check(needed.name, "ok", version)
        else:
            found = f"{version}, outside {needed.specifier}"
            yield Check(needed.name, "warn", found, f"run pip install '{text}'")


def _declared() -> tuple[str, list[str]]:
    """Return the Python versions and the core requirements this project declares."""
    try:
        about = metadata.metadata(DISTRIBUTION)
        return about["Requires-Python"], about.get_all("Requires-Dist") or []
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    python = re.search(r'^requires-python = "(.*)"', text, re.MULTILINE)
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    if python is None or listed is None:
        raise ValueError(f"{ROOT / 'pyproject.toml'} declares no requirements")
    return python[1], re.findall(r'"(.*?)"', listed[1])


def _our_packages() -> Iterator[Check]:
    # Some of these names are common, so another package or folder of that name may come first on sys.path.
    foreign = []
    for name in OUR_PACKAGES:
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found is not None and found.origin else None
        if origin != ROOT / name / "__init__.py":
            foreign.append(f"{name} is {origin or 'missing'}")
    if foreign:
        advice = "leave the folder that holds it, or uninstall the other package, so that ours comes first on sys.path"
        yield Check("our packages", "fail", "; ".join(foreign), advice)
    elif collisions := [*names.notices(), *names.replaced()]:
        advice = "leave the folder, change PYTHONPATH, or use an environment of its own, if that is not what you want"
        yield Check("our packages", "warn", "; ".join(collisions), advice)
    else:
        yield Check("our packages", "ok", f"all {len(OUR_PACKAGES)} in {ROOT}")


# -------------------------------------------------------------------------------------------------------------- cyborg
def _cyborg(smoke: bool) -> Iterator[Check]:
    from cage4 import spec
    from cage4.cyborg import locate as cyborg_locate

    info = cyborg_locate.locate()
    if not info.available:
        found, _, advice = info.reason.partition(": ")
        yield Check("cyborg", "warn", found, advice)
        return
    found = f"{info.version} in {info.path}, commit {(info.commit or 'unknown')[:7]}"
    if info.is_reference or info.commit is None:
        yield Check("cyborg", "ok", found)
    else:
        yield Check(
            "cyborg", "warn", found, f"results were checked against commit {spec.REFERENCE_COMMIT}: check it out"
        )
    if smoke:
        yield _smoke()


def _smoke() -> Check:
    """Play a few steps with a fixed random policy and compare with what the reference did."""
    import numpy as np

    from cage4.cyborg.engine import CyborgEpisode, CyborgUnavailable

    try:
        episode = CyborgEpisode(steps=20, seed=5)
    except CyborgUnavailable as error:
        return Check("cyborg smoke run", "warn", str(error), "see docs/cyborg.md")
    frame = episode.reset()
    policy, digest = np.random.default_rng(0), hashlib.sha256()
    for _ in range(SMOKE_STEPS):
        actions = {agent: int(policy.choice(np.flatnonzero(mask))) for agent, mask in frame.action_mask.items()}
        frame = episode.step(actions)
        for vector in frame.observations.values():
            digest.update(vector.astype("<i8").tobytes())
        digest.update(str(int(frame.reward)).encode())
    if digest.hexdigest() == SMOKE_DIGEST:
        return Check("cyborg smoke run", "ok", f"{SMOKE_STEPS} steps, exactly as the reference")
    return Check(
        "cyborg smoke run",
        "warn",
        f"{SMOKE_STEPS} steps, but not those of the reference",
        "check out the reference commit without changes, and use the tested versions of constraints.txt",
    )


# ------------------------------------------------------------------------------------------------------- compiled code
def _compiled_code() -> Iterator[Check]:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        found = "NUMBA_DISABLE_JIT is set, so compiled code runs as plain Python"
        yield Check("compiled code", "warn", found, "unset NUMBA_DISABLE_JIT")
        return
    folders = _cache_folders()
    places = list(dict.fromkeys(folder for folder in folders if folder is not None))
    where = ", ".join(map(str, places))
    given = os.environ.get("NUMBA_CACHE_DIR")
    if None in folders:
        yield Check("compiled cache", "warn", f"no folder for it can be written, so {_COMPILES}", _MAKE_ROOM)
    elif given and not all(place.absolute().is_relative_to(Path(given).absolute()) for place in places):
        found = f"NUMBA_CACHE_DIR is {given}, which cannot be written; kept in {where} instead"
        yield Check("compiled cache", "warn", found, _MAKE_ROOM)
    elif (free := min(shutil.disk_usage(place).free for place in places) / 2**20) < _CACHE_MIB:
        found = f"{free:.1f} MiB are free in {where}; once they are used up, {_COMPILES}"
        yield Check("compiled cache", "warn", found, _MAKE_ROOM)
    elif kept := [file for place in places for file in place.glob("*.nbc")]:
        size = sum(file.stat().st_size for file in kept) / 2**20
        yield Check("compiled cache", "ok", f"{len(kept)} kernels, {size:.1f} MiB, in {where}")
    else:
        yield Check("compiled cache", "ok", f"empty ({where}); the first run compiles, later ones do not")


_COMPILES = "each start, and each worker, compiles: 20 s of processor time for CC4, 40 s for the SOC simulator"
_MAKE_ROOM = "set NUMBA_CACHE_DIR to a folder that can be written and has some room"
_CACHE_MIB = 20.0
"""Enough for the compiled code of everything."""
_KERNELS = {
    "cage4.native.kernel": "decode_batch",
    "native_sim.kernels.rng": "mix",
    "native_sim.soc.corrected.kernel": "step_batch",
    "native_sim.soc.reference.kernel": "step_batch",
}
"""A compiled function of each folder that has some."""


def _cache_folders() -> list[Path | None]:
    """Return where Numba would keep the code of each folder of ours; None where it can write nowhere."""
    from native_sim.kernels.cache import folder_of

    return [folder_of(getattr(importlib.import_module(module), name)) for module, name in _KERNELS.items()]


# ------------------------------------------------------------------------------------------------------- gpu, machine
def _gpu() -> Iterator[Check]:
    seen = _nvidia_smi()
    if importlib.util.find_spec("torch") is None:
        advice = "install a CUDA build of torch if learners are to use it" if seen else ""
        yield Check("gpu", "ok", f"{seen or 'none'}; torch is not installed, and evaluation does not need it", advice)
        return
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        yield Check("gpu", "ok", f"{torch.cuda.get_device_name(0)} through torch {torch.__version__}")
    elif seen:
        found = f"{seen}, but torch {torch.__version__} does not use it"
        yield Check("gpu", "warn", found, "install a torch build for CUDA if learners are to use the GPU")
    else:
        yield Check("gpu", "ok", f"none; torch {torch.__version__} uses the processor")


def _nvidia_smi() -> str:
    """Return the names of the GPUs the driver knows, or nothing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ", ".join(done.stdout.split("\n")).strip(", ") if done.returncode == 0 else ""


def _machine() -> Iterator[Check]:
    from cage4.cyborg.workers import usable_cpus

    memory = _memory_gib()
    found = f"{usable_cpus()} of {os.cpu_count()} processors usable, "
    found += f"{memory:.1f} GiB of memory" if memory else "memory unknown"
    if memory and memory < ENOUGH_MEMORY_GIB:
        yield Check("machine", "warn", found, "evaluate with fewer environments and one worker")
    else:
        yield Check("machine", "ok", f"{found}, {platform.platform(terse=True)}")


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):  # not on this system
        return None
