"""One training run of a study and its score on held-out networks: done once, resumed if it was interrupted.

Files of a run: ``run.json`` (method, seed, settings and commit), ``log.jsonl`` (its course), ``best`` (weights),
``trained.json`` (it is finished) and ``held-out-LEVEL.json`` (every metric of every held-out episode).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.inputs.errors import BadInput
from evaluation.studies.files import LOG, clear, damaged, log_digest, read_object, read_validations
from evaluation.studies.training.plans import SCRIPTED, Arm, Plan, Size, run_name, run_settings
from native_sim.soc.corrected.reward import METRICS
from native_sim.storage.seals import sealed
from native_sim.storage.writing import FolderInUse, FolderLock, sweep

if TYPE_CHECKING:
    from hmarl_soc.config import RunConfig
    from native_sim.api import Policy

RUN, TRAINED = "run.json", "trained.json"
DONE, INTERRUPTED = "done", "interrupted"
_LOG_DIGEST: Final = "log_sha256"
"""Entry of how training ended: the digest of its log; runs of earlier versions have none."""
_BATCH: Final = 250
"""Held-out episodes played side by side; changes no result."""


@dataclass(frozen=True)
class Job:
    """One run of an arm, and the held-out episodes that it is scored on."""

    arm: Arm
    seed: int | None  # None for a scripted arm
    size: Size
    level: str
    episodes: int
    folder: Path
    recorded: Mapping[str, Any] | None = None
    """``curve`` and ``values`` of a run that is not here; see :mod:`evaluation.studies.recorded`."""


def jobs(plan: Plan, size: Size, seeds: int, out: Path) -> list[Job]:
    """Return the jobs of a study, seed by seed, so that an interrupted study has whole sets of arms.

    Raises:
        ValueError: If a setting of an arm is wrong.
    """
    episodes = plan.episodes if size.episodes is None else size.episodes
    found = [make_job(arm, seed, size, out, plan.level, episodes) for seed in range(seeds) for arm in plan.learned]
    scripted = [arm for arm in plan.arms if arm.method == SCRIPTED]
    return [Job(arm, None, size, plan.level, episodes, out / "runs" / SCRIPTED / arm.label) for arm in scripted] + found


def make_job(arm: Arm, seed: int, size: Size, out: Path, level: str = "default", episodes: int = 0) -> Job:
    """Return a training run of an arm in the folder that runs of its settings have.

    Raises:
        ValueError: If a setting of the arm is wrong.
    """
    folder = out / "runs" / run_name(arm.method, _config(arm, size).to_dict()) / f"seed-{seed}"
    return Job(arm, seed, size, level, episodes, folder)


def held_out_file(job: Job) -> Path:
    """Return where the metrics of the held-out episodes of a job are."""
    return job.folder / f"held-out-{job.level}.json"


def is_done(job: Job) -> bool:
    """Tell whether a job's result is there, over the episodes that are asked for.

    Raises:
        BadInput: If the file is damaged.
    """
    if job.recorded is not None:
        return True
    if not held_out_file(job).exists():
        return False
    return len(read_held_out(job)["return"]) == job.episodes


def execute(job: Job) -> tuple[Job, str]:
    """Train if that is not finished, then play the held-out episodes.

    Returns:
        The job, and :data:`DONE`, :data:`INTERRUPTED`, or one sentence on why its training failed.

    Raises:
        BadInput: If another process writes to the folder of this run.
    """
    end = train(job)[1] if job.seed is not None else DONE
    if end == DONE:
        with _held(job):
            drop_checkpoint(job)
            if not is_done(job):  # another study may have been faster
                _score(job)
    return job, end


def train(job: Job) -> tuple[Job, str]:
    """Train if that is not finished; returns and raises what :func:`execute` does."""
    from hmarl_soc.training.trainer import TrainingDiverged

    if job.seed is not None and read_trained(job) is None:
        try:
            with _held(job):
                if not _train(job, job.seed):
                    return job, INTERRUPTED
        except TrainingDiverged as error:
            return job, str(error)
    return job, DONE


@contextmanager
def _held(job: Job) -> Iterator[None]:
    """Hold the folder of a job, and clean it of what was left half-written.

    Raises:
        BadInput: If another process has it.
    """
    try:
        with FolderLock(job.folder):
            sweep(job.folder)
            yield
    except FolderInUse as error:
        raise BadInput(f"{error}; the same command goes on") from error


def read_trained(job: Job) -> dict[str, Any] | None:
    """Return how a training run ended: ``steps``, ``episodes``, ``best_score``; None if it is not finished.

    Raises:
        BadInput: If the file is damaged.
    """
    path = job.folder / TRAINED
    if not path.exists():
        return None
    found: dict[str, Any] = read_object(path)
    if not all(isinstance(found.get(name), int | float) for name in ("steps", "episodes", "best_score")):
        raise damaged(path, "it does not tell how training ended")
    return found


def read_held_out(job: Job) -> dict[str, np.ndarray]:
    """Return "return" and every other metric -> [episodes] float64, in the order of the episodes' seeds.

    Raises:
        FileNotFoundError: If the job is not done.
        BadInput: If the file is damaged.
    """
    path = held_out_file(job)
    found = read_object(path)
    episodes, metrics = found.get("episodes"), found.get("metrics")
    if not isinstance(metrics, dict) or not {"return", *METRICS} <= set(metrics):
        raise damaged(path, "a metric is missing")
    try:
        columns = {name: np.array(values, np.float64) for name, values in metrics.items()}
    except (TypeError, ValueError) as error:
        raise damaged(path, "a metric is no number") from error
    for name, column in columns.items():
        if column.shape != (episodes,):
            raise damaged(path, f"{name} has shape {column.shape} and not ({episodes},)")
    return columns


def _config(arm: Arm, size: Size) -> RunConfig:
    """Return the resolved settings of an arm's training runs."""
    from hmarl_soc.config import parse
    from hmarl_soc.registry import config_class

    return parse(run_settings(arm, size), config_class(arm.method))


def _train(job: Job, seed: int) -> bool:
    """Train in a folder that is held; return whether it was not interrupted.

    Raises:
        TrainingDiverged: If a loss is not finite.
    """
    from hmarl_soc.training.runs import has_checkpoint, run

    if read_trained(job) is not None:  # by another study, since the folder was free
        return True
    config = _config(job.arm, job.size)
    resume = has_checkpoint(job.folder)
    if not resume:
        clear(job.folder)  # of a run that was killed before its first checkpoint
        what = {"method": job.arm.method, "seed": seed, "config": config.to_dict(), **describe_tree()}
        write_atomically(job.folder / RUN, json.dumps(sealed(what), indent=1))
    started = time.perf_counter()
    outcome = run(job.arm.method, config, seed, job.folder, resume)
    if outcome.interrupted:
        return False
    done = {"steps": outcome.steps, "episodes": outcome.episodes, "best_score": outcome.best_score}
    seconds = round(time.perf_counter() - started, 1)
    found = {**done, "last_sitting_s": seconds, _LOG_DIGEST: log_digest(job.folder)}
    write_atomically(job.folder / TRAINED, json.dumps(sealed(found)))
    drop_checkpoint(job)
    return True


def drop_checkpoint(job: Job) -> None:
    """Remove what a finished training run goes on from, replay and all: much larger than everything else."""
    from hmarl_soc.training.runs import LAST

    if (job.folder / TRAINED).exists():
        shutil.rmtree(job.folder / LAST, ignore_errors=True)


def play_held_out(policy: Policy, episodes: int, level: str = "default") -> dict[str, np.ndarray]:
    """Return "return" and every metric of held-out episodes, [episodes] float64, in the order of their seeds."""
    from hmarl_soc.training.validation import play
    from native_sim import make_vec

    truth = "state" in policy.wants
    env = make_vec(num_envs=min(_BATCH, episodes), level=level, held_out=True, threads=1, with_state=truth)
    return play(env, policy, range(episodes), env.metric_names)


def _score(job: Job) -> None:
    played = play_held_out(_policy(job), job.episodes, job.level)
    metrics = {name: [None if np.isnan(v) else round(float(v), 6) for v in values] for name, values in played.items()}
    job.folder.mkdir(parents=True, exist_ok=True)
    found = {"episodes": job.episodes, "level": job.level, "metrics": metrics}
    write_atomically(held_out_file(job), json.dumps(sealed(found)))


def _policy(job: Job) -> Policy:
    if job.seed is None:
        from native_sim.soc.policies import make_policy

        return make_policy(job.arm.label)
    from hmarl_soc.registry import load_policy

    return load_policy(job.folder)


def read_curve(job: Job) -> dict[str, np.ndarray]:
    """Return the validations of a training run: ``steps`` and ``score``, each [validations] float64.

    Raises:
        BadInput: If the log is damaged.
    """
    if job.recorded is not None:
        return {name: np.array(job.recorded["curve"][name], np.float64) for name in ("steps", "score")}
    path = job.folder / TRAINED
    trained = read_object(path) if path.exists() else {}
    if trained.get(_LOG_DIGEST, found := log_digest(job.folder)) != found:
        raise damaged(job.folder / LOG, "it is not what training wrote")
    return read_validations(job.folder)
