"""A policy as a CC4 leaderboard submission: one zip that needs nothing of this project at the judge.

The zip holds, at its top, ``submission.py`` and an empty ``metadata`` as the challenge asks; the package
``submission``, by which the challenge's script finds the same in an unextracted zip; our own modules that the policy
imports, each as it is; and a user's own ones. Equal input gives equal bytes.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import string
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.bundle import POLICY, bundle_files, load_bundle
from cage4.submitted import check_policy
from evaluation import exported, transfer
from evaluation.errors import BadInput
from evaluation.policies import BUNDLES, LOADERS, POLICIES, is_submission, make_policy
from native_sim.names import check_shown

AT_THE_JUDGE: Final = frozenset({"CybORG", "gym", "gymnasium", "matplotlib", "networkx", "numpy", "torch", "yaml"})
"""Packages that the official evaluation has: CybORG's requirements, as far as a policy could use them."""
OURS: Final = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
"""Packages of which a submission brings along the modules that it needs."""
RUNTIME: Final = ("cage4.submitted", "cage4.cyborg_rich")
"""Modules that every submission needs."""
CONTRACTS: Final = '''"""The contracts that the policy keeps."""

from native_sim.api import Decision, Field, Layout, Policy, StepBatch, VectorEnv

__all__ = ["Decision", "Field", "Layout", "Policy", "StepBatch", "VectorEnv"]
'''
"""``native_sim/__init__.py`` of a submission: without the simulator."""
TEMPLATE: Final = Path(__file__).parent / "templates" / "submission.py.in"
DATA_PACKAGE: Final = "submission_data"


@dataclass(frozen=True)
class Entry:
    """Where a submission's policy comes from.

    ``module`` and ``attribute`` name a Policy, or a class or function that makes one: without arguments, or, if there
    are ``data`` files, with the folder that holds them.
    """

    policy: str
    """What the user called it."""
    module: str
    attribute: str
    data: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> content, such as weights."""


def bundle_entry(policy: str, path: Path) -> Entry:
    """Let a bundle's files travel with the submission; its policy makes its draws itself, from what it sees.

    Raises:
        BadInput: If there is no such bundle, or it carries what cannot play at the judge.
    """
    del path
    name = transfer.with_own_draws(policy)
    check_policy(transfer.make_transferred(name))
    folder = transfer.bundle_folder(policy)
    inside = f"{exported.BUNDLE}/"
    data = {inside + file.relative_to(folder).as_posix(): file.read_bytes() for file in bundle_files(folder)}
    data[exported.CONTROL] = name.partition("@")[2].encode()
    if load_bundle(folder).carried["kind"] == "trained":
        data[exported.SETTINGS] = _settings(policy, folder / POLICY)
    return Entry(policy, exported.__name__, exported.load.__name__, data)


def _settings(policy: str, weights: Path) -> bytes:
    """Return the settings of trained weights as JSON, with every default filled in."""
    from hmarl_soc import checkpoint
    from hmarl_soc.config import parse
    from hmarl_soc.registry import config_class, find

    saved = checkpoint.load(weights, "weights")
    if find(saved.method).policy != exported.PLAYABLE:
        raise BadInput(f"{policy} carries weights of {saved.method}, which cannot be exported; carry a hierarchy's")
    settings = parse(saved.config, config_class(saved.method)).method.to_dict()
    return (json.dumps(settings, indent=1) + "\n").encode()


EXPORTERS: Final[dict[str, Callable[[str, Path], Entry]]] = {"bundle": bundle_entry}
"""Kind -> maker(policy, path) of entries for policies named ``KIND:PATH``: the place to add another kind. It refuses
what cannot play at the judge."""


_NAMED: Final = {name: f"bundle:{bundle}" for name, bundle in BUNDLES.items()}
"""Registered names of bundles."""


@dataclass(frozen=True)
class Labels:
    """What the leaderboard shows."""

    name: str
    team: str
    technique: str


def export(policy: str, out: Path, labels: Labels) -> list[str]:
    """Write a policy's submission to ``out``, and return the names of its files.

    Args:
        policy: A registered name, ``KIND:PATH`` of a kind of :data:`EXPORTERS` such as ``bundle:PATH@CONTROL``, or
            ``module:object``.
        out: The zip to write; an existing one is replaced.
        labels: What the leaderboard shows.

    Raises:
        BadInput: One sentence on why the policy cannot be exported, or the zip not be written.
    """
    for option, label in vars(labels).items():
        _check_shown(f"--{option}", label.replace("\n", " "))
    if out.suffix != ".zip":
        raise BadInput(f"--out must name a .zip file; given {out}")
    if out.is_dir():
        raise BadInput(f"{out} is a folder; name the .zip file to write")
    files = collect(entry_of(policy), labels)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(out.name + ".partial")
        partial.write_bytes(pack(files))
        partial.replace(out)
    except OSError as error:
        raise BadInput(f"cannot write {out} ({error.strerror or error}); choose another --out") from error
    return sorted(files)


def _check_shown(what: str, text: str) -> None:
    try:
        check_shown(what, text)
    except ValueError as error:
        raise BadInput(str(error)) from error


def entry_of(policy: str) -> Entry:
    """Return where a policy comes from, once it is known to be able to play at the judge.

    Raises:
        BadInput: If there is no such policy, or it asks for what the judge cannot give.
    """
    if is_submission(policy):
        raise BadInput(f"{policy} is a submission already; give a registered policy or module:object")
    if policy in POLICIES:
        policy = _NAMED.get(policy, policy)
    module, _, attribute = policy.partition(":")
    if module in EXPORTERS:
        return EXPORTERS[module](policy, Path(attribute))
    try:
        check_policy(make_policy(policy))
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"policy {policy!r} cannot be exported: {error}") from error
    if policy in POLICIES:
        factory = POLICIES[policy]
        return Entry(policy, factory.__module__, factory.__qualname__)
    if module in LOADERS:
        raise BadInput(f"{policy} is kept in a file of a kind that cannot be exported; give a registered policy")
    return Entry(policy, module, attribute)


def collect(entry: Entry, labels: Labels) -> dict[str, bytes]:
    """Return every file of the submission: path inside it -> content.

    Raises:
        BadInput: If the policy imports what the official evaluation does not have.
    """
    if entry.module.partition(".")[0] in ("__main__", "submission", DATA_PACKAGE):
        raise BadInput(f"policy {entry.policy!r} lies in a module called {entry.module}; give that module another name")
    files = _closure(entry)
    beside = sorted({name.partition("/")[0].removesuffix(".py") for name in files})
    text = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        beside=repr(tuple(beside)),
        data=repr(tuple(sorted(entry.data))),
        module=repr(entry.module),
        attribute=repr(entry.attribute),
        name=repr(labels.name),
        team=repr(labels.team),
        technique=repr(labels.technique),
    )
    files["metadata"] = b""
    files["submission.py"] = files["submission/submission.py"] = text.encode()
    files["submission/__init__.py"] = b"from submission.submission import Submission as Submission\n"
    if entry.data:
        files[f"{DATA_PACKAGE}/__init__.py"] = b""
        files |= {f"{DATA_PACKAGE}/{name}": content for name, content in entry.data.items()}
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files, without times and uncompressed, so that equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()


def _closure(entry: Entry) -> dict[str, bytes]:
    """Return the sources of all modules that the policy and the runtime import, by their path in the submission."""
    files: dict[str, bytes] = {}
    waiting = [*RUNTIME, entry.module]
    while waiting:
        name = waiting.pop()
        path = _path_of(name)
        if path is None or (place := _place(name, path)) in files:
            continue
        source = CONTRACTS if name == "native_sim" else path.read_text(encoding="utf-8")
        files[place] = source.encode()
        waiting += [name.rpartition(".")[0]] if "." in name else []
        for imported in _imports(source, name if path.name == "__init__.py" else name.rpartition(".")[0]):
            _check_import(entry, name, imported)
            waiting.append(imported)
    return files


def _path_of(name: str) -> Path | None:
    """Return the source file of a module that a submission has to bring along, or None for all others."""
    if _is_given(name):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):  # not a module: the b of "from a import b"
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _is_given(name: str) -> bool:
    top = name.partition(".")[0]
    return top in AT_THE_JUDGE or top in sys.stdlib_module_names


def _place(name: str, path: Path) -> str:
    place = name.replace(".", "/")
    return f"{place}/__init__.py" if path.name == "__init__.py" else f"{place}.py"


def _imports(source: str, package: str) -> Iterable[str]:
    """Yield the modules that a source imports when it is imported; ``a`` and ``a.b`` for ``from a import b``."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(node):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _check_import(entry: Entry, importer: str, imported: str) -> None:
    """Refuse what is installed here as a package of others: the judge has only its own."""
    top = imported.partition(".")[0]
    if _is_given(top) or top in OURS or top == entry.module.partition(".")[0]:
        return
    path = _path_of(top)
    if path is None or {"site-packages", "dist-packages"} & set(path.parts):
        raise BadInput(
            f"policy {entry.policy!r} cannot be exported: its module {importer} imports {top}, which the official "
            f"evaluation does not have; it has Python, {', '.join(sorted(AT_THE_JUDGE))}"
        )
