"""Policies by name: the baselines of each game, and the plug-in paths for a user's own.

A name is one of its game's :class:`Registry`; ``KIND:PATH`` for a kind of :data:`LOADERS`; ``module:object`` for a
Python object; or the path of a CC4 submission (a folder or a zip with ``submission.py``), which plays on the CybORG
engine.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import adapters
from cage4 import actions, spec
from evaluation.errors import BadInput
from evaluation.heuristics.expert import Expert
from evaluation.heuristics.lancer import Lancer
from evaluation.heuristics.punch import Punch
from evaluation.heuristics.sentinel import Sentinel
from evaluation.heuristics.uc import UC
from evaluation.scripted import Investigator, Reactive
from native_sim.api import ActionBatch, Decision, FloatArray, Layout, ObservationBatch, Policy
from native_sim.names import check_shown


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
    "punch": Punch,
    "lancer": Lancer,
    "uc": UC,
    "hmarl-expert": Expert,
    "sentinel": Sentinel,
}
"""Name -> factory, of CC4."""
BUNDLES: Final = {"ops-only": "hmarl-soc@ops-only", "full": "hmarl-soc", "fine-tuned": "hmarl-soc-tuned"}
"""Name -> packaged bundle of trained weights, as ``bundle:`` names it."""
_PACKAGED: Final = Path(adapters.__file__).parent / "bundles"


def _make_packaged(bundle: str) -> Policy:
    return _load_bundle(Path(bundle), CC4)


for _name, _bundle in BUNDLES.items():
    if (_PACKAGED / _bundle.partition("@")[0]).is_dir():
        POLICIES[_name] = partial(_make_packaged, _bundle)
BASELINE: Final = "no-defense"
"""The policy that differences and improvements are measured against, in every game."""


@dataclass(frozen=True)
class Registry:
    """The policies that can play one variant of a game."""

    game: str
    """"cc4" or "soc"."""
    named: Mapping[str, Callable[[], Policy]]
    """Name -> factory."""
    defaults: tuple[str, ...]
    """Names that are played unless others are asked for."""
    where: str = ""
    """For messages: where these names are known, with a leading space."""
    others: str = "bundle:PATH, weights:DIR, module:object, or the path of an existing CC4 submission folder or zip"
    """For messages: what may be given instead of a name."""
    wants: tuple[str, ...] | None = None
    """Entries that a policy's ``wants`` may name; None where that is not checked."""
    observations: Mapping[str, Layout] | None = None
    """Agent -> what it sees, which trained weights must have seen; None where that is not checked."""


CC4: Final = Registry("cc4", POLICIES, tuple(POLICIES))
CHEATS: Final = ("oracle",)
"""Played only when named: they see what no defender sees."""


@cache
def soc_registry(rules: str) -> Registry:
    """Return the policies of the SOC simulator under a rule set."""
    from native_sim.soc import policies
    from native_sim.soc.spec import OBSERVATIONS, REFERENCE_OBSERVATIONS

    named = policies.POLICIES[rules]
    return Registry(
        "soc",
        named,
        tuple(name for name in named if name not in CHEATS),
        f" under the {rules} rules of the SOC simulator",
        "constant:FILE.json, weights:DIR, without:ROLE/NAME or module:object",
        ("state",) if rules == "corrected" else (),
        OBSERVATIONS if rules == "corrected" else REFERENCE_OBSERVATIONS,
    )


# ----------------------------------------------------------------------------------------- policies kept in files
def _load_constant(path: Path, registry: Registry) -> Policy:
    """Read the same action for every step from a JSON file."""
    if registry.game != "soc":
        raise ValueError("a constant action is a policy of the SOC simulator; use --engine soc")
    from native_sim.soc.policies import constant_from_file

    return constant_from_file(path)


def _load_bundle(path: Path, registry: Registry) -> Policy:
    """Carry a SOC policy onto CC4; the path may end in ``@CONTROL``."""
    if registry.game != "cc4":
        raise ValueError("a bundle carries a policy onto CC4; use another --engine than soc")
    from evaluation.transfer import make_transferred

    return make_transferred(str(path))


def _load_weights(path: Path, registry: Registry) -> Policy:
    """Load what training saved; needs no tensor library."""
    from evaluation.weights import load_weights

    return load_weights(path, registry)


def _load_without(path: Path, registry: Registry) -> Policy:
    """Make ``ROLE/NAME``: a policy of the SOC simulator of which one role does nothing."""
    if registry.game != "soc":
        raise ValueError("roles are of the SOC simulator; on CC4 use bundle:PATH@without-ROLE")
    from evaluation.silenced import Silenced

    role, name = _role_and_name(path)
    return Silenced(make_policy(name, registry), role)


def _bundle_folder(path: Path) -> Path:
    from evaluation.transfer import bundle_folder

    return bundle_folder(str(path))


def _weights_folder(path: Path) -> Path:
    from evaluation.weights import weights_folder

    return weights_folder(path)


class Kind(NamedTuple):
    """A kind of policies named ``KIND:PATH``; the content of its files belongs to what a run was asked, so that a
    changed file never joins an old run."""

    load: Callable[[Path, Registry], Policy]
    """Given path and registry, makes the policy; raises ``ValueError`` for what it cannot read."""
    made_of: Callable[[Path], Path | str] = lambda path: path
    """Given path, the file or folder that the policy is made of, or the name of the policy that it is made of."""


LOADERS: Final[dict[str, Kind]] = {
    "constant": Kind(_load_constant),
    "bundle": Kind(_load_bundle, _bundle_folder),
    "weights": Kind(_load_weights, _weights_folder),
    "without": Kind(_load_without, lambda path: _role_and_name(path)[1]),
}
"""Kind -> how it is loaded: the place to add another."""


def _kept(name: str) -> tuple[Kind, Path] | None:
    """Split ``KIND:PATH`` of a known kind."""
    kind, colon, path = name.partition(":")
    return (LOADERS[kind], Path(path)) if kind in LOADERS and colon else None


def _role_and_name(path: Path) -> tuple[str, str]:
    """Split ``ROLE/NAME``."""
    role, _, name = path.as_posix().partition("/")
    return role, name


# ------------------------------------------------------------------------------------------------ making policies
def is_submission(name: str) -> bool:
    """Return whether a policy name is the path of a CC4 submission."""
    path = Path(name)
    return name not in POLICIES and (path.is_dir() or (path.suffix == ".zip" and path.is_file()))


def make_policy(name: str, registry: Registry = CC4) -> Policy:
    """Make a policy from a registered name, from ``KIND:PATH`` or from ``module:object``.

    Raises:
        BadInput: If the name is unknown, or the object is not a policy.
    """
    if name in registry.named:
        return registry.named[name]()
    kept = _kept(name)
    if kept:
        kind, path = kept
        try:
            return kind.load(path, registry)
        except ValueError as error:
            raise BadInput(f"policy {name}: {error}") from error
    if ":" not in name:
        raise BadInput(
            f"unknown policy {name!r}{registry.where}; known policies: {', '.join(registry.named)}; "
            f"or give {registry.others}"
        )
    return _import_policy(name)


def _import_policy(name: str) -> Policy:
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


def check_policies(names: tuple[str, ...], engine: str, registry: Registry = CC4) -> None:
    """Refuse names that cannot be played, before anything is.

    Raises:
        BadInput: For an unknown or repeated name, a submission on an engine other than CybORG, or a policy that
            wants to see what the game does not show.
    """
    if len(set(names)) != len(names):
        raise BadInput(f"each policy may be named once; given {', '.join(names)}")
    for name in names:
        _check_shown(name)
        if name in registry.named or not is_submission(name):
            _check_wants(name, make_policy(name, registry), registry)
        elif engine != "cyborg":
            raise BadInput(f"{name} is a CC4 submission, which drives CybORG itself; use --engine cyborg for it")
        else:
            from evaluation.submissions import check_submission

            check_submission(Path(name))


def _check_shown(name: str) -> None:
    try:
        check_shown("the name or path of a policy", name)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _check_wants(name: str, policy: Policy, registry: Registry) -> None:
    unknown = [] if registry.wants is None else [entry for entry in policy.wants if entry not in registry.wants]
    if unknown:
        allowed = ", ".join(map(repr, registry.wants or ())) or "nothing"
        raise BadInput(
            f"policy {name!r} wants {unknown[0]!r}, which is not shown{registry.where}; beside the observations a "
            f"policy may want {allowed}"
        )


def fingerprint(name: str, registry: Registry = CC4) -> str | None:
    """Return a digest of a user's policy (its files), by which a changed one is told; None for a built-in one."""
    if name in registry.named:
        return None
    kept = _kept(name)
    if kept or is_submission(name):
        path = kept[0].made_of(kept[1]) if kept else Path(name)
        if isinstance(path, str):
            return fingerprint(path, registry)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        files = [file for file in files if "__pycache__" not in file.parts]
    else:
        source = getattr(importlib.import_module(name.partition(":")[0]), "__file__", None)
        files = [Path(source)] if source else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
