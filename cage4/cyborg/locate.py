"""Find the real CybORG on this machine, say what is wrong with it, and prepare its import."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cage4 import spec

PATH_VARIABLE = "CYBORG_PATH"
HOW_TO_GET = (
    "clone https://github.com/cage-challenge/cage-challenge-4, check out commit "
    f"{spec.REFERENCE_COMMIT}, set {PATH_VARIABLE} to the clone, and run "
    "pip install 'hmarl-transfer[cyborg]' for what it needs"
)
REQUIREMENTS = ("gym", "gymnasium", "matplotlib", "networkx", "numpy", "prettytable", "pygame", "yaml")
"""Modules that importing CybORG imports; ray is left out, for only one name of it is used."""

_RAY_MODULES = ("ray", "ray.rllib", "ray.rllib.env", "ray.rllib.env.multi_agent_env")


class CyborgUnavailable(RuntimeError):
    """The real CybORG is absent, is not the right one, or does not import."""


@dataclass(frozen=True)
class CyborgInfo:
    """What was found when looking for CybORG."""

    path: Path | None
    """Folder that holds the ``CybORG`` package (the checkout), or None."""
    version: str | None
    commit: str | None
    """Forty hexadecimal digits if the folder is a git checkout, else None."""
    reason: str
    """Empty when it can be used; otherwise one sentence that says what is wrong and what to do."""

    @property
    def available(self) -> bool:
        """Whether CybORG can be imported, as far as looking tells."""
        return not self.reason

    @property
    def is_reference(self) -> bool:
        """Whether it is known to be the very commit that this project was checked against."""
        return self.available and (self.commit or "").startswith(spec.REFERENCE_COMMIT)


def locate() -> CyborgInfo:
    """Look for CybORG in ``CYBORG_PATH``, or else on ``sys.path``, without importing it."""
    given = os.environ.get(PATH_VARIABLE, "").strip()
    if given:
        return _inspect_given(Path(given).expanduser().resolve())
    package = _package_on_path()
    if package is not None:
        return _inspect(package.parent, f"the CybORG in {package.parent}")
    if importlib.util.find_spec("cyborg") is not None:
        found = "only the unrelated package 'cyborg' is installed"
    else:
        found = "CybORG was found neither on sys.path nor in the environment variable " + PATH_VARIABLE
    return CyborgInfo(None, None, None, f"{found}: {HOW_TO_GET}.")


def available() -> bool:
    """Whether the right CybORG and what it needs are present; a few file look-ups, no import."""
    return locate().available


def _inspect_given(path: Path) -> CyborgInfo:
    where = f"{PATH_VARIABLE} ({path})"
    if not path.is_dir():
        return CyborgInfo(None, None, None, f"{where} is not a folder: {HOW_TO_GET}.")
    for root in (path, path.parent):  # the checkout itself, or the package inside it
        if (root / "CybORG" / "__init__.py").is_file() and path in (root, root / "CybORG"):
            return _inspect(root, where)
    return CyborgInfo(None, None, None, f"{where} holds no CybORG package: {HOW_TO_GET}.")


def _package_on_path() -> Path | None:
    try:
        found = importlib.util.find_spec("CybORG")
    except ValueError:  # a module put into sys.modules by hand, without a spec
        return None
    if found is None or found.origin is None:  # absent, or a mere folder of that name
        return None
    return Path(found.origin).resolve().parent


def _inspect(root: Path, where: str) -> CyborgInfo:
    package = root / "CybORG"
    commit = _commit(root)
    try:
        version = (package / "version.txt").read_text(encoding="utf-8").strip() or None
    except OSError:
        version = None
    enterprise = package / "Simulator" / "Scenarios" / "EnterpriseScenarioGenerator.py"
    if version != spec.REFERENCE_VERSION or not enterprise.is_file():
        what = f"CybORG {version}" if version else "a CybORG without a version"
        if version == spec.REFERENCE_VERSION:
            what += " without the scenario of CAGE Challenge 4"
        needed = f"CybORG {spec.REFERENCE_VERSION} of CAGE Challenge 4 is needed"
        return CyborgInfo(root, version, commit, f"{where} is {what}, but {needed}: {HOW_TO_GET}.")
    missing = [name for name in REQUIREMENTS if importlib.util.find_spec(name) is None]
    reason = ""
    if missing:
        reason = (
            f"{where} is CybORG {version}, but it needs {', '.join(missing)}, not installed here: "
            "run pip install 'hmarl-transfer[cyborg]'."
        )
    return CyborgInfo(root, version, commit, reason)


def _commit(root: Path) -> str | None:
    """Read the commit of a git checkout from its files, so that git itself is not needed."""
    try:
        git = root / ".git"
        if git.is_file():  # a linked work tree or a submodule
            git = (root / git.read_text(encoding="utf-8").partition("gitdir:")[2].strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if head.startswith("ref:"):
            head = _read_reference(git, head[4:].strip())
    except OSError:
        return None
    return head if re.fullmatch(r"[0-9a-f]{40}", head) else None


def _read_reference(git: Path, name: str) -> str:
    common = git / "commondir"
    folders = [git]
    if common.is_file():
        folders.append((git / common.read_text(encoding="utf-8").strip()).resolve())
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
        if (folder / "packed-refs").is_file():
            for line in (folder / "packed-refs").read_text(encoding="utf-8").splitlines():
                if line.endswith(" " + name):
                    return line.split()[0]
    return ""


@contextlib.contextmanager
def importing(info: CyborgInfo) -> Iterator[None]:
    """Make ``import CybORG`` find ``info.path``, without ray and without noise, inside the block.

    Nothing stays behind: the path entry and the stand-in for ray are taken away again. Every exception of the
    block that is not a :class:`CyborgUnavailable` becomes one.
    """
    if info.path is None or info.reason:
        raise CyborgUnavailable(info.reason)
    loaded = getattr(sys.modules.get("CybORG"), "__file__", None)
    if loaded is not None and Path(loaded).resolve().parent.parent != info.path:
        raise CyborgUnavailable(
            f"CybORG was already imported from {Path(loaded).parent.parent}, but {info.path} is asked for: "
            f"start a new process with {PATH_VARIABLE} set to the one you want."
        )
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    sys.path.insert(0, str(info.path))
    importlib.invalidate_caches()
    try:
        with _silence(), _without_ray():
            yield
    except CyborgUnavailable:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        raise CyborgUnavailable(
            f"CybORG {info.version} in {info.path} fails to import ({type(error).__name__}: {text}): {HOW_TO_GET}."
        ) from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(info.path))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Swallow what gym and pygame print, and the warnings that old code raises, while they are imported."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _without_ray() -> Iterator[None]:
    """Stand in for the one class that CybORG takes from ray, unless ray itself provides it."""
    if _ray_works():
        yield
        return
    before = {name: sys.modules.get(name) for name in _RAY_MODULES}
    for name in _RAY_MODULES:
        if before[name] is None:
            sys.modules[name] = ModuleType(name)
    sys.modules[_RAY_MODULES[-1]].MultiAgentEnv = type("MultiAgentEnv", (), {})  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)


def _ray_works() -> bool:
    if importlib.util.find_spec("ray") is None:
        return False
    try:  # ray may be installed without what its rllib part needs
        importlib.import_module(_RAY_MODULES[-1])
    except ImportError:
        return False
    return True
