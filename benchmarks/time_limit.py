"""What do value targets on CC4 come to under each meaning of its time limit?

A method learns for some batches of whole episodes on the base task. The value targets of its next batch are then made
three times by the same networks: by the flags that the engine sets, as learners read them before environments declared
what their limit is; by what CC4 declares; and as if it declared an interruption, from which learners bootstrap.

    python benchmarks/time_limit.py
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import cage4
from adapters.bundle import load_bundle
from adapters.cc4.environment import CarriedEnv
from cage4 import spec
from evaluation.transfer.carried import bundle_folder, make_carried
from hmarl_soc.finetuning.learner import FinetuneConfig, Finetuner
from hmarl_soc.interface import describe
from hmarl_soc.nn.networks import use_one_thread
from hmarl_soc.registry import config_class, make_learner
from hmarl_soc.training.playing import Field
from native_sim.api import Array, VectorEnv

ENVS = 8
LENGTH = spec.episode_length(spec.DEFAULT_STEPS)
BATCH = ENVS * LENGTH
LAST = 100
"""Steps before the end that a column of the table is about."""


def ppo(method: str) -> tuple[Any, VectorEnv]:
    """Return a method of PPO on the flat observations of CC4."""
    env = cage4.vector_env("native", num_envs=ENVS)
    config = config_class(method).model_validate(
        {"network": {"attention": False}, "reward_scale": 0.01, "rollout": BATCH, "minibatch": 1_024, "epochs": 4}
    )
    return make_learner(method, config, describe(env), ENVS, 0), env


def finetuner() -> tuple[Any, VectorEnv]:
    """Return the fine-tuning of the tuned bundle that ships with the package."""
    folder = bundle_folder("hmarl-soc-tuned")
    bundle = load_bundle(folder)
    env = CarriedEnv(cage4.vector_env("native", num_envs=ENVS, rich=True), bundle.carrier(), bundle.mapper)
    carried: Any = make_carried(bundle.carried, folder)
    config = FinetuneConfig(rollout=BATCH, value_first=0)
    assert bundle.mapper_weights is not None
    return Finetuner(config, describe(env), ENVS, 0, carried, bundle.mapper_weights), env


def compare(learner: Any, env: VectorEnv, batches: int) -> list[Array]:
    """Return the value targets [T, E, values] of the batch after some, under the three meanings."""
    flags: list[Array] = []
    plain = env.step

    def watched(*given: Any, **named: Any) -> Any:
        batch = plain(*given, **named)
        flags.append(batch.terminations)
        return batch

    env.step = watched  # type: ignore[method-assign]
    field = Field(env, 0)
    for number in range(LENGTH * (batches + 1)):
        step = field.step(learner.act(field.seen()))
        learner.observe(step)
        if number < LENGTH * batches:
            learner.update()
        field.restart(step)
    grid, filled = learner._rollout.take()
    tuning = isinstance(learner, Finetuner)
    name = "final" if tuning else "terminated"
    found = []
    for final in (np.stack(flags[-LENGTH:]), grid[name], np.zeros_like(grid[name])):
        given = {**grid, name: final}
        made = learner._prepare(given) if tuning else learner._prepare(given, filled)
        found.append(made["targets"].cpu().numpy().reshape(LENGTH, ENVS, -1).mean(axis=2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10)
    batches = parser.parse_args().batches
    use_one_thread()
    print(f"| method | value targets | last step | last {LAST} steps | all steps | largest difference to before |")
    print("|:--|:--|--:|--:|--:|--:|")
    for method, (learner, env) in (("ippo", ppo("ippo")), ("mappo", ppo("mappo")), ("finetune", finetuner())):
        found = compare(learner, env, batches)
        for told, each in zip(("before: flags", "now: declared", "if truncated"), found, strict=True):
            means = (each[-1].mean(), each[-LAST:].mean(), each.mean(), np.abs(each - found[0]).max())
            print(f"| {method} | {told} | " + " | ".join(f"{value:.3f}" for value in means) + " |")


if __name__ == "__main__":
    main()
