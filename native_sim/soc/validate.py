"""Checks at the door of the SOC environments: every refusal is one sentence with what was given and what is allowed."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from native_sim.soc import spec
from native_sim.soc.frames import Array, Commands

MAX_SEED = 2**64 - 1
_ROLES = ", ".join(spec.AGENTS)


def check_rows(rows: Sequence[int] | Array | None, num_envs: int) -> Array:
    """Return row numbers [N] int64, all of them for None."""
    if rows is None:
        return np.arange(num_envs)
    given = np.asarray(rows)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ValueError(f"rows must be a list of row numbers; given {rows!r}")
    if given.size and (given.min() < 0 or given.max() >= num_envs):
        raise ValueError(f"rows must lie in 0 to {num_envs - 1}; given {given.min()} to {given.max()}")
    if len(np.unique(given)) != len(given):
        raise ValueError(f"rows must not repeat; given {given.tolist()}")
    return given.astype(np.int64)


def check_reset_rows(rows: Sequence[int] | None, options: dict[str, Any] | None, num_envs: int) -> Array:
    """Return the rows to reset, named by ``rows`` or by ``options={"reset_mask": bool [E]}``."""
    unknown = sorted(set(options or ()) - {"reset_mask"})
    if unknown:
        raise ValueError(f"reset knows only the option 'reset_mask'; given {', '.join(map(repr, unknown))}")
    if not options:
        return check_rows(rows, num_envs)
    if rows is not None:
        raise ValueError("name the rows to reset either by rows or by the option reset_mask, not by both")
    mask = np.asarray(options["reset_mask"])
    if mask.shape != (num_envs,) or mask.dtype != np.bool_:
        given = f"{mask.dtype} of shape {mask.shape}"
        raise ValueError(f"reset_mask must be a bool array of shape ({num_envs},); given {given}")
    return np.flatnonzero(mask)


def check_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """Return one seed or None per row; an int s means s, s + 1, ..."""
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        first = operator.index(seed)
        seeds: list[int | None] = list(range(first, first + count))
    elif isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str | bytes):
        seeds = [_seed(entry) for entry in seed]
    else:
        raise ValueError(f"seed must be an integer, a list of integers or None; given {seed!r}")
    if len(seeds) != count:
        raise ValueError(f"one seed per row is needed: {count} rows, {len(seeds)} seeds")
    wrong = [entry for entry in seeds if entry is not None and not 0 <= entry <= MAX_SEED]
    if wrong:
        raise ValueError(f"seeds must lie in 0 to 2**64 - 1; given {wrong[0]}")
    return seeds


def _seed(entry: object) -> int | None:
    if entry is None:
        return None
    if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
        raise ValueError(f"every seed must be an integer or None; given {entry!r}")
    return operator.index(entry)


def check_playing(started: Array, finished: Array, rows: Array) -> None:
    """Refuse to step rows that were never reset or whose episode is over (both [E] bool)."""
    fresh = rows[~started[rows]]
    if len(fresh):
        raise ValueError(f"rows {fresh.tolist()} have not been reset yet: call reset before step")
    over = rows[finished[rows]]
    if len(over):
        raise ValueError(f"the episodes of rows {over.tolist()} are over: reset them before the next step")


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
