"""Policies by name: the baselines, and the plug-in paths for a user's own.

A name is one of :data:`POLICIES`; ``bundle:PATH`` for a carried SOC policy (evaluation/transfer.py);
``module:object`` for a Python object; or the path of a CC4 submission (a folder or a zip with ``submission.py``),
which plays on the CybORG engine.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from cage4 import actions, spec
from evaluation.errors import BadInput
from evaluation.scripted import Investigator, Reactive
from evaluation.transfer import DEFAULT, bundle_folder, has_default, make_transferred
from evaluation.transfer import PREFIX as BUNDLE
from native_sim.api import ActionBatch, Decision, FloatArray, ObservationBatch, Policy


class NoDefense(Policy):
    """Every agent sleeps."""

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Sleep."""
        count = len(draws)
        return Decision({name: np.full(count, actions.SLEEP[i]) for i, name in enumerate(spec.BLUE_AGENTS)}, None)


class RandomValid(Policy):
    """Every agent draws uniformly from its valid actions, whether or not it is busy."""

    draws_per_agent = 1

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose the k-th valid action, k uniform."""
        chosen = {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            rank = np.cumsum(mask[name], axis=1, dtype=np.int64)  # 1-based rank of every valid action
            wanted = np.floor(draws[:, i, 0] * rank[:, -1]).astype(np.int64) + 1
            chosen[name] = np.argmax(rank == wanted[:, None], axis=1)
        return Decision(chosen, None)


class RandomUnmasked(Policy):
    """Every agent draws uniformly from all its indices, those of absent hosts included, as in the paper."""

    draws_per_agent = 1

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Choose any index uniformly."""
        return Decision(
            {
                name: np.floor(draws[:, i, 0] * spec.NUM_ACTIONS[i]).astype(np.int64)
                for i, name in enumerate(spec.BLUE_AGENTS)
            },
            None,
        )


POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "no-defense": NoDefense,
    "random": RandomValid,
    "random-unmasked": RandomUnmasked,
    "reactive": Reactive,
    "investigator": Investigator,
}
"""Name -> factory."""
if has_default():
    POLICIES["ops-only"] = lambda: make_transferred(f"{BUNDLE}{DEFAULT}@ops-only")
    POLICIES["full"] = lambda: make_transferred(f"{BUNDLE}{DEFAULT}")
BASELINE: Final = "no-defense"
"""The policy that differences and improvements are measured against."""


def is_submission(name: str) -> bool:
    """Return whether a policy name is the path of a CC4 submission."""
    path = Path(name)
    return name not in POLICIES and (path.is_dir() or (path.suffix == ".zip" and path.is_file()))


def make_policy(name: str) -> Policy:
    """Make a policy from a registered name, ``bundle:PATH`` or ``module:object``.

    Raises:
        BadInput: If the name is unknown, or the object is not a policy.
    """
    if name in POLICIES:
        return POLICIES[name]()
    if name.startswith(BUNDLE):
        return make_transferred(name)
    if ":" not in name:
        raise BadInput(
            f"unknown policy {name!r}; known policies: {', '.join(POLICIES)}; or give bundle:PATH, module:object, "
            f"or the path of an existing CC4 submission folder or zip"
        )
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as python -m does: a user's policy.py lies where they work
    try:
        found = getattr(importlib.import_module(module), attribute)
        policy = found if isinstance(found, Policy) else found()
    except Exception as error:
        raise BadInput(
            f"policy {name!r} cannot be loaded ({type(error).__name__}: {error}); "
            f"give an importable module and a Policy, a Policy class or a function that makes one"
        ) from error
    if not isinstance(policy, Policy):
        raise BadInput(
            f"policy {name!r} is a {type(policy).__name__}; it must be a native_sim.Policy (see docs/policies.md)"
        )
    return policy


def check_policies(names: tuple[str, ...], engine: str) -> None:
    """Refuse names that cannot be played, before anything is.

    Raises:
        BadInput: For an unknown or repeated name, or a submission on an engine other than CybORG.
    """
    if len(set(names)) != len(names):
        raise BadInput(f"each policy may be named once; given {', '.join(names)}")
    for name in names:
        if not is_submission(name):
            make_policy(name)
        elif engine != "cyborg":
            raise BadInput(f"{name} is a CC4 submission, which drives CybORG itself; use --engine cyborg for it")
        else:
            from evaluation.submissions import check_submission

            check_submission(Path(name))


def fingerprint(name: str) -> str | None:
    """Return a digest of a user's policy (its files), by which a changed one is told; None for a built-in one."""
    if name in POLICIES:
        return None
    if name.startswith(BUNDLE):
        files = sorted(path for path in bundle_folder(name).rglob("*") if path.is_file())
    elif is_submission(name):
        path = Path(name)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        files = [file for file in files if "__pycache__" not in file.parts]
    else:
        source = getattr(importlib.import_module(name.partition(":")[0]), "__file__", None)
        files = [Path(source)] if source else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
