"""What a folder or file looks like, for whoever gave it where something else was wanted."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from native_sim.storage.files import read_json

SUBMISSION: Final = "submission.py"
_INDEX, _MANIFEST, _RUN, _LOG = "bundle.json", "manifest.json", "spec.json", "log.jsonl"
_STUDY: Final = ("study.json", "study.md", "table.md")


class Look(NamedTuple):
    """What something is taken for."""

    what: str
    """Such as "a bundle"."""
    spelling: str = ""
    """Under which name it can be played; empty if under none."""
    advice: str = ""
    """What to do with it, as an imperative; what ``spelling`` says if empty."""

    def __str__(self) -> str:
        return f"it looks like {self.what}: {self.advice or f'give {self.spelling}'}"


def hint(given: str, path: Path) -> str:
    """Return what to add to the refusal of what was given: what it looks like and how it is spelled.

    Args:
        given: The name that was refused.
        path: Of the folder or file in it.

    Returns:
        Text that continues a sentence, or nothing if nothing is recognised or it was spelled like that already.
    """
    found = look(path)
    return "" if found is None or found.spelling == given else f"; {found}"


def look(path: Path) -> Look | None:
    """Return what a folder or file looks like; None if nothing is recognised."""
    try:
        if path.is_dir():
            found = (recognise(path) for recognise in _FOLDERS)
        elif path.is_file():
            found = (recognise(path) for recognise in _FILES)
        else:
            return None
        return next((one for one in found if one is not None), None)
    except OSError:  # it may not be looked into
        return None


# ------------------------------------------------------------------------------------------------------------ folders
def _submission(path: Path) -> Look | None:
    if (path / SUBMISSION).is_file():
        return Look("a CC4 submission", str(path), f"give {path} with --engine cyborg")
    inside = sorted(file.parent for file in path.glob(f"*/{SUBMISSION}"))
    if not inside:
        return None
    return Look("a folder around a CC4 submission", str(inside[0]), f"give {inside[0]} with --engine cyborg")


def _bundle(path: Path) -> Look | None:
    return Look("a bundle", f"bundle:{path}") if (path / _INDEX).is_file() else None


def _weights(path: Path) -> Look | None:
    manifest = path / _MANIFEST
    if not manifest.is_file():
        return None
    if (path.parent / _INDEX).is_file():
        return Look("the policy inside a bundle", f"bundle:{path.parent}")
    kind, plays_cc4 = _read_manifest(manifest)
    if kind == "training":
        return _last_of_run(path)
    return _playable("trained weights", path, plays_cc4)


def _last_of_run(path: Path) -> Look:
    what = "a checkpoint to resume training from"
    best = path.parent / "best" / _MANIFEST
    if best.is_file():
        return _playable(what, path.parent, _read_manifest(best)[1])
    return Look(what, advice="give the run folder once it holds its best weights")


def _training_run(path: Path) -> Look | None:
    if (path / _INDEX.removesuffix(".json") / _INDEX).is_file():
        return Look("a run folder of finetune", f"bundle:{path / 'bundle'}")
    best = path / "best" / _MANIFEST
    if best.is_file():
        return _playable("a run folder of train", path, _read_manifest(best)[1])
    if (path / _LOG).is_file() or (path / "last" / _MANIFEST).is_file():
        return Look("a run folder of train without best weights", advice="train it further, with --resume")
    return None


def _playable(what: str, path: Path, plays_cc4: bool) -> Look:
    name = f"weights:{path}"
    if plays_cc4:
        return Look(what, name)
    return Look(what, name, f"give {name} with --game soc, or carry it onto CC4 with hmarl-transfer calibrate {path}")


def _evaluation_run(path: Path) -> Look | None:
    if not (path / _RUN).is_file():
        return None
    return Look("a run folder of evaluate", advice="it holds results and no policy; name the policies themselves")


def _study(path: Path) -> Look | None:
    if not any((path / name).is_file() for name in _STUDY):
        return None
    return Look("a folder of a study", advice="it holds results and no policy; give weights:DIR of one of its runs")


def _cyborg(path: Path) -> Look | None:
    if not (path / "CybORG" / "__init__.py").is_file():
        return None
    return Look("a checkout of CybORG", advice=f"set CYBORG_PATH to {path} and use --engine cyborg")


def _modules(path: Path) -> Look | None:
    if not any(path.glob("*.py")):
        return None
    return Look("a folder of Python modules", advice="give module:object, from where the module can be imported")


def _empty(path: Path) -> Look | None:
    return None if any(path.iterdir()) else Look("an empty folder", advice="give one that holds something")


_FOLDERS: Final[tuple[Callable[[Path], Look | None], ...]] = (
    _bundle,
    _weights,
    _training_run,
    _evaluation_run,
    _study,
    _submission,
    _cyborg,
    _modules,
    _empty,
)


# -------------------------------------------------------------------------------------------------------------- files
def _archive(path: Path) -> Look | None:
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inside = [name for name in names if name.endswith(f"/{SUBMISSION}")]
    if {SUBMISSION, f"submission/{SUBMISSION}"} & set(names):
        return Look("a CC4 submission", str(path), f"give {path} with --engine cyborg")
    if inside:
        folder = inside[0].rpartition("/")[0]
        return Look("a zip around a CC4 submission", advice=f"zip what lies in {folder}, without that folder")
    if any(name.endswith(_INDEX) for name in names):
        return Look("a zipped bundle", advice="unpack it, and give bundle:DIR")
    return None


def _part(path: Path) -> Look | None:
    """Recognise a file by the folder that it belongs to."""
    whole = {_INDEX, _MANIFEST, _RUN, _LOG, SUBMISSION, *_STUDY}
    if path.name not in whole and path.suffix != ".safetensors":
        return None
    folder = look(path.parent)
    return folder._replace(what=f"a file of {folder.what}") if folder else None


def _module(path: Path) -> Look | None:
    if path.suffix != ".py":
        return None
    return Look("a Python module", advice=f"give {path.stem}:NAME of the policy in it, from {path.absolute().parent}")


_FILES: Final[tuple[Callable[[Path], Look | None], ...]] = (_archive, _part, _module)


def _read_manifest(path: Path) -> tuple[str, bool]:
    """Return the kind of a checkpoint, and whether its agents are those of CC4; of a damaged one, of SOC weights."""
    try:
        manifest = read_json(path)
        names = [agent["name"] for agent in manifest["interface"]["agents"]]
        return str(manifest["kind"]), all(str(name).startswith("blue_agent_") for name in names)
    except (OSError, ValueError, LookupError, TypeError):
        return "weights", False
