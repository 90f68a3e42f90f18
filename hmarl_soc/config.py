"""Every setting of a training run: default, unit, range and one sentence each; a TOML file only overrides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
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


Draw = Callable[[np.random.Generator], Any]
"""Draws a value of a setting."""


def one_of(*choices: Any) -> Draw:
    """Draw one of these values, each as likely as the others."""
    return lambda generator: choices[int(generator.integers(len(choices)))]


def between(low: float, high: float) -> Draw:
    """Draw a number between two, uniform in the logarithm, to two digits."""
    return lambda generator: float(f"{math.exp(generator.uniform(math.log(low), math.log(high))):.1e}")


class Space(NamedTuple):
    """What a search over the settings of one method draws; a dot stands between a group and its setting."""

    first: Mapping[str, Any]
    """Settings of the first trial, a value for every setting that is drawn."""
    draws: Mapping[str, Draw]
    """Setting -> how a value of it is drawn; the order decides which draws it gets."""
    fixed: Mapping[str, Any]
    """Settings of every trial."""


class Abilities(NamedTuple):
    """Where a method can learn."""

    agents: tuple[str, ...] | None = None
    """Names of the agents that an environment must have, no more and no fewer; None for any."""
    actions: tuple[str, ...] = ("discrete", "box")
    """Kinds of actions that the agents may have."""

    def fit(self, agents: Iterable[str]) -> bool:
        """Return whether the method can learn for agents of these names."""
        return self.agents is None or set(self.agents) == set(agents)


class MethodConfig(Settings):
    """What every learned method has: the same network shape, discount, scale of rewards and use of advice.

    A method has a subclass of its own. Its fields are the settings; the class attributes below say all else that the
    project must know of the method before it is made.
    """

    tuned: ClassVar[Mapping[str, Any]] = {}
    """Settings found by a search in the SOC simulator, where they differ from the defaults."""
    search: ClassVar[Space | None] = None
    """What ``study tuning`` searches; None to be left out of it."""
    in_game: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Key of a game -> settings that have other defaults there."""
    abilities: ClassVar[Abilities] = Abilities()
    """Where the method can learn."""

    network: NetworkConfig = NetworkConfig()
    gamma: float = Field(default=0.99, ge=0, lt=1, description="discount per step")
    reward_scale: float = Field(default=0.2, gt=0, description="rewards are multiplied by this before learning")
    advice: AdviceConfig = AdviceConfig()


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
    method: SerializeAsAny[MethodConfig] = MethodConfig()


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
