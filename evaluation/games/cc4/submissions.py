"""CC4 submissions on the real CybORG: a folder or zip with ``submission.py``, as the challenge asks for it.

Differences from the challenge's own script, all of them so that an episode depends on nothing but its seed: every
episode is played by a process of its own (so nothing learnt or remembered leaks from one to the next, and no other
submission is in the way), Python's and NumPy's global generators are seeded by the episode, and rewards are read where
CybORG charges them, so that a wrapper which reshapes rewards cannot change its score.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from cage4 import spec
from cage4.spec import Verb
from cage4.variants import Variant, get_variant
from evaluation.foreign import wire
from evaluation.foreign.process import ForeignProcess
from evaluation.foreign.sources import closure
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.games.cc4.tally import make_record
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import BadInput, ForeignFailure, PolicyFailure, told
from evaluation.inputs.looks import hint, look
from evaluation.policies.registry import search_path

_LOADING = "loading"
_SHAPE = (spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS)


def check_submission(path: Path) -> None:
    """Refuse what is no submission, without running any of it.

    Raises:
        BadInput: If there is no ``submission.py`` where the challenge puts it, or the zip is damaged.
    """
    if path.is_dir():
        found = (path / "submission.py").is_file()
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                found = bool({"submission.py", "submission/submission.py"} & set(archive.namelist()))
        except (OSError, zipfile.BadZipFile) as error:
            raise BadInput(f"{path} cannot be read as a zip ({error}); give an intact submission") from error
    if not found:
        raise BadInput(
            f"{path} holds no submission.py at its top, so it is no CC4 submission{hint(str(path), path)}"
            if look(path)
            else f"{path} holds no submission.py at its top; give the folder or zip of a CC4 submission"
        )


def play_submission(
    name: str, episodes: Sequence[Episode], labels: Labels, variant: str | Variant = "base"
) -> Iterator[EpisodeRecord]:
    """Play each episode in a process of its own.

    Raises:
        PolicyFailure: If the submission raises anywhere, takes too long, ends its process, or plays no episode.
    """
    knobs = (get_variant(variant) if isinstance(variant, str) else variant).to_dict()
    try:
        with _unpacked(Path(name)) as root:
            module = "submission" if (root / "submission.py").is_file() else "submission.submission"
            start = {"kind": "submission", "root": str(root), "module": module, "variant": knobs}
            for episode in episodes:
                started = time.perf_counter()
                found = _play_one({**start, "seed": episode.seed, "steps": labels.steps})
                yield _record(found, episode, labels, time.perf_counter() - started)
    except ForeignFailure as failure:
        raise PolicyFailure(labels.policy, failure.message, failure.trace) from failure
    except (OSError, zipfile.BadZipFile) as error:
        raise PolicyFailure(labels.policy, f"cannot be read ({told(error)})", traceback.format_exc()) from error


def _play_one(start: wire.Header) -> wire.Header:
    """Play one episode and return what the process says of it."""
    process = ForeignProcess(start)
    try:
        doing = _LOADING
        while True:
            limit = process.limits.load_s if doing == _LOADING else process.limits.time_s
            heard = process.hear(limit, doing).header
            if "at" not in heard:
                return heard
            doing = str(heard["at"])[:100]
    finally:
        process.close()


def _record(found: wire.Header, episode: Episode, labels: Labels, wall_s: float) -> EpisodeRecord:
    """Score what a process says of an episode, and make its row.

    Raises:
        ForeignFailure: If that is no episode.
    """
    try:
        rewards = np.array(found["rewards"], np.float64)
        parts, costs = np.array(found["parts"], np.float64), np.array(found["costs"], np.float64)
        actions = {verb.cyborg_name: int(found["actions"][verb.cyborg_name]) for verb in Verb}
        if parts.shape != _SHAPE or costs.shape != _SHAPE[:1]:
            raise ValueError(f"parts of shape {parts.shape} and costs of shape {costs.shape}")
        if not all(np.isfinite(values).all() for values in (rewards, parts, costs)):
            raise ValueError("rewards that are no numbers")
        if not math.isclose(rewards[:-1].sum(), parts.sum() + costs.sum(), abs_tol=1e-6):
            raise ValueError("rewards that are not the sum of their parts")
        counts: dict[str, Any] = {name: int(found[name]) for name in ("invalid", "busy")}
        return make_record(
            episode, labels, rewards=rewards, parts=parts, costs=costs, actions=actions, wall_s=wall_s, **counts
        )
    except (KeyError, TypeError, ValueError, OverflowError, ValidationError) as error:
        raise ForeignFailure(f"played what is no episode ({told(error)})") from error


def submission_files(path: Path) -> dict[str, Path]:
    """Return name -> file of a submission: its zip; or all of its folder, and what it imports from elsewhere."""
    if path.is_file():
        return {path.name: path}
    found = closure.find("submission", [str(path), *search_path()])
    return (found.files() if found else {}) | closure.folder_files(path)


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Give the folder of a submission; a zip is unpacked for as long as it plays, as the challenge's server does."""
    if path.is_dir():
        yield path.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True) as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        yield Path(folder).resolve()
