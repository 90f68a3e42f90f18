"""How an episode is scored: the official rule, and the scale of the HMARL-SOC paper, always labelled.

The official script (CybORG's ``Evaluation/evaluation.py``) adds up, per step, the mean of the blue agents' rewards.
All five receive the team's reward, so that mean is the team's reward. It leaves the loop before recording the step
that ends the episode, and CybORG says done one step early: of 500 steps, 498 count.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from cage4 import spec
from native_sim.api import Array, FloatArray

OFFICIAL_SCALE: Final = "official: mean over the five blue agents per step, step that ends the episode not counted"
SUM_SCALE: Final = "sum over five agents: the scale of the HMARL-SOC paper, five times the official one"


class EpisodeScore(NamedTuple):
    """The score of one episode on the official scale."""

    score: float
    phase_scores: tuple[float, float, float]  # they add up to the score
    step_rewards: FloatArray  # [counted steps] team reward of each step that counts


def counted_steps(steps: int) -> int:
    """Return how many rewards of an episode the official rule counts: 498 of 500."""
    return spec.episode_length(steps) - 1


def official_score(rewards: Array, steps: int = spec.DEFAULT_STEPS) -> EpisodeScore:
    """Score one finished episode.

    Args:
        rewards: [T] or [T, 5]; the team's reward, or the blue agents' rewards, of every step call up to and
            including the one that returned done.
        steps: Length of the episode in CybORG's sense.

    Raises:
        ValueError: If the number of rewards is not that of a finished episode.
    """
    array = np.asarray(rewards, np.float64)
    team = array.mean(axis=1) if array.ndim == 2 else array
    expected = spec.episode_length(steps)
    if team.shape != (expected,):
        raise ValueError(
            f"a finished episode of {steps} steps has {expected} rewards (done comes one step early); given {team.size}"
        )
    counted = team[: counted_steps(steps)]
    ends = np.cumsum(spec.phase_lengths(steps))[:2]
    phases = [float(part.sum()) for part in np.split(counted, ends)]
    return EpisodeScore(float(counted.sum()), (phases[0], phases[1], phases[2]), counted)


def sum_over_agents(score: float) -> float:
    """Convert an official score to the sum over the five agents (the scale of the HMARL-SOC paper)."""
    return score * spec.NUM_BLUE
