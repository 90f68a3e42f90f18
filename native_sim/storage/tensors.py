"""Arrays by name from a safetensors file, read with NumPy alone: such a file holds numbers and no code.

The format: eight bytes with the length of a header (little-endian), the header as JSON, then the bytes of all arrays.
The header gives each array's type, shape, and where its bytes begin and end.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from native_sim.api import Array
from native_sim.storage.files import parse_json

_TYPES: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "?",
}
_LENGTH: Final = 8


def read_tensors(data: bytes) -> dict[str, Array]:
    """Return name -> array of the content of a safetensors file.

    Raises:
        ValueError: If it is no such file, or is damaged.
    """
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    if len(data) < max(end, _LENGTH + 2):
        raise ValueError(f"a safetensors file of {end} bytes at least was expected; given are {len(data)}")
    try:
        header = parse_json(data[_LENGTH:end])
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _array(entry, data, end) for name, entry in entries.items()}
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"the header of a safetensors file is damaged ({type(error).__name__}: {error})") from error


def _array(entry: dict[str, list[int]], data: bytes, start: int) -> Array:
    dtype, shape = np.dtype(_TYPES[str(entry["dtype"])]), tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if not 0 <= first <= last <= len(data) - start or last - first != dtype.itemsize * math.prod(shape):
        raise ValueError(f"an array of shape {shape} does not lie in bytes {first} to {last} of a safetensors file")
    return np.array(np.ndarray(shape, dtype, data, start + first))
