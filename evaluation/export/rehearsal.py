"""A submission loaded once as the judge loads it: in a fresh interpreter that has only what the judge has.

There, of this machine's packages only those can be imported that the official evaluation has, with what they need;
neither this project, nor a module of the user's that did not come along, nor a file that it read here. CybORG itself
is the real one where it is found, and a stand-in otherwise, of which everything can be imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from evaluation.foreign.sources.modules import HOME, OURS, Whose, whose

TIME_LIMIT_S: Final = 600.0
_CYBORG: Final = "CybORG"
_NEEDED_BY_CYBORG: Final = ("pettingzoo", "prettytable", "pygame", "pyparsing", "ray")
_START: Final = (
    "import sys; sys.path[:] = [{home!r}, *filter(None, sys.path)]; "
    "from evaluation.export.rehearsal import main; main()"
)
"""Program of the new process, which takes no module of its own from the working folder."""


def rehearse(archive: bytes, allowed: Collection[str], hidden: Iterable[Path]) -> str | None:
    """Load a submission from its zip as the judge does, and return why that fails; None if it loads.

    Args:
        archive: Content of the zip.
        allowed: Top-level packages that the judge has.
        hidden: Files that are here and not there.
    """
    from cage4.cyborg.locate import locate

    found = locate()
    gone = list(hidden)
    tops = sorted({*allowed, *_needed_by(allowed)})
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name:
        folder = Path(name).resolve()
        (folder / "submission.zip").write_bytes(archive)
        (folder / "work").mkdir()
        question = {
            "archive": str(folder / "submission.zip"),
            "allowed": tops,
            "hidden": [str(path) for path in gone],
            "cyborg": str(found.path) if found.available else None,
            "path": _path_without(gone),
        }
        return _ask(json.dumps(question), folder / "work")


def _path_without(files: Sequence[Path]) -> list[str]:
    """Return ``sys.path`` without the places of the user's own modules."""
    entries = [Path(entry).absolute() for entry in sys.path]
    return [
        str(entry)
        for entry in entries
        if whose(entry) is not Whose.OWN or not any(file.is_relative_to(entry) for file in (*files, Path.cwd() / "x"))
    ]


def _ask(question: str, folder: Path) -> str | None:
    command = [sys.executable, "-c", _START.format(home=str(HOME))]
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            command,
            input=question,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            check=False,
            cwd=folder,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"it did not load within {TIME_LIMIT_S:.0f} s"
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return f"it ended its process while it was loaded, with exit code {done.returncode}"
    answer: str | None = json.loads(lines[-1])
    return answer


def _needed_by(packages: Iterable[str]) -> set[str]:
    """Return the top-level packages that some need, as far as their distributions are installed here."""
    tops = metadata.packages_distributions()
    inside: dict[str, set[str]] = {}
    for top, distributions in tops.items():
        for name in distributions:
            inside.setdefault(_plain(name), set()).add(top)
    waiting = [_plain(name) for top in (*packages, *_NEEDED_BY_CYBORG) for name in tops.get(top, [])]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            needed = [line for line in metadata.requires(name) or () if "extra ==" not in line]
            waiting += [_plain(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in needed]
    return {top for name in seen for top in inside.get(name, ()) if top not in OURS}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ------------------------------------------------------------------------------------------- in the fresh interpreter
def main() -> None:
    """Answer :func:`rehearse`: the question comes on standard input, the answer is the last line of standard output."""
    question = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the policy prints is no part of the answer
    from cage4.cyborg import locate as cyborg_locate  # before our packages are out of reach

    sys.path[:] = question["path"]
    _load_cyborg(question["cyborg"], cyborg_locate)
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _OnlyTheJudge(question["allowed"], question["archive"]))
    _hide(question["hidden"])
    result = _load(question["archive"])
    with os.fdopen(answer, "w") as out:
        out.write(json.dumps(result) + "\n")
        out.flush()
    os._exit(0)  # threads and exit handlers of the policy are of no interest


def _load(archive: str) -> str | None:
    """Load the submission as the official script does."""
    sys.path.insert(0, archive)
    try:
        submission = importlib.import_module("submission.submission").Submission
        for name in ("NAME", "TEAM", "TECHNIQUE", "AGENTS", "wrap"):
            getattr(submission, name)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the judge would meet it
        return f"{type(error).__name__}: {' '.join(str(error).split())}{_place(error, archive)}"
    return None


def _place(error: BaseException, archive: str) -> str:
    """Say where in the submission an error comes from."""
    inside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "submission" not in Path(frame.filename).name
        and (frame.filename.startswith(archive) or "submission-data-" in frame.filename)
    ]
    if not inside:
        return ""
    return f" ({Path(inside[-1].filename).name}, line {inside[-1].lineno})"


class _OnlyTheJudge(importlib.abc.MetaPathFinder):
    """Finds modules of the submission first, and lets nothing else be found but what the judge has."""

    def __init__(self, allowed: Sequence[str], archive: str) -> None:
        self._allowed = {*allowed, *sys.stdlib_module_names, _CYBORG}
        self._archive = archive

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return None to let others look, or refuse."""
        if "." in fullname or fullname in self._allowed or fullname.startswith("_sysconfigdata"):
            return None
        inside = [entry for entry in sys.path if entry == self._archive or "submission-data-" in entry]
        spec = importlib.machinery.PathFinder.find_spec(fullname, inside)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return spec


def _hide(files: Sequence[str]) -> None:
    """Let the user's own files be gone, as they are at the judge."""
    hidden = frozenset(files)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and hidden and not isinstance(arguments[0], int):
            path = os.path.normpath(Path(os.fsdecode(arguments[0])).absolute())
            if path in hidden:
                raise FileNotFoundError(2, "the official evaluation has no such file", path)

    sys.addaudithook(hook)


def _load_cyborg(path: str | None, locating: Any) -> None:
    """Import what the judge has imported before it loads a submission, or a stand-in for it."""
    if path is not None:
        with contextlib.suppress(locating.CyborgUnavailable), locating.importing(locating.locate()):
            importlib.import_module("CybORG.Agents.Wrappers")
            importlib.import_module("CybORG.Simulator.Scenarios")
            sys.path.append(path)
            return
    for name in [name for name in sys.modules if name.partition(".")[0] == _CYBORG]:
        del sys.modules[name]
    sys.meta_path.insert(0, _StandIn())


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds any module of CybORG: one that has every name, each a class that can be made and derived from."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find CybORG and nothing else."""
        if fullname.partition(".")[0] != _CYBORG:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the module."""
        return _Anything(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""


class _Anything(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = type(name, (_Some,), {"__module__": self.__name__})
        setattr(self, name, kind)
        return kind


class _Some:
    """What stands for a class of CybORG."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.name = args[0] if args else None

    def __iter__(self) -> Iterator[Any]:
        return iter(())
