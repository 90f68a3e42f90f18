"""Who made these numbers: versions, commit and machine, recorded with every run."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.foreign.sources.modules import HOME, OURS
from evaluation.harness.game import find_game
from evaluation.harness.schema import EvalSpec

NO_CODE = ("evaluation/recorded",)
"""What no simulator and no policy reads: recorded results."""
TREE = ("commit", "dirty", "tree")
"""Entries of a provenance that say which code it was: those of :func:`describe_tree`."""
PACKAGES = ("numpy", "numba", "gymnasium", "pettingzoo", "scipy", "pyarrow", "pydantic", "networkx", "gym")


def describe(spec: EvalSpec, policies: Mapping[str, str]) -> dict[str, Any]:
    """Return what a reader needs to repeat the run: JSON values, no times.

    Args:
        spec: What was asked.
        policies: Policy -> digest of its files, of those that are no part of this project.
    """
    return {
        "version": _version("hmarl-transfer"),
        **describe_tree(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "policies": dict(policies),
        **find_game(spec.game).provenance(spec),
    }


def describe_tree() -> dict[str, Any]:
    """Return the commit of the checkout this package runs from, and whether its code was changed since.

    ``tree`` is a digest of every file of our packages that is not as committed, by name and content, so that two
    different dirty trees differ; weights, settings and templates count as code does. Without a checkout, as from an
    installed wheel, ``commit`` and ``dirty`` are None, and ``tree`` is a digest of all files of our packages.
    """
    commit = _git(HOME, "rev-parse", "--short=12", "HEAD") if (HOME / ".git").exists() else None
    changed = None if commit is None else _changed_files(HOME)
    if changed is None:
        return {"commit": None, "dirty": None, "tree": _digest(HOME, _package_files(HOME))}
    return {"commit": commit, "dirty": bool(changed), "tree": _digest(HOME, changed) if changed else None}


def _changed_files(root: Path) -> list[str] | None:
    """Return the files of our packages that are not as committed: changed, new or gone; None if git does not tell."""
    kinds = (("diff", "--name-only", "--no-renames", "HEAD"), ("ls-files", "--others", "--exclude-standard"))
    found = [_git(root, *kind, "-z", "--", *OURS, *(f":(exclude){name}" for name in NO_CODE)) for kind in kinds]
    if None in found:
        return None
    return sorted({name for text in found if text for name in text.split("\0") if name})


def _package_files(root: Path) -> list[str]:
    """Return all files of our packages, but for what no result depends on."""
    files = [path.relative_to(root) for package in OURS for path in (root / package).rglob("*") if path.is_file()]
    return sorted(
        path.as_posix()
        for path in files
        if "__pycache__" not in path.parts and not any(path.is_relative_to(name) for name in NO_CODE)
    )


def _digest(root: Path, names: Sequence[str]) -> str:
    """Return a digest of files by name and content; one that is gone counts by its name."""
    total = hashlib.sha256()
    for name in names:
        path = root / name
        content = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"gone"
        total.update(os.fsencode(name) + b"\0" + content)
    return total.hexdigest()[:12]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout).strip("\n") if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
