"""The action encoding: both directions, masks, and who shares a network with whom."""

import numpy as np
import pytest

from hmarl_soc.baselines.encoding import ActionEncoding, Kind, ObservationEncoding, make_kinds, parts_and_outputs
from hmarl_soc.interface import Agent, Interface, make_layout


def agent(name, seen, actions, discrete):
    return Agent(name, make_layout(name, {"all": (seen,)}), actions, discrete)


MIXED = Interface((agent("box", 2, 3, False), agent("small", 4, 2, True), agent("large", 4, 5, True)), 0)


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_encode_is_the_inverse_of_decode(levels):
    encoding = ActionEncoding(MIXED, levels)
    choices = np.random.default_rng(0).integers(encoding.sizes, size=(50, encoding.num_branches))
    actions = encoding.decode(choices)
    assert actions["box"].shape == (50, 3) and np.abs(actions["box"]).max() == 1.0
    assert actions["small"].shape == (50,)
    np.testing.assert_array_equal(encoding.encode(actions), choices)


def test_three_levels_are_off_neutral_and_full():
    found = ActionEncoding(MIXED, 3).decode(np.array([[0, 1, 2, 1, 4]]))
    assert found["box"].tolist() == [[-1.0, 0.0, 1.0]]
    assert (found["small"].tolist(), found["large"].tolist()) == ([1], [4])


def test_any_action_becomes_the_nearest_choice():
    given = {"box": np.array([[-0.6, 0.4, 0.6]]), "small": np.array([0]), "large": np.array([3])}
    assert ActionEncoding(MIXED, 3).encode(given).tolist() == [[0, 1, 2, 0, 3]]


def test_masks_travel_packed_and_choices_that_do_not_exist_are_never_allowed():
    encoding = ActionEncoding(MIXED, 3)
    masks = {"box": np.ones((1, 3), np.int8), "small": np.array([[0, 1]]), "large": np.array([[1, 0, 1, 0, 1]])}
    packed = encoding.pack(masks)
    assert packed.shape == (1, encoding.mask_size) == (1, 7)
    allowed = encoding.unpack(packed)[0].astype(int).tolist()
    assert allowed == [[1, 1, 1, 0, 0]] * 3 + [[0, 1, 0, 0, 0], [1, 0, 1, 0, 1]]


def test_unpacking_one_mask_leaves_the_next_alone():
    encoding = ActionEncoding(MIXED, 3)
    none = np.zeros((1, encoding.mask_size), bool)
    encoding.unpack(none)
    assert encoding.unpack(~none).sum() == 9 + 2 + 5


def test_only_boxes_have_an_empty_mask():
    encoding = ActionEncoding(Interface((agent("box", 2, 3, False),), 0), 3)
    packed = encoding.pack({"box": np.ones((4, 3), np.int8)})
    assert packed.shape == (4, 0)
    assert encoding.unpack(packed).shape == (4, 3, 3)


def test_agents_of_the_same_sizes_share_a_network_that_is_told_who_it_speaks_for():
    slices = (slice(0, 4), slice(4, 6), slice(6, 10))
    assert make_kinds(slices, [5, 5, 5]) == (Kind((0, 2), 6, 5), Kind((1,), 2, 5))


def test_joint_network_sees_and_decides_everything():
    observations, actions = ObservationEncoding(MIXED), ActionEncoding(MIXED, 3)
    assert parts_and_outputs(observations, actions, True) == ((slice(0, 10),), [16])
    assert parts_and_outputs(observations, actions, False) == ((slice(0, 2), slice(2, 6), slice(6, 10)), [9, 2, 5])


def test_observations_are_joined_in_the_order_of_the_agents():
    seen = {"large": np.full((1, 4), 3.0), "box": np.full((1, 2), 1.0), "small": np.full((1, 4), 2.0)}
    assert ObservationEncoding(MIXED).join(seen).tolist() == [[1, 1, 2, 2, 2, 2, 3, 3, 3, 3]]
