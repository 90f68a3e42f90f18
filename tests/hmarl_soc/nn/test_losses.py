"""Every target and loss against a second, plain computation."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from hmarl_soc.nn import losses


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_advantages_are_the_sum_of_discounted_errors(rng):
    T, E, mix = 6, 3, 0.9
    rewards, values, following = rng.normal(size=(3, T, E))
    discounts = rng.uniform(0.8, 1.0, (T, E))  # macro steps of different lengths
    ends = rng.random((T, E)) < 0.3
    given = losses.generalized_advantages(rewards, values, following, discounts, ends, mix)
    for e in range(E):
        for t in range(T):
            total, factor = 0.0, 1.0
            for k in range(t, T):
                total += factor * (rewards[k, e] + discounts[k, e] * following[k, e] - values[k, e])
                if ends[k, e]:
                    break
                factor *= discounts[k, e] * mix
            assert given[t, e] == pytest.approx(total)


def test_with_lambda_one_advantages_are_returns_minus_values(rng):
    rewards, values = rng.normal(size=(2, 5, 1))
    following = np.concatenate([values[1:], [[0.0]]])
    ends = np.zeros((5, 1), bool)
    ends[-1] = True
    advantages = losses.generalized_advantages(rewards, values, following, np.full((5, 1), 0.9), ends, 1.0)
    assert advantages[0, 0] == pytest.approx(sum(0.9**t * rewards[t, 0] for t in range(5)) - values[0, 0])


def test_rows_of_a_grid_that_is_not_full_count_as_if_alone(rng):
    filled = np.array([[True, True], [True, True], [True, False]])
    rewards = rng.normal(size=(3, 2)) * filled
    terminated = np.array([[False, True], [False, False], [False, False]])
    ends = terminated | np.array([[False, False], [True, False], [False, False]])
    values, following = rng.normal(size=(2, 5))  # of (0, 0), (0, 1), (1, 0), (1, 1), (2, 0)
    found = losses.advantages_of_steps(rewards, values, following, terminated, ends, filled, 0.9, 0.5)
    for row, places in enumerate(([0, 2, 4], [1, 3])):
        there = np.s_[: len(places), row : row + 1]
        next_values = np.where(terminated[there], 0.0, following[places][:, None])
        arrays = (rewards[there], values[places][:, None], next_values, np.full((len(places), 1), 0.9), ends[there])
        assert found[places] == pytest.approx(losses.generalized_advantages(*arrays, 0.5)[:, 0])


def test_a_truncation_bootstraps_and_a_termination_does_not():
    rewards, following = torch.tensor([1.0, 1.0]), torch.tensor([10.0, 10.0])
    targets = losses.td_target(rewards, torch.tensor([False, True]), following, 0.5)
    assert targets.tolist() == [6.0, 1.0]


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.5, 1.0, -1.2), (0.5, 1.0, -0.5), (1.5, -1.0, 1.5), (0.5, -1.0, 0.8), (1.1, 2.0, -2.2)],
)
def test_ppo_clips_what_would_go_too_far(ratio, advantage, expected):
    log = torch.tensor([math.log(ratio)])
    assert losses.ppo_loss(log, torch.zeros(1), torch.tensor([advantage]), 0.2).item() == pytest.approx(expected)


def test_log_densities_are_those_of_scipy(rng):
    raw, mean = rng.normal(size=(2, 4, 3))
    log_std = rng.normal(size=3) * 0.3
    given = losses.gaussian_log_prob(*(torch.tensor(array) for array in (raw, mean, log_std)))
    assert given.numpy() == pytest.approx(stats.norm(mean, np.exp(log_std)).logpdf(raw).sum(axis=1))


def test_double_q_lets_the_online_net_choose_and_the_target_net_value():
    online, target = torch.tensor([[1.0, 2.0], [5.0, 0.0]]), torch.tensor([[10.0, 20.0], [30.0, 99.0]])
    targets = losses.double_dqn_target(torch.zeros(2), torch.tensor([False, True]), online, target, 0.5)
    assert targets.tolist() == [10.0, 0.0]


def test_dueling_gives_advantages_no_say_in_the_mean():
    values = losses.dueling(torch.tensor([[3.0]]), torch.tensor([[1.0, 2.0, 6.0]]))
    assert values.mean().item() == pytest.approx(3.0)
    assert (values[0, 2] - values[0, 0]).item() == pytest.approx(5.0)


def test_advice_must_lead_by_a_margin():
    values = torch.tensor([[1.0, 0.9, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 5.0]], requires_grad=True)
    loss = losses.margin_loss(values, torch.tensor([0, 1, 0]), 0.5)
    # Row 0: it leads by 0.1 of 0.5; row 1: it leads by enough; row 2: it lies 3 behind.
    assert loss.item() == pytest.approx((0.4 + 0.0 + 3.5) / 3)
    loss.backward()
    assert values.grad.numpy() * 3 == pytest.approx(np.array([[-1, 1, 0], [0, 0, 0], [-1, 0, 1]]))


def test_importance_weights_scale_each_error():
    predictions, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([0.0, 1.0])
    weights = torch.tensor([1.0, 0.5])
    assert losses.critic_loss(predictions, targets, weights).item() == pytest.approx((1 + 0.5) / 2 + (0 + 0.5) / 2)
    assert losses.huber_loss(predictions[0], targets, weights).item() == pytest.approx((0.5 + 0.25) / 2)


def test_the_entropy_weight_rises_while_entropy_is_low():
    log_weight = torch.zeros((), requires_grad=True)
    losses.entropy_weight_loss(log_weight, torch.tensor([3.0]), -1.0).backward()  # entropy -3 is below its target -1
    assert log_weight.grad.item() < 0  # descending raises the weight
    assert losses.sac_actor_loss(torch.tensor([2.0]), torch.tensor([5.0]), 0.5).item() == -4.0
