"""What studies share that play policies of the SOC simulator by name and keep a log of each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evaluation.games.soc.policies import soc_registry
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import fingerprint, make_policy
from evaluation.policies.weights import soc_name
from native_sim.api import Policy

_EPISODES: Final = ranges.Range(2, 100_000)


def make_policies(names: Sequence[str], episodes: int) -> dict[str, Policy]:
    """Return name -> policy, of the SOC simulator as ``evaluate`` names them, or ``bundle:NAME``.

    Raises:
        BadInput: If there are fewer than two episodes, or a policy is unknown or named twice.
    """
    ranges.check("--episodes", episodes, _EPISODES)
    if len(set(names)) != len(names):
        raise BadInput(f"each policy may be named once; given {', '.join(names)}")
    return {name: make_policy(soc_name(name), soc_registry("corrected")) for name in names}


def log_file(out: Path, name: str, episodes: int, ending: str) -> Path:
    """Return where the log of a policy is; a changed policy has another."""
    print_of = fingerprint(soc_name(name), soc_registry("corrected"))
    digest = hashlib.sha256(f"{name} {print_of} {episodes}".encode()).hexdigest()[:10]
    return out / "logs" / f"{digest}.{ending}"


def nothing_played(episodes: int, out: Path) -> BadInput:
    """Return what is raised where there is nothing to report."""
    return BadInput(f"nothing of {episodes} episodes was played in {out}; run the study without --report-only first")
