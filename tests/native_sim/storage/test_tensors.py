"""Our reader of safetensors files against the library that writes them."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from native_sim.storage.tensors import read_tensors

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    **{
        f"{dtype}": (100 * GENERATOR.normal(size=(2, 3))).astype(dtype)
        for dtype in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
    },
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4)),
    "deep/name.weight": np.arange(24.0).reshape(2, 3, 4),
}


def test_every_type_and_shape_comes_back():
    found = read_tensors(save(ARRAYS, metadata={"made": "here"}))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


def test_an_empty_file_of_arrays():
    assert read_tensors(save({})) == {}


def made(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"12345678",
        save({"x": np.zeros(9)})[:-1],
        save({"x": np.zeros(9)})[:20],
        (99).to_bytes(8, "little") + b"{" * 99,
        made([1]),
        made({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}),
        made({"x": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}),
        made({"x": {"dtype": "F64", "shape": [4], "data_offsets": [0, 32]}}),
        made({"x": {"dtype": "F64", "shape": [1], "data_offsets": [-8, 0]}}),
        made({"x": {"dtype": "F64", "shape": [1]}}),
        made({"x": None}),
    ],
)
def test_damage_is_told(data):
    with pytest.raises(ValueError, match="safetensors file"):
        read_tensors(data)
