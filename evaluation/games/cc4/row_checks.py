"""What a row of a run cannot say: parts that do not add up to its score, and counts that no episode can have."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cage4 import score, spec
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness.schema import EvalSpec
from evaluation.harness.statistics import close_sums


def contradictions(row: EpisodeRecord, asked: EvalSpec) -> Iterator[str]:
    """Yield in a few words what is impossible about a row of a run.

    Args:
        row: As it was read.
        asked: What the run asks for.
    """
    length, counted = spec.episode_length(asked.steps), score.counted_steps(asked.steps)
    if row.length != length or len(row.step_rewards) != counted:
        yield (
            f"an episode of {asked.steps} steps has {length} step calls and {counted} rewards; it has {row.length} and "
            f"{len(row.step_rewards)}"
        )
        return
    shape = (spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS)
    if [len(part) for part in row.parts] != [shape[1]] * shape[0] or {len(z) for p in row.parts for z in p} != {3}:
        yield f"its parts are not of shape {shape}"
        return
    ends = np.cumsum(spec.phase_lengths(asked.steps))[:2]
    played = [math.fsum(phase) for phase in np.split(np.array(row.step_rewards), ends)]
    caused = [math.fsum([*np.ravel(part), cost]) for part, cost in zip(row.parts, row.action_costs, strict=True)]
    if not close_sums(row.score, math.fsum(row.phase_scores)):
        yield f"its phases add up to {math.fsum(row.phase_scores):g} and not to its score, {row.score:g}"
    for phase, whole in enumerate(row.phase_scores):
        for what, found in (("steps", played[phase]), ("parts and action costs", caused[phase])):
            if not close_sums(whole, found):
                yield f"the {what} of phase {phase} add up to {found:g} and not to its score, {whole:g}"
    if max(*row.step_rewards, *np.ravel(row.parts), *row.action_costs) > 0:
        yield "it has a reward above 0, which CAGE Challenge 4 does not give"
    yield from _of_submissions(row)


def _of_submissions(row: EpisodeRecord) -> Iterator[str]:
    decisions = spec.NUM_BLUE * row.length
    counts = {"actions": sum(row.actions.values()), "invalid": row.invalid, "busy": row.busy}
    for name, count in counts.items():
        if count > decisions:
            yield f"it counts {count} {name}, and {spec.NUM_BLUE} agents decide {decisions} times in {row.length} steps"
