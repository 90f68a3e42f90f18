"""Our packages have common names: make sure that they are ours, and tell where others have the same.

The command itself runs no code of a user's, so it may put our folder before theirs. Policies of a user's run in
processes of their own, with the path as it was.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import invalidate_caches, metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

OURS: Final = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
"""Our top-level packages."""
ROOT: Final = Path(__file__).resolve().parents[2]
DISTRIBUTION: Final = "hmarl-transfer"
COMPLETE: Final = "_HMARL_TRANSFER_COMPLETE"
"""Environment variable by which a shell asks the command for completions."""
BAD_INPUT: Final = 2
_USER_PATH: list[str] = []


def user_path() -> list[str]:
    """Return ``sys.path`` as it was before :func:`settle`: what a user's code is to find."""
    return _USER_PATH or list(sys.path)


def settle() -> None:
    """Put our packages before all others of their names, and tell of those, or end with exit code 2 if we cannot.

    It tells nothing where a shell asks for completions, since the shell shows standard error to the user.
    """
    if _USER_PATH:
        return
    _USER_PATH.extend(sys.path)
    try:
        found = notices()
        put_ours_first()
        check()
    except Collision as collision:
        sys.stderr.write(f"Error: {collision}\n")
        raise SystemExit(BAD_INPUT) from None
    for sentence in () if COMPLETE in os.environ else found:
        sys.stderr.write(f"Notice: {sentence}\n")


def version() -> str:
    """Return the version of this project: of the installed one, or of the checkout that was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        found = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else "unknown"


class Collision(RuntimeError):
    """One of our packages is not ours; the message is one sentence."""


def notices(path: Sequence[str] | None = None) -> list[str]:
    """Return a sentence for everything under a path that has one of our names."""
    before, after = _others(user_path() if path is None else path)
    hiding = [
        f"{place} has the name of a package of {DISTRIBUTION}; the command uses its own, and your policies find yours"
        for place in before
    ]
    hidden = [
        f"{place}{_of(place)} is hidden by {DISTRIBUTION}, which has a package of that name; what needs it must run "
        f"in an environment without {DISTRIBUTION}"
        for place in after
    ]
    return hiding + hidden


def replaced() -> list[str]:
    """Return a sentence for every package of another distribution that was installed into the folder of one of ours.

    It looks through the files of all distributions, which takes a while.
    """
    files = [ROOT / name / "__init__.py" for name in OURS]
    return [
        f"{file.parent} is also the place of a package{owner}, whose files {DISTRIBUTION} may have replaced; keep both "
        f"in environments of their own"
        for file in files
        if (owner := _of(file))
    ]


def put_ours_first() -> None:
    """Have our folder on ``sys.path``, and behind it what hides one of our packages, and the working folder.

    ``python -m`` searches the working folder first, where a file of a user's may have the name of any package.
    """
    invalidate_caches()
    end, here = _position(sys.path), Path.cwd().resolve()
    hiding = [
        entry
        for entry in sys.path[:end]
        if Path(entry or ".").resolve() == here or any(_module(name, entry) for name in OURS)
    ]
    ours = [str(ROOT)] if end == len(sys.path) else []
    kept = [entry for entry in sys.path if entry not in hiding]
    sys.path[:] = [*kept, *ours, *hiding]


def check() -> None:
    """Check that our packages are ours.

    Raises:
        Collision: If one of them is missing, overwritten, or was imported from elsewhere.
    """
    for name in OURS:
        file = ROOT / name / "__init__.py"
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if not file.is_file():
            raise Collision(f"{DISTRIBUTION} is incomplete: there is no {file}; install it again")
        if loaded is not None and Path(loaded).resolve() != file:
            raise Collision(
                f"another {name} was imported from {loaded} before {DISTRIBUTION} could start; start it in an "
                f"environment without it"
            )
        if _is_overwritten(file) and (owner := _of(file)):
            raise Collision(
                f"{file} was overwritten by another distribution{owner}; keep it and {DISTRIBUTION} in environments "
                f"of their own, and install {DISTRIBUTION} again"
            )


def _others(path: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Return the modules with our names that come before our folder, and those that come after it."""
    end = _position(path)
    places: tuple[list[Path], list[Path]] = ([], [])
    for number, entry in enumerate(path):
        for name in OURS:
            place = _module(name, entry)
            if place is not None and place not in places[number > end]:
                places[number > end].append(place)
    return places


def _position(path: Sequence[str]) -> int:
    """Return where our folder is on a path; its length if it is not there."""
    return next((number for number, entry in enumerate(path) if Path(entry or ".").resolve() == ROOT), len(path))


def _module(name: str, entry: str) -> Path | None:
    """Return the file of a module under an entry of a path, unless it is ours; a mere folder is no module."""
    spec = PathFinder.find_spec(name, [entry or "."])
    place = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    return None if place == ROOT / name / "__init__.py" else place


def _is_overwritten(file: Path) -> bool:
    """Whether an installed file of ours is another than the one that was installed."""
    try:
        listed = metadata.distribution(DISTRIBUTION).files or ()
    except metadata.PackageNotFoundError:
        return False
    for entry in listed:
        if entry.hash is not None and entry.hash.mode == "sha256" and Path(str(entry.locate())).resolve() == file:
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
            return digest != entry.hash.value
    return False


def _of(place: Path) -> str:
    """Return " (of NAME)" of the other distribution that a file belongs to, or nothing."""
    for owner in _owners(place):
        if owner.lower().replace("_", "-") != DISTRIBUTION:
            return f" (of {owner})"
    return ""


def _owners(place: Path) -> Iterator[str]:
    for distribution in metadata.distributions():
        for entry in distribution.files or ():
            if entry.parts[-2:] == place.parts[-2:] and Path(str(entry.locate())).resolve() == place:
                yield distribution.metadata["Name"]
