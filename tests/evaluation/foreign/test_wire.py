"""The wire: every tree comes out as it went in, and nothing that is no message gets through."""

import json
import os
import struct
import threading

import numpy as np
import pytest

from evaluation.foreign import wire

TREES = [
    None,
    {},
    {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": {"c": np.zeros((3, 0)), "d": None}},
    (np.array(3.5), {"x": (np.array([True, False]),)}),
    {"f": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)), "big": np.array([1, 2], ">i4")},
    {"strided": np.arange(20)[::3], "complex": np.array([1j]), "half": np.array([0.1], np.float16)},
    {"nan": np.array([np.nan, np.inf, -0.0])},
]


def same(one, two):
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[name], two[name]) for name in one)
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if one is None:
        return two is None
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def packed(tree):
    arrays = []
    header = {"tree": wire.describe(tree, arrays)}
    return bytearray(b"".join(wire.to_buffers(header, arrays)))


@pytest.mark.parametrize("tree", TREES)
def test_what_is_parsed_is_what_was_sent_however_it_comes(tree):
    data = packed(tree)
    for cut in range(len(data)):
        assert wire.parse(data[:cut]) is None
    again = data + packed({"next": np.ones(2)})
    first, second = wire.parse(again), wire.parse(again)
    assert same(tree, first.tree("tree")) and same({"next": np.ones(2)}, second.tree("tree"))
    assert wire.parse(again) is None


@pytest.mark.parametrize("tree", TREES)
def test_what_is_received_is_what_was_sent(tree):
    source, out = os.pipe()
    arrays = []
    header = {"tree": wire.describe(tree, arrays)}
    sender = threading.Thread(target=lambda: (wire.send(out, header, arrays), os.close(out)))
    sender.start()
    message = wire.receive(source)
    assert same(tree, message.tree("tree"))
    assert all(array.flags.writeable and array.flags.aligned for array in message.arrays)
    assert wire.receive(source) is None
    sender.join()
    os.close(source)


def test_the_order_in_memory_is_kept():
    array = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    assert wire.parse(packed({"a": array})).tree("tree")["a"].flags.f_contiguous


def test_what_bytes_cannot_say_keeps_its_shape_only():
    sent = np.full((2, 3), "text", dtype=object)
    found = wire.parse(packed({"a": sent})).tree("tree")["a"]
    assert (found.shape, found.dtype) == ((2, 3), np.dtype(object))


def frame(header, raw=b"", size=None, count=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    lengths = (len(text) if size is None else size, len(raw) if count is None else count)
    return bytearray(struct.pack("<QQ", *lengths) + text + raw)


@pytest.mark.parametrize(
    "data",
    [
        frame(b"hello there"),
        frame([]),
        frame({}),
        frame({"arrays": 3}),
        frame({"arrays": [["<i8", [2]]]}),
        frame({"arrays": [["<i8", [2], "C"]]}, b"123"),
        frame({"arrays": [["O", [1], "C"]]}, b"12345678"),
        frame({"arrays": [["<i8", [-1], "C"]]}, b"12345678"),
        frame({"arrays": [["<i8", [2**62, 2**62], "C"]]}),
        frame({"arrays": [["<i8", [True], "C"]]}, b"12345678"),
        frame({"arrays": [["no dtype", [1], "C"]]}, b"12345678"),
        frame(b"[" * 100_000),
        frame(b'{"arrays": [], "n": ' + b"9" * 5000 + b"}"),
        frame({"arrays": []}, size=2**40),
        frame({"arrays": []}, count=2**40),
        bytearray(b"print('hello from a policy that found the pipe')\n"),
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(wire.BadMessage):
        wire.parse(data)


@pytest.mark.parametrize("described", [3, -1, True, "x", [], {"q": []}, {"d": [], "t": []}])
def test_what_is_no_tree_is_refused(described):
    message = wire.parse(frame({"arrays": [], "tree": described}))
    with pytest.raises(wire.BadMessage):
        message.tree("tree")
