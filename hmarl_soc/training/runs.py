"""A training run from its settings: environments, learner, validation and trainer put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from hmarl_soc import checkpoint
from hmarl_soc.config import EnvironmentConfig, RunConfig
from hmarl_soc.interface import describe
from hmarl_soc.registry import make_learner
from hmarl_soc.training.progress import Meter
from hmarl_soc.training.trainer import Outcome, Trainer
from hmarl_soc.training.validation import Validator
from native_sim import make_vec
from native_sim.api import HasMetrics, Policy, VectorEnv
from native_sim.soc.policies import make_policy
from native_sim.soc.spec import STATE
from native_sim.storage.writing import FolderLock, sweep

LAST: Final = "last"
"""Of a run folder: the checkpoint that the run goes on from."""
METRICS: Final = (
    *("csr", "exfiltrated", "length", "detected_share", "scan_fpr", "alert_fpr", "mttd", "mttr"),
    *("reward_detection", "reward_response", "reward_cost", "reward_false_positive"),
)
"""Metrics of the SOC simulator that a validation writes beside the score."""


def make_env(config: EnvironmentConfig, num_envs: int | None = None) -> VectorEnv:
    """Make environments of a run, as many as configured for None; the truth is shown to centralised critics only.

    Raises:
        ValueError: If a level or knob is unknown or out of range.
    """
    if config.engine != "soc":
        raise ValueError(f"engine {config.engine!r} is not of the SOC simulator; train there with hmarl-transfer train")
    if "held_out" in config.knobs:
        raise ValueError("held_out is not a setting of training: held-out networks are kept for reports")
    count = config.num_envs if num_envs is None else num_envs
    with_state = state_size(config) > 0
    return make_vec(num_envs=count, level=config.level, threads=config.threads, with_state=with_state, **config.knobs)


def state_size(config: EnvironmentConfig) -> int:
    """Return the length of the true state that critics see: 0 under the reference rules, where all see the truth."""
    return 0 if config.knobs.get("rules") == "reference" else STATE.size


def make_teacher(config: EnvironmentConfig) -> Policy | None:
    """Make the policy whose advice learners get at first; None for the name "none".

    Raises:
        ValueError: If the simulator has no policy of that name under the rules that are played.
    """
    if config.teacher == "none":
        return None
    try:
        return make_policy(config.teacher, config.knobs.get("rules", "corrected"))
    except ValueError as error:
        raise ValueError(f"setting 'environment.teacher' is wrong: {error}, none") from error


class TrainingGame(NamedTuple):
    """What differs between the games that are trained in."""

    make_env: Callable[[EnvironmentConfig, int], VectorEnv]
    """Given settings and a number of environments; raises ValueError for a wrong setting."""
    make_teacher: Callable[[EnvironmentConfig], Policy | None] = lambda config: None
    """Given settings; returns whose advice learners get, or None; raises ValueError for a wrong one."""
    state_size: Callable[[EnvironmentConfig], int] = lambda config: 0
    """Given settings, the length of the true state that is shown to centralised critics; 0 for none."""
    metrics: tuple[str, ...] = ()
    """What a validation writes beside the score, where the environment has it."""
    validation_envs: int = 64
    """Environments of a validation, at most; changes no result."""


SOC: Final = TrainingGame(make_env, make_teacher, state_size, METRICS, 256)
"""The SOC simulator."""


def make_trainer(
    method: str, config: RunConfig, seed: int, out: str | Path, meter: Meter | None = None, game: TrainingGame = SOC
) -> Trainer:
    """Put a run together without starting it.

    Raises:
        ValueError: If the method or a setting is wrong.
    """
    env = game.make_env(config.environment, config.environment.num_envs)
    teacher = game.make_teacher(config.environment)
    interface = describe(env, game.state_size(config.environment))
    learner = make_learner(method, config.method, interface, env.num_envs, seed, config.trainer.device)
    learner.use_threads(config.trainer.threads)
    episodes = config.trainer.validation_episodes
    kept = game.make_env(config.environment, min(episodes, game.validation_envs))
    metrics = [name for name in game.metrics if isinstance(kept, HasMetrics) and name in kept.metric_names]
    validator = Validator(kept, episodes, metrics)
    return Trainer(env, learner, config, method, interface, seed, out, validator, meter, teacher)


def train(
    method: str,
    config: RunConfig,
    seed: int,
    out: str | Path,
    resume: bool = False,
    meter: Meter | None = None,
    game: TrainingGame = SOC,
) -> Outcome:
    """Train one method with one seed into a run folder.

    Args:
        method: Name of the method.
        config: Settings.
        seed: Of everything that is random in the run.
        out: Run folder; must not hold a run unless ``resume``. What a run left that ended before its first checkpoint
            does not count: it begins anew.
        resume: Go on from the last checkpoint of the folder.
        meter: Shows progress.
        game: What is trained in.

    Raises:
        ValueError: If something given is wrong, the folder holds a run already, or another process writes to it.
        OSError: If the folder cannot be written.
        TrainingDiverged: If a loss is not finite.
    """
    with writing_to(out, resume):
        return run(method, config, seed, out, resume, meter, game)


def run(
    method: str,
    config: RunConfig,
    seed: int,
    out: str | Path,
    resume: bool = False,
    meter: Meter | None = None,
    game: TrainingGame = SOC,
) -> Outcome:
    """Train as :func:`train` does in a folder that is held already."""
    from hmarl_soc.nn.networks import use_one_thread

    use_one_thread()
    trainer = make_trainer(method, config, seed, out, meter, game)
    if resume:
        trainer.resume()
    return trainer.run()


@contextmanager
def writing_to(out: str | Path, resume: bool) -> Iterator[None]:
    """Hold a run folder while a run is begun in it, or gone on with; half-written files in it are removed first.

    Args:
        out: Run folder.
        resume: Whether there must be a checkpoint to go on from; otherwise there must be no run.

    Raises:
        ValueError: If there is none, or one, or another process writes to the folder.
        OSError: If the folder cannot be written.
    """
    out = Path(out)
    if resume and not has_checkpoint(out):
        raise ValueError(f"{out} holds no checkpoint to go on from; start it without --resume")
    with FolderLock(out):
        if not resume and has_checkpoint(out):
            raise ValueError(f"{out} holds a run already; give another folder, or --resume to go on with that one")
        if not resume and (out / "log.jsonl").exists():
            raise ValueError(f"{out} holds a run already, without a checkpoint to go on from; give another folder")
        sweep(out)
        yield


def has_checkpoint(out: Path) -> bool:
    """Tell whether the run in a folder can be gone on with."""
    return (out / LAST / checkpoint.MANIFEST).exists()
