"""Runs a study by name: checks the numbers, locks the folder, and calls the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput, split_list
from evaluation.studies.behaviour import behaviours, explain, roles
from evaluation.studies.options import Options
from evaluation.studies.training import study as training
from evaluation.studies.training import tuning
from evaluation.studies.training.plans import PLANS
from evaluation.studies.transfer import cross_simulator, finetuning
from evaluation.studies.transfer import zero_shot as transfer_zero_shot
from evaluation.studies.transfer.finetuning_report import NAME as FINE_TUNING
from native_sim.storage.writing import FolderInUse, FolderLock, sweep

if TYPE_CHECKING:
    from rich.console import Console


Study = Callable[[str, Options, "Console"], Any]


_SEEDS: Final = 5
"""Training seeds per method unless others are asked for."""
_TUNING_SEEDS: Final = 3
"""The same of fine-tuning, per arm."""


def _train(name: str, asked: Options, console: Console) -> Any:
    seeds = _SEEDS if asked.seeds is None else asked.seeds
    how = (asked.smoke, asked.report_only, console, asked.recorded)
    return training.study(name, asked.out, seeds, asked.workers, asked.steps, *how)


def _tuning(name: str, asked: Options, console: Console) -> Any:
    how = (asked.smoke, asked.report_only, asked.recorded, console)
    return tuning.study(asked.out, asked.workers, asked.steps, *how)


def _played(module: ModuleType) -> Study:
    def study(name: str, asked: Options, console: Console) -> Any:
        policies = tuple(split_list("--policies", asked.policies)) if asked.policies else module.POLICIES
        return module.study(policies, asked.out / name, asked.episodes, asked.smoke, asked.report_only, console)

    return study


def _zero_shot(name: str, asked: Options, console: Console) -> Any:
    where = (asked.out / name, asked.engine, asked.variant)
    return transfer_zero_shot.study(asked.bundle, *where, _episodes(asked), asked.seed, asked.workers, console)


def _cross_simulator(name: str, asked: Options, console: Console) -> Any:
    count = _episodes(asked)
    full = cross_simulator.Size(count, cross_simulator.SOC_EPISODES * count)
    size = cross_simulator.SMOKE if asked.smoke else full
    where = (asked.out / name, asked.engine, split_list("--variant", asked.variant))
    return cross_simulator.study(_first(asked, "soc-adaptive"), *where, size, asked.seed, asked.workers, console)


def _fine_tuning(name: str, asked: Options, console: Console) -> Any:
    seeds = _TUNING_SEEDS if asked.seeds is None else asked.seeds
    full = finetuning.asked(asked.budgets, asked.parts, asked.starts, seeds, _episodes(asked))
    size = finetuning.SMOKE if asked.smoke else full
    how = (asked.seed, asked.workers, asked.report_only, console, asked.recorded)
    return finetuning.study(_first(asked, "hmarl-soc"), asked.out / name, size, *how)


def _episodes(asked: Options) -> int:
    return 100 if asked.episodes is None else asked.episodes


def _first(asked: Options, default: str) -> str:
    return asked.bundle[0] if asked.bundle else default


STUDIES: Final[Mapping[str, Study]] = {
    **dict.fromkeys((*PLANS, training.SCALING, explain.NAME), _train),
    tuning.NAME: _tuning,
    behaviours.NAME: _played(behaviours),
    roles.NAME: _played(roles),
    transfer_zero_shot.NAME: _zero_shot,
    FINE_TUNING: _fine_tuning,
    cross_simulator.NAME: _cross_simulator,
}
"""Name of a study -> what runs it. :mod:`evaluation.cli.study` has the options that each of them takes."""

_RANGES: Final = {
    "workers": ranges.WORKERS,
    "seeds": ranges.TRAINING_SEEDS,
    "steps": ranges.TRAINING_STEPS,
    "episodes": ranges.Range(1, 100_000),
    "seed": ranges.SEED,
}
"""Option of a number -> what it may be. Studies play several times as many episodes as are asked for."""


def run(name: str, asked: Options, console: Console) -> Any:
    """Run a study and return its summary.

    Args:
        name: One of :data:`STUDIES`.
        asked: All options.
        console: Where progress is told.

    Raises:
        BadInput: If the study is unknown, or a value is out of range.
    """
    if name not in STUDIES:
        raise BadInput(f"unknown study {name!r}; known: {', '.join(STUDIES)}")
    study = STUDIES[name]
    for option, allowed in _RANGES.items():
        ranges.check(f"--{option}", getattr(asked, option), allowed)
    if asked.report_only:  # the study itself may be going on
        return study(name, asked, console)
    try:
        with FolderLock(asked.out / name):
            sweep(asked.out / name)
            return study(name, asked, console)
    except FolderInUse as error:
        raise BadInput(str(error)) from error
