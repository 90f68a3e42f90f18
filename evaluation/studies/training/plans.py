"""What each study compares: arms by name, each a method with settings, or a scripted defender. Pure data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hmarl_soc.registry import config_class
from hmarl_soc.tuned import merge

SCRIPTED: Final = "scripted"
REFERENCE: Final = "hmarl-soc"
"""The arm that every other arm is tested against."""


@dataclass(frozen=True)
class Arm:
    """One row of a table."""

    label: str
    method: str  # name in the registry of methods, or "scripted"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the method, where they differ from its defaults
    knobs: Mapping[str, Any] = field(default_factory=dict)  # of the simulator in training
    teacher: str = "adaptive"  # whose advice learners get at first, or none
    x: float | None = None  # where the arm stands on the axis of a sweep


@dataclass(frozen=True)
class Plan:
    """One study."""

    name: str
    title: str
    arms: tuple[Arm, ...]
    figures: tuple[str, ...]
    level: str = "default"  # of the held-out episodes; training is at the default level
    axis: str = ""  # meaning of ``x``
    episodes: int = 1000  # held-out episodes per run
    tested: tuple[str, ...] = ("reward", "csr", "scan_fpr", "alert_fpr")  # metrics compared with the reference arm
    contrasts: tuple[tuple[str, str], ...] = ()  # pairs that are compared as well, first minus second

    @property
    def learned(self) -> tuple[Arm, ...]:
        """Arms that need training."""
        return tuple(arm for arm in self.arms if arm.method != SCRIPTED)


@dataclass(frozen=True)
class Size:
    """How much of everything: the same for all arms of a study."""

    steps: int  # environment steps of one training run
    num_envs: int
    validate_every: int  # environment steps
    validation_episodes: int
    episodes: int | None = None  # held-out episodes; None: as the plan says
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # method -> settings, below those of an arm
    trainer: Mapping[str, Any] = field(default_factory=dict)  # further settings of the trainer

    def shortened(self, steps: int) -> Size:
        """Return the size with another number of environment steps per run."""
        return replace(self, steps=steps, validate_every=min(self.validate_every, steps))


FULL: Final = Size(300_000, 128, 20_000, 512)
_TINY: Final = {"hidden": 16, "attention": False}
_TINY_PPO: Final = {"network": _TINY, "rollout": 256, "minibatch": 128, "epochs": 1}
_TINY_Q: Final = {"network": _TINY, "warm_up": 256, "batch_size": 32, "capacity": 2048}
_TINY_DIRECTIVES: Final = {"rollout": 64, "minibatch": 32, "epochs": 1}
_TINY_HIERARCHY: Final = {
    "network": {"hidden": 16, "heads": 2, "key_size": 4},
    "warm_up": 256,
    "replay": {"capacity": 2048, "batch_size": 32},
    "coordinator": _TINY_DIRECTIVES,
    "potential": _TINY_DIRECTIVES,
}
SMOKE: Final = Size(
    1_024,
    16,
    512,
    8,
    16,
    {
        "hmarl-soc": _TINY_HIERARCHY,
        "hmarl-soc-ppo": {**_TINY_HIERARCHY, "lower": {"rollout": 256, "minibatch": 128, "epochs": 1}},
        **dict.fromkeys(("single-drl", "mappo", "ippo"), _TINY_PPO),
        **dict.fromkeys(("iql", "qmix"), _TINY_Q),
    },
)
"""Everything once in seconds; its numbers mean nothing."""

_SCRIPTED_ARMS: Final = tuple(
    Arm(name, SCRIPTED) for name in ("no-defense", "random", "best-constant", "rule-soar", "adaptive")
)
_LEARNED_ARMS: Final = tuple(Arm(name, name) for name in (REFERENCE, "single-drl", "iql", "qmix", "mappo"))
_WEIGHTS: Final = {"alpha": 1.0, "beta": 1.5, "delta": -0.3, "lambda_fp": -2.0}
_FACTORS: Final = (0.5, 2.0)

PLANS: Final[dict[str, Plan]] = {
    plan.name: plan
    for plan in (
        Plan("table3", "All methods", (*_LEARNED_ARMS, *_SCRIPTED_ARMS), ("curves", "radar", "boxes", "fpr-csr")),
        Plan(
            "table4",
            "Ablations: each removes exactly one thing",
            (
                Arm(REFERENCE, REFERENCE),
                Arm("no coordinator", REFERENCE, {"coordinator": {"enabled": False}}),
                Arm("per-agent replay", REFERENCE, {"replay": {"shared": False}}),
                Arm("PPO for all agents", "hmarl-soc-ppo"),
                Arm("no attention", REFERENCE, {"network": {"attention": False}}),
                Arm("no potential", REFERENCE, {"potential": {"enabled": False}}),
                Arm("no teacher", REFERENCE, teacher="none"),
            ),
            ("curves", "bars"),
        ),
        Plan(
            "k-sweep",
            "Steps between two directives",
            tuple(
                Arm(REFERENCE if k == 5 else f"K = {k}", REFERENCE, {"coordinator": {"every": k}}, x=k)
                for k in (5, 1, 3, 10, 20)
            ),
            ("sweep", "curves"),
            axis="K, steps between two directives",
        ),
        Plan(
            "reward-weights",
            "Weights of the reward in training; every row is scored under the default weights",
            (
                Arm(REFERENCE, REFERENCE),
                *(
                    Arm(f"{name} x {factor:g}", REFERENCE, knobs={name: factor * weight})
                    for name, weight in _WEIGHTS.items()
                    for factor in _FACTORS
                ),
            ),
            ("bars", "fpr-csr"),
            contrasts=tuple((f"{name} x 2", f"{name} x 0.5") for name in _WEIGHTS),
        ),
        Plan(
            "apt",
            "Multi-stage campaigns of a patient attacker",
            (*_LEARNED_ARMS, *_SCRIPTED_ARMS),
            ("boxes",),
            level="apt",
            episodes=500,
            tested=("exfiltrated", "mttd", "reward"),
        ),
    )
}
"""Name -> study. The training runs of equal arms are shared between studies."""


def run_settings(arm: Arm, size: Size) -> dict[str, Any]:
    """Return the nested settings of an arm's training runs."""
    return {
        "environment": {"num_envs": size.num_envs, "teacher": arm.teacher, "knobs": dict(arm.knobs)},
        "trainer": {
            "steps": size.steps,
            "validate_every": size.validate_every,
            "validation_episodes": size.validation_episodes,
            "log_every": max(1, size.validate_every // 4),
            **size.trainer,
        },
        "method": merge(merge(config_class(arm.method).tuned, size.settings.get(arm.method, {})), arm.settings),
    }


def run_name(method: str, config: Mapping[str, Any]) -> str:
    """Return the folder of an arm's runs: equal for equal methods and resolved settings, whatever the study."""
    text = json.dumps(config, sort_keys=True)
    return f"{method}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
