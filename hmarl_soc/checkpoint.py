"""Checkpoints: a folder of one manifest (JSON) and one file of arrays (safetensors); nothing in it can run code.

The manifest is replaced last and in one rename, and names the arrays that belong to it. So a folder always holds a
complete checkpoint: the new one, or, if writing failed or was interrupted, the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from native_sim.api import Array
from native_sim.storage import files
from native_sim.storage.seals import digest_of
from native_sim.storage.tensors import read_tensors
from native_sim.storage.writing import sweep, write_atomically

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_ENTRIES: Final = dict.fromkeys(("kind", "method", "arrays", "sha256"), str) | dict.fromkeys(
    ("interface", "config", "state"), dict
)
"""Entry of a manifest -> its type."""
MISFITS: Final = (*files.MISFITS, RuntimeError)
"""What reading nested values raises where something is missing, or of another kind or shape."""


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message is one sentence."""


class Checkpoint(NamedTuple):
    """What was saved."""

    kind: str  # "training" (all that decides how it goes on) or "weights" (what acting needs)
    method: str
    interface: dict[str, Any]
    config: dict[str, Any]
    state: dict[str, Any]  # nested; leaves are arrays, numbers, strings, None or lists of these


def save(folder: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint over the one in ``folder``.

    Raises:
        OSError: If it cannot be written, for lack of space for example; the old one is then untouched.
    """
    from safetensors.numpy import save as to_bytes

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)  # what a kill left half-written can be as large as everything else
    arrays: dict[str, Array] = {}
    tree = _split(checkpoint.state, "", arrays)
    data = to_bytes({name: np.asarray(array, order="C") for name, array in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = f"arrays-{digest[:16]}.safetensors"
    manifest = {
        "format": FORMAT,
        **{name: getattr(checkpoint, name) for name in ("kind", "method", "interface", "config")},
        "versions": {"numpy": np.__version__},
        "arrays": file,
        "sha256": digest,
        "state": tree,
    }
    write_atomically(folder / file, data)
    write_atomically(folder / MANIFEST, json.dumps(manifest | {"digest": digest_of(manifest)}, indent=1))
    for other in folder.glob("arrays-*.safetensors"):
        if other.name != file:
            other.unlink()


def check_state(state: Mapping[str, Any]) -> None:
    """Refuse what :func:`save` could not write.

    Raises:
        TypeError: One sentence that names the first entry that is none of arrays, numbers, strings, None and lists.
    """
    _split(state, "", {})


def load(folder: str | Path, kind: str | None = None) -> Checkpoint:
    """Read a checkpoint back.

    Raises:
        CheckpointError: If there is none, it is damaged, of another format, or not of the wanted kind.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    if kind is not None and manifest["kind"] != kind:
        raise CheckpointError(f"{folder} holds a checkpoint of kind {manifest['kind']!r}; needed is {kind!r}")
    try:
        data = (folder / manifest["arrays"]).read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder} lacks its arrays ({error}); use another checkpoint") from error
    if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
        raise CheckpointError(f"checkpoint {folder} is damaged: {manifest['arrays']} is not what was written")
    try:
        state = _join(manifest["state"], read_tensors(data))
    except MISFITS as error:
        raise CheckpointError(f"checkpoint {folder} is damaged ({error}); use another checkpoint") from error
    return Checkpoint(manifest["kind"], manifest["method"], manifest["interface"], manifest["config"], state)


def files_of(folder: str | Path) -> list[Path]:
    """Return the files of a checkpoint, its manifest first.

    Raises:
        CheckpointError: If there is none, or its manifest is damaged.
    """
    folder = Path(folder)
    return [folder / MANIFEST, folder / _read_manifest(folder)["arrays"]]


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = files.read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no checkpoint: there is no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {folder} is damaged: {MANIFEST} cannot be read ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        given = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise CheckpointError(f"checkpoint {folder} is of format {given!r}; this version reads format {FORMAT}")
    for name, kind in _ENTRIES.items():
        if name not in manifest:
            raise CheckpointError(f"checkpoint {folder} is damaged: {MANIFEST} lacks {name!r}")
        if not isinstance(manifest[name], kind):
            given = type(manifest[name]).__name__
            raise CheckpointError(f"checkpoint {folder} is damaged: {name!r} of {MANIFEST} is of type {given}")
    if manifest.get("digest") not in (None, digest_of(manifest)):  # earlier versions wrote none
        raise CheckpointError(f"checkpoint {folder} is damaged: {MANIFEST} is not what was written")
    if Path(manifest["arrays"]).name != manifest["arrays"]:
        raise CheckpointError(f"checkpoint {folder} is damaged: its arrays lie elsewhere, in {manifest['arrays']!r}")
    return manifest


def _split(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return a JSON tree in which arrays are replaced by their names in ``arrays``."""
    if isinstance(value, Mapping):
        return {str(key): _split(part, f"{path}/{key}", arrays) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_split(part, f"{path}/{index}", arrays) for index, part in enumerate(value)]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds arrays, numbers, strings and None; {path} is {type(value).__name__}")


def _join(tree: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {"array"}:
            return arrays[tree["array"]]
        return {key: _join(part, arrays) for key, part in tree.items()}
    if isinstance(tree, list):
        return [_join(part, arrays) for part in tree]
    return tree
