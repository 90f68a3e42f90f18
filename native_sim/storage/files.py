"""Reading JSON and TOML that others wrote: bounded in size, depth and digits before anything is made of it.

Every file that a command reads comes through here. What cannot be read is a ``ValueError`` that says why in a few
words; whoever knows what the file is for names it and says what to do.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from native_sim.finite import parse_float, refuse_constant

MOST_JSON: Final = 256 * 2**20
"""Bytes of a JSON file at most."""
MOST_TOML: Final = 256 * 2**10
"""Bytes of a TOML file at most."""
MOST_DEPTH: Final = 100
"""Arrays and tables within each other at most."""
MOST_BITS: Final = 128
"""Bits of a whole number at most: the states of random generators have as many."""
MOST_PARTS: Final = 16
"""Parts of a dotted TOML key at most: reading a key takes time that grows faster than its length."""
MISFITS: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What taking nested values apart raises where something is missing, or of another kind or shape."""
_TOO_DEEP: Final = f"it has more than {MOST_DEPTH} levels"
_TOO_LONG: Final = f"a whole number in it is longer than {MOST_BITS} bits"
_PART: Final = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_LONG_KEY: Final = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}){{{MOST_PARTS}}}", re.MULTILINE)
_Read = TypeVar("_Read")


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: If the file cannot be opened or read.
        ValueError: If it is no JSON, or larger, deeper or with longer numbers than is allowed.
    """
    return parse_json(read_bytes(path, MOST_JSON))


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds; bytes are UTF-8, with or without a byte-order mark.

    Raises:
        ValueError: As for :func:`read_json`; also for a key that an object has twice.
    """
    if len(text) > MOST_JSON:
        raise ValueError(f"it is larger than {MOST_JSON:,} bytes")
    return _checked("JSON", text, _load)


def _load(words: str) -> Any:
    return json.loads(words, object_pairs_hook=_unique, parse_constant=refuse_constant, parse_float=parse_float)


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        OSError: If the file cannot be opened or read.
        ValueError: As for :func:`read_json`, or if it holds something else than an object.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"it holds {kind_of(found)} where an object belongs")
    return found


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        OSError: If the file cannot be opened or read.
        ValueError: If it is no TOML, or larger, deeper or with longer keys or numbers than is allowed.
    """
    return parse_toml(read_bytes(path, MOST_TOML))


def parse_toml(text: bytes) -> dict[str, Any]:
    """Return what a TOML text holds, with or without a byte-order mark.

    Raises:
        ValueError: As for :func:`read_toml`.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    if len(text) > MOST_TOML:
        raise ValueError(f"it is larger than {MOST_TOML:,} bytes")

    def parse(words: str) -> dict[str, Any]:
        if _LONG_KEY.search(words):
            raise ValueError(f"a key has more than {MOST_PARTS} parts")
        found: dict[str, Any] = tomllib.loads(words)
        return found

    return _checked("TOML", text, parse)


def read_bytes(path: str | Path, most: int) -> bytes:
    """Return the content of a file of ``most`` bytes at most; an endless one, such as a device, is not read further.

    Raises:
        OSError: If the file cannot be opened or read.
        ValueError: If it is larger.
    """
    with Path(path).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content


def kind_of(value: object) -> str:
    """Return what a value is called in a JSON file, with its article."""
    if isinstance(value, bool) or value is None:
        return "true or false" if value is not None else "null"
    kinds = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:50]!r} is there twice")
    return found


def _checked(language: str, text: str | bytes, parse: Callable[[str], _Read]) -> _Read:
    """Return what ``parse`` makes of a text, with the depth and the numbers in it checked."""
    try:
        found = parse(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's own limit, whose message advises programmers
            raise ValueError(_TOO_LONG) from None
        raise ValueError(f"it is not valid {language} ({error})") from error
    level: list[Any] = [found]
    for _ in range(MOST_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise ValueError(_TOO_LONG)
        if not inner:
            return found
        level = inner
    raise ValueError(_TOO_DEEP)
