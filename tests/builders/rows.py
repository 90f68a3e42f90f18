"""Specs and rows of CC4 runs, made without playing."""

from cage4.spec import Verb
from cage4.variants import get_variant
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness.schema import EvalSpec

PROVENANCE = {"version": "1", "commit": "abc", "tree": None, "policies": {}}


def make_spec(**changes):
    knobs = get_variant("base")
    values = {
        "engine": "native",
        "variant": knobs.id,
        "variant_knobs": knobs.to_dict(),
        "steps": 10,
        "policies": ("no-defense", "random"),
        "episodes": 3,
        "seed": 7,
    }
    return EvalSpec(**{**values, **changes})


def make_record(spec, policy, index):
    rewards = [-1.0 * index] * 8
    phases = (-4.0 * index, -3.0 * index, -1.0 * index)
    return EpisodeRecord(
        policy=policy,
        index=index,
        seed=spec.episode_seeds()[index],
        engine=spec.engine,
        variant=spec.variant,
        score=sum(rewards),
        phase_scores=phases,
        parts=[[[phase if zone == part == 1 else 0.0 for part in range(3)] for zone in range(9)] for phase in phases],
        action_costs=(0.0, 0.0, 0.0),
        length=9,
        actions={verb.cyborg_name: 1 for verb in Verb},
        invalid=0,
        busy=0,
        step_rewards=rewards,
        wall_s=0.5,
    )


def every_record(spec):
    return [make_record(spec, policy, i) for policy in spec.policies for i in range(spec.episodes)]
