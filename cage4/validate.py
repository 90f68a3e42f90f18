"""Checks at the door of every engine: what is wrong is said in one sentence before anything changes."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.variants import Variant, get_variant
from native_sim import rows
from native_sim.api import Array

MIN_STEPS = 3
"""Shortest episode: one step per phase."""

is_integer = rows.is_integer
check_rows = rows.check_rows
check_reset_rows = rows.check_reset_rows
check_seed = rows.check_seed
check_seeds = rows.check_seeds
check_playing = rows.check_playing


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


def check_count(name: str, value: int, high: int | None = None) -> int:
    """Return a number of things, at least 1 and at most ``high``, as an int."""
    if not is_integer(value) or value < 1 or (high is not None and value > high):
        limit = "of at least 1" if high is None else f"between 1 and {high}"
        raise ValueError(f"{name} must be an integer {limit}; given {value!r}")
    return int(value)


def check_num_envs(num_envs: int) -> int:
    """Return the number of environments as an int."""
    return check_count("num_envs", num_envs)


def check_actions(actions: Mapping[str, Array], num_actions: Sequence[int], num_rows: int) -> npt.NDArray[np.int64]:
    """Return the actions as one array [N, 5] int64, in the order of the agents.

    Args:
        actions: Agent -> [N] integers (bool is refused).
        num_actions: Size of each agent's action catalogue.
        num_rows: N.
    """
    if not isinstance(actions, Mapping):
        raise ValueError(f"actions must map each blue agent to an integer array; given {type(actions).__name__}")
    if len(actions) != spec.NUM_BLUE or any(agent not in actions for agent in spec.BLUE_AGENTS):
        check_agent_names(actions)
        missing = ", ".join(agent for agent in spec.BLUE_AGENTS if agent not in actions)
        raise ValueError(f"actions are missing for {missing}: every blue agent needs one per row")
    checked = np.empty((num_rows, spec.NUM_BLUE), np.int64)
    for column, agent in enumerate(spec.BLUE_AGENTS):
        given = np.asarray(actions[agent])
        if given.dtype.kind not in "iu" and given.size:
            raise ValueError(f"actions of {agent} must be integers; given {given.dtype}")
        if given.shape != (num_rows,):
            raise ValueError(f"actions of {agent} must have shape ({num_rows},); given {given.shape}")
        checked[:, column] = given
    # One comparison for all agents; unsigned numbers too large for int64 have become negative.
    bad = (checked < 0) | (checked >= np.asarray(num_actions))
    if bad.any():
        column = int(np.flatnonzero(bad.any(axis=0))[0])
        agent, given = spec.BLUE_AGENTS[column], np.asarray(actions[spec.BLUE_AGENTS[column]])
        raise ValueError(
            f"actions of {agent} must lie in 0 to {num_actions[column] - 1}; given {given.min()} to {given.max()}"
        )
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
    if given.dtype.kind not in "biuf" or not ((given == 0) | (given == 1)).all():
        raise ValueError("messages must consist of 0 and 1 only")
    return given.astype(np.int8)
