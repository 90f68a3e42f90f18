"""The scoring rule against hand-worked episodes; CybORG's own script is asked in test_official_script.py."""

import numpy as np
import pytest

from cage4 import score, spec


def test_official_episode_counts_498_of_500():
    rewards = np.full(499, -1.0)
    rewards[-1] = -1000.0
    result = score.official_score(rewards)
    assert result.score == -498
    assert result.phase_scores == (-167, -167, -164)
    assert result.step_rewards.shape == (score.counted_steps(500),) == (498,)


def test_mean_over_agents_and_the_other_scale():
    per_agent = np.arange(9 * 5, dtype=float).reshape(9, 5)
    result = score.official_score(per_agent, steps=10)
    assert result.score == per_agent[:8].mean(axis=1).sum()
    assert score.sum_over_agents(result.score) == pytest.approx(per_agent[:8].sum())


@pytest.mark.parametrize("steps", range(3, 40))
def test_phases_add_up_for_every_length(steps):
    rewards = np.random.default_rng(steps).integers(-9, 1, steps - 1)
    result = score.official_score(rewards, steps)
    assert sum(result.phase_scores) == result.score == rewards[:-1].sum()
    played = [spec.phase_of_step(t, steps) for t in range(steps - 2)]
    by_phase = [rewards[:-1][np.array(played) == phase].sum() for phase in range(3)]
    assert list(result.phase_scores) == by_phase


@pytest.mark.parametrize("count", [0, 498, 500])
def test_unfinished_episodes_are_refused(count):
    with pytest.raises(ValueError, match="has 499 rewards"):
        score.official_score(np.zeros(count))
