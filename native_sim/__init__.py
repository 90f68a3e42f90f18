"""The enterprise SOC simulator, and the contracts that every engine of this project shares.

Importing a table or a contract loads no compiler: heavier modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from native_sim.api import Decision, Field, Layout, Policy, StepBatch, VectorEnv
from native_sim.checks import check_vector_env
from native_sim.soc.config import SocConfig

if TYPE_CHECKING:
    from native_sim.soc.env import SocVectorEnv
    from native_sim.soc.faces import SocParallelEnv

__all__ = [
    "Decision",
    "Field",
    "Layout",
    "Policy",
    "SocConfig",
    "StepBatch",
    "VectorEnv",
    "check_vector_env",
    "make_vec",
    "parallel_env",
]


def make_vec(
    rules: str = "corrected",
    num_envs: int = 1,
    *,
    level: str = "default",
    threads: int | None = None,
    with_state: bool = False,
    **knobs: Any,
) -> SocVectorEnv:
    """Make a vector environment of the SOC simulator.

    Args:
        rules: ``corrected``, or ``reference`` for comparison with published rows.
        num_envs: Number of environments.
        level: Complexity level, see :data:`native_sim.soc.config.LEVELS`.
        threads: Threads that share the rows; None for one per usable processor.
        with_state: Add the true state to ``infos`` as ``state``.
        knobs: Fields of :class:`native_sim.soc.config.SocConfig`, such as ``hosts_per_segment``.

    Raises:
        ValueError: If a knob is unknown or a value is not allowed, in one sentence.
    """
    from native_sim.soc.config import make_config
    from native_sim.soc.env import SocVectorEnv

    return SocVectorEnv(make_config(level, rules=rules, **knobs), num_envs, threads, with_state)


def parallel_env(
    rules: str = "corrected", *, level: str = "default", render_mode: str | None = None, **knobs: Any
) -> SocParallelEnv:
    """Make one SOC as a PettingZoo ``ParallelEnv`` of four agents; arguments as for :func:`make_vec`."""
    from native_sim.soc.config import make_config
    from native_sim.soc.faces import SocParallelEnv

    return SocParallelEnv(make_config(level, rules=rules, **knobs), render_mode)
