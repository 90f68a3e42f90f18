"""Checks at the door of the SOC environments: every refusal is one sentence with what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from native_sim import rows
from native_sim.soc import spec
from native_sim.soc.frames import Array, Commands

MAX_SEED = 2**64 - 1
_ROLES = ", ".join(spec.AGENTS)

check_rows = rows.check_rows
check_reset_rows = rows.check_reset_rows
check_playing = rows.check_playing


def check_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """Return one seed or None per row; an int s means s, s + 1, ..."""
    return rows.check_seeds(seed, count, MAX_SEED)


def check_actions(actions: Mapping[str, Any], count: int) -> Commands:
    """Return the actions of N rows as kernels take them.

    Args:
        actions: Role -> array, or None; a missing role does nothing in this step. Numbers must lie in [-1, 1],
            triage choices in 0 to 3. A row of NaN for the coordinator keeps the directive in force.
        count: N.
    """
    if not isinstance(actions, Mapping):
        raise ValueError(f"actions must map roles to arrays; given {type(actions).__name__}")
    unknown = sorted(set(map(str, actions)) - set(spec.AGENTS))
    if unknown:
        raise ValueError(f"unknown role {unknown[0]!r} in the actions; the roles are {_ROLES}")
    supplied = np.array([actions.get(role) is not None for role in spec.AGENTS])
    values = []
    for index, role in enumerate(spec.AGENTS):
        if not supplied[index]:
            values.append(_ABSENT[index])
        elif index == spec.TRIAGE:
            values.append(_check_choices(actions[role], count))
        else:
            values.append(_check_numbers(actions[role], role, (count, spec.ACTION_SIZES[index])))
    return Commands(supplied, *values)


_ABSENT = tuple(
    np.zeros(1, np.int64) if index == spec.TRIAGE else np.zeros((1, size))
    for index, size in enumerate(spec.ACTION_SIZES)
)


def _check_numbers(given: object, role: str, shape: tuple[int, int]) -> Array:
    array = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"the action of {role} must consist of numbers; given {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"the action of {role} must have shape {shape}; given {array.shape}")
    numbers = np.ascontiguousarray(array, np.float64)  # one memory layout, so that kernels compile once
    if not array.size:
        return numbers
    low, high = numbers.min(), numbers.max()  # NaN if any entry is
    if low >= -1.0 and high <= 1.0:
        return numbers
    kept = numbers
    if role == "coordinator":
        missing = np.isnan(numbers)
        kept = numbers[~missing.all(axis=1)]
        if not kept.size:
            return numbers
        low, high = kept.min(), kept.max()
    if np.isnan(kept).any():
        raise ValueError(f"the action of {role} contains NaN; leave the role out where it shall not act")
    if low < -1.0 or high > 1.0:
        raise ValueError(f"the action of {role} must lie in -1 to 1; given {low:g} to {high:g}")
    return numbers


def _check_choices(given: object, count: int) -> Array:
    array = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise ValueError(f"the action of triage must be an integer per row; given {array.dtype}")
    if array.shape != (count,):
        raise ValueError(f"the action of triage must have shape ({count},); given {array.shape}")
    if count and (array.min() < 0 or array.max() >= len(spec.Triage)):
        raise ValueError(f"the action of triage must lie in 0 to 3; given {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int64)
