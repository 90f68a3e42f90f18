"""Synthetic rows of an evaluation: seeded, and consistent with themselves (parts add up to the score)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cage4 import spec as cc4
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness.schema import EvalSpec

MEANS = {"no-defense": -900.0, "random": -600.0, "ops-only": -300.0, "full": -180.0}


def make_spec(policies: Sequence[str] = ("no-defense", "full"), **changes: Any) -> EvalSpec:
    fields: dict[str, Any] = {
        "engine": "native",
        "variant": "base-v1",
        "variant_knobs": {},
        "steps": 500,
        "episodes": 20,
        "seed": 7,
        "policies": tuple(policies),
    }
    return EvalSpec(**{**fields, **changes})


def make_record(spec: EvalSpec, policy: str, index: int, mean: float = -300.0, spread: float = 0.25) -> EpisodeRecord:
    """Return one episode whose reward falls on random steps, subnets and parts, and adds up exactly."""
    name = [ord(letter) for letter in policy]
    rng = np.random.default_rng([spec.episode_seeds()[index], *name])
    counted = spec.steps - 2
    losses = max(0, round(-mean * rng.lognormal(-(spread**2) / 2, spread)))
    decisions = 5 * (spec.steps - 1)
    monitors = min(20, decisions // 2)
    restores = min(int(rng.integers(0, losses // 10 + 1)), decisions // 4)
    step_rewards = np.zeros(counted)
    parts = np.zeros((cc4.NUM_PHASES, cc4.NUM_SUBNETS, cc4.NUM_REWARD_PARTS))
    costs = np.zeros(cc4.NUM_PHASES)
    zones = rng.dirichlet(np.full(cc4.NUM_SUBNETS, 0.8))
    phases = np.array([cc4.phase_of_step(step, spec.steps) for step in range(counted)])
    steps = (counted * rng.beta(1.6, 1.0, losses)).astype(int)
    np.add.at(step_rewards, steps, -1)
    np.add.at(costs, phases[steps[:restores]], -1)
    others = phases[steps[restores:]]
    zone = rng.choice(cc4.NUM_SUBNETS, len(others), p=zones)
    part = rng.choice(cc4.NUM_REWARD_PARTS, len(others), p=(0.55, 0.35, 0.1))
    np.add.at(parts, (others, zone, part), -1)
    by_phase = np.bincount(phases, weights=step_rewards, minlength=3)
    return EpisodeRecord(
        policy=policy,
        index=index,
        seed=spec.episode_seeds()[index],
        engine=spec.engine,
        variant=spec.variant,
        score=float(step_rewards.sum()),
        phase_scores=tuple(by_phase.tolist()),
        parts=parts.tolist(),
        action_costs=tuple(costs.tolist()),
        length=spec.steps - 1,
        actions={"Sleep": decisions - restores - monitors, "Monitor": monitors, "Restore": restores},
        invalid=int(rng.integers(0, 5)),
        busy=int(rng.integers(0, 50)),
        fallbacks={},
        step_rewards=step_rewards.tolist(),
        wall_s=float(rng.random()),
    )


def make_records(spec: EvalSpec, means: dict[str, float] | None = None) -> list[EpisodeRecord]:
    known = {**MEANS, **(means or {})}
    return [
        make_record(spec, policy, index, known.get(policy, -300.0))
        for policy in spec.policies
        for index in range(spec.episodes)
    ]


def with_scores(record: EpisodeRecord, score: float) -> EpisodeRecord:
    """Return the record with another score, for hand-worked cases (the steps then no longer add up to it)."""
    return record.model_copy(update={"score": score})
