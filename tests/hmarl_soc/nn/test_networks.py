import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from hmarl_soc.hierarchy.acting import Net
from hmarl_soc.interface import make_layout
from hmarl_soc.nn.networks import Mlp, Scaler, clip_and_step, make_adam, soft_update, use_one_thread
from hmarl_soc.nn.tokens import make_tokens

LAYOUT = make_layout("x", {"a": (), "rows": (3, 4), "b": (2,)})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_tokens_cover_every_feature_once():
    tokens = make_tokens(LAYOUT)
    assert tokens.names == ("a", "rows[0]", "rows[1]", "rows[2]", "b")
    assert (tokens.member.sum(axis=0) == 1).all()
    for token in range(len(tokens.names)):
        inside = tokens.gather[token][tokens.gather[token] < LAYOUT.size]
        assert (np.flatnonzero(tokens.member[token]) == inside).all()


def test_members_are_separate_networks():
    net = Mlp(5, 8, 2, generator(), members=3)
    x = torch.randn(4, 5, generator=generator(1))
    for member in range(3):
        hidden = torch.relu(x @ net.first.weight[member] + net.first.bias[member])
        hidden = torch.relu(hidden @ net.second.weight[member] + net.second.bias[member])
        plain = hidden @ net.last.weight[member] + net.last.bias[member]
        assert torch.allclose(net(x)[member], plain, atol=1e-6)
    assert not torch.allclose(net(x)[0], net(x)[1])


def test_equal_attention_is_exactly_no_attention():
    with_attention = Mlp(LAYOUT.size, 8, 2, generator(), tokens=make_tokens(LAYOUT), heads=2)
    without = Mlp(LAYOUT.size, 8, 2, generator(1))
    without.load_state_dict({k: v for k, v in with_attention.state_dict().items() if "attention" not in k})
    x = torch.randn(6, LAYOUT.size, generator=generator(2))
    assert not torch.allclose(with_attention(x), without(x), atol=1e-4)
    with torch.no_grad():
        with_attention.attention.query.weight.zero_()
        with_attention.attention.query.bias.zero_()
    assert torch.allclose(with_attention(x), without(x), atol=1e-5)


def test_a_token_without_weight_has_no_say():
    net = Mlp(LAYOUT.size, 8, 2, generator(), tokens=make_tokens(LAYOUT), heads=2)
    x = torch.randn(6, LAYOUT.size, generator=generator(2))
    weights = net.attention.weights(x).detach()
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 6))
    weights[:, :, 1] = 0.0
    net.attention.weights = lambda given: weights
    changed = x.clone()
    changed[:, LAYOUT["rows"].start : LAYOUT["rows"].start + 4] += 10.0
    assert torch.allclose(net(x), net(changed))


def test_first_weights_come_from_the_generator_alone():
    nets = [Mlp(LAYOUT.size, 8, 2, generator(3), tokens=make_tokens(LAYOUT), heads=2) for _ in range(2)]
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)


def test_a_scaler_is_nothing_until_it_is_fitted_and_leaves_later_features_alone():
    scaler = Scaler(4)
    rows = torch.tensor([[1.0, 5.0, 0.3], [3.0, 5.001, 0.1]])
    x = torch.tensor([[2.0, 5.0, 0.1, 0.7], [4.0, 9.0, 0.1, -30.0]])
    assert torch.equal(scaler(x), x.clamp(-10.0, 10.0))
    scaler.fit(rows)
    expected = np.array([[0.0, -0.0005, -1.0, 0.7], [2.0, 3.9995, -1.0, -10.0]])  # the second hardly varied: no scale
    assert scaler(x).numpy() == pytest.approx(expected, abs=1e-5)
    scaled = scaler(torch.cat([rows, torch.zeros(2, 1)], dim=1))[:, [0, 2]]
    assert scaled.mean(dim=0).numpy() == pytest.approx(0.0, abs=1e-6)
    assert scaled.std(dim=0, correction=0).numpy() == pytest.approx(1.0, abs=1e-6)


def test_a_scaler_cuts_off_what_is_far_out():
    scaler = Scaler(1)
    scaler.fit(torch.tensor([[-1.0], [1.0]]))
    assert scaler(torch.tensor([[1e6], [-1e6], [9.0]])).flatten().tolist() == [10.0, -10.0, 9.0]


def test_a_scaler_belongs_to_the_state_but_is_not_trained():
    net = Mlp(3, 8, 2, generator(), scaled=True)
    assert not {name for name, _ in net.named_parameters() if "scaler" in name}
    net.scaler.fit(torch.randn(20, 3, generator=generator(1)) * 5.0 + 1.0)
    twin = Mlp(3, 8, 2, generator(2), scaled=True)
    twin.load_state_dict(net.state_dict())
    x = torch.randn(4, 3, generator=generator(3))
    assert torch.equal(twin(x), net(x))


@pytest.mark.parametrize("attention", [True, False])
def test_the_numpy_net_scales_as_the_trained_one(attention):
    tokens = make_tokens(LAYOUT) if attention else None
    trained = Mlp(LAYOUT.size, 8, 2, generator(), tokens=tokens, heads=2, scaled=True)
    x = torch.randn(50, LAYOUT.size, generator=generator(1)) * torch.arange(1.0, LAYOUT.size + 1) + 3.0
    x[:, 2] = 0.25
    trained.scaler.fit(x)
    acting = Net({name: value.numpy() for name, value in trained.state_dict().items()}, LAYOUT, 2)
    far = torch.cat([x, 100.0 * x[:5]])
    assert acting(far.numpy()) == pytest.approx(trained(far)[0].detach().numpy(), rel=1e-4, abs=1e-4)
    if attention:
        expected = trained.attention.weights(trained.scaler(far)).detach().numpy()
        assert acting.attend(far.numpy()) == pytest.approx(expected, abs=1e-5)


def test_soft_update_moves_by_its_share():
    target, online = nn.Linear(2, 2), nn.Linear(2, 2)
    before = target.weight.detach().clone()
    soft_update(target, online, 0.25)
    assert torch.allclose(target.weight, before + 0.25 * (online.weight - before))


def test_a_gradient_that_is_no_number_changes_no_weight():
    net = nn.Linear(2, 1)
    before = net.weight.detach().clone()
    try:
        clip_and_step(make_adam(net.parameters(), 0.1), net(torch.full((1, 2), float("inf"))).sum() * 0.0, 1.0)
    except FloatingPointError as error:
        assert "became nan" in str(error)
    else:
        raise AssertionError
    assert torch.equal(net.weight, before)


def test_training_multiplies_with_one_thread_in_both_libraries():
    before = torch.get_num_threads()
    with threadpool_limits(2, user_api="blas"):
        torch.set_num_threads(2)
        try:
            use_one_thread()
            assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
            assert torch.get_num_threads() == 1
        finally:
            torch.set_num_threads(before)
