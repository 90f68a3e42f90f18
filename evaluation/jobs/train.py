"""Training from the command line: settings in, progress and the way it ended out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.harness.game import find_game
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.runs import TrainingGame


def train(
    method: str,
    config: Path | None,
    base: str | None,
    seed: int,
    out: Path,
    steps: int | None,
    resume: bool,
    console: Console,
    engine: str | None = None,
) -> dict[str, Any]:
    """Train one method with one seed.

    Args:
        method: Name of the method, or ``module:object`` of one of the user's own, looked for in the working folder too.
        config: TOML file of settings, or None for those of the base alone.
        base: "tuned", which None means too, or "table2" for the defaults, those of the paper among them; None on CC4,
            which has defaults of its own.
        seed: Of everything that is random in the run.
        out: Run folder.
        steps: Environment steps, or None for as many as configured.
        resume: Go on with the run in the folder.
        console: Where progress is shown.
        engine: Key of the game to train in, or None for the one configured.

    Returns:
        ``{"out", "steps", "episodes", "best_score", "interrupted", "failure"}``; ``failure`` is a sentence or None.

    Raises:
        BadInput: If something given is wrong.
    """
    from hmarl_soc.training.progress import Bar
    from hmarl_soc.training.runs import train as run
    from hmarl_soc.training.trainer import TrainingDiverged

    ranges.check("--seed", seed, ranges.SEED)
    ranges.check("--steps", steps, ranges.TRAINING_STEPS)
    result: dict[str, Any] = {"out": str(out), "interrupted": False, "failure": None}
    try:
        settings, game = _resolve(method, config, base, steps, engine)
        outcome = run(method, settings, seed, out, resume, Bar(console, f"{method}, seed {seed}"), game)
    except ValueError as error:
        raise BadInput(str(error)) from error
    except (TrainingDiverged, OSError) as error:
        failure = unwritten(out, error) if isinstance(error, OSError) else str(error)
        console.print(f"Error: {failure}.", style="red", markup=False, highlight=False, soft_wrap=True)
        return result | {"failure": failure}
    best = f"best validation {outcome.best_score:,.2f}, " if outcome.best_score > float("-inf") else ""
    console.print(f"{outcome.steps:,} steps, {outcome.episodes:,} episodes, {best}in {out}", highlight=False)
    if outcome.interrupted:
        console.print("Interrupted and saved; the same command with --resume goes on.", highlight=False)
    finite = outcome.best_score if best else None
    numbers = {"steps": outcome.steps, "episodes": outcome.episodes, "best_score": finite}
    return result | numbers | {"interrupted": outcome.interrupted}


def unwritten(out: Path, error: OSError) -> str:
    """Say that a run folder cannot be written, and what to do."""
    from hmarl_soc.training.runs import has_checkpoint

    if has_checkpoint(out):
        advice = "with --resume it goes on from the last checkpoint"
    else:
        advice = "the same command begins again, since nothing was saved yet"
    return f"{out} cannot be written ({error.strerror or error}); make room, and {advice}"


def _resolve(
    method: str, config: Path | None, base: str | None, steps: int | None, engine: str | None
) -> tuple[RunConfig, TrainingGame]:
    """Return the settings of a run, and the game that it is trained in.

    Raises:
        ValueError: If something given is wrong.
    """
    from hmarl_soc.config import read_toml
    from hmarl_soc.registry import import_method
    from hmarl_soc.tuned import merge

    if ":" in method:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)  # last, so that a file there hides nothing that is installed
        import_method(method)

    given = {} if config is None else read_toml(config)
    configured = _section(given, "environment").get("engine")
    if engine is not None:
        if configured not in (None, engine):
            raise ValueError(f"--game {engine} was given, but {config} says {configured}; leave one of them out")
        given = merge(given, {"environment": {"engine": engine}})
    if steps is not None:
        given = {**given, "trainer": {**_section(given, "trainer"), "steps": steps}}
    named = next(name for name in (engine, configured, "soc") if name is not None)
    game = find_game(str(named))
    training = game.training()
    if training is None:
        raise ValueError(f"nothing can be trained in {game.name}; choose another --game")
    return game.training_settings(method, given, base), training


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of settings that are not checked yet.

    Raises:
        ValueError: If it is no table.
    """
    section = settings.get(name, {})
    if not isinstance(section, Mapping):
        raise ValueError(f"setting {name!r} must be a table of settings; given {section!r}")
    return section


def bench(seconds: float, console: Console) -> dict[str, Any]:
    """Measure training and deciding with the settings that training starts from, and print a table.

    Raises:
        BadInput: If the time is out of range.
    """
    from rich.table import Table

    from hmarl_soc.training.speed import measure

    ranges.check("--seconds", seconds, ranges.SECONDS)
    rows = measure(seconds)
    table = Table("what", "unit", title="HMARL-SOC as train makes it")
    for name in ("on the clock", "by CPU time"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["what"], row["unit"], f"{row['wall']:,.4g}", f"{row['cpu']:,.4g}")
    console.print(table)
    return {"rows": rows}
