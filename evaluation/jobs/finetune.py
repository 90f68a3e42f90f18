"""Fine-tuning a bundle on CC4: the carried defender learns there, in the compiled engine, and becomes a bundle again.

A run folder holds ``start`` (the bundle it began with), ``log.jsonl``, ``last`` (to resume from), ``best`` (weights of
the best validation, the one before the first step included) and, when it is over, ``bundle``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from adapters.bundle import POLICY, Bundle, bundle_folder, load_bundle
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4.environment import CarriedEnv
from cage4 import spec
from evaluation.games.cc4.training import check_environment, make_env
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from evaluation.jobs.calibrate import FIRST_SEED, episode_seeds
from evaluation.jobs.train import unwritten
from evaluation.transfer.lessons import learn_mapper
from evaluation.transfer.named import make_carried, read_bundle
from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import Checkpoint
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.registry import make_learner
from hmarl_soc.training.runs import LAST, has_checkpoint, writing_to
from native_sim.api import Array, FloatArray, Policy
from native_sim.storage.writing import names_in

if TYPE_CHECKING:
    from rich.console import Console

    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.progress import Meter
    from hmarl_soc.training.trainer import Trainer, Validate

METHOD: Final = "finetune"
START, BEST, BUNDLE = "start", "best", "bundle"
MAPPER: Final = "mapper"
"""Name of the mapper's weights among those of the roles."""
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "environment": {"engine": "cc4", "num_envs": 64, "teacher": "none"},
    "trainer": {
        "steps": 1_000_000,
        "validate_every": 100_000,
        "validation_episodes": 128,
        "averaging": 0,
        "save_every": 500_000,
        "log_every": 20_000,
    },
}
_EVENTS: Final = "events.out.tfevents"
"""How the files of TensorBoard begin, which is opened before the first checkpoint."""
LESSON_EPISODES: Final = 16
"""CC4 episodes from which a bundle that plays by the table learns its mapper before it is tuned; no reward is read."""


def finetune(
    bundle: str,
    seed: int,
    out: Path,
    config: Path | None,
    parts: str | None,
    scratch: bool,
    steps: int | None,
    resume: bool,
    console: Console,
) -> dict[str, Any]:
    """Fine-tune one bundle with one seed.

    Args:
        bundle: Path or packaged name; it must carry a trained hierarchy.
        seed: Of everything that is random in the run.
        out: Run folder.
        config: TOML file of settings that differ from the defaults.
        parts: What learns: adapters, heads or all; None as configured.
        scratch: Begin with random roles and a mapper that knows nothing, for comparison.
        steps: Environment steps; None as configured.
        resume: Go on with the run in the folder.
        console: Where progress is shown.

    Returns:
        ``{"out", "bundle", "steps", "episodes", "best_score", "interrupted", "failure"}``; ``failure`` is a sentence
        or None, ``bundle`` a path once the run is over.

    Raises:
        BadInput: If something given is wrong.
    """
    from hmarl_soc.training.progress import Bar
    from hmarl_soc.training.trainer import TrainingDiverged

    ranges.check("--seed", seed, ranges.SEED)
    ranges.check("--steps", steps, ranges.TRAINING_STEPS)
    result: dict[str, Any] = {"out": str(out), "bundle": None, "interrupted": False, "failure": None}
    try:
        settings = configure(config, parts, steps)
        if not resume:
            _refuse_other_content(out)
        with writing_to(out, resume):
            if not resume:
                prepare(bundle, scratch, seed, out, console)
            trainer = make_trainer(settings, seed, out, Bar(console, f"fine-tuning, seed {seed}"))
            if resume:
                trainer.resume()
            outcome = trainer.run()
            tuned = None if outcome.interrupted else finish(out, settings)
    except ValueError as error:
        raise BadInput(str(error)) from error
    except (TrainingDiverged, OSError) as error:
        failure = unwritten(out, error) if isinstance(error, OSError) else str(error)
        console.print(f"Error: {failure}.", style="red", markup=False, highlight=False, soft_wrap=True)
        return result | {"failure": failure}
    result |= {"steps": outcome.steps, "episodes": outcome.episodes, "best_score": outcome.best_score}
    if tuned is None:
        console.print("Interrupted and saved; the same command with --resume goes on.", highlight=False)
        return result | {"interrupted": True}
    console.print(tuned.describe(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"bundle:{out / BUNDLE} plays it", markup=False, highlight=False, soft_wrap=True)
    return result | {"bundle": str(out / BUNDLE)}


def _refuse_other_content(out: Path) -> None:
    """Refuse a folder that holds more than what a run leaves that is killed before its first checkpoint.

    Raises:
        BadInput: If it does.
    """
    names = {name for name in names_in(out) if not name.startswith(_EVENTS)}
    if names - {START, LAST} or has_checkpoint(out):
        raise BadInput(f"{out} exists already; choose another --out, or --resume to go on with that run")


def configure(config: Path | None, parts: str | None, steps: int | None) -> RunConfig:
    """Return the settings of a run.

    Raises:
        ValueError: If a setting is unknown, out of range, or means nothing on CC4.
    """
    from hmarl_soc.config import parse, read_toml
    from hmarl_soc.finetuning.learner import FinetuneConfig
    from hmarl_soc.tuned import merge

    given = merge(DEFAULTS, {} if config is None else read_toml(config))
    if parts is not None:
        given = merge(given, {"method": {"parts": parts}})
    trainer = given["trainer"]
    if steps is not None and isinstance(trainer, Mapping):  # what is no table, or no number, is refused below
        every = trainer["validate_every"]
        fitting = {"validate_every": min(every, steps)} if isinstance(every, int) else {}
        given = merge(given, {"trainer": {"steps": steps, **fitting}})
    settings = parse(given, FinetuneConfig)
    check_environment(settings.environment)
    return settings


def prepare(bundle: str, scratch: bool, seed: int, out: Path, console: Console) -> None:
    """Write the bundle that a run starts with to ``out/start``.

    Raises:
        ValueError: If the bundle does not carry a trained hierarchy, or cannot be read.
    """
    if not scratch:
        return with_learned_mapper(bundle, out / START, console)
    source, saved, carried = _read(bundle)
    fresh = make_learner(saved.method, carried.config, carried.interface, 1, seed).policy()
    mapper = replace(source.mapper, temperature=1.0)
    source = replace(source, name=f"{source.name}-scratch", mapper=mapper, mapper_weights=np.zeros(scorer.SIZE))
    return _write(source, saved, cast(HierarchyPolicy, fresh).weights(), out / START)


def with_learned_mapper(bundle: str, folder: Path, console: Console) -> None:
    """Copy a bundle to a folder; where it plays by the table, a mapper learns what the table does first.

    Raises:
        ValueError: If the bundle does not carry a trained hierarchy, or cannot be read.
    """
    source, saved, carried = _read(bundle)
    if source.mapper_weights is None:
        console.print(f"{LESSON_EPISODES} episodes of lessons for the mapper", markup=False)
        source = learn_mapper(source, carried, episode_seeds(FIRST_SEED, LESSON_EPISODES), spec.DEFAULT_STEPS)
    _write(source, saved, carried.weights(), folder)


def _read(bundle: str) -> tuple[Bundle, Checkpoint, HierarchyPolicy]:
    """Return a bundle, the checkpoint of what it carries, and that as a policy."""
    folder = bundle_folder(bundle)
    source = read_bundle(bundle)
    carried = make_carried(source.carried, folder)
    if not isinstance(carried, HierarchyPolicy):
        raise BadInput(f"bundle {bundle} carries no trained HMARL-SOC, and nothing else can be fine-tuned; carry one")
    if not carried.config.coordinator.enabled:
        raise BadInput(f"bundle {bundle} carries an HMARL-SOC without a coordinator, which cannot be fine-tuned")
    return source, checkpoint.load(folder / POLICY, "weights"), carried


def make_trainer(settings: RunConfig, seed: int, out: Path, meter: Meter | None = None) -> Trainer:
    """Put a run together that begins with ``out/start``, without starting it.

    Raises:
        ValueError: If the bundle there cannot be read or tuned.
    """
    from hmarl_soc.finetuning.learner import FinetuneConfig, Finetuner
    from hmarl_soc.interface import describe
    from hmarl_soc.nn.networks import use_one_thread
    from hmarl_soc.training.trainer import Trainer

    use_one_thread()
    method = cast(FinetuneConfig, settings.method)
    start = load_bundle(out / START)
    carried = cast(HierarchyPolicy, make_carried(start.carried, out / START))
    if start.mapper_weights is None:
        raise BadInput(f"{out / START} has no learned mapper; begin again without --resume")
    env = CarriedEnv(
        make_env(settings.environment, settings.environment.num_envs, rich=True), start.carrier(), start.mapper
    )
    interface = describe(env)
    learner = Finetuner(method, interface, env.num_envs, seed, carried, start.mapper_weights, settings.trainer.device)
    validate = _validation(start, settings)
    return Trainer(env, learner, settings, METHOD, interface, seed, out, validate, meter, validate_first=True)


def _validation(start: Bundle, settings: RunConfig) -> Validate:
    """Return what plays tuned weights on CC4 as their bundle would, on episodes kept for validation."""
    from hmarl_soc.finetuning.learner import TunedPolicy
    from hmarl_soc.training.validation import Validator

    episodes = settings.trainer.validation_episodes
    validator = Validator(make_env(settings.environment, min(episodes, 64), rich=True), episodes)

    def validate(policy: Policy) -> dict[str, float]:
        tuned = cast(TunedPolicy, policy)
        return validator(_tuned(start, tuned.mapper).policy(lambda *_: tuned))

    return validate


def _tuned(bundle: Bundle, weights: FloatArray) -> Bundle:
    """Return the bundle with the tuned mapper, which draws among its options as it did in training."""
    return replace(bundle, mapper_weights=weights, mapper=replace(bundle.mapper, temperature=1.0))


def finish(out: Path, settings: RunConfig) -> Bundle:
    """Write the best weights of a run as ``out/bundle``, and return it.

    Raises:
        ValueError: If the run has no best weights, or its start cannot be read.
    """
    best = checkpoint.load(out / BEST, "weights").state
    start = load_bundle(out / START)
    arrays = dict(best["arrays"])
    tuning = {
        "from": start.name,
        "parts": settings.to_dict()["method"]["parts"],
        "steps": best["steps"],
        "validation score": best["score"],
        "validation episodes": settings.trainer.validation_episodes,
        "environment": settings.environment.knobs,
        "rewards used": True,
    }
    bundle = _tuned(start, np.asarray(arrays.pop(MAPPER), np.float64))
    provenance = {**start.provenance, "fine-tuning": tuning}
    bundle = replace(bundle, name=f"{start.name}-tuned", provenance=provenance)
    shutil.rmtree(out / BUNDLE, ignore_errors=True)
    _write(bundle, checkpoint.load(out / START / POLICY, "weights"), arrays, out / BUNDLE)
    return bundle


def _write(bundle: Bundle, saved: Checkpoint, arrays: Mapping[str, Array], folder: Path) -> None:
    """Write a bundle with a carried hierarchy of these weights."""
    checkpoint.save(folder / POLICY, saved._replace(state={**saved.state, "arrays": dict(arrays)}))
    bundle.save(folder)
