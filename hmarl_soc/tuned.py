"""Settings found by trying on validation networks, where they differ from the defaults of the classes.

They were searched with one training seed on validation episodes; held-out networks, which reports use, played no part.
The defaults are Table 2 of the paper, and for what it leaves open (potential, slow actors, memory of triage) our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hmarl_soc.config import MethodConfig, RunConfig, parse

BASES: Final = ("tuned", "table2")
"""What a run's own settings are put on top of: these, or the defaults of the classes."""

_ADVICE: Final = {"weight": 1.0, "steps": 150_000}
_DIRECTIVES: Final = {"initial_log_std": -1.5, "minibatch": 64, "learning_rate": 1e-4}
_PPO: Final = {"advice": _ADVICE, "entropy": 0.001, "rollout": 8192, "minibatch": 512, "epochs": 5}
_Q: Final = {"advice": _ADVICE, "epsilon_start": 0.1, "epsilon_steps": 50_000}

TUNED: Final[Mapping[str, Mapping[str, Any]]] = {
    "hmarl-soc": {
        "advice": _ADVICE,
        "n_steps": 3,
        "replay": {"beta": 1.0},
        "coordinator": _DIRECTIVES,
        "hunter": {"actor_learning_rate": 2e-4, "initial_entropy_weight": 0.001},
        "triage": {"target_every": 100, "epsilon_start": 0.1, "advice": 1.0},
        "responder": {"actor_learning_rate": 1e-4},
    },
    "hmarl-soc-ppo": {
        "advice": _ADVICE,
        "coordinator": _DIRECTIVES,
        "lower": {
            "initial_log_std": -1.5,
            "rollout": 8192,
            "minibatch": 512,
            "epochs": 5,
            "learning_rate": 1e-4,
            "gradient_norm": 1.0,
        },
    },
    **dict.fromkeys(("single-drl", "mappo", "ippo"), _PPO),
    **dict.fromkeys(("iql", "qmix"), _Q),
}
"""Method -> settings."""


def complete(method: str, kind: type[MethodConfig], data: Mapping[str, Any], base: str = "tuned") -> RunConfig:
    """Return the settings of a run.

    Args:
        method: Name of the method.
        kind: Class of its settings.
        data: Any of ``environment``, ``trainer`` and ``method``; wins over the base.
        base: One of :data:`BASES`.

    Raises:
        ValueError: If the base is unknown, or a setting is unknown or out of range.
    """
    if base not in BASES:
        raise ValueError(f"unknown base {base!r} of settings; allowed are {', '.join(BASES)}")
    below = {"method": TUNED.get(method, {})} if base == "tuned" else {}
    return parse(merge(below, data), kind)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which those of ``above`` win."""
    both = dict(below)
    for name, value in above.items():
        inner = both.get(name)
        both[name] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both
