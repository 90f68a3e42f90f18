"""The state's documentation against its memory, and pools that grow."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from cage4.native.observations import rich
from cage4.native.world import codes, state

LETTERS = {
    "E": 3,
    "N": 3,
    "H": codes.NUM_HOSTS,
    "Z": codes.NUM_ZONES,
    "B": codes.NUM_BLUE,
    "R": codes.NUM_RED,
    "P": 100,
    "S": 20,
    "C": 40,
    "I": 30,
    "L": 10,
    "F": rich.SIZE,
    "W": state.TRACE_WORDS,
}
SIZES = state.Sizes(proc=100, ses=20, port=40, known=30, suspect=10)


def _documented(cls: type) -> dict[str, tuple[tuple[int, ...], str]]:
    lines = re.findall(r"^    (\w+): [\w |]+  # \[([^\]]*)\] (\w+): \S", inspect.getsource(cls), re.MULTILINE)
    return {
        name: (tuple(LETTERS[d.strip()] if d.strip() in LETTERS else int(d) for d in dims.split(",")), dtype)
        for name, dims, dtype in lines
    }


@pytest.mark.parametrize(
    ("cls", "arrays"),
    [
        (state.State, state.view(state.allocate(3, SIZES))),
        (state.Outputs, state.allocate_outputs(3, rich.SIZE)),
    ],
)
def test_shapes_and_dtypes_are_what_their_lines_say(cls: type, arrays: state.State | state.Outputs) -> None:
    documented = _documented(cls)
    assert list(documented) == list(arrays._fields)
    for name, (shape, dtype) in documented.items():
        array = getattr(arrays, name)
        assert (array.shape, array.dtype.name) == (shape, dtype), name


def test_fields_share_the_memory_of_the_records() -> None:
    memory = state.allocate(2, SIZES)
    arrays = state.view(memory)
    arrays.time[1] = 7
    arrays.proc_pid[1, 5] = 99
    arrays.known_flag[1, 4, 3] = 1
    assert memory.rows[1].time == 7
    assert memory.proc[1, 5].pid == 99
    assert memory.known[1, 4].flag[3] == 1


def _drain(row: np.record, elements: np.recarray) -> list[int]:
    taken = []
    while row.proc_pool[state.FREE] >= 0:
        taken.append(int(getattr(state.take, "py_func", state.take)(row.proc_pool, elements)))
    return taken


def test_growing_keeps_contents_and_adds_free_elements() -> None:
    memory = state.allocate(1, SIZES)
    clear = getattr(state.clear_pool, "py_func", state.clear_pool)
    take = getattr(state.take, "py_func", state.take)
    for name in ("proc", "ses", "port"):
        clear(memory.rows[0][f"{name}_pool"], getattr(memory, name)[0])
    first = [int(take(memory.rows[0].proc_pool, memory.proc[0])) for _ in range(30)]
    state.view(memory).proc_pid[0, first] = np.arange(30) + 500
    bigger = state.enlarge(memory, {1, 5})
    assert bigger.proc.shape == (1, 200)
    assert bigger.suspect.shape == (1, 20)
    assert bigger.ses.shape == (1, 20), "a pool that was not short must stay as it is"
    assert state.view(bigger).proc_pid[0, first].tolist() == list(range(500, 530))
    assert bigger.rows[0].proc_pool[state.FREE_COUNT] == 170
    rest = _drain(bigger.rows[0], bigger.proc[0])
    assert sorted(first + rest) == list(range(200))


def test_given_elements_are_taken_again() -> None:
    memory = state.allocate(1, SIZES)
    clear = getattr(state.clear_pool, "py_func", state.clear_pool)
    give = getattr(state.give, "py_func", state.give)
    row, elements = memory.rows[0], memory.proc[0]
    clear(row.proc_pool, elements)
    taken = _drain(row, elements)
    assert row.proc_pool[state.FREE_COUNT] == 0
    for i in taken[10:40]:
        give(row.proc_pool, elements, i)
    assert row.proc_pool[state.FREE_COUNT] == 30
    assert sorted(_drain(row, elements)) == sorted(taken[10:40])
