"""Training on CAGE Challenge 4: what differs from training in the SOC simulator.

Only flat methods learn there: one policy per blue agent under its action mask. The hierarchy has roles that CC4 lacks;
it comes there by :mod:`adapters`. There is no teacher, and no true state is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cage4
from cage4.spec import BLUE_AGENTS
from hmarl_soc.config import EnvironmentConfig, RunConfig, parse
from hmarl_soc.registry import check_agents, config_class
from hmarl_soc.training.runs import TrainingGame
from hmarl_soc.tuned import merge
from native_sim.api import VectorEnv

ENGINE: Final = "cc4"
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
"""Defaults that are others on CC4; a method may have more in ``in_game`` of its settings. An episode is 499 steps long
and loses 100 to 7,000 points."""
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
    advice = ", and what was trained in the SOC simulator is carried there by hmarl-transfer calibrate"
    check_agents(method, BLUE_AGENTS, "CAGE Challenge 4", advice)
    kind = config_class(method)
    defaults = merge(DEFAULTS, {"method": kind.in_game.get(ENGINE, {})})
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
