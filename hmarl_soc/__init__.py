"""HMARL-SOC: the hierarchical defender, its learners and its baselines.

Loads on demand, so that playing saved weights loads no tensor library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmarl_soc.learner import Learner, Seen, Transition
    from hmarl_soc.registry import load_policy
    from hmarl_soc.training.runs import train

__all__ = ["Learner", "Seen", "Transition", "load_policy", "train"]

_HOMES = {
    "Learner": "hmarl_soc.learner",
    "Seen": "hmarl_soc.learner",
    "Transition": "hmarl_soc.learner",
    "load_policy": "hmarl_soc.registry",
    "train": "hmarl_soc.training.runs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hmarl_soc' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
