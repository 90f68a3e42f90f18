"""Reading what the runs of a study wrote: a damaged file is named in one sentence, with what to delete."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.inputs.errors import BadInput
from native_sim.storage.files import MISFITS, MOST_JSON, kind_of, parse_json, read_bytes, read_json_object
from native_sim.storage.seals import SEAL, is_intact
from native_sim.storage.writing import LOCK

LOG: Final = "log.jsonl"


def damaged(path: Path, why: str) -> BadInput:
    """Return the error that names a damaged file."""
    remedy = f"delete the folder {path.parent}" if path.name == LOG else "delete it"
    return BadInput(f"{path} is damaged ({why}); {remedy}, and the same command makes it again")


@contextmanager
def taking_apart(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the content of a file into the error that names it as damaged."""
    try:
        yield
    except BadInput:
        raise
    except MISFITS as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def shipped_wrong(path: Path, why: object) -> BadInput:
    """Return the error that names a damaged file of the package itself."""
    return BadInput(f"{path} is damaged ({why}); install hmarl-transfer again, or leave --recorded out")


def read_shipped(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file that ships with the package, without its seal, or None if there is none.

    Raises:
        BadInput: If it is damaged.
    """
    try:
        found = read_json_object(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise shipped_wrong(path, error) from error
    if not is_intact(found):
        raise shipped_wrong(path, "it was changed since it was written")
    return {name: value for name, value in found.items() if name != SEAL}


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, without its seal if it has one.

    Raises:
        FileNotFoundError: If there is none.
        BadInput: If it is damaged.
    """
    try:
        text = read_bytes(path, MOST_JSON)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    found = _parse(path, text)
    if not is_intact(found):
        raise damaged(path, "it was changed since it was written")
    return {name: value for name, value in found.items() if name != SEAL}


def log_digest(folder: Path) -> str:
    """Return the SHA-256 of the log of a training run, in hexadecimal digits.

    Raises:
        FileNotFoundError: If there is no log.
    """
    return hashlib.sha256((folder / LOG).read_bytes()).hexdigest()


def read_validations(folder: Path) -> dict[str, np.ndarray]:
    """Return the validations in the log of a training run: ``steps`` and ``score``, each [validations] float64.

    Raises:
        FileNotFoundError: If there is no log.
        BadInput: If it is damaged.
    """
    path = folder / LOG
    entries = [_parse(path, line) for line in path.read_bytes().splitlines()]
    lines = [entry for entry in entries if entry.get("kind") == "validation"]
    try:
        return {name: np.array([line[name] for line in lines], np.float64) for name in ("steps", "score")}
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"a validation tells no steps or no score: {error}") from error


def clear(folder: Path) -> None:
    """Remove what a folder holds, but not the lock of who does so."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if not isinstance(found, dict):
        raise damaged(path, f"it holds {kind_of(found)}")
    return found
