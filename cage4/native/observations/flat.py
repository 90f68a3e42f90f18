"""Blue's flat observations and action masks, in CybORG's padded BlueFlatWrapper layout."""

from __future__ import annotations

from typing import Final

import numpy as np

from cage4 import spec
from cage4.native.agents.blue import _IS_HOST_VERB, CATALOGUE
from cage4.native.jit import inner
from cage4.native.world import codes

_NUM_ACTIONS: Final = np.array(spec.NUM_ACTIONS, np.int64)
_SIZES: Final = np.array(spec.OBSERVATION_SIZES, np.int64)
_POLICY: Final = np.ascontiguousarray(spec.COMMS_POLICY)
_RANK: Final = np.array(spec.SORTED_RANK, np.int64)
_HQ_ZONES: Final = np.array(spec.BLUE_SUBNETS[-1], np.int64)
_MAX_SERVERS: Final = spec.MAX_SERVERS
_MAX_USERS: Final = spec.MAX_USERS
_SLOTS: Final = spec.MAX_HOSTS_PER_SUBNET
_BLOCK: Final = spec.SUBNET_BLOCK
_BITS: Final = spec.MESSAGE_BITS


@inner
def zone_of_block(blue, block):  # type: ignore[no-untyped-def]
    """Return the subnet (generation order) that a block of an agent's observation describes."""
    return np.int64(blue) if blue < codes.NUM_BLUE - 1 else _HQ_ZONES[block]


@inner
def write_reset_outputs(row):  # type: ignore[no-untyped-def]
    """Write masks and what stays constant in the observations, then the first observation."""
    row.parts[:] = 0
    row.cost = 0
    row.busy[:] = 0
    row.observation[:] = 0
    row.action_mask[:] = 0
    for blue in range(codes.NUM_BLUE):
        for index in range(_NUM_ACTIONS[blue]):
            verb, a, _ = CATALOGUE[blue, index]
            row.action_mask[blue, index] = not _IS_HOST_VERB[verb] or row.host_octet[a] > 0
        for block in range(_HQ_ZONES.shape[0] if blue == codes.NUM_BLUE - 1 else 1):
            row.observation[blue, 1 + block * _BLOCK + _RANK[zone_of_block(blue, block)]] = 1
    write_policies(row)
    write_observations(row)


@inner
def write_policies(row):  # type: ignore[no-untyped-def]
    """Write what the observations say about the phase."""
    for blue in range(codes.NUM_BLUE):
        out = row.observation[blue]
        out[0] = row.phase
        for block in range(_HQ_ZONES.shape[0] if blue == codes.NUM_BLUE - 1 else 1):
            zone = zone_of_block(blue, block)
            place = 1 + block * _BLOCK + 2 * codes.NUM_ZONES
            for rank in range(codes.NUM_ZONES):
                out[place + rank] = _POLICY[row.phase, zone, rank]


@inner
def write_observations(row):  # type: ignore[no-untyped-def]
    """Write what can change in any step, except the messages."""
    for blue in range(codes.NUM_BLUE):
        out = row.observation[blue]
        for block in range(_HQ_ZONES.shape[0] if blue == codes.NUM_BLUE - 1 else 1):
            zone = zone_of_block(blue, block)
            place = 1 + block * _BLOCK + codes.NUM_ZONES
            for other in range(codes.NUM_ZONES):
                out[place + _RANK[other]] = row.blocked[zone, other]
            place += 2 * codes.NUM_ZONES
            server = zone * codes.SLOTS + codes.FIRST_SERVER
            user = zone * codes.SLOTS + codes.FIRST_USER
            for i in range(_MAX_SERVERS):
                out[place + i] = row.proc_events[server + i] > 0
                out[place + _SLOTS + i] = row.net_events[server + i] > 0
            place += _MAX_SERVERS
            for i in range(_MAX_USERS):
                out[place + i] = row.proc_events[user + i] > 0
                out[place + _SLOTS + i] = row.net_events[user + i] > 0


@inner
def write_messages(row, messages):  # type: ignore[no-untyped-def]
    """Write the messages [5, 8] of this step into the observations of all other agents."""
    for blue in range(codes.NUM_BLUE):
        place = _SIZES[blue] - (codes.NUM_BLUE - 1) * _BITS
        for sender in range(codes.NUM_BLUE):
            if sender != blue:
                for bit in range(_BITS):
                    row.observation[blue, place + bit] = messages[sender, bit]
                place += _BITS
