"""The step of PPO that every learner of it shares: a clipped surrogate, an entropy bonus, one gradient step."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from hmarl_soc.nn.losses import ppo_loss
from hmarl_soc.nn.networks import clip_and_step
from native_sim.api import Array


class Settings(Protocol):
    """What the step reads of a learner's settings."""

    @property
    def clip(self) -> float:
        """How far the probability ratio may move."""

    @property
    def entropy(self) -> float:
        """Weight of the entropy bonus."""

    @property
    def gradient_norm(self) -> float:
        """Largest norm of a gradient."""


class Improved(NamedTuple):
    """What a gradient step of a policy came to, before the step."""

    policy_loss: float
    entropy: float
    clipped: float  # share of probability ratios that moved beyond the limit


def improve(
    adam: torch.optim.Optimizer,
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    entropy: Tensor,
    config: Settings,
    extra: Tensor | None = None,
) -> Improved:
    """Do one gradient step of PPO on a policy.

    Args:
        adam: Optimiser of the policy.
        log_probs: [...] of what was done, with gradients.
        old_log_probs: [...] the same as they were when it was done.
        advantages: [...].
        entropy: Mean entropy, a scalar with gradients.
        config: Settings of the learner.
        extra: A loss that is added, a scalar.

    Raises:
        FloatingPointError: If the gradient is not finite; the weights are then unchanged.
    """
    policy_loss = ppo_loss(log_probs, old_log_probs, advantages, config.clip)
    loss = policy_loss - config.entropy * entropy
    moved = ((log_probs.detach() - old_log_probs).exp() - 1.0).abs() > config.clip
    found = Improved(float(policy_loss.detach()), float(entropy.detach()), float(moved.float().mean()))
    clip_and_step(adam, loss if extra is None else loss + extra, config.gradient_norm)
    return found


def standardised(advantages: Array) -> Array:
    """Return advantages [N, ...] with mean 0 and spread 1 over the first axis."""
    scaled: Array = (advantages - advantages.mean(axis=0)) / (advantages.std(axis=0) + 1e-8)
    return scaled
