"""What a study is asked: the options of all studies and their defaults; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of one call; a study reads those that it takes. None means the study's own default."""

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
