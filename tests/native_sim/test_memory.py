import numpy as np
import pytest

from native_sim.memory import on_arrays, put, take

MEMORY = {"a": np.arange(6).reshape(3, 2), "b": (np.arange(3), None)}


def test_some_rows_are_taken_and_put_back():
    part = take(MEMORY, [2, 0])
    assert part["a"].tolist() == [[4, 5], [0, 1]]
    back = put(MEMORY, [2, 0], {"a": part["a"] * 10, "b": (part["b"][0] * 10, None)})
    assert back["a"].tolist() == [[0, 10], [2, 3], [40, 50]]
    assert back["b"][0].tolist() == [0, 1, 20] and back["b"][1] is None
    assert MEMORY["a"].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(("memory", "rows"), [(None, [0]), (np.arange(3), np.array([True, False, True]))])
def test_a_memory_may_be_nothing_or_one_array(memory, rows):
    found = take(memory, rows)
    assert found is None if memory is None else found.tolist() == [0, 2]


def test_memories_of_another_form_are_refused():
    with pytest.raises(KeyError):
        put(MEMORY, [0], {"a": np.zeros((1, 2))})
    with pytest.raises(ValueError, match="shorter"):
        put(MEMORY, [0], {"a": np.zeros((1, 2)), "b": (np.zeros(1),)})


def test_arrays_may_change_their_shape():
    folded = on_arrays(lambda array: array[None], MEMORY)
    assert folded["a"].shape == (1, 3, 2) and folded["b"][0].shape == (1, 3)
