"""Ways to damage Parquet, safetensors and zip by meaning, and the choice of a way for every kind of file."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

from campaign.harm import BYTES, JSON, JSONL, TOML, Way, flip_bit, flip_bits


# -------------------------------------------------------------------------------------------------------- Parquet
def table_cell(draw: Random, data: bytes) -> bytes:
    """Change a cell, and write the file as if it had always been so."""

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows[draw.randrange(len(rows))][draw.choice(("score", "seed", "index", "length"))] += draw.choice((1, 1000, -3))
        return rows

    return _table(data, change)


def table_nan(draw: Random, data: bytes) -> bytes:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows[draw.randrange(len(rows))]["score"] = draw.choice((float("nan"), float("inf"), 123456.0))
        return rows

    return _table(data, change)


def table_column(draw: Random, data: bytes) -> bytes:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        name = draw.choice(list(rows[0]))
        value = draw.choice(("text", None, ...))
        for row in rows:
            if value is ...:
                del row[name]
            else:
                row[name] = value
        return rows

    return _table(data, change)


def table_rows(draw: Random, data: bytes) -> bytes:
    return _table(data, lambda rows: draw.choice((rows[:-1], rows + rows[:1], rows[::-1], rows[:1] * len(rows))))


def _table(data: bytes, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(io.BytesIO(data))
    table = pyarrow.Table.from_pylist(change(found.to_pylist())).replace_schema_metadata(found.schema.metadata)
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


PARQUET: tuple[Way, ...] = (
    *BYTES,
    flip_bit,
    flip_bit,
    flip_bits,
    flip_bits,
    table_cell,
    table_nan,
    table_column,
    table_rows,
)


# ---------------------------------------------------------------------------------------------------- safetensors
def tensor_header(draw: Random, data: bytes) -> bytes:
    """Change the description of the arrays, and keep their bytes."""
    size = int.from_bytes(data[:8], "little")
    header = draw.choice(JSON[:17])(draw, data[8 : 8 + size])
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def tensor_size(draw: Random, data: bytes) -> bytes:
    return draw.choice((0, 1, 2**63, 10**12)).to_bytes(8, "little") + data[8:]


SAFETENSORS: tuple[Way, ...] = (*BYTES, tensor_header, tensor_header, tensor_size)


# ------------------------------------------------------------------------------------------------------------ zip
def zip_members(draw: Random, data: bytes) -> bytes:
    """Leave a member out, write it twice, empty it, or put one where none belongs."""
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    chosen, act = draw.choice(names), draw.choice(("drop", "twice", "empty", "outside", "rename", "folder"))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, "w") as after:
        for name in names:
            content = before.read(name)
            if name != chosen:
                after.writestr(name, content)
            elif act == "twice":
                after.writestr(name, content)
                after.writestr(f"{name}x", content)
            elif act in ("empty", "rename", "folder"):
                after.writestr({"empty": name, "rename": f"x{name}", "folder": f"{name}/{name}"}[act], b"")
        if act == "outside":
            after.writestr("../../outside.py", "x = 1")
    return file.getvalue()


ZIP: tuple[Way, ...] = (*BYTES, zip_members, zip_members, zip_members)
WAYS = {
    "json": JSON,
    "jsonl": JSONL,
    "toml": TOML,
    "parquet": PARQUET,
    "safetensors": SAFETENSORS,
    "zip": ZIP,
    "bytes": BYTES,
}


def damage(draw: Random, kind: str, data: bytes, others: list[bytes]) -> tuple[str, bytes]:
    """Return what was done and the damaged bytes, which differ from the given ones.

    Args:
        draw: Decides everything.
        kind: Of the file, a key of :data:`WAYS`.
        data: Of the file.
        others: Other files, with which it may be mixed up.
    """
    for _ in range(100):
        way = draw.choice((*WAYS[kind], swapped))
        try:
            changed = draw.choice(others) if way is swapped else way(draw, data)
        except (ValueError, KeyError, IndexError, TypeError):
            continue  # this file has nothing that can be damaged in this way
        if changed != data:
            return re.sub("_", " ", way.__name__), changed
    raise RuntimeError(f"a file of kind {kind} could not be damaged")


def swapped(draw: Random, data: bytes) -> bytes:
    """Stand for another file in the place of this one."""
    raise NotImplementedError
