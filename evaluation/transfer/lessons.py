"""Lessons for the learned mapper: what the table does on episodes of CC4. No reward is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from adapters.bundle import Bundle
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4.mapper_linear import Lessons
from adapters.cc4.mapper_table import Mapped, Mapper, MapperConfig, Orders, Situation, TableMapper
from cage4 import spec
from native_sim.api import Array, Policy
from native_sim.rollout import Episode, Rollout

_EVERY: Final = 2
"""Steps between two lessons: a wrong block is lifted within a few steps of a new mission, and never again."""


class Teacher(Mapper):
    """Plays as the table does, and writes down what it did, every other step."""

    name = "teacher"

    def __init__(self, config: MapperConfig) -> None:
        self.config = config
        self.step = 0
        self.taught: dict[int, list[Lessons]] = {agent: [] for agent in range(spec.NUM_BLUE)}

    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one action per row."""
        mapped = TableMapper(self.config)(now, orders, draws)
        if self.step % _EVERY == 0:
            self.taught[now.agent].append(scorer.lessons(now, orders, mapped.action, self.config))
        return mapped


def learn_mapper(bundle: Bundle, carried: Policy, seeds: Sequence[int], steps: int) -> Bundle:
    """Play one episode per seed with the table, and return the bundle with a mapper that draws as the table does."""
    import cage4

    env = cage4.vector_env("native", num_envs=len(seeds), steps=steps, rich=True)
    policy, teacher = bundle.policy(lambda *_: carried), Teacher(bundle.mapper)
    policy.mapper = teacher
    rollout = Rollout(env, policy, [Episode(i, seed) for i, seed in enumerate(seeds)])
    for teacher.step in range(spec.episode_length(steps)):
        rollout.step()
    few = [one for agent in range(spec.NUM_BLUE - 1) for one in teacher.taught[agent]]
    taught = [_join(few), _join(teacher.taught[spec.NUM_BLUE - 1])]
    drawing = replace(bundle.mapper, temperature=1.0)
    return replace(bundle, mapper=drawing, mapper_weights=scorer.fit_scorer(taught))


def _join(lessons: Sequence[Lessons]) -> Lessons:
    return Lessons(*(np.concatenate(column) for column in zip(*lessons, strict=True)))
