"""What the harness and a foreign process say to each other: a JSON header, then the raw bytes of its arrays.

Nothing that is read can run code. A tree is None, an array, or a mapping or tuple of trees. A header says of it
``null``, the number of an array, ``{"d": [[name, tree], ...]}``, ``{"t": [tree, ...]}``, or ``{"o": [dtype, shape]}``
for values that raw bytes cannot say. The header's entry ``arrays`` lists dtype, shape and order of every array.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Header = dict[str, Any]

FRAME: Final = struct.Struct("<QQ")
"""Bytes of the header, bytes of all arrays."""
MOST_HEADER: Final = 2**24
MOST_ARRAYS: Final = 2**30
_RAW: Final = "biufc"
"""Kinds of dtype whose bytes say it all."""
_MOST_BUFFERS: Final = 512
"""Buffers of one system call; systems allow 1024."""


class BadMessage(ValueError):
    """What came is no message."""


class Message(NamedTuple):
    """What came."""

    header: Header
    arrays: list[Array]

    def tree(self, name: str) -> Any:
        """Return the tree that an entry of the header describes."""
        return build(self.header.get(name), self.arrays)


# -------------------------------------------------------------------------------------------------------- writing
def describe(tree: Any, arrays: list[Array]) -> Any:
    """Return what a header says of a tree, and append its arrays."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {"d": [[str(name), describe(part, arrays)] for name, part in tree.items()]}
    if isinstance(tree, tuple):
        return {"t": [describe(part, arrays) for part in tree]}
    array = np.asarray(tree)
    if array.dtype.kind not in _RAW:
        return {"o": [str(array.dtype)[:100], array.shape]}
    arrays.append(array)
    return len(arrays) - 1


def to_buffers(header: Header, arrays: Sequence[Array] = ()) -> list[memoryview]:
    """Return the bytes of a message."""
    listed, parts = [], []
    for array in arrays:
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        listed.append([array.dtype.str, array.shape, order])
        if array.nbytes:
            flat = np.ascontiguousarray(array.T if order == "F" else array)
            parts.append(flat.reshape(-1).view(np.uint8).data)
    text = json.dumps({**header, "arrays": listed}).encode()
    return [memoryview(FRAME.pack(len(text), sum(part.nbytes for part in parts)) + text), *parts]


def advance(pending: list[memoryview], count: int) -> None:
    """Drop ``count`` bytes from the front of what is still to be written or filled."""
    while pending and count >= pending[0].nbytes:
        count -= pending.pop(0).nbytes
    if count:
        pending[0] = pending[0][count:]


def write_some(out: int, pending: list[memoryview]) -> None:
    """Write as much as a descriptor takes in one call."""
    advance(pending, os.writev(out, pending[:_MOST_BUFFERS]))


def send(out: int, header: Header, arrays: Sequence[Array] = ()) -> None:
    """Write a message to a descriptor that blocks."""
    pending = to_buffers(header, arrays)
    while pending:
        write_some(out, pending)


# -------------------------------------------------------------------------------------------------------- reading
def receive(source: int) -> Message | None:
    """Read a message of the harness from a descriptor that blocks; None at its end."""
    start = _read(source, FRAME.size)
    text = start and _read(source, FRAME.unpack(start)[0])
    if not text:
        return None
    header: Header = json.loads(text)
    arrays = [_empty(*entry) for entry in header["arrays"]]
    pending = [_bytes_of(array) for array in arrays if array.nbytes]
    while pending:
        count = os.readv(source, pending[:_MOST_BUFFERS])
        if not count:
            return None
        advance(pending, count)
    return Message(header, arrays)


def parse(data: bytearray) -> Message | None:
    """Take a message of a foreign process off the front of what came so far; None if there is not enough yet.

    Raises:
        BadMessage: If what came is no message, or a larger one than any answer can be.
    """
    if len(data) < FRAME.size:
        return None
    size, raw = FRAME.unpack_from(data)
    if size > MOST_HEADER or raw > MOST_ARRAYS:
        raise BadMessage(f"a message of {size + raw} bytes")
    end = FRAME.size + size + raw
    if len(data) < end:
        return None
    try:
        message = _parsed(bytes(data[FRAME.size : FRAME.size + size]), memoryview(data)[FRAME.size + size : end])
    except BadMessage:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError, OverflowError) as error:
        raise BadMessage(f"{type(error).__name__}: {error}") from error
    del data[:end]
    return message


def _parsed(text: bytes, raw: memoryview) -> Message:
    header = json.loads(text)
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise BadMessage("no header")
    arrays, position = [], 0
    for dtype, shape, order in header["arrays"]:
        kind = np.dtype(dtype)
        if kind.kind not in _RAW or any(type(length) is not int or length < 0 for length in shape):
            raise BadMessage(f"an array of {dtype} and shape {shape}")
        if kind.itemsize * math.prod(shape) > len(raw) - position:
            raise BadMessage("fewer bytes than its arrays need")
        array = _empty(dtype, shape, order)
        if array.nbytes:
            _bytes_of(array)[:] = raw[position : position + array.nbytes]
        position += array.nbytes
        arrays.append(array)
    raw.release()
    return Message(header, arrays)


def build(described: Any, arrays: Sequence[Array]) -> Any:
    """Return the tree that a header describes.

    Raises:
        BadMessage: If the description is none.
    """
    if described is None:
        return None
    if type(described) is int and 0 <= described < len(arrays):
        return arrays[described]
    if isinstance(described, dict) and len(described) == 1:
        ((kind, parts),) = described.items()
        if kind == "d":
            return {str(name): build(part, arrays) for name, part in parts}
        if kind == "t":
            return tuple(build(part, arrays) for part in parts)
        if kind == "o":
            return np.broadcast_to(np.array(None, dtype=object), tuple(int(length) for length in parts[1]))
    raise BadMessage("a value that is none")


def _empty(dtype: str, shape: Sequence[int], order: str) -> Array:
    """Return memory for an array, laid out as the sender's was, so that sums come out the same to the last bit."""
    return np.empty(shape, np.dtype(dtype), order="F" if order == "F" else "C")


def _bytes_of(array: Array) -> memoryview:
    flat = array if array.flags.c_contiguous else array.T
    return flat.reshape(-1).view(np.uint8).data


def _read(source: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        part = os.read(source, count - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
