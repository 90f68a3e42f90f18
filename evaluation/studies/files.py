"""Reading what the runs of a study wrote: a damaged file is named in one sentence, with what to delete."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.errors import BadInput
from native_sim.seals import SEAL, is_intact

LOG: Final = "log.jsonl"


def damaged(path: Path, why: str) -> BadInput:
    """Return the error that names a damaged file."""
    remedy = f"delete the folder {path.parent}" if path.name == LOG else "delete it"
    return BadInput(f"{path} is damaged ({why}); {remedy}, and the same command makes it again")


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, without its seal if it has one.

    Raises:
        FileNotFoundError: If there is none.
        BadInput: If it is damaged.
    """
    found = _parse(path, path.read_bytes())
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


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if not isinstance(found, dict):
        raise damaged(path, f"it holds a {type(found).__name__}")
    return found
