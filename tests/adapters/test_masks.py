"""No mapper plays what the mask forbids, whatever it is shown and whatever the roles answer: a million times each."""

from pathlib import Path

import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.mapper_linear import SIZE, LinearMapper
from adapters.cc4.mapper_table import DRAWS, NOT_VALID, MapperConfig, Orders, Situation, TableMapper
from cage4 import actions, spec
from cage4.observations import flat as observation
from cage4.observations import rich
from native_sim.api import Decision, Policy
from native_sim.soc import spec as soc

DECISIONS = 1_000_000
ROWS = 500
"""Situations that are made at once."""


def wild(generator, *shape):
    """Return numbers of which a third lie within 0 and 1, a third around it, and a third far beyond."""
    scale = generator.choice((1.0, 3.0, 1e6), shape)
    return np.where(scale == 1.0, generator.random(shape), scale * generator.normal(size=shape))


def random_mask(generator, agent):
    """Return [ROWS, U]: every row allows another share of the commands, from none to all; Monitor and Sleep always."""
    share = generator.choice((0.0, 0.02, 0.5, 0.98, 1.0), (ROWS, 1))
    mask = (generator.random((ROWS, spec.NUM_ACTIONS[agent])) < share).astype(np.int8)
    mask[:, [actions.MONITOR[agent], actions.SLEEP[agent]]] = 1
    return mask


def random_situation(generator, agent):
    """Return what no engine would show: beliefs, hosts, alerts, blocks and mask have nothing to do with each other."""
    slots, subnets = features.num_slots(agent), len(spec.BLUE_SUBNETS[agent])
    something = generator.random((ROWS, slots, features.HOST.size)) < 0.7  # the table asks where there is nothing
    known = features.Features(
        (wild(generator, ROWS, slots, features.HOST.size) * something).astype(np.float32),
        wild(generator, ROWS, features.ZONE.size).astype(np.float32),
        generator.random((ROWS, slots)) < generator.choice((0.0, 0.5, 1.0), (ROWS, 1)),
        generator.random((ROWS, slots)) < 0.5,
    )
    traffic = generator.integers(0, 2, (2, ROWS, subnets, spec.NUM_SUBNETS))
    blocked, forbidden = traffic * (generator.random((ROWS, 1, 1)) < 0.2)  # elsewhere there is nothing to put right
    return Situation(
        agent,
        known,
        wild(generator, ROWS, slots, terms.HOST_TERMS.size),
        generator.integers(-1, slots, ROWS),
        blocked,
        forbidden,
        generator.random(ROWS) < 0.9,
        random_mask(generator, agent),
    )


def random_orders(generator):
    levels = (wild(generator, ROWS) for _ in range(7))
    return Orders(wild(generator, ROWS, 8).clip(-100, 100), *levels, triage=generator.integers(-1, 4, ROWS))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "learned"])
def test_a_mapper_never_plays_what_the_mask_forbids(kind):
    generator = np.random.default_rng(11)
    verbs, refused = np.zeros(spec.NUM_VERBS, int), 0
    for number in range(DECISIONS // ROWS):
        agent = number % spec.NUM_BLUE
        config = MapperConfig(*generator.random(2))
        table = kind == "table"
        mapper = TableMapper(config) if table else LinearMapper(config, generator.normal(size=SIZE))
        now = random_situation(generator, agent)
        mapped = mapper(now, random_orders(generator), generator.random((ROWS, DRAWS)))
        assert np.take_along_axis(now.mask, mapped.action[:, None], axis=1).all(), (agent, number)
        assert (mapped.action[~now.free] == actions.SLEEP[agent]).all(), (agent, number)
        verbs += np.bincount(actions.VERB[agent, mapped.action], minlength=spec.NUM_VERBS)
        refused += (mapped.fallback == NOT_VALID).sum()
    assert verbs.sum() == DECISIONS and (verbs > DECISIONS // 1000).all(), dict(zip(spec.Verb, verbs, strict=True))
    assert refused > DECISIONS // 100  # the mask did stand in the way


class Erratic(Policy):
    """Answers at random, far beyond the range of a role's outputs; its coordinator sometimes says nothing."""

    def __init__(self, generator):
        self.generator = generator

    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        count = len(obs["triage"])
        sizes = zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)
        outputs = {role: wild(self.generator, count, size) for role, size in sizes}
        outputs["coordinator"][self.generator.random(outputs["coordinator"].shape) < 0.1] = np.nan
        outputs["triage"] = self.generator.integers(0, soc.ACTION_SIZES[soc.AGENTS.index("triage")], count)
        return Decision(outputs, None)


def random_vector(generator, layout, dtype):
    """Return [ROWS, F] anywhere within the layout: mostly nothing, else any value, its largest ones included."""
    high = np.concatenate([np.full(field.size, field.high) for field in layout]).astype(np.int64)
    shape = ROWS, len(high)
    value = np.where(generator.random(shape) < 0.5, generator.integers(0, high + 1, shape), high)
    some = generator.random(shape) < generator.choice((0.01, 0.1, 0.9), (ROWS, 1))
    return (value * some).astype(dtype)


def random_rich(generator):
    """Return agent -> [ROWS, F]; an agent's commands go to hosts of its own subnets, of which the header knows none."""
    vectors = {}
    for agent, name in enumerate(spec.BLUE_AGENTS):
        vectors[name] = random_vector(generator, rich.layout(agent), rich.DTYPE)
        target = vectors[name][:, rich.HEADER["target_host"].start]
        target %= 1 + rich.HOST_SLOTS * len(spec.BLUE_SUBNETS[agent])
    return vectors


@pytest.mark.slow
def test_a_carried_policy_never_plays_what_the_mask_forbids(bundle):
    generator = np.random.default_rng(12)
    policy = bundle.policy(lambda described, folder: Erratic(generator), Path())
    memory, verbs = policy.initial_memory(ROWS), np.zeros(spec.NUM_VERBS, int)
    for number in range(DECISIONS // ROWS // spec.NUM_BLUE):
        obs, mask = {}, {}
        for agent, name in enumerate(spec.BLUE_AGENTS):
            obs[name] = random_vector(generator, observation.layout(agent), np.int8)
            mask[name] = random_mask(generator, agent)
        obs |= {"rich": random_rich(generator), "busy": generator.integers(-1, 5, (ROWS, spec.NUM_BLUE)).clip(0)}
        draws = generator.random((ROWS, spec.NUM_BLUE, policy.draws_per_agent))
        chosen, memory, _ = policy.act(obs, mask, memory, draws)
        for agent, name in enumerate(spec.BLUE_AGENTS):
            assert np.take_along_axis(mask[name], chosen[name][:, None], axis=1).all(), (name, number)
            verbs += np.bincount(actions.VERB[agent, chosen[name]], minlength=spec.NUM_VERBS)
        if number % 20 == 19:
            memory = policy.initial_memory(ROWS)
    assert verbs.sum() == DECISIONS and (verbs > 0).all(), dict(zip(spec.Verb, verbs, strict=True))
