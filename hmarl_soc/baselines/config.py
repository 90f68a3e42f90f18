"""Settings of the learned baselines: their own, those found by tuning, what is searched, and the methods.

Network width, discount and reward scale are those that every method has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import Field, field_validator

from hmarl_soc.config import MethodConfig, NetworkConfig, Space, between, one_of
from hmarl_soc.hierarchy.config import DIRECTIVE_DRAWS, DIRECTIVES, CoordinatorConfig, HmarlConfig
from hmarl_soc.registry import Method

_ADVICE_WEIGHTS: Final = one_of(0.5, 1.0, 2.0, 4.0)
_PPO: Final = Space(
    {
        "advice.weight": 1.0,
        "learning_rate": 3e-4,
        "entropy": 0.001,
        "rollout": 8192,
        "minibatch": 512,
        "epochs": 5,
        "clip": 0.2,
        "gae_lambda": 0.95,
        "gradient_norm": 0.5,
        "drawn": False,
    },
    {
        "advice.weight": _ADVICE_WEIGHTS,
        "learning_rate": between(1e-4, 1e-3),
        "entropy": one_of(0.0, 1e-4, 1e-3, 1e-2),
        "rollout": one_of(2048, 8192, 16_384),
        "minibatch": one_of(256, 512, 1024),
        "epochs": one_of(3, 5, 8),
        "clip": one_of(0.1, 0.2, 0.3),
        "gae_lambda": one_of(0.9, 0.95, 0.98),
        "gradient_norm": one_of(0.5, 2.0, 10.0),
        "drawn": one_of(False, True),
    },
    {},
)
_Q: Final = Space(
    {
        "advice.weight": 1.0,
        "learning_rate": 3e-4,
        "n_steps": 1,
        "target_every": 200,
        "epsilon_start": 0.1,
        "epsilon_end": 0.02,
        "margin": 0.05,
        "capacity": 100_000,
    },
    {
        "advice.weight": _ADVICE_WEIGHTS,
        "learning_rate": between(1e-4, 1e-3),
        "n_steps": one_of(1, 3, 5, 10),
        "target_every": one_of(50, 100, 200, 500),
        "epsilon_start": one_of(0.05, 0.1, 0.3),
        "epsilon_end": one_of(0.0, 0.02, 0.05),
        "margin": one_of(0.02, 0.05, 0.1, 0.2),
        "capacity": one_of(50_000, 100_000, 200_000),
    },
    {"epsilon_steps": 50_000},
)


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
    """What Single-DRL, MAPPO and IPPO share."""

    # Of CC4: 128 steps of every environment between two updates. The policy stays far from certain there, and its
    # likeliest choice alone, which every agent repeats for ever, is no better than doing nothing.
    in_game: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cc4": {"rollout": 8_192, "minibatch": 1_024, "epochs": 4, "drawn": True},
    }

    clip: float = Field(0.2, gt=0, lt=1, description="how far the probability ratio may move")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="mixes one-step and full returns")
    entropy: float = Field(0.01, ge=0, description="weight of the entropy bonus, per agent; advantages have spread 1")
    rollout: int = Field(default=2048, ge=2, description="environment steps between two updates")
    epochs: int = Field(8, ge=1, description="how often each step is learned from")
    minibatch: int = Field(default=256, ge=2, description="environment steps of one gradient step")
    gradient_norm: float = Field(0.5, gt=0, description="largest norm of a gradient of the policy")
    value_gradient_norm: float = Field(10.0, gt=0, description="largest norm of a gradient of the value")
    drawn: bool = Field(False, description="play by drawing from the policy, as in training, not its likeliest choice")


class SingleDrlConfig(PpoConfig):
    """Single-DRL."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 4.0, "steps": 300_000, "role_steps": {"triage": 150_000}},
        "learning_rate": 0.00027,
        "entropy": 0.0,
        "rollout": 2048,
        "minibatch": 512,
        "epochs": 8,
        "clip": 0.1,
        "gae_lambda": 0.95,
        "gradient_norm": 0.5,
        "drawn": False,
    }
    search: ClassVar[Space | None] = _PPO


class MappoConfig(PpoConfig):
    """MAPPO."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 2.0, "steps": 150_000, "role_steps": {"triage": 150_000}},
        "learning_rate": 0.00027,
        "entropy": 0.0001,
        "rollout": 2048,
        "minibatch": 512,
        "epochs": 3,
        "clip": 0.1,
        "gae_lambda": 0.98,
        "gradient_norm": 10.0,
        "drawn": False,
    }
    search: ClassVar[Space | None] = _PPO


class IppoConfig(PpoConfig):
    """IPPO, which was not searched for: it takes what was found for MAPPO."""

    tuned: ClassVar[Mapping[str, Any]] = MappoConfig.tuned


class QConfig(BaselineConfig):
    """What IQL and QMIX share."""

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


class IqlConfig(QConfig):
    """IQL."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 4.0, "steps": 150_000, "role_steps": {"triage": 150_000}},
        "epsilon_steps": 50_000,
        "learning_rate": 0.00032,
        "n_steps": 3,
        "target_every": 200,
        "epsilon_start": 0.1,
        "epsilon_end": 0.0,
        "margin": 0.02,
        "capacity": 100_000,
    }
    search: ClassVar[Space | None] = _Q


class QmixConfig(QConfig):
    """QMIX."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 2.0, "steps": 150_000, "role_steps": {"triage": 150_000}},
        "epsilon_steps": 50_000,
        "learning_rate": 0.00034,
        "n_steps": 5,
        "target_every": 50,
        "epsilon_start": 0.3,
        "epsilon_end": 0.05,
        "margin": 0.2,
        "capacity": 50_000,
        "mixing_width": 64,
    }
    search: ClassVar[Space | None] = Space(
        {**_Q.first, "mixing_width": 32}, {**_Q.draws, "mixing_width": one_of(16, 32, 64)}, _Q.fixed
    )
    mixing_width: int = Field(32, ge=1, le=1024, description="units of the mixing layer")


class PpoHierarchyConfig(HmarlConfig):
    """The hierarchy with PPO for every agent (ablation); replay, SAC, DQN, MADDPG and potential are left out."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 1.0, "steps": 300_000, "role_steps": {"triage": 100_000}},
        "lower": {
            "minibatch": 512,
            "gradient_norm": 1.0,
            "learning_rate": 3.8e-05,
            "rollout": 16_384,
            "epochs": 8,
            "initial_log_std": -1.0,
        },
        "coordinator": {
            "learning_rate": 2.7e-05,
            "rollout": 1024,
            "epochs": 8,
            "minibatch": 256,
            "initial_log_std": -1.0,
        },
    }
    search: ClassVar[Space | None] = Space(
        {
            **DIRECTIVES,
            "lower.learning_rate": 1e-4,
            "lower.rollout": 8192,
            "lower.epochs": 5,
            "lower.initial_log_std": -1.5,
        },
        {
            **DIRECTIVE_DRAWS,
            "lower.learning_rate": between(2e-5, 5e-4),
            "lower.rollout": one_of(2048, 8192, 16_384),
            "lower.epochs": one_of(3, 5, 8),
            "lower.initial_log_std": one_of(-1.5, -1.0, -0.7),
        },
        {"lower.minibatch": 512, "lower.gradient_norm": 1.0},
    )
    lower: CoordinatorConfig = Field(
        default=CoordinatorConfig(rollout=2048, minibatch=256, epochs=8),
        description="PPO of hunter, triage and responder, who decide in every step whatever ``every`` says",
    )


_POLICY: Final = "hmarl_soc.baselines.acting:make_policy"
HMARL_SOC_PPO: Final = Method(
    PpoHierarchyConfig, "hmarl_soc.baselines.ppo_hierarchy:PpoHierarchy", "hmarl_soc.hierarchy.acting:make_policy"
)
"""The hierarchy with PPO for every agent."""
SINGLE_DRL: Final = Method(
    SingleDrlConfig, "hmarl_soc.baselines.single_drl:SingleDrl", "hmarl_soc.baselines.acting:make_joint_policy"
)
"""One PPO agent for all roles."""
IQL: Final = Method(IqlConfig, "hmarl_soc.baselines.iql:Iql", _POLICY)
"""Independent Q-learning."""
QMIX: Final = Method(QmixConfig, "hmarl_soc.baselines.qmix:Qmix", _POLICY)
"""Q-learning with a mixed value."""
MAPPO: Final = Method(MappoConfig, "hmarl_soc.baselines.mappo:Mappo", _POLICY)
"""PPO with a centralised value."""
IPPO: Final = Method(IppoConfig, "hmarl_soc.baselines.mappo:Ippo", _POLICY)
"""PPO, each agent with a value of its own."""
