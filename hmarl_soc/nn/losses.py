"""Targets and losses as pure functions of arrays.

Letters: B transitions, T steps, E rows, U actions, M members of an ensemble.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from native_sim.api import Array, FloatArray


def generalized_advantages(
    rewards: FloatArray, values: FloatArray, next_values: FloatArray, discounts: FloatArray, ends: Array, mix: float
) -> FloatArray:
    """Return generalized advantage estimates [T, E] of macro steps.

    Args:
        rewards: [T, E] discounted sum within each macro step.
        values: [T, E] of where the step began.
        next_values: [T, E] of where it led: 0 after a termination, the value of the last observation after a
            truncation.
        discounts: [T, E], gamma to the power of the steps within.
        ends: [T, E] bool, the episode ended with this step, so nothing later counts.
        mix: Lambda in [0, 1].
    """
    deltas = rewards + discounts * next_values - values
    advantages = np.zeros_like(deltas)
    later = np.zeros(deltas.shape[1])
    for t in range(len(deltas) - 1, -1, -1):
        later = deltas[t] + np.where(ends[t], 0.0, discounts[t] * mix * later)
        advantages[t] = later
    return advantages


def advantages_of_steps(
    rewards: FloatArray,
    values: FloatArray,
    next_values: FloatArray,
    terminated: Array,
    ends: Array,
    filled: Array,
    discount: float,
    mix: float,
) -> FloatArray:
    """Return generalized advantage estimates [N] of the N steps of a grid that are filled, in its order.

    Args:
        rewards: [T, E], 0 where not filled.
        values: [N] of where each filled step began.
        next_values: [N] of where it led; does not count after a termination.
        terminated: [T, E] bool, nothing follows.
        ends: [T, E] bool, terminated or truncated.
        filled: [T, E] bool, the first of each row.
        discount: Per step.
        mix: Lambda in [0, 1].
    """
    before, after = np.zeros(filled.shape), np.zeros(filled.shape)
    before[filled], after[filled] = values, next_values
    after[terminated] = 0.0
    discounts = np.full(filled.shape, discount)
    advantages: FloatArray = generalized_advantages(rewards, before, after, discounts, ends, mix)[filled]
    return advantages


def td_target(rewards: Tensor, terminated: Tensor, next_values: Tensor, discount: float | Tensor) -> Tensor:
    """Return r + discount * V' [B], without V' where the episode terminated (a truncation is no termination)."""
    return rewards + discount * (1.0 - terminated.to(rewards.dtype)) * next_values


def bootstraps(discount: Tensor) -> bool:
    """Tell whether any target counts the value of what follows; where none does, it need not be computed."""
    return bool(discount.any())


def ppo_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return the clipped surrogate loss, a scalar, of [B] arrays."""
    ratios = (log_probs - old_log_probs).exp()
    clipped = ratios.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratios * advantages, clipped * advantages).mean()


def gaussian_log_prob(raw: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return log densities [B] of unsquashed actions [B, U]."""
    z = (raw - mean) * (-log_std).exp()
    return (-0.5 * (z * z) - log_std - 0.9189385332046727).sum(dim=-1)


def critic_loss(predictions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted squared error, summed over an ensemble: predictions [M, B], targets and weights [B]."""
    return (weights * (predictions - targets).square()).mean(dim=-1).sum()


def sac_actor_loss(log_probs: Tensor, values: Tensor, entropy_weight: Tensor | float) -> Tensor:
    """Return the loss of a soft actor from [B] log densities and the values [B] of its own actions."""
    return (entropy_weight * log_probs - values).mean()


def entropy_weight_loss(log_weight: Tensor, log_probs: Tensor, target_entropy: float) -> Tensor:
    """Return the loss that raises the entropy weight while the entropy is below its target."""
    return -(log_weight * (log_probs.detach() + target_entropy)).mean()


def dueling(values: Tensor, advantages: Tensor) -> Tensor:
    """Join values [B, 1] and advantages [B, U] into action values [B, U]."""
    return values + advantages - advantages.mean(dim=-1, keepdim=True)


def double_dqn_target(
    rewards: Tensor, terminated: Tensor, next_online: Tensor, next_target: Tensor, discount: float | Tensor
) -> Tensor:
    """Return targets [B]: the online net [B, U] chooses the next action, the target net [B, U] values it."""
    chosen = next_online.argmax(dim=-1, keepdim=True)
    return td_target(rewards, terminated, next_target.gather(1, chosen).squeeze(1), discount)


def margin_loss(values: Tensor, advised: Tensor, margin: float) -> Tensor:
    """Return the mean of :func:`lead_missing`, a scalar."""
    return lead_missing(values, advised, margin).mean()


def lead_missing(values: Tensor, advised: Tensor, margin: float) -> Tensor:
    """Return by how much advised choices [B] fail to lead the values [B, U] of all others by a margin, [B].

    Hester et al. 2018, "Deep Q-learning from demonstrations".
    """
    others = torch.full_like(values, margin).scatter(1, advised.unsqueeze(1), 0.0)
    return (values + others).amax(dim=1) - values.gather(1, advised.unsqueeze(1)).squeeze(1)


def huber_loss(predictions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted Huber loss of [B] arrays, a scalar."""
    return (weights * functional.smooth_l1_loss(predictions, targets, reduction="none")).mean()
