"""A policy as a CC4 leaderboard submission: one zip that needs nothing of this project at the judge.

The zip holds, at its top, ``submission.py`` and an empty ``metadata`` as the challenge asks; the package
``submission``, by which the challenge's script finds the same in an unextracted zip; our own modules that the policy
imports, each as it is; and a user's own ones. Equal input gives equal bytes.
"""

from __future__ import annotations

import io
import json
import string
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.bundle import POLICY, bundle_files, bundle_folder, load_bundle
from cage4.cyborg.submitted import check_policy
from evaluation.export import judge as exported
from evaluation.export.carried_code import AT_THE_JUDGE, data, sources
from evaluation.export.rehearsal import rehearse
from evaluation.foreign.sources.closure import Closure, find
from evaluation.foreign.sources.modules import Modules, Whose
from evaluation.games.cc4.policies import BUNDLES, CC4, POLICIES, make_policy
from evaluation.games.cc4.submissions import check_submission
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import closure_of, program_of, search_path
from evaluation.transfer.named import make_transferred, with_own_draws
from native_sim.names import check_shown
from native_sim.storage.writing import sweep_beside, write_atomically

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
    name = with_own_draws(policy)
    check_policy(make_transferred(name))
    folder = bundle_folder(policy)
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
    entry = entry_of(policy)
    own = _closure_of(entry)
    files = collect(entry, labels, own)
    packed = pack(files)
    hidden = own.files().values() if own else ()
    sweep_beside(out)
    try:
        reason = rehearse(packed, AT_THE_JUDGE, hidden)
    except OSError as error:
        raise BadInput(
            f"cannot write the files by which {out} is tried ({error.strerror or error}); make room for temporary files"
        ) from error
    if reason:
        raise BadInput(
            f"policy {policy!r} cannot be exported: its submission does not load where only Python, "
            f"{', '.join(sorted(AT_THE_JUDGE))} and its own files are ({reason}); {out} was not written"
        )
    _write(out, packed)
    return sorted(files)


def _write(out: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, and leave nothing half-written behind."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, content)
    except OSError as error:
        raise BadInput(f"cannot write {out} ({error.strerror or error}); choose another --out") from error


def _closure_of(entry: Entry) -> Closure | None:
    """Return what a user's own policy is made of; None if it is one of ours.

    Raises:
        BadInput: If its module has no file, or it cannot be made in a process of its own.
    """
    module = Modules(search_path()).find(entry.module)
    if module is not None and module.whose is Whose.OURS:
        return None
    found = find(entry.module, search_path()) if entry.data else closure_of(f"{entry.module}:{entry.attribute}")
    if found is None:
        raise BadInput(f"policy {entry.policy!r} cannot be exported: there is no file of its module {entry.module}")
    return found


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
    if program_of(policy, CC4):
        check_submission(Path(policy))
        raise BadInput(f"{policy} is a submission already; give a registered policy or module:object")
    if policy in POLICIES:
        policy = _NAMED.get(policy, policy)
    module, _, attribute = policy.partition(":")
    if module in EXPORTERS:
        make_policy(policy)  # which refuses what is none in the words of every command
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
    if module in CC4.kinds:
        raise BadInput(f"{policy} is kept in a file of a kind that cannot be exported; give a registered policy")
    return Entry(policy, module, attribute)


def collect(entry: Entry, labels: Labels, own: Closure | None = None) -> dict[str, bytes]:
    """Return every file of the submission: path inside it -> content.

    Args:
        entry: Where the policy comes from.
        labels: What the leaderboard shows.
        own: What the policy is made of if it is a user's own.

    Raises:
        BadInput: If the policy imports what the official evaluation does not have, or reads what cannot come along.
    """
    if entry.module.partition(".")[0] in ("__main__", "submission", DATA_PACKAGE):
        raise BadInput(f"policy {entry.policy!r} lies in a module called {entry.module}; give that module another name")
    files = sources(entry.policy, entry.module, own)
    read = {name: content for name, content in (data(entry.policy, own) if own else {}).items() if name not in files}
    beside = sorted({name.partition("/")[0].removesuffix(".py") for name in files})
    text = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        beside=repr(tuple(beside)),
        data=repr(tuple(sorted(entry.data))),
        unpack=repr(own is not None),  # its code may read files by their path
        module=repr(entry.module),
        attribute=repr(entry.attribute),
        name=repr(labels.name),
        team=repr(labels.team),
        technique=repr(labels.technique),
    )
    made = {"metadata": b"", "submission.py": text.encode(), "submission/submission.py": text.encode()}
    made["submission/__init__.py"] = b"from submission.submission import Submission as Submission\n"
    if entry.data:
        made[f"{DATA_PACKAGE}/__init__.py"] = b""
        made |= {f"{DATA_PACKAGE}/{name}": content for name, content in entry.data.items()}
    if taken := sorted(set(made) & {*files, *read}):
        raise BadInput(
            f"policy {entry.policy!r} cannot be exported: its own file {taken[0]} has the name of one that every "
            f"submission has; give it another name"
        )
    return files | read | made


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files, without times and uncompressed, so that equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()
