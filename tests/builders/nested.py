"""Nested values of dictionaries and lists, as a manifest has them: what is in them, and with one place changed."""


def paths(value, path=()):
    """Return the paths to everything in nested values, their own, empty one first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in paths(part, (*path, key)))]


def put(value, path, other):
    """Return nested values with another one in one place."""
    if not path:
        return other
    changed = value.copy()
    changed[path[0]] = put(value[path[0]], path[1:], other)
    return changed


def without(value, path):
    """Return nested values that lack what is in one place."""
    *outer, last = path
    inner = value
    for key in outer:
        inner = inner[key]
    return put(value, outer, {key: part for key, part in inner.items() if key != last})
