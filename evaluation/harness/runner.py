"""The loop: every policy plays the same episode seeds, one row is recorded per finished episode.

The episodes still missing are cut into batches. A batch is what one environment object plays at once; with several
workers, batches are played in processes of their own. Neither changes any number in a row, save its wall time.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from threadpoolctl import threadpool_limits

from evaluation.foreign.process import Surroundings, scope
from evaluation.harness.game import find_game
from evaluation.harness.rollout import Episode
from evaluation.harness.run_folder import RunFolder
from evaluation.harness.schema import EvalSpec, Row
from evaluation.inputs.errors import BadInput, PolicyFailure, WorkerDied


@dataclass(frozen=True)
class Batch:
    """Episodes of one policy, played together on one environment object."""

    policy: str
    episodes: tuple[Episode, ...]


class Played(NamedTuple):
    """What a batch leaves behind."""

    batch: Batch
    result: list[Row] | PolicyFailure
    output: str
    """What code that is not ours printed."""


MOST_LOGGED: Final = 2**20
"""Characters of a policy's output that the log of a run takes in."""


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
    surroundings: Surroundings | None = None,
) -> Outcome:
    """Play what the run folder is still missing, appending every finished episode at once.

    Args:
        folder: A run folder opened for writing.
        workers: Processes that play at the same time.
        num_envs: Environments per process; by default as many as suit the game.
        on_records: Called with the rows just recorded, for a progress bar.
        surroundings: Of code that is not ours: its limits among them.

    Returns:
        How many episodes were played, and the policies that failed. A failed policy plays no further episode; its
        traceback and what it printed are in the run's log, and everything recorded before stays.

    Raises:
        WorkerDied: If a worker process ends without an answer; what was recorded before stays.
    """
    folder.repair()
    spec = folder.spec
    size = find_game(spec.game).batch_size(spec) if num_envs is None else num_envs
    batches = plan(spec, folder.read(), size, workers)
    outcome, log = Outcome(0, []), _OutputLog(folder)
    for batch, result, output in _results(spec, batches, workers, surroundings or Surroundings.here()):
        log.add(batch, output)
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


class _OutputLog:
    """Writes what policies print to the log of a run, up to a limit for each."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._logged = folder, dict.fromkeys(folder.spec.policies, 0)

    def add(self, batch: Batch, output: str) -> None:
        """Log the output of one batch."""
        room = MOST_LOGGED - self._logged[batch.policy]
        if not output or room <= 0:
            return
        self._logged[batch.policy] += len(output)
        first, last = batch.episodes[0].index, batch.episodes[-1].index
        rest = "" if len(output) <= room else f"\n[... no more of what policy {batch.policy} prints is kept ...]"
        self._folder.log(f"policy {batch.policy}, episodes {first} to {last}, printed:\n{output[:room]}{rest}")


def _results(spec: EvalSpec, batches: Sequence[Batch], workers: int, surroundings: Surroundings) -> Iterator[Played]:
    """Yield what each batch leaves behind, as it comes; at most one failure per policy."""
    failed: set[str] = set()
    if workers == 1 or len(batches) <= 1:
        played = (_attempt(spec, surroundings, batch) for batch in batches if batch.policy not in failed)
        outcomes: Iterator[Played] = played
    else:
        outcomes = parallel(partial(_attempt, spec, surroundings, nested=True), batches, workers)
    for outcome in outcomes:
        policy = outcome.batch.policy
        if isinstance(outcome.result, PolicyFailure):
            if policy in failed:
                continue
            failed.add(policy)
        yield outcome


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


def _attempt(spec: EvalSpec, surroundings: Surroundings, batch: Batch, nested: bool = False) -> Played:
    result: list[Row] | PolicyFailure
    with scope(surroundings) as work:
        try:
            result = play_batch(spec, batch, nested)
        except PolicyFailure as failure:
            result = failure
        except BadInput as error:  # it could be made when the run began, and now it cannot
            result = PolicyFailure(batch.policy, str(error), traceback.format_exc())
    return Played(batch, result, work.output)


def play_batch(spec: EvalSpec, batch: Batch, nested: bool = False) -> list[Row]:
    """Play one batch in this process; ``nested`` says that it is a worker, which starts no processes of its own.

    Raises:
        PolicyFailure: If the policy raises or answers with something that is no action.
    """
    with threadpool_limits(1, user_api="blas"):  # more of them slow each other down, the more so on a busy machine
        game = find_game(spec.game)
        return game.measured(game.play(spec, batch.policy, batch.episodes, nested), spec)
