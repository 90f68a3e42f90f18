"""THE loop: environments play, a learner learns, now and then it is validated and everything is saved.

The trainer knows no simulator and no method: it is given a ``VectorEnv`` and a ``Learner``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import Checkpoint
from hmarl_soc.config import RunConfig
from hmarl_soc.interface import Interface
from hmarl_soc.learner import Learner, State
from hmarl_soc.nn.averaging import Average
from hmarl_soc.training.playing import Field
from hmarl_soc.training.progress import Log, Meter, Quiet, StopSwitch
from native_sim.api import Exportable, Policy, VectorEnv
from native_sim.names import shortened

Validate = Callable[[Policy], Mapping[str, float]]
"""Plays a greedy policy on networks kept for this and returns metrics, "score" (more is better) among them."""


_PER_WINDOW: Final = 20
"""How often the average of weights takes them in within its longest window."""


class TrainingDiverged(RuntimeError):
    """A loss is no longer a number; the message says which, when, and what is kept."""


class Outcome(NamedTuple):
    """How a run ended."""

    steps: int
    episodes: int
    best_score: float  # of the best validation, minus infinity if there was none
    interrupted: bool


class Trainer:
    """Trains one learner in one vector environment, and writes ``out/``.

    ``out/log.jsonl`` grows with the run; ``out/last`` is the checkpoint to resume from; ``out/best`` holds the weights
    of the best validation.

    Args:
        env: Environments whose rows are reset by hand.
        learner: What learns.
        config: Settings of the whole run; saved with every checkpoint.
        method: Name of the method, saved likewise.
        interface: Of the environment, saved likewise.
        seed: Episode seeds and nothing else come from it here; the learner has its own generators.
        out: Run folder.
        validate: See :data:`Validate`; None for no validation.
        meter: Shows progress.
        teacher: Whose advice the learner gets with what it sees, or None.
        validate_first: Whether to validate before the first step too: what is tuned may be best as it was.
    """

    def __init__(
        self,
        env: VectorEnv,
        learner: Learner,
        config: RunConfig,
        method: str,
        interface: Interface,
        seed: int,
        out: str | Path,
        validate: Validate | None = None,
        meter: Meter | None = None,
        teacher: Policy | None = None,
        validate_first: bool = False,
    ) -> None:
        self.learner, self.config, self.method, self.interface = learner, config, method, interface
        self.seed, self.out, self.validate = seed, Path(out), validate
        self.field = Field(env, seed, teacher)
        self.meter = meter or Quiet()
        self.log = Log(self.out / "log.jsonl", config.trainer.tensorboard)
        self.validate_first = validate_first
        self.steps = 0  # environment steps, all rows counted
        self.best_score = -math.inf
        window = config.trainer.averaging
        self._average_every = -(-window // _PER_WINDOW)  # environment steps; 0: no average
        self._average = Average(window / max(1, self._average_every))
        self._spent = 0.0  # seconds, earlier sittings included

    def run(self) -> Outcome:
        """Train until the configured number of steps, or until Ctrl-C; both end with a full checkpoint.

        A run shorter than the steps between two validations is validated at its end. That is done anew when such a
        run is gone on with: the checkpoint is of before, as if the run had been longer all along.

        Raises:
            TrainingDiverged: If a loss is not finite; the last checkpoint stays as it was.
            OSError: If something cannot be written, for lack of space for example.
        """
        settings = self.config.trainer
        started = time.perf_counter() - self._spent
        seen = self.field.seen()
        with StopSwitch() as stop, self.meter:
            self.meter.move(self.steps, settings.steps)
            if self.steps == 0:
                self.save()  # before anything else, so that the run can be gone on with whenever it ends
                if self.validate_first and self.validate is not None:
                    self._validate()
            while self.steps < settings.steps and not stop.pressed:
                actions = self.learner.act(seen)
                step = self.field.step(actions)
                self.learner.observe(step)
                before, self.steps = self.steps, self.steps + len(step.rewards)
                self.meter.move(self.steps, settings.steps)
                self.log.add(self._update())
                if self._average_every and _passed(before, self.steps, self._average_every):
                    self._take_in()
                self._spent = time.perf_counter() - started
                seen = self.field.restart(step)
                if _passed(before, self.steps, settings.log_every):
                    self._write_log()
                if self.validate is not None and _passed(before, self.steps, settings.validate_every):
                    self._validate()
                if _passed(before, self.steps, settings.save_every):
                    self.save()
            self.save()
            if self.validate is not None and self.best_score == -math.inf and not stop.pressed:
                self._validate()
        return Outcome(self.steps, self.field.finished, self.best_score, stop.pressed)

    def save(self) -> None:
        """Write the checkpoint that :meth:`resume` goes on from."""
        checkpoint.save(self.out / "last", self._checkpoint("training", self.state_dict()))

    def resume(self) -> None:
        """Go on from ``out/last``, exactly where it was written; later lines of the log are dropped.

        Raises:
            CheckpointError: If there is none, it is damaged, or it belongs to another method, layout or configuration.
        """
        saved = checkpoint.load(self.out / "last", "training")
        own = self._checkpoint("training", {})
        for name in ("method", "interface", "config"):
            given, here = getattr(saved, name), getattr(own, name)
            if name == "config":
                given, here = _that_matters(given), _that_matters(here)
            if given != here:
                raise checkpoint.CheckpointError(
                    f"checkpoint {self.out / 'last'} is of another {name}: {_difference(given, here)}; "
                    "train into another folder or restore the setting"
                )
        if saved.state.get("seed") != self.seed:
            raise checkpoint.CheckpointError(
                f"checkpoint {self.out / 'last'} is of seed {saved.state.get('seed')}, not {self.seed}"
            )
        try:
            self.load_state_dict(saved.state)
        except checkpoint.MISFITS as error:
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise checkpoint.CheckpointError(
                f"checkpoint {self.out / 'last'} is damaged, or of another version ({what}); train into another folder"
            ) from error

    def state_dict(self) -> State:
        """Return all that decides how the run goes on."""
        return {
            "seed": self.seed,
            "steps": self.steps,
            "best_score": self.best_score if math.isfinite(self.best_score) else None,
            "spent_s": self._spent,
            "average": self._average.state_dict(),
            "log": self.log.state_dict(),
            "field": self.field.state_dict(),
            "learner": self.learner.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the running episodes are played again up to where they were."""
        self.learner.load_state_dict(state["learner"])
        self.field.load_state_dict(state["field"])
        self._average.load_state_dict(state["average"])
        self.steps, self._spent = int(state["steps"]), float(state["spent_s"])
        self.best_score = -math.inf if state["best_score"] is None else float(state["best_score"])
        self.log.load_state_dict(state["log"])  # last: it drops lines, which stay if anything above does not fit

    def _checkpoint(self, kind: str, state: State) -> Checkpoint:
        config = self.config.to_dict()
        return Checkpoint(kind, self.method, self.interface.to_dict(), config, dict(state))

    def _update(self) -> dict[str, float]:
        """Let the learner learn, and stop when its numbers are no numbers."""
        try:
            metrics = self.learner.update()
        except FloatingPointError as error:
            raise TrainingDiverged(self._diagnosis(str(error))) from error
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise TrainingDiverged(self._diagnosis(f"{name} became {value}"))
        return metrics

    def _diagnosis(self, what: str) -> str:
        saved = (self.out / "last" / checkpoint.MANIFEST).exists()
        kept = f"{self.out / 'last'} keeps the last good checkpoint" if saved else "nothing was saved yet"
        advice = "lower the learning rate or the reward scale"
        return f"{what} after {self.steps} environment steps; {kept}; {advice}"

    def _write_log(self) -> None:
        line = {"kind": "train", "steps": self.steps, "seconds": round(self._spent, 1), **self.field.summary()}
        self.log.write(line | self.log.means())
        self.meter.show(self.steps, self.config.trainer.steps, line)

    def _take_in(self) -> None:
        policy = self.learner.policy()
        if isinstance(policy, Exportable):
            self._average.add(policy.weights())

    def _policy(self) -> Policy:
        """Return the greedy policy to validate and save: with averaged weights, if there are any."""
        policy = self.learner.policy()
        if self._average.count and isinstance(policy, Exportable):
            return policy.with_weights(self._average.arrays(policy.weights()))
        return policy

    def _validate(self) -> None:
        policy = self._policy()
        self.meter.name("validating")
        metrics = dict(self.validate(policy)) if self.validate is not None else {}
        self.meter.name("")
        self.log.write({"kind": "validation", "steps": self.steps, **metrics})
        if metrics["score"] > self.best_score:
            self.best_score = metrics["score"]
            if isinstance(policy, Exportable):
                weights = {"steps": self.steps, "score": self.best_score, "arrays": dict(policy.weights())}
                checkpoint.save(self.out / "best", self._checkpoint("weights", weights))


def _passed(before: int, after: int, every: int) -> bool:
    """Tell whether a multiple of ``every`` lies in (before, after]."""
    return before // every < after // every


_FREE = ("steps", "device", "threads", "tensorboard")
"""Settings of the trainer that may change when a run is resumed."""


def _that_matters(config: Mapping[str, Any]) -> dict[str, Any]:
    given = config.get("trainer")
    if not isinstance(given, Mapping):  # of a damaged checkpoint
        return dict(config)
    return {**config, "trainer": {name: value for name, value in given.items() if name not in _FREE}}


def _difference(given: Any, here: Any, path: str = "") -> str:
    """Name the first place where two nested values differ."""
    if isinstance(given, Mapping) and isinstance(here, Mapping):
        for key in {**given, **here}:
            if given.get(key) != here.get(key):
                return _difference(given.get(key), here.get(key), f"{path}.{key}" if path else str(key))
    return f"{path or 'it'} is {shortened(repr(given))} there and {shortened(repr(here))} here"
