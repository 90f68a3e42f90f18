"""What the tests of the adapters share: a bundle of random but legal numbers, and a stream of observations."""

import numpy as np
import pytest

from adapters.bundle import Bundle
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import LinearMap
from adapters.codec import Codec
from cage4 import actions, spec
from cage4.observations import rich


@pytest.fixture
def bundle():
    generator = np.random.default_rng(1)
    hosts, zones = terms.HOST_TERMS.size, terms.ZONE_TERMS.size
    codec = Codec(np.full(8, 0.1), np.zeros(8), np.full(8, 0.5))
    return Bundle(
        name="test",
        carried={"kind": "scripted", "name": "adaptive"},
        hosts=LinearMap(generator.normal(size=(features.HOST.size, hosts)) / 4, generator.normal(size=hosts) / 4),
        zones=LinearMap(generator.normal(size=(features.ZONE.size, zones)) / 4, generator.normal(size=zones) / 4),
        segment_codec=codec,
        directive_codec=codec._replace(low=np.full(8, -0.5)),
        usual_directive=np.full(8, 0.25),
        provenance={"calibration": {"episodes": 0}},
    )


@pytest.fixture
def stream():
    """Return a function (seed, count, steps) -> observations and masks of each step, hosts fixed within the stream."""

    def steps(seed, count, length):
        generator = np.random.default_rng(seed)
        exists = random_hosts(generator, count)
        return [random_step(generator, count, exists) for _ in range(length)]

    return steps


def random_step(generator, count, exists):
    """Return observations, masks, as an engine could give them: anything may happen, on hosts that exist."""
    observations, masks, full = {}, {}, {}
    for agent, name in enumerate(spec.BLUE_AGENTS):
        flat = generator.integers(0, 2, (count, spec.OBSERVATION_SIZES[agent]))
        flat[:, 0] = generator.integers(0, 3, count)
        vector = generator.integers(0, 2, (count, rich.size(agent))) * (
            generator.random((count, rich.size(agent))) < 0.05
        )
        subnets = len(spec.BLUE_SUBNETS[agent])
        fields = rich.decode(agent, vector)
        number = generator.integers(0, 17 * subnets, count)
        fields = fields._replace(
            success=generator.integers(0, 4, count),
            verb=generator.integers(0, spec.NUM_VERBS + 1, count),
            target_host=np.where(generator.random(count) < 0.5, 1 + number, 0),
            present=np.concatenate(
                [exists[agent].reshape(count, subnets, 16), np.ones((count, subnets, 1), int)], axis=2
            ),
        )
        observations[name] = flat.astype(np.int8)
        full[name] = rich.encode(agent, fields)
        masks[name] = mask_of(agent, exists[agent])
    busy = generator.integers(0, 3, (count, spec.NUM_BLUE))
    return {**observations, "rich": full, "busy": busy}, masks


def random_hosts(generator, count):
    """Return agent -> [count, H] which host slots exist; at least one server per subnet."""
    drawn = []
    for agent in range(spec.NUM_BLUE):
        exists = (generator.random((count, features.num_slots(agent))) < 0.5).astype(int)
        exists[:, ::16] = 1
        drawn.append(exists)
    return drawn


def mask_of(agent, exists):
    slots = actions.SLOT[agent, : spec.NUM_ACTIONS[agent]]
    subnets = actions.SUBNET[agent, : spec.NUM_ACTIONS[agent]]
    mask = np.ones((len(exists), spec.NUM_ACTIONS[agent]), np.int8)
    for index in np.flatnonzero(slots >= 0):
        place = spec.BLUE_SUBNETS[agent].index(spec.Subnet(int(subnets[index])))
        mask[:, index] = exists[:, 16 * place + slots[index]]
    return mask
