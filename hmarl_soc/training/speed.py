"""How fast training and deciding are on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from hmarl_soc.config import RunConfig
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.learner import Hierarchy
from hmarl_soc.nn.networks import use_one_thread
from hmarl_soc.training.runs import make_trainer
from hmarl_soc.training.trainer import Trainer
from hmarl_soc.tuned import complete
from native_sim.api import Policy

EPISODE_STEPS = 130
"""Steps of an average episode at the default level, to turn episodes into steps."""
_PLACES: Final = {"cpu": {"one thread": 1, "two threads": 2}, "cuda": {"GPU": 1}}
"""Device -> where learning is measured on it -> threads."""


@dataclass(frozen=True)
class Seconds:
    """What a call takes on average."""

    wall: float  # on the clock: what a user waits, other programs included
    cpu: float  # of this process alone: what an idle machine would take

    def plus(self, other: Seconds) -> Seconds:
        """Return the sums."""
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def times(self, factor: float) -> Seconds:
        """Return both multiplied."""
        return Seconds(self.wall * factor, self.cpu * factor)

    def rate(self, count: float = 1.0) -> Seconds:
        """Return how often per second, if a call does it ``count`` times."""
        return Seconds(count / self.wall, count / self.cpu)


def measure(seconds: float) -> list[dict[str, Any]]:
    """Measure the settings that ``train`` starts from, each subject for some seconds.

    Learning is measured on one thread, on two, and on a GPU if there is one.

    Returns:
        Rows of {"what", "unit", "wall", "cpu"}. The time of a run of 10,000 episodes is put together from the times of
        a vector step, of a joint gradient step, and of what coordinator and potential learn; validations and
        checkpoints are left out.
    """
    use_one_thread()
    config = complete(HmarlConfig, {})
    envs, ratio = config.environment.num_envs, float(config.method.to_dict()["updates_per_step"])
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    trainers = {device: _make_trainer(config, device) for device in devices}
    rows, runs = [], {}
    for device, trainer in trainers.items():
        learner, step = trainer.learner, partial(_step, trainer)
        assert isinstance(learner, Hierarchy)
        wait = torch.cuda.synchronize if device == "cuda" else None
        vector_step, rest = _time(step, seconds, wait), _on_policy(learner, step)
        if device == "cpu":
            rows.append(("environment steps without learning", "per second", vector_step.rate(envs)))
        for where, threads in _PLACES[device].items():
            learner.use_threads(threads)
            update = _time(learner.learn, seconds, wait)
            run = vector_step.times(1.0 / envs).plus(update.times(ratio)).plus(rest).times(10_000 * EPISODE_STEPS / 60)
            rows += [
                (f"joint gradient steps (hunter, triage, responder), {where}", "per second", update.rate()),
                (f"10,000 episodes at {ratio:g} gradient steps per environment step, {where}", "minutes", run),
            ]
            runs[where] = run
    if "GPU" in runs:
        alone, gpu = runs["one thread"], runs["GPU"]
        faster = Seconds(alone.wall / gpu.wall, alone.cpu / gpu.cpu)
        rows.append(("10,000 episodes, GPU against one thread", "times as fast", faster))
    policy, observations = trainers["cpu"].learner.policy(), trainers["cpu"].field.seen().observations
    for count in (1, 256):
        each = _time(_deciding(policy, observations, count), seconds).times(1e6 / count)
        rows.append((f"decision of the whole hierarchy, {count} at once", "µs per environment", each))
    return [{"what": what, "unit": unit, "wall": value.wall, "cpu": value.cpu} for what, unit, value in rows]


def _make_trainer(config: RunConfig, device: str) -> Trainer:
    """Return what trains on a device; it writes nothing."""
    trainer = config.trainer.model_copy(update={"device": device})
    with tempfile.TemporaryDirectory() as folder:
        return make_trainer("hmarl-soc", config.model_copy(update={"trainer": trainer}), 0, folder)


def _step(trainer: Trainer) -> None:
    """Take a step in all environments, kept but not learned from."""
    taken = trainer.field.step(trainer.learner.act(trainer.field.seen()))
    trainer.learner.observe(taken)
    trainer.field.restart(taken)


def _on_policy(learner: Hierarchy, step: Callable[[], None]) -> Seconds:
    """Return the time per environment step that coordinator and potential learn, over a rollout of the former."""
    learner.coordinator.update(learner.pull_of("coordinator"))  # the first rollouts are not learned from
    learner.potential.update()
    taken, spent, learned = 0, Seconds(0.0, 0.0), False
    while not learned:
        step()
        taken += learner.num_envs
        wall, cpu = time.perf_counter(), time.process_time()
        learned = bool(learner.coordinator.update(learner.pull_of("coordinator")))
        learner.potential.update()
        spent = spent.plus(Seconds(time.perf_counter() - wall, time.process_time() - cpu))
    return spent.times(1.0 / taken)


def _deciding(policy: Policy, observations: Any, count: int) -> Callable[[], None]:
    """Return a call that decides once for ``count`` environments."""
    seen = {name: np.resize(value, (count, value.shape[1])) for name, value in observations.items()}
    masks: dict[str, Any] = {}
    draws = np.zeros((count, len(seen), 0))
    memory = [policy.initial_memory(count)]

    def decide() -> None:
        memory[0] = policy.act(seen, masks, memory[0], draws).memory

    return decide


def _time(call: Callable[[], object], seconds: float, wait: Callable[[], object] | None = None) -> Seconds:
    """Time a call, on average after three that do not count; ``wait`` returns when what it started is done."""

    def whole() -> None:
        call()
        if wait is not None:
            wait()

    for _ in range(3):
        whole()
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds or calls == 0:
        whole()
        calls += 1
    return Seconds((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)
