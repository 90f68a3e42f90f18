"""Settings of the learned baselines; network width, discount and reward scale are those that every method has."""

from __future__ import annotations

from pydantic import Field, field_validator

from hmarl_soc.config import CoordinatorConfig, HmarlConfig, MethodConfig, NetworkConfig


class BaselineConfig(MethodConfig):
    """What every baseline has."""

    network: NetworkConfig = NetworkConfig(attention=False)
    levels: int = Field(3, ge=2, le=33, description="levels into which each number of an action is cut")
    learning_rate: float = Field(3e-4, gt=0, le=0.1, description="of Adam")

    @field_validator("network")
    @classmethod
    def _plain(cls, network: NetworkConfig) -> NetworkConfig:
        if network.attention:
            raise ValueError("attention belongs to HMARL-SOC; set network.attention to false for a baseline")
        return network


class PpoConfig(BaselineConfig):
    """Single-DRL, MAPPO and IPPO."""

    clip: float = Field(0.2, gt=0, lt=1, description="how far the probability ratio may move")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="mixes one-step and full returns")
    entropy: float = Field(0.01, ge=0, description="weight of the entropy bonus, per agent; advantages have spread 1")
    rollout: int = Field(default=2048, ge=2, description="environment steps between two updates")
    epochs: int = Field(8, ge=1, description="how often each step is learned from")
    minibatch: int = Field(default=256, ge=2, description="environment steps of one gradient step")
    gradient_norm: float = Field(0.5, gt=0, description="largest norm of a gradient of the policy")
    value_gradient_norm: float = Field(10.0, gt=0, description="largest norm of a gradient of the value")
    drawn: bool = Field(False, description="play by drawing from the policy, as in training, not its likeliest choice")


class QConfig(BaselineConfig):
    """IQL and QMIX."""

    capacity: int = Field(100_000, ge=16, description="transitions kept; the oldest is overwritten; drawn uniformly")
    batch_size: int = Field(256, ge=1, description="transitions of one gradient step")
    warm_up: int = Field(10_000, ge=1, description="transitions before the first gradient step")
    updates_per_step: float = Field(1 / 32, gt=0, le=16, description="gradient steps per environment step")
    n_steps: int = Field(
        default=1, ge=1, le=20, description="steps of reward that a target adds up before the value of what follows"
    )
    target_every: int = Field(200, ge=1, description="gradient steps between two copies into the target nets")
    epsilon_start: float = Field(1.0, ge=0, le=1, description="share of random choices of each branch at the start")
    epsilon_end: float = Field(0.02, ge=0, le=1, description="share of random choices of each branch in the end")
    epsilon_steps: int = Field(200_000, ge=1, description="environment steps over which it falls linearly")
    margin: float = Field(
        0.05, gt=0, description="by how much the utility of an advised choice should lead while advice counts"
    )
    gradient_norm: float = Field(10.0, gt=0, description="largest norm of a gradient")


class QmixConfig(QConfig):
    """QMIX."""

    mixing_width: int = Field(32, ge=1, le=1024, description="units of the mixing layer")


class PpoHierarchyConfig(HmarlConfig):
    """The hierarchy with PPO for every agent (ablation); replay, SAC, DQN, MADDPG and potential are left out."""

    lower: CoordinatorConfig = Field(
        default=CoordinatorConfig(rollout=2048, minibatch=256, epochs=8),
        description="PPO of hunter, triage and responder, who decide in every step whatever ``every`` says",
    )
