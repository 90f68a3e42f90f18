"""Checks at the door of every engine: what is wrong is said in one sentence before anything changes."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.variants import Variant, get_variant
from native_sim.api import Array

MIN_STEPS = 3
"""Shortest episode: one step per phase."""


def is_integer(value: object) -> bool:
    """Whether a value is an integer of Python or NumPy; truth values are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def check_variant(variant: str | Variant) -> Variant:
    """Return the variant itself, or look its name up."""
    if isinstance(variant, Variant):
        return variant
    if not isinstance(variant, str):
        raise ValueError(f"variant must be a name or a Variant; given {type(variant).__name__}")
    return get_variant(variant)


def check_steps(steps: int) -> int:
    """Return the episode length as an int; the shortest is 3, one step per mission phase."""
    if not is_integer(steps) or steps < MIN_STEPS:
        raise ValueError(f"steps must be an integer of at least {MIN_STEPS}, one per mission phase; given {steps!r}")
    return int(steps)


def check_num_envs(num_envs: int) -> int:
    """Return the number of environments as an int."""
    if not is_integer(num_envs) or num_envs < 1:
        raise ValueError(f"num_envs must be an integer of at least 1; given {num_envs!r}")
    return int(num_envs)


def check_seed(seed: int | None) -> int | None:
    """Return one seed as an int, or None."""
    if seed is None:
        return None
    if not is_integer(seed) or seed < 0:
        raise ValueError(f"a seed must be a non-negative integer or None; given {seed!r}")
    return int(seed)


def check_seeds(seed: int | Sequence[int | None] | None, num_rows: int) -> list[int | None]:
    """Return one seed per row: an int s means s, s + 1, ...; None continues each row's own stream."""
    if seed is None:
        return [None] * num_rows
    if is_integer(seed):
        first = operator.index(seed)  # type: ignore[arg-type]
        check_seed(first)
        return [first + offset for offset in range(num_rows)]
    if isinstance(seed, (str, bytes)) or not isinstance(seed, (Sequence, np.ndarray)):
        raise ValueError(f"seed must be an integer, a list with one seed per row, or None; given {seed!r}")
    if len(seed) != num_rows:
        raise ValueError(f"{num_rows} rows need {num_rows} seeds; given {len(seed)}")
    return [check_seed(item) for item in seed]


def check_rows(rows: Sequence[int] | Array | None, num_envs: int) -> npt.NDArray[np.int64]:
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


def check_reset_rows(
    rows: Sequence[int] | None, options: Mapping[str, Any] | None, num_envs: int
) -> npt.NDArray[np.int64]:
    """Return the rows to reset, named by ``rows`` or by Gymnasium's ``options={"reset_mask": bool [E]}``."""
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


def check_playing(started: npt.NDArray[np.bool_], finished: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64]) -> None:
    """Refuse to step rows that were never reset or whose episode is over (both [E] bool)."""
    fresh = rows[~started[rows]]
    if len(fresh):
        raise ValueError(f"rows {fresh.tolist()} have not been reset yet: call reset before step")
    over = rows[finished[rows]]
    if len(over):
        raise ValueError(f"the episodes of rows {over.tolist()} are over: reset them before the next step")


def check_actions(actions: Mapping[str, Array], num_actions: Sequence[int], num_rows: int) -> npt.NDArray[np.int64]:
    """Return the actions as one array [N, 5] int64, in the order of the agents.

    Args:
        actions: Agent -> [N] integers (bool is refused).
        num_actions: Size of each agent's action catalogue.
        num_rows: N.
    """
    if not isinstance(actions, Mapping):
        raise ValueError(f"actions must map each blue agent to an integer array; given {type(actions).__name__}")
    check_agent_names(actions)
    missing = [agent for agent in spec.BLUE_AGENTS if agent not in actions]
    if missing:
        raise ValueError(f"actions are missing for {', '.join(missing)}: every blue agent needs one per row")
    checked = np.empty((num_rows, spec.NUM_BLUE), np.int64)
    for column, agent in enumerate(spec.BLUE_AGENTS):
        given = np.asarray(actions[agent])
        if given.dtype.kind not in "iu" and given.size:
            raise ValueError(f"actions of {agent} must be integers; given {given.dtype}")
        if given.shape != (num_rows,):
            raise ValueError(f"actions of {agent} must have shape ({num_rows},); given {given.shape}")
        if num_rows and (given.min() < 0 or given.max() >= num_actions[column]):
            raise ValueError(
                f"actions of {agent} must lie in 0 to {num_actions[column] - 1}; given {given.min()} to {given.max()}"
            )
        checked[:, column] = given
    return checked


def check_action(action: object, agent: str, num_actions: int) -> int:
    """Return one action index of one agent as an int."""
    if isinstance(action, np.ndarray) and action.ndim == 0:
        action = action[()]
    if not is_integer(action):
        raise ValueError(f"the action of {agent} must be an integer; given {action!r}")
    index = operator.index(action)  # type: ignore[arg-type]
    if not 0 <= index < num_actions:
        raise ValueError(f"the action of {agent} must lie in 0 to {num_actions - 1}; given {index}")
    return index


def check_agent_names(actions: Mapping[str, object]) -> None:
    """Refuse agents other than the five blue ones."""
    unknown = [str(agent) for agent in actions if agent not in spec.BLUE_AGENTS]
    if unknown:
        known = f"{spec.BLUE_AGENTS[0]} to {spec.BLUE_AGENTS[-1]}"
        raise ValueError(f"unknown agents {', '.join(unknown)}; the agents are {known}")


def check_messages(messages: Array | None, num_rows: int) -> npt.NDArray[np.int8] | None:
    """Return messages [N, 5, 8] as int8 of 0/1, or None for silence; any numeric dtype is accepted."""
    if messages is None:
        return None
    given = np.asarray(messages)
    shape = (num_rows, spec.NUM_BLUE, spec.MESSAGE_BITS)
    if given.shape != shape:
        raise ValueError(f"messages must have shape {shape} (rows, agents, bits); given {given.shape}")
    if given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
        raise ValueError("messages must consist of 0 and 1 only")
    return given.astype(np.int8)
