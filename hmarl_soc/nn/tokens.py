"""Tokens: the named groups of an observation that attention weighs and that reports speak of."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from native_sim.api import Array, Layout

FLOOR: Final = 0.2
"""Share of attention that is spread equally over the tokens of an observation."""
SMALLEST_SPREAD: Final = 0.01
"""Features whose spread was smaller when a scaler was fitted are shifted but not scaled."""
LARGEST: Final = 10.0
"""Scaled features are cut off here."""


class Tokens(NamedTuple):
    """T groups that together cover the F features of an observation, each once; W is the widest."""

    names: tuple[str, ...]  # [T], such as "segments[3]"
    gather: Array  # [T, W] int64, indices of the features; F where a token is narrower
    member: Array  # [T, F] float32, 1 where a feature belongs to a token
    size: int  # F


def make_tokens(layout: Layout) -> Tokens:
    """Split a layout into tokens: each row of a matrix is one, every other field is one."""
    names: list[str] = []
    groups: list[range] = []
    for field in layout:
        rows, start = (field.shape[0], field.start) if len(field.shape) > 1 else (1, field.start)
        width = field.size // rows
        for row in range(rows):
            names.append(f"{field.name}[{row}]" if len(field.shape) > 1 else field.name)
            groups.append(range(start + row * width, start + (row + 1) * width))
    gather = np.full((len(groups), max(map(len, groups))), layout.size, np.int64)
    member = np.zeros((len(groups), layout.size), np.float32)
    for token, group in enumerate(groups):
        gather[token, : len(group)] = group
        member[token, group] = 1.0
    return Tokens(tuple(names), gather, member, layout.size)
