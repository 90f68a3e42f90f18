"""The options of the ``study`` command and their defaults; imports nothing heavy, since the command line needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What was asked for; None where a study has a default of its own."""

    out: Path
    workers: int = 1
    seeds: int | None = None
    steps: int | None = None
    budgets: str = "10000,100000,1000000"
    parts: str = "adapters,heads,all"
    starts: str = "transferred,scratch"
    smoke: bool = False
    report_only: bool = False
    recorded: bool = False
    policies: str = ""
    bundle: tuple[str, ...] = ()
    episodes: int | None = None
    engine: str = "auto"
    variant: str = "base"
    seed: int = 0
