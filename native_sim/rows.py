"""Checks of rows and seeds, the same at the door of every vector environment: one sentence says what is wrong."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from native_sim.api import Array

Rows = npt.NDArray[np.int64]


def is_integer(value: object) -> bool:
    """Whether a value is an integer of Python or NumPy; truth values are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def check_rows(rows: Sequence[int] | Array | None, num_envs: int) -> Rows:
    """Return row indices [N] int64; None means all rows in order.

    Raises:
        ValueError: If a row does not exist or is repeated.
    """
    if rows is None:
        return np.arange(num_envs, dtype=np.int64)
    given = np.asarray(rows)
    if given.size == 0 and given.ndim == 1:
        return np.empty(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(f"rows must be a list of integers; given {rows!r}")
    if given.min() < 0 or given.max() >= num_envs:
        raise ValueError(f"rows must lie in 0 to {num_envs - 1}; given {given.tolist()}")
    if len(np.unique(given)) != len(given):
        raise ValueError(f"rows must not repeat; given {given.tolist()}")
    return given.astype(np.int64)


def check_reset_rows(rows: Sequence[int] | None, options: Mapping[str, Any] | None, num_envs: int) -> Rows:
    """Return the rows to reset, named by ``rows`` or by Gymnasium's ``options={"reset_mask": bool [E]}``.

    Raises:
        ValueError: If both name rows, an option is unknown, or a row does not exist or is repeated.
    """
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
    return np.flatnonzero(mask).astype(np.int64)


def check_seed(seed: int | None, max_seed: int | None = None) -> int | None:
    """Return one seed as an int, or None.

    Args:
        seed: What was given.
        max_seed: Largest seed; None sets no limit.

    Raises:
        ValueError: If it is neither None nor an integer of at least 0 and at most ``max_seed``.
    """
    if seed is None:
        return None
    if not is_integer(seed) or (seed < 0 and max_seed is None):
        raise ValueError(f"a seed must be a non-negative integer or None; given {seed!r}")
    if max_seed is not None and not 0 <= seed <= max_seed:
        raise ValueError(f"seeds must lie in 0 to {max_seed}; given {seed}")
    return int(seed)


def check_seeds(
    seed: int | Sequence[int | None] | Array | None, num_rows: int, max_seed: int | None = None
) -> list[int | None]:
    """Return one seed per row: an int s means s, s + 1, ...; None continues each row's own stream.

    Raises:
        ValueError: If their number differs from the number of rows, or for a bad seed as in :func:`check_seed`.
    """
    if seed is None:
        return [None] * num_rows
    if is_integer(seed):
        first = operator.index(seed)  # type: ignore[arg-type]
        check_seed(first, max_seed)
        return [check_seed(first + offset, max_seed) for offset in range(num_rows)]
    if isinstance(seed, (str, bytes)) or not isinstance(seed, (Sequence, np.ndarray)):
        raise ValueError(f"seed must be an integer, a list with one seed per row, or None; given {seed!r}")
    if len(seed) != num_rows:
        raise ValueError(f"{num_rows} rows need {num_rows} seeds; given {len(seed)}")
    return [check_seed(item, max_seed) for item in seed]


def check_playing(started: npt.NDArray[np.bool_], finished: npt.NDArray[np.bool_], rows: Rows) -> None:
    """Refuse to step rows that were never reset or whose episode is over (both [E] bool)."""
    fresh = rows[~started[rows]]
    if len(fresh):
        raise ValueError(f"rows {fresh.tolist()} have not been reset yet: call reset before step")
    over = rows[finished[rows]]
    if len(over):
        raise ValueError(f"the episodes of rows {over.tolist()} are over: reset them before the next step")
