"""The loop: every policy plays the same episode seeds, one row is recorded per finished episode.

The episodes still missing are cut into batches. A batch is what one environment object plays at once; with several
workers, batches are played in processes of their own. Neither changes any number in a row, save its wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from evaluation.errors import PolicyFailure, WorkerDied
from evaluation.games import game_of
from evaluation.records import RunFolder
from evaluation.rollout import Episode
from evaluation.schema import EvalSpec, Row


@dataclass(frozen=True)
class Batch:
    """Episodes of one policy, played together on one environment object."""

    policy: str
    episodes: tuple[Episode, ...]


@dataclass
class Outcome:
    """What a call of :func:`run` did."""

    played: int
    failures: list[PolicyFailure]


def plan(spec: EvalSpec, done: Sequence[Row], num_envs: int, workers: int) -> list[Batch]:
    """Cut the episodes that are still missing into batches, policy by policy, in the order asked."""
    finished = {(record.policy, record.index) for record in done}
    seeds = spec.episode_seeds()
    batches = []
    for policy in spec.policies:
        missing = [Episode(i, seed) for i, seed in enumerate(seeds) if (policy, i) not in finished]
        size = max(1, min(num_envs, -(-len(missing) // workers)))
        batches += [Batch(policy, tuple(missing[i : i + size])) for i in range(0, len(missing), size)]
    return batches


def run(
    folder: RunFolder,
    workers: int = 1,
    num_envs: int | None = None,
    on_records: Callable[[list[Row]], None] = lambda records: None,
) -> Outcome:
    """Play what the run folder is still missing, appending every finished episode at once.

    Args:
        folder: A run folder opened for writing.
        workers: Processes that play at the same time.
        num_envs: Environments per process; by default as many as suit the game.
        on_records: Called with the rows just recorded, for a progress bar.

    Returns:
        How many episodes were played, and the policies that failed. A failed policy plays no further episode; its
        traceback is in the run's log, and everything recorded before stays.

    Raises:
        WorkerDied: If a worker process ends without an answer; what was recorded before stays.
    """
    folder.repair()
    spec = folder.spec
    size = game_of(spec.engine).batch_size(spec) if num_envs is None else num_envs
    batches = plan(spec, folder.read(), size, workers)
    outcome = Outcome(0, [])
    for result in _results(spec, batches, workers):
        if isinstance(result, PolicyFailure):
            outcome.failures.append(result)
            folder.log(f"{result}\n{result.trace}")
            continue
        folder.append(result)
        outcome.played += len(result)
        on_records(result)
    if len(folder.read()) == spec.episodes * len(spec.policies):
        folder.finish()
    return outcome


def _results(spec: EvalSpec, batches: Sequence[Batch], workers: int) -> Iterator[list[Row] | PolicyFailure]:
    """Yield what each batch leaves behind, as it comes; at most one failure per policy."""
    failed: set[str] = set()
    if workers == 1 or len(batches) <= 1:
        played = (_attempt(spec, batch) for batch in batches if batch.policy not in failed)
        outcomes: Iterator[tuple[str, list[Row] | PolicyFailure]] = played
    else:
        outcomes = parallel(partial(_attempt, spec, nested=True), batches, workers)
    for policy, result in outcomes:
        if isinstance(result, PolicyFailure):
            if policy in failed:
                continue
            failed.add(policy)
        yield result


def parallel(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Yield ``function(item)`` of every item as it comes, computed in worker processes, or here if one is asked for.

    Raises:
        WorkerDied: If a worker process ends without an answer.
    """
    if workers == 1:
        yield from map(function, items)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers, batch_size=1)
    try:
        yield from pool(delayed(function)(item) for item in items)
    except TerminatedWorkerError as error:
        raise WorkerDied("a worker process died (killed, or out of memory)") from error


def _attempt(spec: EvalSpec, batch: Batch, nested: bool = False) -> tuple[str, list[Row] | PolicyFailure]:
    try:
        return batch.policy, play_batch(spec, batch, nested)
    except PolicyFailure as failure:
        return batch.policy, failure


def play_batch(spec: EvalSpec, batch: Batch, nested: bool = False) -> list[Row]:
    """Play one batch in this process; ``nested`` says that it is a worker, which starts no processes of its own.

    Raises:
        PolicyFailure: If the policy raises or answers with something that is no action.
    """
    with threadpool_limits(1, user_api="blas"):  # more of them slow each other down, the more so on a busy machine
        return game_of(spec.engine).play(spec, batch.policy, batch.episodes, nested)
