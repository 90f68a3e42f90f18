"""Settings of HMARL-SOC: its own, those found by tuning, what is searched, and where it can learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from hmarl_soc.config import Abilities, Draw, MethodConfig, Settings, Space, between, one_of
from hmarl_soc.hierarchy.roles import LOWER
from hmarl_soc.registry import Method


class ReplayConfig(Settings):
    """Prioritized replay."""

    capacity: int = Field(default=200_000, ge=16, description="transitions kept; the oldest is overwritten")
    batch_size: int = Field(default=256, ge=1, description="transitions of one gradient step")
    alpha: float = Field(default=0.6, ge=0, le=1, description="exponent of the priority; 0 draws uniformly")
    beta: float = Field(
        default=0.4, ge=0, le=1, description="exponent of the importance weights at the start; 1 at the end"
    )
    beta_updates: int = Field(default=37_500, ge=1, description="gradient steps over which beta rises to 1")
    urgency_weight: float = Field(
        default=0.5,
        ge=0,
        description="what detection confidence and response urgency add to a priority, in mean TD errors",
    )
    shared: bool = Field(
        default=True, description="one priority and one batch for all agents; false: each agent its own"
    )


class CoordinatorConfig(Settings):
    """Strategic coordinator: PPO over macro steps."""

    enabled: bool = Field(default=True, description="false: the directive is always neutral (ablation)")
    every: int = Field(default=5, ge=1, le=200, description="steps between two directives (K)")
    learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam, per gradient step")
    clip: float = Field(default=0.2, gt=0, lt=1, description="how far the probability ratio may move")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="mixes one-step and full returns")
    entropy: float = Field(default=0.001, ge=0, description="weight of the entropy bonus, in units of reward")
    rollout: int = Field(default=1024, ge=8, description="directives between two updates")
    epochs: int = Field(default=8, ge=1, description="passes over a rollout")
    minibatch: int = Field(default=256, ge=2, description="directives of one gradient step")
    gradient_norm: float = Field(default=0.5, gt=0, description="largest norm of a gradient of the policy")
    value_gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient of the value")
    initial_log_std: float = Field(
        default=-0.7, ge=-5, le=1, description="log of the exploration noise before squashing"
    )


class HunterConfig(Settings):
    """Threat hunter: SAC."""

    actor_learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam, actor")
    critic_learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam, critics")
    tau: float = Field(
        default=0.005, gt=0, le=1, description="share of the online net taken over by the target per step"
    )
    entropy_weight: float | Literal["auto"] = Field(
        default="auto", description="weight of the entropy in units of reward (the paper: 0.2), or auto"
    )
    initial_entropy_weight: float = Field(default=0.002, gt=0, description="where auto starts")
    weight_learning_rate: float = Field(default=3e-3, gt=0, le=0.1, description="of Adam, entropy weight")
    initial_mean: float = Field(
        default=-1.0, ge=-3, le=3, description="mean of the outputs before squashing at the start; -1 is nearly off"
    )
    target_entropy: float = Field(default=-16.0, description="entropy that auto aims at, nats over the 16 outputs")
    gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient")
    exploration: float = Field(
        default=0.1, ge=0, le=1, description="share of numbers that are drawn uniformly from their range instead"
    )
    proximity: float = Field(
        default=2.0, ge=0, description="weight of the distance from the slow actor: how small a step of the policy is"
    )
    slow_tau: float = Field(
        default=0.001, gt=0, le=1, description="share of the actor taken over by the slow actor per gradient step"
    )


class TriageConfig(Settings):
    """Alert triage: double dueling DQN."""

    learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam")
    epsilon_start: float = Field(default=1.0, ge=0, le=1, description="share of random choices at the start")
    epsilon_end: float = Field(default=0.05, ge=0, le=1, description="share of random choices in the end")
    epsilon_steps: int = Field(default=50_000, ge=1, description="decisions over which it falls linearly")
    target_every: int = Field(default=1000, ge=1, description="learner steps between two copies into the target net")
    memory: float = Field(
        default=0.95, ge=0, lt=1, description="share of the log policy that a reward is given back (Munchausen)"
    )
    temperature: float = Field(default=0.03, gt=0, description="of that policy, in units of scaled reward")
    advice: float = Field(
        default=0.1, ge=0, description="share of the advice's weight that counts here: values soon know better"
    )
    margin: float = Field(
        default=0.05, gt=0, description="by how much the value of an advised choice should lead while advice counts"
    )
    gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient")


class ResponderConfig(Settings):
    """Response orchestrator: MADDPG, one actor per segment."""

    actor_learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam, actors")
    critic_learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam, critic")
    tau: float = Field(
        default=0.005, gt=0, le=1, description="share of the online net taken over by the target per step"
    )
    noise: float = Field(
        default=0.1, ge=0, le=1, description="standard deviation of the exploration noise of intensities"
    )
    temperature: float = Field(
        default=1.0, gt=0, description="of the Gumbel noise with which response types are explored"
    )
    proximity: float = Field(
        default=2.0, ge=0, description="weight of the distance from the slow actor: how small a step of the policy is"
    )
    slow_tau: float = Field(
        default=0.001, gt=0, le=1, description="share of the actor taken over by the slow actor per gradient step"
    )
    gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient")


class PotentialConfig(Settings):
    """Value whose gain is added to the lower agents' rewards."""

    enabled: bool = Field(default=True, description="false: the lower agents learn from the plain reward")
    learning_rate: float = Field(default=3e-4, gt=0, le=0.1, description="of Adam")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="mixes one-step and full returns")
    rollout: int = Field(default=2048, ge=8, description="environment steps between two updates")
    epochs: int = Field(default=8, ge=1, description="passes over a rollout")
    minibatch: int = Field(default=256, ge=2, description="environment steps of one gradient step")
    gradient_norm: float = Field(default=10.0, gt=0, description="largest norm of a gradient")
    bootstrap: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of an agent's own next value in its targets: what follows is worth the potential already, "
        "and values of their own only pile up errors",
    )


DIRECTIVES: Final[Mapping[str, Any]] = {
    "advice.weight": 1.0,
    "coordinator.learning_rate": 1e-4,
    "coordinator.rollout": 1024,
    "coordinator.epochs": 8,
    "coordinator.minibatch": 64,
    "coordinator.initial_log_std": -1.5,
}
"""Settings of advice and coordinator with which a search begins."""
DIRECTIVE_DRAWS: Final[Mapping[str, Draw]] = {
    "advice.weight": one_of(0.5, 1.0, 2.0, 4.0),
    "coordinator.learning_rate": between(1e-5, 3e-4),
    "coordinator.rollout": one_of(512, 1024, 2048),
    "coordinator.epochs": one_of(3, 5, 8),
    "coordinator.minibatch": one_of(64, 128, 256),
    "coordinator.initial_log_std": one_of(-1.5, -1.0, -0.7),
}
"""How they are drawn."""


class HmarlConfig(MethodConfig):
    """HMARL-SOC."""

    tuned: ClassVar[Mapping[str, Any]] = {
        "advice": {"weight": 4.0, "steps": 300_000, "role_steps": {"triage": 100_000}},
        "replay": {"beta": 1.0},
        "hunter": {"initial_entropy_weight": 0.001, "actor_learning_rate": 5.1e-05},
        "triage": {"target_every": 100, "epsilon_start": 0.1, "advice": 1.0, "margin": 0.02},
        "coordinator": {
            "learning_rate": 2.3e-05,
            "rollout": 512,
            "epochs": 5,
            "minibatch": 64,
            "initial_log_std": -1.5,
        },
        "n_steps": 1,
        "responder": {"actor_learning_rate": 0.00025},
    }
    search: ClassVar[Space | None] = Space(
        {
            **DIRECTIVES,
            "n_steps": 3,
            "hunter.actor_learning_rate": 2e-4,
            "responder.actor_learning_rate": 1e-4,
            "triage.margin": 0.05,
        },
        {
            **DIRECTIVE_DRAWS,
            "n_steps": one_of(1, 3, 5),
            "hunter.actor_learning_rate": between(5e-5, 5e-4),
            "responder.actor_learning_rate": between(5e-5, 5e-4),
            "triage.margin": one_of(0.02, 0.05, 0.1, 0.2),
        },
        {
            "replay.beta": 1.0,
            "hunter.initial_entropy_weight": 0.001,
            "triage.target_every": 100,
            "triage.epsilon_start": 0.1,
            "triage.advice": 1.0,
        },
    )
    abilities: ClassVar[Abilities] = Abilities(agents=("coordinator", *LOWER))

    replay: ReplayConfig = ReplayConfig()
    coordinator: CoordinatorConfig = CoordinatorConfig()
    hunter: HunterConfig = HunterConfig()
    triage: TriageConfig = TriageConfig()
    responder: ResponderConfig = ResponderConfig()
    potential: PotentialConfig = PotentialConfig()
    n_steps: int = Field(
        default=1, ge=1, le=20, description="steps of reward that a target adds up before the value of what follows"
    )
    warm_up: int = Field(default=10_000, ge=1, description="transitions before the first gradient step")
    updates_per_step: float = Field(
        default=1 / 32, gt=0, le=16, description="joint gradient steps of the lower agents per environment step"
    )


HMARL_SOC: Final = Method(
    HmarlConfig, "hmarl_soc.hierarchy.learner:Hierarchy", "hmarl_soc.hierarchy.acting:make_policy"
)
"""HMARL-SOC."""
