"""The shared step of PPO, against the formula written out, and the state of optimisers as copies."""

import ast
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hmarl_soc
from hmarl_soc.nn.parts import load_optimiser, optimiser_state
from hmarl_soc.nn.ppo import improve, standardised

SETTINGS = SimpleNamespace(clip=0.2, entropy=0.5, gradient_norm=1e9)


def step(extra=None):
    """Take a step of plain descent from log-probabilities that moved by 0, 0.1, 0.5 and -0.5."""
    old = torch.log(torch.tensor([0.5, 0.4, 0.3, 0.2], dtype=torch.float64))
    now = (old + torch.tensor([0.0, 0.1, 0.5, -0.5], dtype=torch.float64)).requires_grad_()
    descent = torch.optim.SGD([now], lr=1.0)
    before = now.detach().clone()
    gains = torch.tensor([1.0, -1.0, 2.0, 3.0], dtype=torch.float64)
    found = improve(descent, now, old, gains, (now * now).mean(), SETTINGS, None if extra is None else extra(now))
    return found, before, (before - now.detach()).numpy()


def test_the_loss_is_the_clipped_surrogate_and_the_gradient_its_own():
    found, before, moved = step()
    ratios = np.exp([0.0, 0.1, 0.5, -0.5])
    gains = np.array([1.0, -1.0, 2.0, 3.0])
    assert found.policy_loss == pytest.approx(-np.minimum(ratios * gains, ratios.clip(0.8, 1.2) * gains).mean())
    assert found.entropy == pytest.approx((before**2).mean().item())
    assert found.clipped == 0.5  # the last two
    counts = np.array([1, 1, 0, 1])  # the third gains nothing by moving on
    slope = -counts * ratios * gains / 4 - SETTINGS.entropy * 2 * before.numpy() / 4
    assert np.allclose(moved, slope)


def test_another_loss_is_added():
    (plain, _, one), (found, _, both) = step(), step(lambda now: 3.0 * now.sum())
    assert found == plain and np.allclose(both - one, 3.0)


def test_a_gradient_that_is_not_finite_changes_nothing():
    with pytest.raises(FloatingPointError, match="a gradient became"):
        step(lambda now: now.sum() * float("nan"))


def test_advantages_are_scaled_per_column():
    gains = np.random.default_rng(0).normal(3.0, [1.0, 50.0], (100, 2))
    assert np.allclose(standardised(gains).mean(axis=0), 0.0) and np.allclose(standardised(gains).std(axis=0), 1.0)
    one = gains[:, 0].copy()
    assert np.array_equal(standardised(one), (one - one.mean()) / (one.std() + 1e-8))
    assert np.array_equal(standardised(np.ones(5)), np.zeros(5))


def test_the_state_of_an_optimiser_is_a_copy_on_both_ways():
    def make():
        weight = torch.nn.Parameter(torch.ones(3))
        return weight, torch.optim.Adam([weight], lr=0.1)

    def learn(weight, adam):
        adam.zero_grad()
        (weight**2).sum().backward()
        adam.step()

    weight, adam = make()
    learn(weight, adam)
    state, at = optimiser_state(adam), weight.detach().clone()
    kept = {name: torch.as_tensor(part).clone() for name, part in state["0"].items()}
    learn(weight, adam)
    later, other = make()
    with torch.no_grad():
        later.copy_(at)
    load_optimiser(other, state)
    learn(later, other)
    assert torch.equal(later, weight)
    assert all(torch.equal(torch.as_tensor(part), kept[name]) for name, part in state["0"].items())


def test_no_learner_has_a_clipped_surrogate_of_its_own():
    root = Path(hmarl_soc.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "ppo_loss"
    }
    assert users == {"nn/ppo.py"}
