"""The rich observation: what a blue agent receives from CybORG beyond its flat vector, as fixed-size integers.

CybORG gives each blue agent a raw dictionary; its flat wrapper keeps two bits per host of it and drops the rest:
whether the last action succeeded, what an analysis found, which ports and addresses took part in an alarm, the
process ids of new processes, and which decoy was deployed. A policy may use all of that, since the official
evaluation lets a submission wrap the environment as it likes. It is collected here, and nothing else: no entry
comes from the true state of the world.

One vector [F] of int32 per agent and step: five entries about the agent's own action, then one block of 57 entries
for each host slot of each of its subnets: servers 0-5, users 0-9, router. All entries are at least 0, and 0 always
means "nothing": no action, no address, no port, no process. Events are those of the step just played, as in the
flat vector. At reset only ``present`` is set.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import spec
from native_sim.api import Array, Field, Layout

DTYPE: Final = np.int32
HOST_SLOTS: Final = spec.MAX_HOSTS_PER_SUBNET + 1
"""Host slots of one subnet: servers 0-5, users 0-9, router."""
ROUTER_SLOT: Final = spec.MAX_HOSTS_PER_SUBNET
NUM_RECORDS: Final = 4
"""Connection events and process ids that are kept in full per host and step; further ones are only counted."""
MAX_COUNT: Final = int(np.iinfo(DTYPE).max)


class Success(IntEnum):
    """How the last action went, as CybORG tells the agent."""

    UNKNOWN = 0
    """Sleep, and the observation at reset."""
    TRUE = 1
    FALSE = 2
    IN_PROGRESS = 3


NO_VERB: Final = 0
"""While an action is in progress CybORG does not tell which; otherwise the entry is 1 + the verb."""
INVALID_VERB: Final = 1 + spec.NUM_VERBS
"""What CybORG played instead of a command that it refused."""

FIRST_EPHEMERAL_PORT: Final = 49152
LAST_EPHEMERAL_PORT: Final = 59999
BLOCKED_ACCESS_PORT: Final = 8800
SSH_PORT: Final = 22
LISTENING_PORTS: Final = (1, 22, 25, 80, 443, 3390)
"""Local ports of services and decoys, in the order of the first signatures."""


class Signature(IntEnum):
    """Kinds of connection events that their two ports tell apart; "ephemeral" is 49152 to 59999."""

    PORT_1 = 0
    """From an ephemeral port to local port 1: a scan. So for the next five."""
    PORT_22 = 1
    """A scan, or a brute force, which makes ten equal events."""
    PORT_25 = 2
    """A scan, or the first of the two events of an exploit that hit a decoy. So for ports 80 and 443."""
    PORT_80 = 3
    PORT_443 = 4
    PORT_3390 = 5
    DECOY = 6
    """Both ports ephemeral: the second event of an exploit that hit a decoy."""
    ROUTE = 7
    """No local port, remote port 22: a brute force passed here on its way (the source's own host included)."""
    BLOCKED = 8
    """No local port, remote port 8800: a green user's access that a traffic block stopped."""
    ALARM = 9
    """No local port, remote port ephemeral: a false alarm about a green user's access."""
    OTHER = 10
    """Any other pair; the reference makes none."""


NUM_SIGNATURES: Final = len(Signature)


def is_ephemeral(port: int) -> bool:
    """Tell whether a port lies in the range from which hosts draw ports."""
    return FIRST_EPHEMERAL_PORT <= port <= LAST_EPHEMERAL_PORT


def signature(local_port: int, remote_port: int) -> Signature:
    """Classify a connection event by its ports; 0 stands for a port that the event does not name."""
    if local_port in LISTENING_PORTS and is_ephemeral(remote_port):
        return Signature(LISTENING_PORTS.index(local_port))
    if is_ephemeral(local_port) and is_ephemeral(remote_port):
        return Signature.DECOY
    if local_port == 0 and remote_port == SSH_PORT:
        return Signature.ROUTE
    if local_port == 0 and remote_port == BLOCKED_ACCESS_PORT:
        return Signature.BLOCKED
    if local_port == 0 and is_ephemeral(remote_port):
        return Signature.ALARM
    return Signature.OTHER


DECOY_NAMES: Final = ("apache2", "tomcat", "haraka", "vsftpd")
"""CybORG's service names of decoys; ``decoy_kind`` is 1 + the place in this list."""
RECORD_FIELDS: Final = ("local subnet", "local octet", "local port", "remote subnet", "remote octet", "remote port")
"""Columns of a record: subnets are 1 + the place in sorted order, octets the last number of the address."""

_S, _K, _R = spec.NUM_SUBNETS, NUM_RECORDS, len(RECORD_FIELDS)
_MAX_HOSTS = max(len(subnets) for subnets in spec.BLUE_SUBNETS) * HOST_SLOTS
HEADER: Final = Layout(
    "CC4 rich header",
    (
        Field("success", 0, (), max(Success), "Success of the last action"),
        Field("verb", 1, (), INVALID_VERB, "1 + verb of the action carried out in this step; 0 while in progress"),
        Field("target_host", 2, (), _MAX_HOSTS, "1 + (17 * number of the subnet + host slot) of a host command"),
        Field("to_subnet", 3, (), _S, "1 + destination of a traffic command, sorted order"),
        Field("from_subnet", 4, (), _S, "1 + source of a traffic command, sorted order"),
    ),
)
"""Layout of the first entries of every agent's vector."""


def _host_layout() -> Layout:
    shapes: tuple[tuple[str, tuple[int, ...], int, str], ...] = (
        ("present", (), 1, "the agent has a session there: the host exists; constant in an episode"),
        ("analysed", (), 1, "the agent's Analyse of this host was carried out in this step"),
        ("file_cmd", (), 1, "it saw cmd.sh, which a successful exploit leaves"),
        ("file_escalate", (), 1, "it saw escalate.sh, which a successful escalation leaves"),
        ("density", (), 100, "highest density of a file it saw, in percent"),
        ("connections", (NUM_SIGNATURES,), MAX_COUNT, "number of connection events by Signature"),
        (
            "remote_subnets",
            (_S,),
            MAX_COUNT,
            "number of connection events by subnet of the remote side, sorted order",
        ),
        ("records", (_K, _R), 65535, "the first connection events in full, columns as in RECORD_FIELDS"),
        ("process_events", (), MAX_COUNT, "number of new processes reported with their id"),
        ("process_ids", (_K,), MAX_COUNT, "the first of their ids"),
        ("process_alarms", (), MAX_COUNT, "number of new processes reported without an id: false alarms"),
        ("decoy_kind", (), len(DECOY_NAMES), "1 + kind of the decoy that the agent deployed in this step"),
        ("decoy_id", (), MAX_COUNT, "process id of that decoy"),
    )
    return Layout.of("CC4 rich host", ((name, shape, 0, high, meaning) for name, shape, high, meaning in shapes))


HOST: Final = _host_layout()
"""Layout of the block that describes one host slot (57 entries)."""


_HEADER_SIZE: Final = HEADER.size
_HOST_SIZE: Final = HOST.size


class RichObservation(NamedTuple):
    """A rich observation in named fields. Z is the number of the agent's subnets, in sorted order (1 or 3)."""

    success: Array  # [...] Success
    verb: Array  # [...] 0, or 1 + spec.Verb, or INVALID_VERB
    target_host: Array  # [...] 0, or 1 + (17 * subnet number + host slot)
    to_subnet: Array  # [...] 0, or 1 + place in sorted order
    from_subnet: Array  # [...] 0, or 1 + place in sorted order
    present: Array  # [..., Z, 17] servers 0-5, users 0-9, router
    analysed: Array  # [..., Z, 17]
    file_cmd: Array  # [..., Z, 17]
    file_escalate: Array  # [..., Z, 17]
    density: Array  # [..., Z, 17] percent
    connections: Array  # [..., Z, 17, 11]
    remote_subnets: Array  # [..., Z, 17, 9]
    records: Array  # [..., Z, 17, 4, 6]
    process_events: Array  # [..., Z, 17]
    process_ids: Array  # [..., Z, 17, 4]
    process_alarms: Array  # [..., Z, 17]
    decoy_kind: Array  # [..., Z, 17]
    decoy_id: Array  # [..., Z, 17]


def slot_label(slot: int) -> str:
    """Return the short name of a host slot, such as ``server_0``, ``user_9`` or ``router``."""
    if not 0 <= slot < HOST_SLOTS:
        raise ValueError(f"host slot {slot} does not exist; slots are 0 to {HOST_SLOTS - 1}")
    if slot == ROUTER_SLOT:
        return "router"
    return f"server_{slot}" if slot < spec.MAX_SERVERS else f"user_{slot - spec.MAX_SERVERS}"


def host_name(subnet: spec.Subnet, slot: int) -> str:
    """Return CybORG's host name of a slot (0-5 servers, 6-15 users, 16 router) of a subnet."""
    return spec.router_name(subnet) if slot == ROUTER_SLOT else spec.slot_name(subnet, slot)


def _check_agent(agent: int) -> None:
    if not 0 <= agent < spec.NUM_BLUE:
        raise ValueError(f"blue agent {agent} does not exist; blue agents are 0 to {spec.NUM_BLUE - 1}")


def host_start(number: int) -> int:
    """Return where the block of a host begins; ``number`` is 17 * subnet number + host slot, as in target_host."""
    return _HEADER_SIZE + number * _HOST_SIZE


@cache
def size(agent: int) -> int:
    """Return the length F of a blue agent's vector: 974 for agents 0-3, 2912 for agent 4."""
    _check_agent(agent)
    return host_start(len(spec.BLUE_SUBNETS[agent]) * HOST_SLOTS)


SIZES: Final[tuple[int, ...]] = tuple(size(agent) for agent in range(spec.NUM_BLUE))


@cache
def layout(agent: int) -> Layout:
    """Return what each index of a blue agent's vector means; fields are named such as ``RZA.server_0.density``."""
    _check_agent(agent)
    fields = list(HEADER)
    for subnet in spec.BLUE_SUBNETS[agent]:
        for slot in range(HOST_SLOTS):
            start = fields[-1].slice.stop
            label = f"{subnet.short}.{slot_label(slot)}"
            fields += [Field(f"{label}.{f.name}", start + f.start, f.shape, f.high, f.meaning) for f in HOST]
    return Layout(f"CC4 rich blue_agent_{agent}", tuple(fields))


def decode(agent: int, vector: Array) -> RichObservation:
    """Split a vector [..., F] into named fields; views where NumPy allows it.

    Raises:
        ValueError: If the agent does not exist or the last axis has another length.
    """
    vector = np.asarray(vector)
    if vector.shape[-1:] != (size(agent),):
        raise ValueError(
            f"a rich observation of blue_agent_{agent} has {size(agent)} entries; "
            f"the one given has shape {vector.shape}"
        )
    subnets = len(spec.BLUE_SUBNETS[agent])
    hosts = vector[..., HEADER.size :].reshape(*vector.shape[:-1], subnets, HOST_SLOTS, HOST.size)
    return RichObservation(**HEADER.unpack(vector[..., : HEADER.size]), **HOST.unpack(hosts))


def encode(agent: int, fields: RichObservation, dtype: npt.DTypeLike = DTYPE) -> Array:
    """Join named fields into the agent's vector: the exact inverse of :func:`decode`.

    Raises:
        ValueError: If the agent does not exist, or a field has another shape than its layout.
    """
    _check_agent(agent)
    header = HEADER.pack({field.name: getattr(fields, field.name) for field in HEADER}, dtype)
    hosts = HOST.pack({field.name: getattr(fields, field.name) for field in HOST}, dtype)
    expected = (len(spec.BLUE_SUBNETS[agent]), HOST_SLOTS)
    if hosts.shape[-3:-1] != expected:
        raise ValueError(f"hosts of blue_agent_{agent} have the axes {expected}; given {hosts.shape[-3:-1]}")
    lead = header.shape[:-1]
    return np.concatenate([header, hosts.reshape(*lead, -1)], axis=-1)
