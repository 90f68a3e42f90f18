"""Policies by name: the baselines of each game, and the plug-in paths for a user's own.

A name is one of its game's :class:`Registry`; ``KIND:PATH`` for a kind of :data:`LOADERS`; ``module:object`` for a
Python object; or the path of a CC4 submission (a folder or a zip with ``submission.py``), which plays on the CybORG
engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import adapters
from cage4 import actions, spec
from cage4.policies.expert import Expert
from cage4.policies.lancer import Lancer
from cage4.policies.punch import Punch
from cage4.policies.scripted import Investigator, Reactive
from cage4.policies.sentinel import Sentinel
from cage4.policies.uc import UC
from evaluation.foreign.sources import closure
from evaluation.foreign.sources.closure import Closure, digest
from evaluation.foreign.sources.observed import NotObserved, observe
from evaluation.inputs.errors import BadInput, ForeignFailure
from evaluation.inputs.looks import hint
from evaluation.inputs.names import user_path
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
    from evaluation.transfer.carried import make_transferred

    return make_transferred(str(path))


def _load_weights(path: Path, registry: Registry) -> Policy:
    """Load what training saved; needs no tensor library."""
    from evaluation.policies.weights import load_weights

    return load_weights(path, registry)


def _load_without(path: Path, registry: Registry) -> Policy:
    """Make ``ROLE/NAME``: a policy of the SOC simulator of which one role does nothing."""
    if registry.game != "soc":
        raise ValueError("roles are of the SOC simulator; on CC4 use bundle:PATH@without-ROLE")
    from evaluation.policies.silenced import Silenced

    role, name = _role_and_name(path)
    return Silenced(make_policy(name, registry), role)


def _bundle_files(path: Path) -> dict[str, Path]:
    from adapters.bundle import bundle_files
    from evaluation.transfer.carried import bundle_folder

    return {file.name: file for file in bundle_files(bundle_folder(str(path)))}  # the index tells their folders


def _weights_files(path: Path) -> dict[str, Path]:
    from evaluation.policies.weights import weights_files

    return {file.name: file for file in weights_files(path)}


class Kind(NamedTuple):
    """A kind of policies named ``KIND:PATH``; the content of its files belongs to what a run was asked, so that a
    changed file never joins an old run."""

    load: Callable[[Path, Registry], Policy]
    """Given path and registry, makes the policy; raises ``ValueError`` for what it cannot read."""
    made_of: Callable[[Path], Mapping[str, Path] | str] = lambda path: {path.name: path}
    """Given path, name -> file of all that is loaded for the policy, or the name of the policy that it is made of."""


LOADERS: Final[dict[str, Kind]] = {
    "constant": Kind(_load_constant),
    "bundle": Kind(_load_bundle, _bundle_files),
    "weights": Kind(_load_weights, _weights_files),
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
            seen = hint(name, Path(str(path).partition("@")[0]))
            raise BadInput(f"policy {name}: {error}{'' if seen in str(error) else seen}") from error
    if ":" not in name:
        raise BadInput(
            f"unknown policy {name!r}{registry.where}; known policies: {', '.join(registry.named)}; "
            f"or give {registry.others}{hint(name, Path(name))}"
        )
    return _import_policy(name)


def _import_policy(name: str) -> Policy:
    """Load ``module:object`` in a process of its own, from the working folder or ``sys.path``."""
    from evaluation.foreign.policy import ForeignPolicy

    try:
        return ForeignPolicy(name)
    except ForeignFailure as failure:
        if failure.unusable:
            raise BadInput(f"policy {name!r} {failure}") from failure
        raise BadInput(
            f"policy {name!r} cannot be loaded ({failure.message.removeprefix('raised ')}); "
            f"give an importable module and a Policy, a Policy class or a function that makes one"
        ) from failure


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
            continue
        from evaluation.foreign.submissions import check_submission

        check_submission(Path(name))
        if engine != "cyborg":
            raise BadInput(f"{name} is a CC4 submission, which drives CybORG itself; use --engine cyborg for it")


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
    """Return a digest of a user's policy, by which a changed one is told; None for a built-in one.

    It covers all files that decide what the policy does, by name and content: of ``KIND:PATH`` those that are loaded,
    of a submission its folder or zip, and of ``module:object`` what :mod:`evaluation.foreign.sources.closure` and
    :mod:`evaluation.foreign.sources.observed` find.

    Raises:
        BadInput: If one of the files cannot be read, or a policy cannot be made a second time.
    """
    if name in registry.named:
        return None
    if kept := _kept(name):
        kind, path = kept
        try:
            made_of = kind.made_of(path)
        except ValueError as error:
            raise BadInput(f"policy {name}: {error}") from error
        return fingerprint(made_of, registry) if isinstance(made_of, str) else digest(made_of)
    if is_submission(name):
        return digest(submission_files(Path(name)))
    return digest(closure_of(name).files())


def search_path() -> list[str]:
    """Return where a user's modules are looked for: also where they work, as ``python -m`` does."""
    here = str(Path.cwd())
    return [here, *(entry for entry in user_path() if entry != here)]


def submission_files(path: Path) -> dict[str, Path]:
    """Return name -> file of a submission: its zip; or all of its folder, and what it imports from elsewhere."""
    if path.is_file():
        return {path.name: path}
    found = closure.find("submission", [str(path), *search_path()])
    return (found.files() if found else {}) | closure.folder_files(path)


def closure_of(name: str) -> Closure:
    """Return what the policy ``module:object`` is made of.

    Raises:
        BadInput: If there is no such module, or the policy cannot be made a second time.
    """
    module, _, attribute = name.partition(":")
    path = search_path()
    if closure.find(module, path) is None:
        raise BadInput(f"policy {name!r} cannot be found again: there is no file of module {module}; give one that has")
    try:
        seen = observe(module, attribute)
    except NotObserved as error:
        raise BadInput(
            f"policy {name!r} can be made once but not a second time, in a process of its own ({error}); it must not "
            f"depend on what another process did"
        ) from error
    found = closure.find(module, seen.path, seen.files)
    assert found is not None
    return found
