"""Results of training runs that ship with the package, so that a study can be told, or gone on with, without them.

A file per run, ``METHOD-HASH-seed-S.json``, named like the folder of the run: method, seed, settings, commit, how its
training ended, its validations, and the number of every column of a table on the held-out episodes. Weights are left
out. Other studies are kept whole: their summaries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.harness.run_folder import write_atomically
from evaluation.studies.files import read_object, read_shipped, shipped_wrong
from evaluation.studies.training.runs import RUN, TRAINED, Job, is_done, read_curve
from evaluation.studies.training.tables import COLUMNS, job_values
from native_sim.storage.files import MISFITS
from native_sim.storage.seals import sealed

RECORDED: Final = Path(__file__).resolve().parents[1] / "recorded"
FOLDER: Final = RECORDED / "studies"
SUMMARY: Final = "study.json"
"""Of a study that is kept as one file; it names the study and what was studied."""
_CURVE, _HELD_OUT = "curve", "held_out"


def with_recorded(wanted: Sequence[Job], folder: Path = FOLDER) -> list[Job]:
    """Return the jobs; those of training runs that are not done here have their recorded result if there is one.

    Recorded results count where settings, seed, level and the number of held-out episodes are equal.
    """
    return [job if job.seed is None or is_done(job) else replace(job, recorded=_find(job, folder)) for job in wanted]


def record(job: Job, folder: Path = FOLDER) -> Path:
    """Write what a finished training run of this machine came to, beside what is recorded of it on other levels.

    Args:
        job: Of a learned arm, and done.
        folder: Where recorded results lie.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If the run is not there or not finished.
    """
    run, trained = (read_object(job.folder / name) for name in (RUN, TRAINED))
    values = {name: None if np.isnan(value) else value for name, value in job_values(job).items()}
    curve = {name: column.tolist() for name, column in read_curve(job).items()}
    path = _path(job, folder)
    before = read_shipped(path) or {}
    levels = before[_HELD_OUT] if before.get(_CURVE) == curve else {}
    levels = {**levels, job.level: {"episodes": job.episodes, "values": values}}
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {**run, "trained": trained, _CURVE: curve, _HELD_OUT: levels}
    write_atomically(path, json.dumps(sealed(found), indent=1) + "\n")
    return path


def record_summary(out: Path, recorded: Path = RECORDED, name: str = SUMMARY) -> Path:
    """Keep the summary of a study as ``STUDY/NAME.json``, beside what else ships with the package; return the file.

    Args:
        out: Folder of the study.
        recorded: Folder of everything recorded.
        name: The file of the summary.

    Raises:
        FileNotFoundError: If nothing was reported there.
    """
    text = (out / name).read_text(encoding="utf-8")
    summary = read_object(out / name)
    file: Path = recorded / summary["study"] / f"{summary['name']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)
    return file


def _find(job: Job, folder: Path) -> dict[str, Any] | None:
    """Return the curve and the values of a job, or None."""
    path = _path(job, folder)
    found = read_shipped(path)
    if found is None:
        return None
    try:
        scored = found[_HELD_OUT].get(job.level)
        if scored is None or scored["episodes"] != job.episodes:
            return None
        curve = {name: np.array(found[_CURVE][name], np.float64) for name in ("steps", "score")}
        given = {column.name: scored["values"][column.name] for column in COLUMNS}
        values = {name: None if value is None else float(value) for name, value in given.items()}
    except MISFITS as error:
        raise shipped_wrong(path, error) from error
    return {_CURVE: curve, "values": values}


def _path(job: Job, folder: Path) -> Path:
    return folder / f"{job.folder.parent.name}-{job.folder.name}.json"
