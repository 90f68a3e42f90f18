"""Who made these numbers: versions, commit and machine, recorded with every run."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.games import game_of
from evaluation.policies import fingerprint
from evaluation.schema import EvalSpec

CODE = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
TREE = ("commit", "dirty", "tree")
"""Entries of a provenance that say which code it was: those of :func:`describe_tree`."""
PACKAGES = ("numpy", "numba", "gymnasium", "pettingzoo", "scipy", "pyarrow", "pydantic", "networkx", "gym")


def describe(spec: EvalSpec) -> dict[str, Any]:
    """Return what a reader needs to repeat the run: JSON values, no times."""
    registry = game_of(spec.engine).registry(spec.variant_knobs)
    record: dict[str, Any] = {
        "version": _version("hmarl-transfer"),
        **describe_tree(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "policies": {name: digest for name in spec.policies if (digest := fingerprint(name, registry))},
    }
    if spec.engine == "cyborg":
        from cage4.cyborg_engine import locate

        found = locate()
        record["cyborg"] = found.version
        record["cyborg_commit"] = found.commit
    return record


def describe_tree() -> dict[str, Any]:
    """Return the commit of the checkout this package runs from, and whether its code was changed since.

    ``tree`` is a digest of the uncommitted changes to our packages, so that two different dirty trees differ. All
    three are None for an installed wheel.
    """
    root = Path(__file__).resolve().parents[1]
    commit = _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else None
    if commit is None:
        return dict.fromkeys(TREE)
    code = [f":(glob){package}/**/*.py" for package in CODE]
    changes = (_git(root, "status", "--porcelain", "--", *code) or "") + (_git(root, "diff", "HEAD", "--", *code) or "")
    digest = hashlib.sha256(changes.encode()).hexdigest()[:12] if changes else None
    return {"commit": commit, "dirty": bool(changes), "tree": digest}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
