"""Lessons for the learned mapper: what the table would do with beliefs that the true state has put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adapters import features, scorer
from adapters.actions import CONFIRMED_ODDS, Mapped, Mapper, MapperConfig, Orders, Situation, TableMapper, belief_at
from adapters.bundle import Bundle
from adapters.scorer import Lessons
from adapters.terms import HOST_TERMS
from cage4 import spec
from cage4.true_state import TrueState
from evaluation import soc_terms
from native_sim.api import Array, Policy

_EVERY = 15
"""Steps between two lessons."""
_BELIEF = HOST_TERMS["belief"].start
_DOUBT = 0.9
"""Share of the threshold of confirmation at which a clean host is believed in at most."""


class Teacher(Mapper):
    """Plays as the table does, and writes down what it would do if it knew better."""

    name = "teacher"

    def __init__(self, config: MapperConfig) -> None:
        self.config = config
        self.truth: TrueState | None = None
        self.history: soc_terms.History | None = None
        self.taught: dict[int, list[Lessons]] = {agent: [] for agent in range(spec.NUM_BLUE)}

    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one action per row."""
        if self.truth is not None and self.history is not None:
            so = soc_terms.host_terms(now.agent, self.truth, self.history, now.known)
            right = corrected(now, so[..., _BELIEF] > 0)
            self.taught[now.agent].append(scorer.lessons(now, right, orders, draws, self.config))
        return TableMapper(self.config)(now, orders, draws)


def corrected(now: Situation, held: Array) -> Array:
    """Return [N, H, 9] terms in which a held host with proof is certain, and a clean one never confirmed."""
    proven = now.known.hosts[..., features.HOST["proof"].start] > 0
    terms: Array = now.terms.copy()
    doubt = np.minimum(terms[..., _BELIEF], _DOUBT * float(belief_at(CONFIRMED_ODDS)))
    terms[..., _BELIEF] = np.where(held & proven, 1.0, np.where(held, terms[..., _BELIEF], doubt))
    return terms


def learn_mapper(bundle: Bundle, carried: Policy, seeds: Sequence[int], steps: int) -> Bundle:
    """Play one episode per seed with the table, and return the bundle with a mapper learned from its lessons."""
    import cage4

    count = len(seeds)
    env = cage4.vector_env("native", num_envs=count, steps=steps, rich=True)
    observations, infos = env.reset(seed=list(seeds))
    policy, teacher = bundle.policy(lambda *_: carried), Teacher(bundle.mapper)
    policy.mapper = teacher
    memory, history = policy.initial_memory(count), soc_terms.new_history(count)
    generators = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,)))) for seed in seeds]
    for step in range(spec.episode_length(steps)):
        truth = env.true_state(np.arange(count))  # type: ignore[attr-defined]
        soc_terms.remember(truth, history)
        teacher.truth, teacher.history = (truth, history) if step % _EVERY == 0 else (None, None)
        draws = np.stack([generator.random((spec.NUM_BLUE, policy.draws_per_agent)) for generator in generators])
        shown = {**observations, **{name: infos[name] for name in policy.wants}}
        decision = policy.act(shown, infos["action_mask"], memory, draws)
        memory = decision.memory
        batch = env.step(decision.actions, decision.messages)
        observations, infos = batch.observations, batch.infos
    few = [one for agent in range(spec.NUM_BLUE - 1) for one in teacher.taught[agent]]
    taught = [_join(few), _join(teacher.taught[spec.NUM_BLUE - 1])]
    return replace(bundle, mapper_weights=scorer.fit_scorer(taught))


def _join(lessons: Sequence[Lessons]) -> Lessons:
    return Lessons(*(np.concatenate(column) for column in zip(*lessons, strict=True)))
