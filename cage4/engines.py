"""The engines that can play CAGE Challenge 4, by name; each is imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NamedTuple

from cage4 import spec, validate
from cage4.cyborg import locate as cyborg_locate
from cage4.variants import Variant
from native_sim.api import VectorEnv


class _Engine(NamedTuple):
    module: str
    class_name: str
    options: tuple[str, ...]  # keyword arguments beside those that all engines take


ENGINES = {
    "native": _Engine("cage4.native.engine", "NativeVectorEnv", ("threads",)),
    "cyborg": _Engine("cage4.cyborg.engine", "CyborgVectorEnv", ("processes", "shortcuts")),
}
"""Engines in the order of preference: the compiled port, and the real CybORG."""
AUTO = "auto"


def available_engines() -> tuple[str, ...]:
    """Return the names of the engines that can be used here, the preferred one first; imports none."""
    usable = {"native": _is_present(ENGINES["native"].module), "cyborg": cyborg_locate.available()}
    return tuple(name for name in ENGINES if usable[name])


def vector_env(
    engine: str = AUTO,
    num_envs: int = 1,
    variant: str | Variant = "base",
    steps: int = spec.DEFAULT_STEPS,
    seed: int | None = None,
    pad_spaces: bool = False,
    rich: bool = False,
    **engine_options: Any,
) -> VectorEnv:
    """Make several environments behind the contract of :class:`native_sim.api.VectorEnv`.

    Observations are int8 arrays [N, 92] for agents 0-3 and [N, 210] for agent 4. ``infos`` holds
    "action_mask" (agent -> [N, 82 or 242] int8), "busy" ([N, 5] int64 ticks), "phase" ([N] int64),
    "reward_parts" ([N, 9 subnets in generation order, LWF / ASF / RIA] float64) and "action_cost" ([N]
    float64); with ``rich=True`` also "rich" (agent -> [N, F] int32, see :mod:`cage4.observations.rich`).

    Args:
        engine: "native", "cyborg", or "auto" for the preferred one that is available.
        num_envs: Number of environments.
        variant: Name of a variant, or a variant.
        steps: Length of an episode in CybORG's sense, at least 3; done comes one step earlier.
        seed: Row ``i`` starts its stream from ``seed + i``; None takes seeds from the operating system.
        pad_spaces: Give all agents the sizes of agent 4 (210 and 242).
        rich: Also give what a blue agent receives beyond its flat vector. It costs time.
        engine_options: ``threads`` (native); ``processes``, ``shortcuts`` (cyborg).

    Raises:
        ValueError: If an argument is not valid.
        CyborgUnavailable: If the real CybORG is asked for and there is none.
    """
    arguments = {
        "num_envs": validate.check_num_envs(num_envs),
        "variant": validate.check_variant(variant),
        "steps": validate.check_steps(steps),
        "seed": validate.check_seed(seed),
        "pad_spaces": bool(pad_spaces),
        "rich": bool(rich),
    }
    name = resolve_engine(engine)
    chosen = ENGINES[name]
    unknown = [option for option in engine_options if option not in chosen.options]
    if unknown:
        known = ", ".join(chosen.options)
        raise ValueError(f"engine {name!r} has no option {', '.join(unknown)}; it has {known}")
    factory = getattr(importlib.import_module(chosen.module), chosen.class_name)
    made: VectorEnv = factory(**arguments, **engine_options)
    return made


def resolve_engine(engine: str = AUTO) -> str:
    """Return the name of the engine that will play, importing none.

    Raises:
        ValueError: If there is no such engine.
        CyborgUnavailable: If it is the real CybORG, and there is none that can be used.
    """
    if engine == AUTO:
        engine = "native" if _is_present(ENGINES["native"].module) else "cyborg"
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; choose {AUTO}, {' or '.join(ENGINES)}")
    if not _is_present(ENGINES[engine].module):
        raise ValueError(f"engine {engine!r} is not part of this installation; install the package again")
    if engine == "cyborg" and not (found := cyborg_locate.locate()).available:
        raise cyborg_locate.CyborgUnavailable(found.reason)
    return engine


def _is_present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False
