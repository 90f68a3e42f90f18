"""What policies remember, handled without knowing it.

A memory is None, an array whose first axis is the environment, or a mapping, tuple or NamedTuple of memories: see
:class:`native_sim.api.Policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from native_sim.api import Array


def on_arrays(change: Callable[..., Array], memory: Any, *others: Any) -> Any:
    """Return a memory of the same form, made array by array.

    Args:
        change: Given an array of the memory, and those in the same place of the others; returns the new one.
        memory: Memory.
        others: Memories of the same form.
    """
    if memory is None:
        return None
    if isinstance(memory, Mapping):
        return {name: on_arrays(change, part, *(other[name] for other in others)) for name, part in memory.items()}
    if isinstance(memory, tuple):
        parts = [on_arrays(change, *same) for same in zip(memory, *others, strict=True)]
        return type(memory)(*parts) if hasattr(memory, "_fields") else tuple(parts)
    return change(memory, *others)


def take(memory: Any, rows: Sequence[int] | Array) -> Any:
    """Return the memory of some rows."""
    return on_arrays(lambda array: array[rows], memory)


def put(memory: Any, rows: Sequence[int] | Array, fresh: Any) -> Any:
    """Return the memory with some rows replaced; the old one stays as it was."""

    def replaced(array: Array, given: Array) -> Array:
        array = array.copy()
        array[rows] = given
        return array

    return on_arrays(replaced, memory, fresh)
