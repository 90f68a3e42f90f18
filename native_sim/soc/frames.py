"""What goes into a step of any rule set and what comes out of it, as arrays; N is the number of rows stepped."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from native_sim.soc import spec

Array = npt.NDArray[Any]


class Commands(NamedTuple):
    """Checked actions. The array of a role that was not supplied has one row that is never read."""

    supplied: Array  # [4] bool, roles in the order of spec.AGENTS
    coordinator: Array  # [N, 8] float64 in [-1, 1]; a row of NaN: no new directive
    hunter: Array  # [N, 16] float64 in [-1, 1]
    triage: Array  # [N] int64 in 0..3
    responder: Array  # [N, 12] float64 in [-1, 1]


class Frame(NamedTuple):
    """Observations and results of N rows, written by a kernel."""

    coordinator: Array  # [N, 64] float32
    hunter: Array  # [N, 128] float32
    triage: Array  # [N, 64] float32
    responder: Array  # [N, 96] float32
    reward: Array  # [N] float64, weighted sum of the parts
    parts: Array  # [N, 4] float64, spec.REWARD_PARTS before their weights
    terminated: Array  # [N] bool
    truncated: Array  # [N] bool
    metrics: Array  # [N, M] float64, of the episode when it ended in this step, else NaN


def allocate_frame(num_rows: int, num_metrics: int) -> Frame:
    """Return a frame of N rows whose arrays nobody else holds."""
    coordinator, hunter, triage, responder = (np.zeros((num_rows, size), np.float32) for size in spec.OBSERVATION_SIZES)
    return Frame(
        coordinator=coordinator,
        hunter=hunter,
        triage=triage,
        responder=responder,
        reward=np.zeros(num_rows),
        parts=np.zeros((num_rows, len(spec.REWARD_PARTS))),
        terminated=np.zeros(num_rows, np.bool_),
        truncated=np.zeros(num_rows, np.bool_),
        metrics=np.full((num_rows, num_metrics), np.nan),
    )
