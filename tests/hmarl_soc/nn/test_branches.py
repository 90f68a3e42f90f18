"""The networks of the baselines: monotonic mixing, sharing, and the running scale."""

import numpy as np
import pytest

from hmarl_soc.nn.normalise import Moments

torch = pytest.importorskip("torch")
from hmarl_soc.nn.branches import AgentNets, Mixer  # noqa: E402


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_team_value_never_falls_when_a_utility_rises():
    mixer = Mixer(num_branches=5, state_size=3, width=8, generator=generator())
    utilities = torch.randn(200, 5, generator=generator(1), requires_grad=True)
    mixer(utilities, torch.randn(200, 3, generator=generator(2))).sum().backward()
    assert (utilities.grad >= 0).all() and (utilities.grad > 0).any()


def test_team_value_depends_on_the_state():
    mixer = Mixer(num_branches=5, state_size=3, width=8, generator=generator())
    values = mixer(torch.ones(50, 5), torch.randn(50, 3, generator=generator(2)))
    assert values.std() > 0.1


def test_sharing_agents_differ_only_in_who_they_are():
    nets = AgentNets([slice(0, 2), slice(2, 4), slice(4, 7)], [3, 3, 3], 16, 1.0, generator())
    assert len(nets.bodies) == 2
    seen = torch.ones(1, 7)
    first, second, _ = nets(seen)
    assert not torch.equal(first, second)
    with torch.no_grad():
        nets.bodies[0].first.weight[:, 2:] = 0.0  # it is no longer told who it speaks for
    first, second, _ = nets(seen)
    assert torch.equal(first, second)


def test_running_moments_are_those_of_everything_seen():
    values = np.random.default_rng(0).normal(3.0, 2.0, (500, 4))
    moments = Moments(4)
    for part in np.split(values, [1, 7, 300]):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0))
    np.testing.assert_allclose(moments.variance, values.var(axis=0))
    scaled = moments.scale(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, atol=1e-6)


def test_first_change_of_a_constant_does_not_explode():
    moments = Moments(1)
    moments.add(np.full((1000, 1), 0.5))
    assert moments.scale(np.array([[1.5]])) == 1.0
