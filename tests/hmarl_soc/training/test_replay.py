import numpy as np
import pytest

from hmarl_soc.training.replay import Replay, Rollout, SumTree, Window

SPEC = {"x": ((2,), np.float32), "n": ((), np.int64)}


def entries(numbers):
    numbers = np.asarray(numbers)
    return {"x": np.stack([numbers, -numbers], axis=1), "n": numbers}


@pytest.mark.parametrize("capacity", [1, 2, 5, 64, 100])
def test_the_tree_keeps_sums_and_draws_in_proportion(capacity):
    rng = np.random.default_rng(capacity)
    tree, plain = SumTree(capacity), np.zeros(capacity)
    for _ in range(20):
        indices = rng.integers(0, capacity, 7)
        numbers = rng.random(7) * (rng.random(7) < 0.7)
        tree.set(indices, numbers)
        for index, number in zip(indices, numbers, strict=True):
            plain[index] = number
        assert tree.total == pytest.approx(plain.sum())
    if plain.sum() == 0:
        return
    drawn = np.bincount(np.concatenate([tree.draw(rng.random(50)) for _ in range(400)]), minlength=capacity)
    assert (drawn[plain == 0] == 0).all()
    assert drawn / drawn.sum() == pytest.approx(plain / plain.sum(), abs=0.02)


def test_the_oldest_is_overwritten():
    replay = Replay(5, SPEC)
    replay.add(entries([0, 1, 2]))
    replay.add(entries([3, 4, 5, 6]))
    assert replay.size == 5
    assert sorted(replay.entries["n"].tolist()) == [2, 3, 4, 5, 6]
    assert (replay.entries["x"][:, 1] == -replay.entries["n"]).all()


def test_weights_undo_the_draw_in_expectation():
    """With beta 1 the weighted mean over prioritized draws is the plain mean of all transitions."""
    rng = np.random.default_rng(0)
    replay = Replay(64, SPEC, alpha=1.0)
    numbers = rng.integers(0, 100, 64)
    replay.add(entries(numbers))
    replay.prioritize(np.arange(64), rng.random(64) + 0.1)
    total = weight = 0.0
    for _ in range(2000):
        batch = replay.sample(16, 1.0, rng)
        scale = 1.0 / (replay.trees[0].get(batch.indices) / replay.trees[0].total * 64)
        assert batch.weights == pytest.approx(scale / scale.max())
        total, weight = total + (scale * batch.entries["n"]).sum(), weight + scale.sum()
    assert total / weight == pytest.approx(numbers.mean(), rel=0.02)


def test_samplers_have_their_own_priorities_over_the_same_transitions():
    rng = np.random.default_rng(0)
    replay = Replay(8, SPEC, alpha=1.0, samplers=2)
    replay.add(entries(range(8)))
    replay.prioritize(np.arange(8), np.where(np.arange(8) == 3, 1.0, 1e-9), sampler=1)
    assert set(replay.sample(64, 0.5, rng, 1).entries["n"].tolist()) == {3}
    assert len(set(replay.sample(64, 0.5, rng, 0).entries["n"].tolist())) == 8


def test_new_transitions_get_the_largest_priority():
    replay = Replay(8, SPEC, alpha=1.0)
    replay.add(entries([0]))
    replay.prioritize(np.array([0]), np.array([7.0]))
    replay.add(entries([1]))
    assert replay.trees[0].get(np.arange(2)).tolist() == [7.0, 7.0]


def test_replay_comes_back_exactly():
    rng, other = np.random.default_rng(0), Replay(8, SPEC)
    replay = Replay(8, SPEC)
    replay.add(entries(range(11 % 8)))
    replay.prioritize(np.arange(3), np.array([3.0, 0.5, 2.0]))
    other.add(entries(range(8)))
    other.load_state_dict(replay.state_dict())
    a, b = replay.sample(32, 0.4, np.random.default_rng(1)), other.sample(32, 0.4, np.random.default_rng(1))
    assert (a.indices == b.indices).all() and (a.weights == b.weights).all()
    assert rng.random() is not None
    with pytest.raises(ValueError, match="capacity, entries, samplers"):
        Replay(9, SPEC).load_state_dict(replay.state_dict())


def test_bad_use_is_refused():
    replay = Replay(4, SPEC)
    with pytest.raises(ValueError, match="is empty"):
        replay.sample(1, 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="lacks 'n'"):
        replay.add({"x": np.zeros((1, 2))})
    with pytest.raises(ValueError, match="do not fit"):
        replay.add(entries(range(5)))


def test_a_rollout_keeps_each_row_in_its_order_and_empties():
    rollout = Rollout(3, SPEC, length=1)
    rollout.add(np.array([0, 2]), entries([1, 2]))
    rollout.add(np.array([2]), entries([3]))
    rollout.add(np.array([], int), entries([]))
    copy = Rollout(3, SPEC)
    copy.load_state_dict(rollout.state_dict())
    for grid in (rollout, copy):
        assert len(grid) == 3
        taken, filled = grid.take()
        assert filled.T.tolist() == [[True, False], [False, False], [True, True]]
        assert taken["n"].T.tolist() == [[1, 0], [0, 0], [2, 3]]
        assert len(grid) == 0
    rollout.add(np.array([0]), entries([9]))
    assert rollout.take()[0]["n"].tolist() == [[9, 0, 0]]


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_window_adds_up_rewards_within_an_episode(length):
    rng, gamma, T, E = np.random.default_rng(0), 0.9, 40, 4
    rewards, views = rng.normal(size=(T, E)), rng.normal(size=(T + 1, E, 2))
    terminated = rng.random((T, E)) < 0.1
    ended = terminated | (rng.random((T, E)) < 0.1)
    window = Window(length, gamma)
    for t in range(T):
        step = {"view": views[t], "next_view": views[t + 1], "reward": rewards[t]}
        joined = window.add(step | {"terminated": terminated[t], "ended": ended[t]})
        if t == 20:
            other = Window(length, gamma)
            other.load_state_dict(window.state_dict())
            window = other
        first = t - length + 1
        if first < 0:
            assert joined is None
            continue
        for row in range(E):
            total, factor = 0.0, 1.0
            for k in range(first, t + 1):
                total, factor = total + factor * rewards[k, row], factor * gamma
                if ended[k, row]:
                    break
            assert joined["reward"][row] == pytest.approx(total)
            assert joined["discount"][row] == pytest.approx(factor)
            assert joined["terminated"][row] == terminated[k, row]
            assert (joined["next_view"][row] == views[k + 1, row]).all()
            assert (joined["view"][row] == views[first, row]).all()
