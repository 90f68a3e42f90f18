"""What an exported policy brings along: the sources of modules, and the data that a user's own policy reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from evaluation.foreign.sources.closure import Closure, imports_of, is_own
from evaluation.foreign.sources.imports import read_source
from evaluation.foreign.sources.modules import HOME, OURS, Module, Modules, Whose
from evaluation.inputs.errors import BadInput

CYBORG: Final = "CybORG"
AT_THE_JUDGE: Final = frozenset({CYBORG, "gym", "gymnasium", "matplotlib", "networkx", "numpy", "torch", "yaml"})
"""Packages that the official evaluation has: CybORG's requirements, as far as a policy could use them."""
RUNTIME: Final = ("cage4.cyborg.submitted", "cage4.cyborg.rich")
"""Modules that every submission needs."""
CONTRACTS: Final = '''"""The contracts that the policy keeps."""

from native_sim.api import Decision, Field, Layout, Policy, StepBatch, VectorEnv

__all__ = ["Decision", "Field", "Layout", "Policy", "StepBatch", "VectorEnv"]
'''
"""``native_sim/__init__.py`` of a submission: without the simulator."""
_TAKEN: Final = ("__main__", "metadata", "submission", "submission_data")
"""Names of a submission's own files."""


def sources(policy: str, entry: str, own: Closure | None) -> dict[str, bytes]:
    """Return path in the submission -> content of every module that the policy and the runtime import.

    Args:
        policy: What the user called it.
        entry: Full name of the policy's module.
        own: What the policy is made of if it is a user's own, or None for one of ours.

    Raises:
        BadInput: If the policy imports what the official evaluation does not have, or what cannot travel.
    """
    collection = _Collection(policy, own)
    collection.add([*RUNTIME, entry] if own is None else RUNTIME, ours=True)
    if own:
        collection.add([entry], ours=False)
    collection.add_rest(own.modules if own else ())
    return collection.files


def data(policy: str, own: Closure) -> dict[str, bytes]:
    """Return path in the submission -> content of the files that a user's own policy reads.

    Raises:
        BadInput: If one lies where it cannot come along.
    """
    files = {}
    for path in own.data.values():
        if not path.is_relative_to(own.root):
            if path in own.observed:
                raise BadInput(
                    f"policy {policy!r} cannot be exported: it reads {path}, which lies outside {own.root}, the folder "
                    f"of its modules; put the file there and read it from beside the module, by Path(__file__).parent"
                )
            continue
        files[path.relative_to(own.root).as_posix()] = path.read_bytes()
    return files


class _Wanted(NamedTuple):
    """A module that somebody imports."""

    name: str
    importer: str
    by_ours: bool
    """Whether one of our own modules imports it, which means ours by our names."""


class _Collection:
    """Follows imports, and keeps the source of everything that has to come along.

    What is imported for certain is followed first, and must be there; then what is imported inside functions, in
    branches, or where a failure is caught.
    """

    def __init__(self, policy: str, own: Closure | None) -> None:
        self.files: dict[str, bytes] = {}
        self._policy, self._own = policy, own
        self._tops: dict[str, Whose] = {}
        self._seen: set[tuple[str, bool]] = set()
        self._modules = {True: Modules([str(HOME)]), False: Modules([str(own.root), *own.path] if own else [str(HOME)])}
        self._later: list[_Wanted] = []

    def add(self, names: Iterable[str], ours: bool) -> None:
        """Bring modules along, and all that they import for certain."""
        self._follow([_Wanted(name, name, ours) for name in names], True)

    def add_rest(self, names: Iterable[str]) -> None:
        """Bring along all that is imported under some condition, and modules whose names are computed."""
        waiting = [*self._later, *(_Wanted(name, name, False) for name in names)]
        self._follow(waiting, False)

    def _follow(self, waiting: list[_Wanted], certain: bool) -> None:
        while waiting:
            wanted = waiting.pop()
            if (wanted.name, wanted.by_ours) in self._seen:
                continue
            self._seen.add((wanted.name, wanted.by_ours))
            module = self._modules[wanted.by_ours].find(wanted.name)
            if module is None or self._stays(module):
                continue
            self._keep(module, wanted.importer)
            if "." in module.name:
                waiting.append(wanted._replace(name=module.name.rpartition(".")[0]))
            for one, is_certain in self._imports(module, certain):
                (waiting if is_certain or not certain else self._later).append(one)

    def _stays(self, module: Module) -> bool:
        """Return whether a module needs not come along, or cannot."""
        top = module.name.partition(".")[0]
        if module.whose is Whose.OURS:
            return top not in OURS
        return not self._is_own(module)

    def _is_own(self, module: Module) -> bool:
        """Return whether a module is the user's; one called like a package of the judge only beside the policy."""
        if self._own is None or not is_own(module, next(iter(self._own.modules.values()))):
            return False
        top = module.name.partition(".")[0]
        if top == CYBORG:
            return False
        return module.root == self._own.root or not _is_given(top)

    def _keep(self, module: Module, importer: str) -> None:
        top = module.name.partition(".")[0]
        known = self._tops.setdefault(top, module.whose)
        if known is not module.whose or top in _TAKEN:
            raise self._refusal(
                f"its own module {top} has the name of one that every submission has; give that module another name"
            )
        if module.is_folder:
            self.files[f"{module.name.replace('.', '/')}/__init__.py"] = b""  # a zip shows no bare folders
            return
        if module.source is None:
            raise self._refusal(
                f"its module {importer} imports {module.name}, which is compiled code ({module.file}) and may "
                f"not run at the official evaluation; replace it by a source in Python"
            )
        source = CONTRACTS.encode() if module.name == "native_sim" and module.whose is Whose.OURS else module.source
        self.files[_place(module)] = source

    def _imports(self, module: Module, check: bool) -> Iterator[tuple[_Wanted, bool]]:
        """Yield what a module imports and whether for certain, and refuse what the judge does not have."""
        is_ours = module.whose is Whose.OURS
        modules = self._modules[is_ours]
        content = self.files[_place(module)] if not module.is_folder else b""
        for found in imports_of(module, read_source(content, module.package), modules):
            if is_ours and found.is_inside_function:
                continue
            if found.is_certain and check:
                self._check(module, found.name.partition(".")[0], modules)
            yield _Wanted(found.name, module.name, is_ours), found.is_certain

    def _check(self, module: Module, top: str, modules: Modules) -> None:
        """Refuse a package of others that is installed here only."""
        if _is_given(top):
            return
        found = modules.find(top)
        if found is None or self._stays(found):
            raise self._refusal(
                f"its module {module.name} imports {top}, which the official evaluation does not have; it has Python, "
                f"{', '.join(sorted(AT_THE_JUDGE))}"
            )

    def _refusal(self, why: str) -> BadInput:
        return BadInput(f"policy {self._policy!r} cannot be exported: {why}")


def _is_given(top: str) -> bool:
    return top in AT_THE_JUDGE or top in sys.stdlib_module_names


def _place(module: Module) -> str:
    place = module.name.replace(".", "/")
    return f"{place}/__init__.py" if module.is_package else f"{place}.py"
