"""Blue observations: the flat vector of CybORG's BlueFlatWrapper <-> named fields, in both directions.

The flat vector tells only what happened in the step just played: the event bits last one step, and neither the
success of an action nor the result of an analysis appears in it.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import spec
from native_sim.api import Array, Field, Layout

_S, _H = spec.NUM_SUBNETS, spec.MAX_HOSTS_PER_SUBNET
BLOCK: Final = Layout(
    "CC4 subnet block",
    (
        Field("subnet", 0, (_S,), 1, "one-hot of this subnet, sorted order"),
        Field("blocked", _S, (_S,), 1, "traffic from that subnet (sorted order) to this one is blocked"),
        Field("policy", 2 * _S, (_S,), 1, "the phase's policy does not allow traffic with that subnet"),
        Field("process", 3 * _S, (_H,), 1, "a process event on the host slot in this step"),
        Field("connection", 3 * _S + _H, (_H,), 1, "a connection event on the host slot in this step"),
    ),
)
"""Layout of the part of the vector that describes one subnet (59 entries)."""


class FlatObservation(NamedTuple):
    """A flat observation in named fields. Z is the number of the agent's subnets, in sorted order (1 or 3)."""

    phase: Array  # [...] 0, 1, 2: the phase in which the step just played took place
    subnet: Array  # [..., Z, 9]
    blocked: Array  # [..., Z, 9]
    policy: Array  # [..., Z, 9]
    process: Array  # [..., Z, 16] servers 0-5, then users 0-9
    connection: Array  # [..., Z, 16]
    messages: Array  # [..., 4, 8] senders in ascending order, without the agent itself


@cache
def layout(agent: int) -> Layout:
    """Return what each index of a blue agent's unpadded vector means."""
    if not 0 <= agent < spec.NUM_BLUE:
        raise ValueError(f"blue agent {agent} does not exist; blue agents are 0 to {spec.NUM_BLUE - 1}")
    fields = [Field("phase", 0, (), spec.NUM_PHASES - 1, "mission phase of the step just played")]
    for number, subnet in enumerate(spec.BLUE_SUBNETS[agent]):
        base = 1 + number * spec.SUBNET_BLOCK
        fields += [Field(f"{subnet.short}.{f.name}", base + f.start, f.shape, f.high, f.meaning) for f in BLOCK]
    end = fields[-1].slice.stop
    shape = (spec.NUM_SENDERS, spec.MESSAGE_BITS)
    fields.append(Field("messages", end, shape, 1, "bits of the other four agents, senders in ascending order"))
    return Layout(f"CC4 blue_agent_{agent}", tuple(fields))


def decode(agent: int, vector: Array) -> FlatObservation:
    """Split a vector [..., F] into named fields; F is the agent's own size, or 210 for a padded vector.

    Raises:
        ValueError: If the last axis has another length, or the padding of a padded vector is not zero.
    """
    vector = np.asarray(vector)
    size = layout(agent).size
    if vector.shape[-1:] not in ((size,), (spec.MAX_OBSERVATION,)):
        raise ValueError(
            f"an observation of blue_agent_{agent} has {size} entries ({spec.MAX_OBSERVATION} when padded); "
            f"the one given has shape {vector.shape}"
        )
    if vector[..., size:].any():
        raise ValueError(f"the padding of blue_agent_{agent}'s observation (entries {size} and up) must be zero")
    lead, subnets = vector.shape[:-1], len(spec.BLUE_SUBNETS[agent])
    middle = vector[..., 1 : 1 + subnets * spec.SUBNET_BLOCK].reshape(*lead, subnets, spec.SUBNET_BLOCK)
    messages = vector[..., size - spec.NUM_SENDERS * spec.MESSAGE_BITS : size]
    return FlatObservation(
        phase=vector[..., 0],
        **BLOCK.unpack(middle),
        messages=messages.reshape(*lead, spec.NUM_SENDERS, spec.MESSAGE_BITS),
    )


def encode(
    agent: int, fields: FlatObservation, pad: bool = False, dtype: npt.DTypeLike = np.int64
) -> npt.NDArray[np.integer]:
    """Join named fields into the agent's vector: the exact inverse of :func:`decode`.

    Args:
        agent: Blue agent, 0 to 4.
        fields: Arrays whose leading axes agree.
        pad: Append zeros up to 210 entries, as ``pad_spaces=True`` does.
        dtype: Integer type of the result; CybORG's own is int64.
    """
    subnets = len(spec.BLUE_SUBNETS[agent])
    middle = BLOCK.pack({field.name: getattr(fields, field.name) for field in BLOCK}, dtype)
    if middle.shape[-2:] != (subnets, spec.SUBNET_BLOCK):
        raise ValueError(f"blue_agent_{agent} has {subnets} subnet block(s); the fields given have {middle.shape[-2]}")
    lead = middle.shape[:-2]
    phase = np.asarray(fields.phase, dtype).reshape(*lead, 1)
    messages = np.asarray(fields.messages, dtype).reshape(*lead, spec.NUM_SENDERS * spec.MESSAGE_BITS)
    parts = [phase, middle.reshape(*lead, subnets * spec.SUBNET_BLOCK), messages]
    if pad:
        parts.append(np.zeros((*lead, spec.MAX_OBSERVATION - layout(agent).size), dtype))
    return np.concatenate(parts, axis=-1)
