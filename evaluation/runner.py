"""The loop: every policy plays the same episode seeds, one row is recorded per finished episode.

The episodes still missing are cut into batches. A batch is what one environment object plays at once; with several
workers, batches are played in processes of their own. Neither changes any number in a row, save its wall time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from evaluation.errors import PolicyFailure, WorkerDied
from evaluation.policies import is_submission, make_policy
from evaluation.records import RunFolder
from evaluation.rollout import Episode, Labels, play
from evaluation.schema import EpisodeRecord, EvalSpec
from native_sim.api import VectorEnv

if TYPE_CHECKING:
    from cage4.variants import Variant

NATIVE_ENVS = 128
"""Environments of the compiled engine per batch unless told otherwise; CybORG plays one at a time per process."""


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


def plan(spec: EvalSpec, done: Sequence[EpisodeRecord], num_envs: int, workers: int) -> list[Batch]:
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
    on_records: Callable[[list[EpisodeRecord]], None] = lambda records: None,
) -> Outcome:
    """Play what the run folder is still missing, appending every finished episode at once.

    Args:
        folder: A run folder opened for writing.
        workers: Processes that play at the same time.
        num_envs: Environments per process; by default 128 for the compiled engine and 1 for CybORG.
        on_records: Called with the rows just recorded, for a progress bar.

    Returns:
        How many episodes were played, and the policies that failed. A failed policy plays no further episode; its
        traceback is in the run's log, and everything recorded before stays.

    Raises:
        WorkerDied: If a worker process ends without an answer; what was recorded before stays.
    """
    folder.repair()
    spec = folder.spec
    size = num_envs or (NATIVE_ENVS if spec.engine == "native" else 1)
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


def _results(spec: EvalSpec, batches: Sequence[Batch], workers: int) -> Iterator[list[EpisodeRecord] | PolicyFailure]:
    """Yield what each batch leaves behind, as it comes; at most one failure per policy."""
    failed: set[str] = set()
    if workers == 1 or len(batches) <= 1:
        played = (_attempt(spec, batch) for batch in batches if batch.policy not in failed)
        outcomes: Iterator[tuple[str, list[EpisodeRecord] | PolicyFailure]] = played
    else:
        outcomes = parallel(partial(_attempt, spec, nested=True), batches, workers)
    for policy, result in outcomes:
        if isinstance(result, PolicyFailure):
            if policy in failed:
                continue
            failed.add(policy)
        yield result


def parallel(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Yield ``function(item)`` of every item as it comes, computed in worker processes.

    Raises:
        WorkerDied: If a worker process ends without an answer.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers, batch_size=1)
    try:
        yield from pool(delayed(function)(item) for item in items)
    except TerminatedWorkerError as error:
        raise WorkerDied("a worker process died (killed, or out of memory)") from error


def _attempt(spec: EvalSpec, batch: Batch, nested: bool = False) -> tuple[str, list[EpisodeRecord] | PolicyFailure]:
    try:
        return batch.policy, play_batch(spec, batch, nested)
    except PolicyFailure as failure:
        return batch.policy, failure


def play_batch(spec: EvalSpec, batch: Batch, nested: bool = False) -> list[EpisodeRecord]:
    """Play one batch in this process; ``nested`` says that it is a worker, which starts no processes of its own.

    Raises:
        PolicyFailure: If the policy raises or answers with something that is no action.
    """
    from cage4.variants import Variant

    variant = Variant.from_dict(spec.variant_knobs)
    labels = Labels(batch.policy, spec.engine, spec.variant, spec.steps)
    if is_submission(batch.policy):
        from evaluation.submissions import play_submission

        return list(play_submission(batch.policy, batch.episodes, labels, variant))
    policy = make_policy(batch.policy)
    env = _environment(
        spec.engine, variant, spec.steps, len(batch.episodes), "rich" in policy.wants, nested, os.getpid()
    )
    return list(play(env, policy, batch.episodes, labels))


@lru_cache(maxsize=2)
def _environment(
    engine: str, variant: Variant, steps: int, num_envs: int, rich: bool, nested: bool, process: int
) -> VectorEnv:
    """Keep an environment for the next batch of the same size; ``process`` guards against a fork's inheritance."""
    import cage4

    options: dict[str, Any] = {"processes": 0} if engine == "cyborg" and nested else {}
    return cage4.vector_env(engine, num_envs=num_envs, variant=variant, steps=steps, rich=rich, **options)
