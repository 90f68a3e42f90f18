"""Settings found by trying on validation networks, where they differ from the defaults of the classes.

They are, method by method, the best of the trials of ``study tuning``: the same number for each, with one training
seed, on validation episodes; held-out networks, which reports use, played no part. The defaults are Table 2 of the
paper, and for what it leaves open (potential, slow actors, memory of triage) our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hmarl_soc.config import MethodConfig, RunConfig, parse

BASES: Final = ("tuned", "table2")
"""What a run's own settings are put on top of: these, or the defaults of the classes."""

_MAPPO: Final = {
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

TUNED: Final[Mapping[str, Mapping[str, Any]]] = {
    "hmarl-soc": {
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
    },
    "hmarl-soc-ppo": {
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
    },
    "single-drl": {
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
    },
    "mappo": _MAPPO,
    "ippo": _MAPPO,
    "iql": {
        "advice": {"weight": 4.0, "steps": 150_000, "role_steps": {"triage": 150_000}},
        "epsilon_steps": 50_000,
        "learning_rate": 0.00032,
        "n_steps": 3,
        "target_every": 200,
        "epsilon_start": 0.1,
        "epsilon_end": 0.0,
        "margin": 0.02,
        "capacity": 100_000,
    },
    "qmix": {
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
    },
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
