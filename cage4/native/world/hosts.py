"""What every host has: processes and services in order, process ids, ephemeral ports."""

from __future__ import annotations

import numpy as np

from cage4 import spec
from cage4.native.jit import inlined, inner
from cage4.native.rng import below
from cage4.native.world import codes
from cage4.native.world.state import (
    FREE,
    FREE_COUNT,
    OTHER_WORDS,
    PORTS_PER_CHUNK,
    SERVER_WORDS,
    give,
    take,
)

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_OTHER_TRACES = codes.INTERNET * spec.MAX_SERVERS * SERVER_WORDS
"""Where the traces of users and routers begin, behind those of the servers."""


@inner
def add_process(row, pools, host, pid, kind):  # type: ignore[no-untyped-def]
    """Append a process that is not root's to the host's list."""
    node = take(row.proc_pool, pools.proc)
    pools.proc[node].pid = pid
    pools.proc[node].kind = kind
    pools.proc[node].root = 0
    if row.proc_head[host] < 0:
        row.proc_head[host] = node
    else:
        pools.proc[row.proc_tail[host]].next = node
    row.proc_tail[host] = node


@inner
def find_process(row, pools, host, pid):  # type: ignore[no-untyped-def]
    """Return the first process of the host with this id, or -1."""
    node = row.proc_head[host]
    while node >= 0 and pools.proc[node].pid != pid:
        node = pools.proc[node].next
    return node


@inner
def remove_process(row, pools, host, pid):  # type: ignore[no-untyped-def]
    """Remove the first process of the host with this id, if there is one."""
    previous = -1
    node = row.proc_head[host]
    while node >= 0 and pools.proc[node].pid != pid:
        previous = node
        node = pools.proc[node].next
    if node < 0:
        return
    following = pools.proc[node].next
    if previous < 0:
        row.proc_head[host] = following
    else:
        pools.proc[previous].next = following
    if following < 0:
        row.proc_tail[host] = previous
    give(row.proc_pool, pools.proc, node)


@inner
def clear_processes(row, pools, host):  # type: ignore[no-untyped-def]
    """Empty the host's process list."""
    node = row.proc_head[host]
    while node >= 0:
        following = pools.proc[node].next
        give(row.proc_pool, pools.proc, node)
        node = following
    row.proc_head[host] = -1
    row.proc_tail[host] = -1


@inner
def draw_pid(row, pools, host):  # type: ignore[no-untyped-def]
    """Draw a new process id: 1 to 9 above the highest in use on the host."""
    highest = 0
    node = row.proc_head[host]
    while node >= 0:
        highest = max(highest, pools.proc[node].pid)
        node = pools.proc[node].next
    return highest + 1 + below(row.rng, 9)


@inner
def set_service(row, host, kind, pid):  # type: ignore[no-untyped-def]
    """Start a service: a new one comes last, one of the same kind is replaced where it stands."""
    count = row.svc_count[host]
    place = 0
    while place < count and row.svc_kind[host, place] != kind:
        place += 1
    if place == count:
        row.svc_count[host] = count + 1
    row.svc_kind[host, place] = kind
    row.svc_active[host, place] = 1
    row.svc_reliability[host, place] = 100
    row.svc_pid[host, place] = pid


@inner
def install(row, pools, host):  # type: ignore[no-untyped-def]
    """Give the host the processes and services of the start of the episode."""
    clear_processes(row, pools, host)
    row.svc_count[host] = 0
    row.svc_worn[host] = 0
    for i in range(codes.MAX_BASE_PROCESSES):
        kind = np.int64(row.base_kind[host, i])
        if kind < 0:
            break
        pid = np.int64(row.base_pid[host, i])
        add_process(row, pools, host, pid, kind)
        if kind != codes.SESSION_PROCESS:
            set_service(row, host, kind, pid)


@inner
def remember_base(row, host, kind, pid):  # type: ignore[no-untyped-def]
    """Add a process to what the host has at the start of the episode."""
    i = 0
    while row.base_kind[host, i] >= 0:
        i += 1
    row.base_kind[host, i] = kind
    row.base_pid[host, i] = pid


@inner
def trace_of(host):  # type: ignore[no-untyped-def]
    """Return where the host's trace of remembered ports begins, and its number of words less one."""
    zone, slot = host // codes.SLOTS, host % codes.SLOTS
    if slot >= codes.FIRST_SERVER:
        return (zone * spec.MAX_SERVERS + slot - codes.FIRST_SERVER) * SERVER_WORDS, SERVER_WORDS - 1
    return _OTHER_TRACES + (zone * codes.FIRST_SERVER + slot) * OTHER_WORDS, OTHER_WORDS - 1


@inner
def is_in_list(row, ports, host, port):  # type: ignore[no-untyped-def]
    """Tell whether the host remembers an ephemeral port (counted from the first), by its whole list."""
    chunk = row.port_head[host]
    used = (row.port_count[host] - 1) % PORTS_PER_CHUNK + 1
    while chunk >= 0:
        values = ports[chunk].value
        found = False
        for i in range(used):
            found |= values[i] == port
        if found:
            return True
        chunk = ports[chunk].next
        used = PORTS_PER_CHUNK
    return False


@inlined
def draw_port(row, ports, host):  # type: ignore[no-untyped-def]
    """Draw an ephemeral port (counted from the first); one that the host knows is redrawn once, whatever comes."""
    start, last = trace_of(host)
    port = below(row.rng, codes.NUM_PORTS)
    # The trace answers most questions without walking the list.
    may_be_known = row.port_trace[start + ((port >> 6) & last)] >> np.uint64(port & 63) & _ONE != 0
    if may_be_known and is_in_list(row, ports, host, port):
        port = below(row.rng, codes.NUM_PORTS)
    row.port_trace[start + ((port >> 6) & last)] |= _ONE << np.uint64(port & 63)
    return port


@inner
def open_port(row, ports, host):  # type: ignore[no-untyped-def]
    """Draw, remember and return an ephemeral port of the host."""
    port = draw_port(row, ports, host)
    place = row.port_count[host] % PORTS_PER_CHUNK
    if place == 0:
        chunk = take(row.port_pool, ports)
        if row.port_head[host] < 0:
            row.port_oldest[host] = chunk
        ports[chunk].next = row.port_head[host]
        row.port_head[host] = chunk
    ports[row.port_head[host]].value[place] = port
    row.port_count[host] += 1
    return codes.FIRST_PORT + port


@inner
def forget_ports(row, ports, host):  # type: ignore[no-untyped-def]
    """Empty the host's list of ephemeral ports: the whole chain goes back to the pool at once."""
    count = row.port_count[host]
    if count == 0:
        return
    ports[row.port_oldest[host]].next = row.port_pool[FREE]
    row.port_pool[FREE] = row.port_head[host]
    row.port_pool[FREE_COUNT] += (count - 1) // PORTS_PER_CHUNK + 1
    row.port_head[host] = -1
    row.port_count[host] = 0
    start, last = trace_of(host)
    row.port_trace[start : start + last + 1] = _ZERO
