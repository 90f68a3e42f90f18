"""Ways to damage a file: of its bytes, whatever they mean, and of JSON, JSON lines and TOML by meaning.

A way is a function of a generator and the bytes of a file that returns other bytes. Text that no writer of JSON can
produce (huge numbers, depth, a key twice) is put in where a mark stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Way = Callable[[Random, bytes], bytes]
MARK = "@mark@"
DEPTH = 100_000


# ---------------------------------------------------------------------------------------------------------- bytes
def flip_bit(draw: Random, data: bytes) -> bytes:
    return _flipped(draw, data, 1)


def flip_bits(draw: Random, data: bytes) -> bytes:
    return _flipped(draw, data, draw.randint(2, 20))


def _flipped(draw: Random, data: bytes, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count if data else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncate(draw: Random, data: bytes) -> bytes:
    return data[: draw.randrange(max(1, len(data)))]


def cut_last(draw: Random, data: bytes) -> bytes:
    return data[: -draw.randint(1, 3)]


def empty(draw: Random, data: bytes) -> bytes:
    return b""


def drop_block(draw: Random, data: bytes) -> bytes:
    start = draw.randrange(max(1, len(data)))
    return data[:start] + data[start + draw.randint(1, 512) :]


def repeat_block(draw: Random, data: bytes) -> bytes:
    start = draw.randrange(max(1, len(data)))
    end = start + draw.randint(1, 512)
    return data[:end] + data[start:]


def zero_block(draw: Random, data: bytes) -> bytes:
    start = draw.randrange(max(1, len(data)))
    end = min(len(data), start + draw.randint(1, 512))
    return data[:start] + bytes(end - start) + data[end:]


def all_zero(draw: Random, data: bytes) -> bytes:
    return bytes(len(data))


def insert(draw: Random, data: bytes) -> bytes:
    start = draw.randrange(max(1, len(data)))
    return data[:start] + draw.randbytes(draw.randint(1, 64)) + data[start:]


def append(draw: Random, data: bytes) -> bytes:
    return data + draw.choice((b"\n", b"\0", b"garbage\n", b"{}\n", draw.randbytes(100), data))


def bad_text(draw: Random, data: bytes) -> bytes:
    start = draw.randrange(max(1, len(data)))
    return draw.choice(
        (b"\xef\xbb\xbf" + data, data[:start] + b"\xff\xfe" + data[start:], data.replace(b"\n", b"\r\n"))
    )


BYTES: tuple[Way, ...] = (
    *(flip_bit, flip_bit, flip_bit, flip_bits, truncate, truncate, cut_last, empty, drop_block, repeat_block),
    *(zero_block, all_zero, insert, append),
)


# ----------------------------------------------------------------------------------------------------------- JSON
def _huge(draw: Random) -> str:
    return draw.choice(("1" + "0" * 5_000, "1" + "0" * 23, "-1" + "0" * 21, "1e999", "9223372036854775808", "1e308"))


def _nan(draw: Random) -> str:
    return draw.choice(("NaN", "Infinity", "-Infinity"))


def _deep(draw: Random) -> str:
    start, end = draw.choice((("[", "]"), ('{"a":', "}")))
    return start * DEPTH + "1" + end * DEPTH


def _other_type(draw: Random) -> str:
    values = ('"text"', "[]", "{}", "null", "true", "-1", "0.5", '"1"', "[[]]", '{"a": 1}', '""', "[null]")
    return draw.choice(values)


def _odd_text(draw: Random) -> str:
    return draw.choice(('"../../../etc/passwd"', '"\\u0000"', '"' + "x" * 100_000 + '"', '"$\\\\alpha$"', '"\\ud800"'))


def _near(draw: Random, value: Any) -> str:
    """Another value of the same type, as a slip of the pen or of a bit makes it."""
    if isinstance(value, bool):
        return json.dumps(not value)
    if isinstance(value, int):
        return json.dumps(value + draw.choice((-1, 1, 8, 1000)))
    if isinstance(value, float):
        return json.dumps(value * draw.choice((-1.0, 1.5, 10.0)) + 0.25)
    if isinstance(value, str):
        return json.dumps(value[:-1] + "x")
    if isinstance(value, list):
        return json.dumps(value[:-1] if value else [0])
    return "{}"


def set_value(make: Callable[[Random], str]) -> Way:
    def way(draw: Random, data: bytes) -> bytes:
        document = json.loads(data)
        holder, key = _place(draw, document)
        holder[key] = MARK
        return json.dumps(document, indent=1).replace(json.dumps(MARK), make(draw), 1).encode()

    way.__name__ = f"set {make.__name__.strip('_').replace('_', ' ')}"
    return way


def near_value(draw: Random, data: bytes) -> bytes:
    document = json.loads(data)
    holder, key = _place(draw, document, leaf=True)
    text, holder[key] = _near(draw, holder[key]), MARK
    return json.dumps(document, indent=1).replace(json.dumps(MARK), text, 1).encode()


def delete_key(draw: Random, data: bytes) -> bytes:
    document = json.loads(data)
    holder, key = _place(draw, document)
    del holder[key]
    return json.dumps(document, indent=1).encode()


def repeat_key(draw: Random, data: bytes) -> bytes:
    document = json.loads(data)
    _, key = _place(draw, document, mapping=True)
    text = json.dumps(document, indent=1)
    wanted = f"{json.dumps(key)}: "
    return text.replace(wanted, f"{wanted}{_other_type(draw)}, {wanted}", 1).encode()


def unknown_key(draw: Random, data: bytes) -> bytes:
    document = json.loads(data)
    holder, _ = _place(draw, document, mapping=True)
    holder[draw.choice(("surprise", "", "__class__", "name ", "x" * 10_000))] = 1
    return json.dumps(document, indent=1).encode()


def swap_values(draw: Random, data: bytes) -> bytes:
    document = json.loads(data)
    holder, key = _place(draw, document)
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    other = draw.choice(list(keys))
    holder[key], holder[other] = holder[other], holder[key]
    return json.dumps(document, indent=1).encode()


def whole(draw: Random, data: bytes) -> bytes:
    return draw.choice(("[]", "{}", "null", "1", '"x"', "NaN", "[" * DEPTH, _deep(draw), "[1", "{'a': 1}")).encode()


def _place(draw: Random, document: Any, leaf: bool = False, mapping: bool = False) -> tuple[Any, Any]:
    """Return a container and a key in it, as deep as chance goes; all the way down for a leaf."""
    holder, key = document, None
    best = None
    while isinstance(holder, dict | list) and holder:
        key = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if not mapping or isinstance(holder, dict):
            best = holder, key
        if not leaf and draw.random() < 0.35:
            break
        holder = holder[key]
    if best is None:
        raise ValueError("nothing there to change")
    return best


JSON: tuple[Way, ...] = (
    *(delete_key, delete_key, near_value, near_value, near_value, near_value, repeat_key, unknown_key, swap_values),
    *(set_value(_other_type),) * 3,
    *(set_value(_huge), set_value(_huge), set_value(_nan), set_value(_deep), set_value(_odd_text), whole),
    *(flip_bit, flip_bit, flip_bits, truncate, empty, drop_block, zero_block, append, bad_text),
)


# ----------------------------------------------------------------------------------------------------- JSON lines
def in_a_line(inner: Way) -> Way:
    def way(draw: Random, data: bytes) -> bytes:
        lines = data.splitlines()
        number = draw.randrange(len(lines))
        lines[number] = inner(draw, lines[number]).replace(b"\n", b" ")
        return b"\n".join(lines) + b"\n"

    way.__name__ = f"{inner.__name__} in a line"
    return way


def _lines(change: Callable[[Random, list[bytes]], list[bytes]]) -> Way:
    def way(draw: Random, data: bytes) -> bytes:
        return b"\n".join(change(draw, data.splitlines())) + b"\n"

    way.__name__ = change.__name__.strip("_")
    return way


def _repeat_line(draw: Random, lines: list[bytes]) -> list[bytes]:
    return [*lines, draw.choice(lines)]


def _drop_line(draw: Random, lines: list[bytes]) -> list[bytes]:
    number = draw.randrange(len(lines))
    return lines[:number] + lines[number + 1 :]


def _swap_lines(draw: Random, lines: list[bytes]) -> list[bytes]:
    return draw.sample(lines, len(lines))


def _join_lines(draw: Random, lines: list[bytes]) -> list[bytes]:
    return [lines[0] + lines[1], *lines[2:]]


def _blank_line(draw: Random, lines: list[bytes]) -> list[bytes]:
    number = draw.randrange(len(lines))
    return [*lines[:number], b"", *lines[number:]]


JSONL: tuple[Way, ...] = (
    *map(in_a_line, JSON[:18]),
    *map(_lines, (_repeat_line, _drop_line, _swap_lines, _join_lines, _blank_line)),
    *(flip_bit, flip_bit, flip_bits, truncate, truncate, cut_last, empty, drop_block, zero_block, append, bad_text),
)


# ----------------------------------------------------------------------------------------------------------- TOML
def toml_value(draw: Random, data: bytes) -> bytes:
    values = (
        '"text"',
        "[]",
        "{}",
        "true",
        "-1",
        "0.5",
        "nan",
        "inf",
        "-inf",
        "0",
        "1e308",
        "1" + "0" * 23,
        "1979-05-27",
    )
    return _toml(draw, data, draw.choice(values))


def toml_huge(draw: Random, data: bytes) -> bytes:
    deep = "[" * 20_000 + "]" * 20_000, "{a = " * 2_000 + "1" + "}" * 2_000
    return _toml(draw, data, draw.choice((*deep, "1" + "0" * 5_000, '"' + "x" * 200_000 + '"')))


def _toml(draw: Random, data: bytes, value: str) -> bytes:
    lines = data.decode().splitlines()
    numbers = [number for number, line in enumerate(lines) if "=" in line]
    number = draw.choice(numbers)
    lines[number] = f"{lines[number].partition('=')[0]}= {value}"
    return "\n".join(lines).encode()


def toml_keys(draw: Random, data: bytes) -> bytes:
    text = data.decode()
    lines = (".".join("a" * 50_000) + " = 1", "surprise = 1", "[surprise]\nx = 1", "'' = 1", text, "[[environment]]")
    line = draw.choice(lines)
    return (f"{line}\n{text}" if draw.random() < 0.5 else f"{text}\n{line}\n").encode()


def toml_line(draw: Random, data: bytes) -> bytes:
    lines = data.decode().splitlines()
    number = draw.randrange(len(lines))
    return "\n".join(lines[:number] + draw.choice(([], [lines[number]] * 2)) + lines[number + 1 :]).encode()


TOML: tuple[Way, ...] = (
    *(toml_value,) * 5,
    *(toml_huge, toml_huge, toml_keys, toml_keys, toml_line, toml_line),
    *(flip_bit, flip_bit, flip_bits, truncate, empty, drop_block, zero_block, append, bad_text),
)
