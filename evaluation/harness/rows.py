"""How rows are kept in files, and how damage to them shows: a checksum per line, a digest per table.

A table says in its own metadata of which rows it was written, so a changed bit is either noticed or changes no row.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from evaluation.harness.schema import Row

_AnyRow = TypeVar("_AnyRow", bound=Row)
_LINE: Final = re.compile(rb'(\{.*),"crc32":"([0-9a-f]{8})"\}', re.DOTALL)
_DIGEST: Final = b"hmarl-transfer rows sha256"
"""Key of the digest in the metadata of a table."""

_UNREADABLE: Final = (ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError)
"""What reading a damaged table raises beside errors of the library's own."""


class DamagedRows(ValueError):
    """Rows cannot be read as they were written, or not be written so; a few words on why."""


class Digests(NamedTuple):
    """SHA-256 of rows, in hexadecimal digits; equal rows in equal order have equal ones."""

    played: str
    """Of all but the wall times, which are never twice the same."""
    whole: str


def digests(rows: Iterable[Row]) -> Digests:
    """Return the digests of rows, whatever file they came from."""
    played, whole = hashlib.sha256(), hashlib.sha256()
    for row in rows:
        cells = row.model_dump(mode="json")
        wall = cells.pop("wall_s", None)
        if not cells["metrics"]:
            del cells["metrics"]  # so that rows without any have the digest that they had before there were some
        text = json.dumps(cells, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        played.update(text)
        whole.update(text + repr(wall).encode())
    return Digests(played.hexdigest(), whole.hexdigest())


# --------------------------------------------------------------------------------------------------------- lines
def to_line(row: Row) -> str:
    """Return a row as a line of JSON, with the checksum of the line without it as its last entry."""
    text = row.model_dump_json()
    return f'{text[:-1]},"crc32":"{zlib.crc32(text.encode()):08x}"}}\n'


def from_line(line: bytes, kind: type[_AnyRow]) -> _AnyRow:
    """Read a line back; lines of earlier versions have no checksum.

    Raises:
        DamagedRows: If the line is not what was written.
        ValidationError: If it is no row.
    """
    found = _LINE.fullmatch(line)
    if found:
        line = found[1] + b"}"
        if zlib.crc32(line) != int(found[2], 16):
            raise DamagedRows("its checksum is of another line")
    return kind.model_validate_json(line)


# -------------------------------------------------------------------------------------------------------- tables
def to_table(rows: Sequence[Row]) -> bytes:
    """Return rows as a Parquet file with checksums of its pages and the digest of the rows.

    Raises:
        DamagedRows: If a table cannot hold these rows, such as counts beyond 64 bits.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    file = pyarrow.BufferOutputStream()
    try:
        table = pyarrow.Table.from_pylist([_cells(row) for row in rows])
        table = table.replace_schema_metadata({_DIGEST: digests(rows).whole.encode()})
        parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
    except (pyarrow.ArrowException, *_UNREADABLE) as error:
        raise DamagedRows(str(error).partition("\n")[0]) from error
    data: bytes = file.getvalue().to_pybytes()
    if rows and from_table(data, type(rows[0])) != list(rows):
        raise DamagedRows("they are not what is read back")
    return data


def from_table(data: bytes, kind: type[_AnyRow]) -> list[_AnyRow]:
    """Read a table back; tables of earlier versions have no digest.

    Raises:
        DamagedRows: If it cannot be read, or its rows are not those that it was written of.
        ValidationError: If a line of it is no row.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(pyarrow.BufferReader(data), page_checksum_verification=True)
        cells = table.to_pylist()
    except (pyarrow.ArrowException, *_UNREADABLE) as error:
        raise DamagedRows(str(error).partition("\n")[0] or type(error).__name__) from error
    rows = [kind.model_validate(row) for row in cells]
    digest = (table.schema.metadata or {}).get(_DIGEST)
    if digest is not None and digest != digests(rows).whole.encode():
        raise DamagedRows("its rows are not those that it was written of")
    return rows


def _cells(row: Row) -> dict[str, Any]:
    """Return a row for the table, which cannot hold a mapping without entries: it is written as nothing."""
    return {name: None if value == {} else value for name, value in row.model_dump(mode="json").items()}
