"""Options that several commands take, each told once; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from evaluation.cli.game import ENGINES

METHODS: Final = {
    "hmarl-soc": "HMARL-SOC: a coordinator sends directives to a hunter, a triage and a responder agent.",
    "hmarl-soc-ppo": "The hierarchy of HMARL-SOC with PPO for every agent.",
    "single-drl": "One PPO agent sees all observations and decides for all agents.",
    "iql": "Independent double Q-learning: one learner per branch of the action.",
    "qmix": "QMIX: double Q-learning of a team value that is monotonic in every branch's utility.",
    "mappo": "MAPPO: PPO per agent with one central value function.",
    "ippo": "IPPO: PPO per agent with a value function per agent.",
}
"""Method -> what learns. The help of ``--method`` lists the names; a test compares them with the registry."""
CC4_VARIANTS: Final = (
    "base",
    "const-size",
    "phishing",
    "stealthy-red",
    "aggressive-red",
    "singh-aggressive",
    "singh-stealth",
    "singh-impact",
)
"""The same of ``--variant``."""
SOC_VARIANTS: Final = (
    "corrected",
    "corrected:basic",
    "corrected:default",
    "corrected:low-and-slow",
    "corrected:apt",
    "reference",
)


def completes(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what the shell offers for an option: the names that begin with what is written."""
    known = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return complete


_ENGINES: Final = tuple(dict.fromkeys(engine for engines in ENGINES.values() for engine in engines))
Game = Annotated[
    str | None,
    typer.Option(
        help="Game: cc4 (CAGE Challenge 4) or soc (the SOC simulator).",
        autocompletion=completes(ENGINES),
        show_default="cc4",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="Engine of CC4: native (compiled), cyborg (the real CybORG) or auto (native if it is installed).",
        autocompletion=completes(_ENGINES),
        show_default="auto",
    ),
]
Seed = Annotated[int, typer.Option(help="Base seed. All episode seeds are spawned from it.")]
TrainingSeed = Annotated[int, typer.Option(help="Seed of everything random in the run.", show_default=False)]
Workers = Annotated[int, typer.Option(help="Number of processes. It changes no result.")]
RunFolder = Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)]
Settings = Annotated[
    Path | None,
    typer.Option(help="TOML file of settings. What it leaves out keeps its default.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in the folder.")]
EpisodeSteps = Annotated[int, typer.Option(help="Length of an episode, in steps.")]
Threads = Annotated[str, typer.Option(help="Numbers of threads, comma-separated.")]
Environments = Annotated[str, typer.Option(help="Numbers of parallel environments, comma-separated.")]
Seconds = Annotated[float, typer.Option(help="Seconds to measure each row.")]
Cold = Annotated[bool, typer.Option(help="Also measure a first start, which compiles everything.")]
