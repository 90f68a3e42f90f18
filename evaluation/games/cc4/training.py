"""Training on CAGE Challenge 4: what differs from training in the SOC simulator.

Only flat methods learn there: one policy per blue agent under its action mask. The hierarchy has roles that CC4 lacks;
it comes there by :mod:`adapters`. There is no teacher, and no true state is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cage4
from hmarl_soc.config import EnvironmentConfig, RunConfig, parse
from hmarl_soc.registry import config_class
from hmarl_soc.training.runs import TrainingGame
from hmarl_soc.tuned import merge
from native_sim.api import VectorEnv

ENGINE: Final = "cc4"
METHODS: Final = ("ippo", "mappo", "iql", "qmix", "single-drl")
"""What learns on any discrete agents."""
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "environment": {"engine": ENGINE, "num_envs": 64, "teacher": "none"},
    "trainer": {
        "steps": 1_000_000,
        "validate_every": 64_000,
        "validation_episodes": 32,
        "averaging": 0,
        "save_every": 256_000,
        "log_every": 16_000,
    },
    "method": {"reward_scale": 0.01},
}
"""Defaults that are others on CC4. An episode is 499 steps long and loses 100 to 7,000 points."""
PPO_DEFAULTS: Final = {"rollout": 8_192, "minibatch": 1_024, "epochs": 4, "drawn": True}
"""Settings of PPO on CC4: 128 steps of every environment between two updates. Its policy stays far from certain there,
and its likeliest choice alone, which every agent repeats for ever, is no better than doing nothing."""
KNOBS: Final = ("variant", "steps")
"""What ``environment.knobs`` may hold: arguments of :func:`cage4.vector_env`."""


def settings(given: Mapping[str, Any], method: str) -> RunConfig:
    """Return the settings of a run on CC4.

    Args:
        given: Any of ``environment``, ``trainer`` and ``method``; wins over the defaults of CC4.
        method: What learns.

    Raises:
        ValueError: If the method cannot learn there, or a setting means nothing there.
    """
    if method not in METHODS:
        raise ValueError(
            f"method {method!r} does not learn on CAGE Challenge 4; {', '.join(METHODS)} do, and what was trained in "
            "the SOC simulator is carried there by hmarl-transfer calibrate"
        )
    kind = config_class(method)
    defaults: Mapping[str, Any] = DEFAULTS
    if "rollout" in kind.model_fields:
        defaults = merge(DEFAULTS, {"method": PPO_DEFAULTS})
    found = parse(merge(merge(defaults, given), {"environment": {"engine": ENGINE}}), kind)
    check_environment(found.environment)
    return found


def check_environment(config: EnvironmentConfig) -> None:
    """Refuse what means nothing on CC4.

    Raises:
        ValueError: If a setting is of the SOC simulator, or a knob is unknown.
    """
    if config.level != "default" or config.teacher != "none":
        name, value = ("level", config.level) if config.level != "default" else ("teacher", config.teacher)
        raise ValueError(f"setting {name!r} is of the SOC simulator; leave it out on CAGE Challenge 4; given {value!r}")
    unknown = sorted(set(config.knobs) - set(KNOBS))
    if unknown:
        raise ValueError(f"unknown knob {unknown[0]!r} of CAGE Challenge 4; known: {', '.join(KNOBS)}")


def make_env(config: EnvironmentConfig, num_envs: int, rich: bool = False) -> VectorEnv:
    """Make environments of a run on the compiled engine, with rich observations if wanted.

    Raises:
        ValueError: If a knob is out of range.
    """
    return cage4.vector_env("native", num_envs=num_envs, threads=config.threads, rich=rich, **config.knobs)


GAME: Final = TrainingGame(make_env)
"""CAGE Challenge 4."""
