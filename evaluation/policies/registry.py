"""Policies by name, whatever the game: registered ones, kinds that are kept in files, and a user's own objects.

A name is one of its game's :class:`Registry`; ``KIND:PATH`` for one of its kinds; ``module:object`` for a Python
object; or the path of a :class:`Program` that plays by itself, if the game knows such programs.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

from evaluation.foreign.sources import closure
from evaluation.foreign.sources.closure import Closure, digest
from evaluation.foreign.sources.observed import NotObserved, observe
from evaluation.inputs.errors import BadInput, ForeignFailure
from evaluation.inputs.looks import hint
from evaluation.inputs.names import user_path
from native_sim.api import Layout, Policy
from native_sim.names import check_shown

ALL: Final = "all"
"""Given for policies: every registered one that sees no more than a defender does."""


class Kind(NamedTuple):
    """A kind of policies named ``KIND:PATH``; the content of its files belongs to what a run was asked, so that a
    changed file never joins an old run."""

    load: Callable[[Path, Registry], Policy]
    """Given path and registry, makes the policy; raises ``ValueError`` for what it cannot read."""
    made_of: Callable[[Path], Mapping[str, Path] | str] = lambda path: {path.name: path}
    """Given path, name -> file of all that is loaded for the policy, or the name of the policy that it is made of."""


class Program(NamedTuple):
    """Programs that play a game by themselves and are named by their path, as CC4 submissions are."""

    is_one: Callable[[Path], bool]
    """Given path, whether it may be one."""
    check: Callable[[Path, str], None]
    """Given path and engine; raises ``BadInput`` for what cannot be played."""
    files: Callable[[Path], Mapping[str, Path]]
    """Given path, name -> file of all that decides what it does."""


@dataclass(frozen=True)
class Players:
    """The agents that a policy decides for; trained weights must fit them."""

    agents: tuple[str, ...]
    observations: Mapping[str, Layout] | None = None
    """Agent -> what it sees; None where that is not checked."""
    action_sizes: tuple[int, ...] | None = None
    """Number of actions of each agent; None where that is not checked."""
    where: str = ""
    """For messages: the rules under which they play, with a leading space."""


@dataclass(frozen=True)
class Registry:
    """The policies that can play one variant of a game."""

    named: Mapping[str, Callable[[], Policy]]
    """Name -> factory."""
    defaults: tuple[str, ...]
    """Names that are played unless others are asked for."""
    players: Players
    """Whom a policy decides for, and what they see."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """Kind -> how policies named ``KIND:PATH`` are loaded."""
    program: Program | None = None
    everything: tuple[str, ...] | None = None
    """What ``all`` stands for; None for every name."""
    others: str = "module:object"
    """For messages: what may be given instead of a name."""
    wants: tuple[str, ...] | None = None
    """Entries that a policy's ``wants`` may name; None where that is not checked."""

    def all_names(self) -> tuple[str, ...]:
        """Return what ``all`` stands for."""
        return tuple(self.named) if self.everything is None else self.everything


def refused(sentence: str) -> Kind:
    """Return a kind that is of another game: loading it says so."""

    def refuse(path: Path, registry: Registry) -> NoReturn:
        raise ValueError(sentence)

    return Kind(refuse)


def _kept(name: str, registry: Registry) -> tuple[Kind, Path] | None:
    """Split ``KIND:PATH`` of a known kind."""
    kind, colon, path = name.partition(":")
    return (registry.kinds[kind], Path(path)) if kind in registry.kinds and colon else None


def program_of(name: str, registry: Registry) -> Program | None:
    """Return how to play a policy that is a program of its own; None for all others."""
    found = registry.program
    known = name in registry.named or name in _GIVEN.get()
    return found if found is not None and not known and found.is_one(Path(name)) else None


_GIVEN: ContextVar[Mapping[str, Policy]] = ContextVar("policies given as objects", default=MappingProxyType({}))


@contextmanager
def given_policies(objects: Mapping[str, Policy]) -> Iterator[None]:
    """Let names stand for policy objects inside the block, in this process; they come before all other names."""
    token = _GIVEN.set({**_GIVEN.get(), **objects})
    try:
        yield
    finally:
        _GIVEN.reset(token)


def make_policy(name: str, registry: Registry) -> Policy:
    """Make a policy from a registered name, from ``KIND:PATH`` or from ``module:object``.

    Raises:
        BadInput: If the name is unknown, or the object is not a policy.
    """
    if name in _GIVEN.get():
        return _GIVEN.get()[name]
    if name in registry.named:
        return registry.named[name]()
    kept = _kept(name, registry)
    if kept:
        kind, path = kept
        try:
            return kind.load(path, registry)
        except ValueError as error:
            seen = hint(name, Path(str(path).partition("@")[0]))
            raise BadInput(f"policy {name}: {error}{'' if seen in str(error) else seen}") from error
    if ":" not in name:
        raise BadInput(
            f"unknown policy {name!r}{registry.players.where}; known policies: {', '.join(registry.named)}; "
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


def check_policies(names: tuple[str, ...], engine: str, registry: Registry) -> None:
    """Refuse names that cannot be played, before anything is.

    Raises:
        BadInput: For an unknown or repeated name, a program on an engine that it cannot play on, or a policy that
            wants to see what the game does not show.
    """
    if len(set(names)) != len(names):
        raise BadInput(f"each policy may be named once; given {', '.join(names)}")
    for name in names:
        _check_shown(name)
        if program := program_of(name, registry):
            program.check(Path(name), engine)
        else:
            _check_wants(name, make_policy(name, registry), registry)


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
            f"policy {name!r} wants {unknown[0]!r}, which is not shown{registry.players.where}; "
            f"beside the observations a policy may want {allowed}"
        )


def fingerprint(name: str, registry: Registry) -> str | None:
    """Return a digest of a user's policy, by which a changed one is told; None for a built-in one.

    It covers all files that decide what the policy does, by name and content: of ``KIND:PATH`` those that are loaded,
    of a :class:`Program` its own, and of ``module:object`` what :mod:`evaluation.foreign.sources.closure` and
    :mod:`evaluation.foreign.sources.observed` find.

    Raises:
        BadInput: If one of the files cannot be read, or a policy cannot be made a second time.
    """
    if name in _GIVEN.get():
        return f"an object of this process, {uuid.uuid4().hex[:12]}"  # what it is cannot be told in another one
    if name in registry.named:
        return None
    if kept := _kept(name, registry):
        kind, path = kept
        try:
            made_of = kind.made_of(path)
        except ValueError as error:
            raise BadInput(f"policy {name}: {error}") from error
        return fingerprint(made_of, registry) if isinstance(made_of, str) else digest(made_of)
    if program := program_of(name, registry):
        return digest(program.files(Path(name)))
    return digest(closure_of(name).files())


def search_path() -> list[str]:
    """Return where a user's modules are looked for: also where they work, as ``python -m`` does."""
    here = str(Path.cwd())
    return [here, *(entry for entry in user_path() if entry != here)]


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
