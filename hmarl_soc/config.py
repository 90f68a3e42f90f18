"""Every setting of a training run: default, unit, range and one sentence each; a TOML file only overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from native_sim.storage import files

MOST: Final = 10**12
"""Of every setting that counts something."""


class Settings(BaseModel):
    """A frozen group of settings; an unknown key or a value out of range is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if isinstance(value, int) and value > MOST:
            raise ValueError(f"whole numbers are at most {MOST:,}")
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON and TOML hold them."""
        return self.model_dump(mode="json")


class NetworkConfig(Settings):
    """Shape of every network."""

    hidden: int = Field(default=256, ge=1, le=4096, description="units of each hidden layer")
    attention: bool = Field(
        default=True, description="weigh the named groups of an observation by attention before acting"
    )
    heads: int = Field(default=4, ge=1, le=16, description="attention heads; must divide the hidden units")
    key_size: int = Field(default=8, ge=1, le=64, description="numbers of a key and of a query, per head")

    @model_validator(mode="after")
    def _divides(self) -> NetworkConfig:
        if self.attention and self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.hidden} hidden units")
        return self


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


class AdviceConfig(Settings):
    """How far a learner follows a teacher at first, where the environment has one (kickstarting)."""

    weight: float = Field(default=1.0, ge=0, description="of the loss that pulls decisions towards the advice")
    steps: int = Field(default=600_000, ge=1, description="environment steps over which it falls linearly")
    final: float = Field(default=0.0, ge=0, description="where it stays from then on")
    role_steps: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="agent -> environment steps of its own, where it is not `steps`"
    )

    @model_validator(mode="after")
    def _own(self) -> AdviceConfig:
        # Equal settings must be written alike, however they were given.
        for role in [role for role, steps in self.role_steps.items() if steps == self.steps]:
            del self.role_steps[role]
        return self

    def at(self, steps: int, role: str | None = None) -> float:
        """Return the weight after some environment steps, for a role or for those without steps of their own."""
        length = self.role_steps.get(role, self.steps) if role else self.steps
        return self.final + (self.weight - self.final) * max(0.0, 1.0 - steps / length)

    @model_serializer(mode="wrap")
    def _leave_out(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if not self.role_steps:
            del written["role_steps"]  # so that settings without it read and are hashed as they always were
        return written


class MethodConfig(Settings):
    """What every learned method has: the same network shape, discount, scale of rewards and use of advice."""

    network: NetworkConfig = NetworkConfig()
    gamma: float = Field(default=0.99, ge=0, lt=1, description="discount per step")
    reward_scale: float = Field(default=0.2, gt=0, description="rewards are multiplied by this before learning")
    advice: AdviceConfig = AdviceConfig()


class HmarlConfig(MethodConfig):
    """HMARL-SOC."""

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


class EnvironmentConfig(Settings):
    """The simulation that is trained in."""

    engine: str = Field(
        default="soc", min_length=1, description="game to train in: soc, the SOC simulator; cc4, CAGE Challenge 4"
    )
    level: str = Field(default="default", description="complexity level of the SOC simulator")
    num_envs: int = Field(default=128, ge=1, le=65_536, description="environments that play at once")
    threads: int = Field(default=1, ge=1, description="threads of the simulator")
    teacher: str = Field(
        default="adaptive", description="policy of the SOC simulator whose advice learners get at first, or none"
    )
    knobs: dict[str, Any] = Field(
        default_factory=dict,
        description="fields of SocConfig that differ from the level; of CAGE Challenge 4 variant and steps",
    )


class TrainerConfig(Settings):
    """The loop: how long, how often it looks, what it keeps."""

    steps: int = Field(default=1_200_000, ge=1, description="environment steps (10,000 episodes are about 1.2 million)")
    validate_every: int = Field(default=60_000, ge=1, description="environment steps between two validations")
    validation_episodes: int = Field(default=256, ge=1, description="episodes of one validation, the same each time")
    averaging: int = Field(
        default=60_000,
        ge=0,
        description="environment steps over which weights are averaged for the policy that is validated and saved, a "
        "fifth of the steps so far at most; 0: the weights of the moment",
    )
    save_every: int = Field(default=120_000, ge=1, description="environment steps between two full checkpoints")
    log_every: int = Field(default=6_000, ge=1, description="environment steps between two lines of the log")
    device: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu", description="where networks live; auto: a GPU if present"
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="threads that learn: with two, the hunter of HMARL-SOC beside the others; changes no result",
    )
    tensorboard: bool = Field(default=False, description="write TensorBoard event files too")


class RunConfig(Settings):
    """A whole run; ``method`` is of the class that the method registers."""

    environment: EnvironmentConfig = EnvironmentConfig()
    trainer: TrainerConfig = TrainerConfig()
    method: SerializeAsAny[MethodConfig] = HmarlConfig()


def parse(data: Mapping[str, Any], method: type[MethodConfig]) -> RunConfig:
    """Check a nested mapping and fill in defaults.

    Args:
        data: Any of ``environment``, ``trainer`` and ``method``.
        method: Class of the settings of the method to be trained.

    Raises:
        ValueError: One sentence naming the first key that is unknown or out of range.
    """
    sections = {key: value for key, value in data.items() if key != "method"}
    try:
        return RunConfig(method=method.model_validate(data.get("method", {})), **sections)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file of settings holds, unchecked.

    Raises:
        ValueError: If the file cannot be read.
    """
    try:
        return files.read_toml(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"settings {str(path)!r} cannot be read ({error}); give a TOML file") from error


def _sentence(error: ValidationError) -> str:
    """Return the first complaint in one sentence, for an unknown key with the keys that are known."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {where!r} of {error.title}; see the fields of that class for what is known"
    return f"setting {where!r} of {error.title} is wrong: {first['msg']}; given {first['input']!r}"
