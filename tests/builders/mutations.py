"""What a damaged or forged file may hold: every key of a document, one after the other, with every wrong value."""

import copy
import json

MISSING = object()
WRONG = (
    MISSING,
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    float("nan"),
    "",
    "text",
    "../../x",
    "\ud800",
    [],
    [None],
    ["x", 1],
    {},
    {"x": {"y": None}},
)
"""Values of every kind that JSON has, and what is wrong in ways of its own."""


def places(document, path=(), most=3):
    """Yield the path of every value in a document; of a long list, the first ``most``."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key), most)
    elif isinstance(document, list):
        for index, value in enumerate(document[:most]):
            yield from places(value, (*path, index), most)


def put(document, path, value):
    """Return a copy of a document with one value replaced, or taken out for MISSING."""
    if not path:
        return None if value is MISSING else value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


def mutants(document, wrong=WRONG, most=3):
    """Yield (place and value, as text, and the changed document) for every place and every wrong value."""
    for path in places(document, (), most):
        for value in wrong:
            told = "missing" if value is MISSING else ascii(value)
            yield f"{'.'.join(map(str, path)) or 'all of it'} = {told}", put(document, path, value)


def texts():
    """Yield (name, bytes) of whole files that are no document at all, or one that no reader can bear."""
    yield "empty", b""
    yield "garbage", bytes(range(256))
    yield "half", b'{"a": [1, 2'
    yield "not UTF-8", b'{"a": "\xff"}'
    yield "a list", b"[]"
    yield "a text", b'"text"'
    yield "deep", b"[" * 10_000 + b"]" * 10_000
    yield "deep objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    yield "a long number", b'{"format": ' + b"9" * 5_000 + b"}"
    yield "a huge number", b'{"format": 1' + b"0" * 400 + b"}"
    yield "a key twice", b'{"format": 1, "format": 1}'
    yield "NUL", b'{"a\\u0000": 1}'


def as_json(document):
    """Return a document as the bytes of a file."""
    return json.dumps(document).encode()
