"""The rich observation in the compiled engine: written where events are produced, into the step's output.

``out`` is the row's place in the outputs of this call: the vectors of all five agents one after the other, zero when
the step begins, so nothing has to be cleared or copied. It is None when nobody asked for them; the compiler knows
that from its type and leaves the functions empty, so that the engine is compiled once without and once with them.

Two things that CybORG does need no code here. Restore wipes a host's events, but blue acts before green and red,
and Monitor has emptied the lists at the end of the step before. CybORG reports a process id once per host and
step, but no two processes of a step share one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.native.jit import inner
from cage4.native.world import codes
from cage4.native.world.state import BLUE_A, BLUE_B, BLUE_VERB
from cage4.observations import rich

SIZE: Final = sum(rich.SIZES)
"""Entries of one row: the vectors of all blue agents."""
AGENT_STARTS: Final = np.array([sum(rich.SIZES[:blue]) for blue in range(codes.NUM_BLUE)], np.int64)
"""Blue agent -> where its vector begins."""


def _host_tables() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    numbers = np.full(codes.NUM_HOSTS, -1, np.int64)
    starts = np.full(codes.NUM_HOSTS, -1, np.int64)
    for blue, zones in enumerate(spec.BLUE_SUBNETS):
        for place, zone in enumerate(zones):
            for slot in range(codes.SLOTS):
                is_server = slot >= codes.FIRST_SERVER
                here = slot - codes.FIRST_SERVER if is_server else spec.MAX_SERVERS + slot - codes.FIRST_USER
                host = zone * codes.SLOTS + slot
                numbers[host] = place * rich.HOST_SLOTS + (rich.ROUTER_SLOT if slot == 0 else here)
                starts[host] = AGENT_STARTS[blue] + rich.host_start(int(numbers[host]))
    return numbers, starts


_NUMBER, _START = _host_tables()
_RANK: Final = np.array(spec.SORTED_RANK, np.int64)
_KIND_LISTENS: Final = np.array([22, 1, 80, 3390, 25, 80, 443, 25, 80, 0], np.int64)
_OTHER: Final = int(rich.Signature.OTHER)
_ROUTE: Final = int(rich.Signature.ROUTE)
_BLOCKED: Final = int(rich.Signature.BLOCKED)
_ALARM: Final = int(rich.Signature.ALARM)
_DECOY: Final = int(rich.Signature.DECOY)
_PORT_SIGNATURE: Final = np.full(1 + max(rich.LISTENING_PORTS), _OTHER, np.int64)
_PORT_SIGNATURE[list(rich.LISTENING_PORTS)] = np.arange(len(rich.LISTENING_PORTS))
SSH_PORT: Final = rich.SSH_PORT
BLOCKED_ACCESS_PORT: Final = rich.BLOCKED_ACCESS_PORT
_NUM_RECORDS: Final = rich.NUM_RECORDS
_RECORD_SIZE: Final = len(rich.RECORD_FIELDS)
_UNKNOWN, _TRUE = int(rich.Success.UNKNOWN), int(rich.Success.TRUE)
_FALSE, _IN_PROGRESS = int(rich.Success.FALSE), int(rich.Success.IN_PROGRESS)
_HEADER_SIZE: Final = rich.HEADER.size
_SUCCESS, _VERB, _TARGET, _TO, _FROM = (field.start for field in rich.HEADER)
_PRESENT, _ANALYSED, _FILE_CMD, _FILE_ESCALATE, _DENSITY = (field.start for field in tuple(rich.HOST)[:5])
_CONNECTIONS: Final = rich.HOST["connections"].start
_REMOTE_SUBNETS: Final = rich.HOST["remote_subnets"].start
_RECORDS: Final = rich.HOST["records"].start
_PROCESS_EVENTS: Final = rich.HOST["process_events"].start
_PROCESS_IDS: Final = rich.HOST["process_ids"].start
_PROCESS_ALARMS: Final = rich.HOST["process_alarms"].start
_DECOY_KIND: Final = rich.HOST["decoy_kind"].start
_DECOY_ID: Final = rich.HOST["decoy_id"].start
_FILE_PERCENT: Final = 90
"""Density of every file that red leaves."""


def split(vectors: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Split [N, SIZE] into one view [N, F] per agent."""
    return {
        name: vectors[:, start : start + length]
        for name, start, length in zip(spec.BLUE_AGENTS, AGENT_STARTS, rich.SIZES, strict=True)
    }


@inner
def place_of(vectors, i):  # type: ignore[no-untyped-def]
    """Return place ``i`` of the vectors [N, SIZE], or None if there are none."""
    if vectors is None:
        return None
    return vectors[i]


@inner
def write_present(row, out):  # type: ignore[no-untyped-def]
    """Mark the hosts that exist; each has a session of its blue agent."""
    if out is None:
        return
    for host in range(codes.NUM_HOSTS):
        if _START[host] >= 0 and row.host_octet[host] > 0:
            out[_START[host] + _PRESENT] = 1


@inner
def begin_step(row, out):  # type: ignore[no-untyped-def]
    """Write what blue learns of its own commands, traffic commands and decoys excepted; once these are due."""
    if out is None:
        return
    write_present(row, out)
    for blue in range(codes.NUM_BLUE):
        start = AGENT_STARTS[blue]
        if row.busy[blue] > 0:
            out[start + _SUCCESS] = _IN_PROGRESS
            continue
        verb = row.blue_due[blue, BLUE_VERB]
        out[start + _VERB] = 1 + verb
        out[start + _SUCCESS] = _UNKNOWN if verb == codes.SLEEP else _FALSE if verb == codes.INVALID else _TRUE
        if verb == codes.ANALYSE or verb == codes.REMOVE or verb == codes.RESTORE or verb == codes.DECOY:
            host = row.blue_due[blue, BLUE_A]
            out[start + _TARGET] = 1 + _NUMBER[host]
            if verb == codes.ANALYSE:
                write_files(row, out[_START[host] :], host)


@inner
def write_files(row, block, host):  # type: ignore[no-untyped-def]
    """Write what Analyse finds on a host: equal files show as one."""
    block[_ANALYSED] = 1
    block[_FILE_CMD] = row.files[host, 0] > 0
    block[_FILE_ESCALATE] = row.files[host, 1] > 0
    if row.files[host, 0] + row.files[host, 1] > 0:
        block[_DENSITY] = _FILE_PERCENT


@inner
def note_traffic(row, out, blue):  # type: ignore[no-untyped-def]
    """Write an agent's traffic command, just before it changes the blocks: it fails if they are so already."""
    if out is None:
        return
    start = AGENT_STARTS[blue]
    due = row.blue_due[blue]
    is_blocked = row.blocked[due[BLUE_A], due[BLUE_B]] == 1
    out[start + _SUCCESS] = _TRUE if is_blocked == (due[BLUE_VERB] == codes.ALLOW) else _FALSE
    out[start + _TO] = 1 + _RANK[due[BLUE_A]]
    out[start + _FROM] = 1 + _RANK[due[BLUE_B]]


@inner
def note_decoy(out, host, kind, pid):  # type: ignore[no-untyped-def]
    """Write the decoy that blue deployed on a host."""
    if out is None:
        return
    out[_START[host] + _DECOY_KIND] = 1 + kind - codes.DECOY_APACHE
    out[_START[host] + _DECOY_ID] = pid


@inner
def signature(local_port, remote_port):  # type: ignore[no-untyped-def]
    """Classify an event by its ports; the compiled form of :func:`cage4.observations.rich.signature`."""
    if remote_port < codes.FIRST_PORT:
        if local_port > 0:
            return _OTHER
        return _ROUTE if remote_port == SSH_PORT else _BLOCKED if remote_port == BLOCKED_ACCESS_PORT else _OTHER
    if local_port == 0:
        return _ALARM
    if local_port < _PORT_SIGNATURE.shape[0]:
        return _PORT_SIGNATURE[local_port]
    return _DECOY if local_port >= codes.FIRST_PORT else _OTHER


@inner
def note_connections(row, out, host, local_host, local_port, remote_host, remote_port, times):  # type: ignore[no-untyped-def]
    """Write equal connection events on a host; port 0 stands for none."""
    if out is None:
        return
    if _START[host] < 0:
        return
    block = out[_START[host] :]
    place = 0
    for i in range(_REMOTE_SUBNETS - _CONNECTIONS):
        place += block[_CONNECTIONS + i]
    local_zone, remote_zone = local_host // codes.SLOTS, remote_host // codes.SLOTS
    for i in range(place, min(place + times, _NUM_RECORDS)):
        record = block[_RECORDS + i * _RECORD_SIZE :]
        record[0] = 1 + _RANK[local_zone]
        record[1] = row.host_octet[local_host]
        record[2] = local_port
        record[3] = 1 + _RANK[remote_zone]
        record[4] = row.host_octet[remote_host]
        record[5] = remote_port
    block[_CONNECTIONS + signature(local_port, remote_port)] += times
    block[_REMOTE_SUBNETS + _RANK[remote_zone]] += times


@inner
def note_touch(row, out, host, kind, remote_host, remote_port):  # type: ignore[no-untyped-def]
    """Write that a session's host reached the port of a process of this kind."""
    note_connections(row, out, host, host, _KIND_LISTENS[kind], remote_host, remote_port, 1)


@inner
def note_process(out, host, pid):  # type: ignore[no-untyped-def]
    """Write a process event with its id."""
    if out is None:
        return
    if _START[host] < 0:
        return
    block = out[_START[host] :]
    if block[_PROCESS_EVENTS] < _NUM_RECORDS:
        block[_PROCESS_IDS + block[_PROCESS_EVENTS]] = pid
    block[_PROCESS_EVENTS] += 1


@inner
def note_process_alarm(out, host):  # type: ignore[no-untyped-def]
    """Write a process event without an id."""
    if out is None:
        return
    if _START[host] >= 0:
        out[_START[host] + _PROCESS_ALARMS] += 1
