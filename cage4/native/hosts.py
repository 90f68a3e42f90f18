"""What every host has: processes and services in order, process ids, ephemeral ports."""

from __future__ import annotations

from numba import njit

from cage4.native import codes
from cage4.native.rng import below
from cage4.native.state import FREE, FREE_COUNT, PORTS_PER_CHUNK, give, take


@njit(cache=True)
def add_process(s, e, host, pid, kind, root):  # type: ignore[no-untyped-def]
    """Append a process to the host's list."""
    node = take(s.proc_pool[e], s.proc_next[e])
    s.proc_pid[e, node] = pid
    s.proc_kind[e, node] = kind
    s.proc_root[e, node] = root
    if s.proc_head[e, host] < 0:
        s.proc_head[e, host] = node
    else:
        s.proc_next[e, s.proc_tail[e, host]] = node
    s.proc_tail[e, host] = node


@njit(cache=True)
def find_process(s, e, host, pid):  # type: ignore[no-untyped-def]
    """Return the first process of the host with this id, or -1."""
    node = s.proc_head[e, host]
    while node >= 0 and s.proc_pid[e, node] != pid:
        node = s.proc_next[e, node]
    return node


@njit(cache=True)
def remove_process(s, e, host, pid):  # type: ignore[no-untyped-def]
    """Remove the first process of the host with this id, if there is one."""
    previous = -1
    node = s.proc_head[e, host]
    while node >= 0 and s.proc_pid[e, node] != pid:
        previous = node
        node = s.proc_next[e, node]
    if node < 0:
        return
    following = s.proc_next[e, node]
    if previous < 0:
        s.proc_head[e, host] = following
    else:
        s.proc_next[e, previous] = following
    if following < 0:
        s.proc_tail[e, host] = previous
    give(s.proc_pool[e], s.proc_next[e], node)


@njit(cache=True)
def clear_processes(s, e, host):  # type: ignore[no-untyped-def]
    """Empty the host's process list."""
    node = s.proc_head[e, host]
    while node >= 0:
        following = s.proc_next[e, node]
        give(s.proc_pool[e], s.proc_next[e], node)
        node = following
    s.proc_head[e, host] = -1
    s.proc_tail[e, host] = -1


@njit(cache=True)
def draw_pid(s, e, host):  # type: ignore[no-untyped-def]
    """Draw a new process id: 1 to 9 above the highest in use on the host."""
    highest = 0
    node = s.proc_head[e, host]
    while node >= 0:
        highest = max(highest, s.proc_pid[e, node])
        node = s.proc_next[e, node]
    return highest + 1 + below(s.rng[e], 9)


@njit(cache=True)
def set_service(s, e, host, kind, pid):  # type: ignore[no-untyped-def]
    """Start a service: a new one comes last, one of the same kind is replaced where it stands."""
    count = s.svc_count[e, host]
    place = 0
    while place < count and s.svc_kind[e, host, place] != kind:
        place += 1
    if place == count:
        s.svc_count[e, host] = count + 1
    s.svc_kind[e, host, place] = kind
    s.svc_active[e, host, place] = 1
    s.svc_reliability[e, host, place] = 100
    s.svc_pid[e, host, place] = pid


@njit(cache=True)
def install(s, e, host):  # type: ignore[no-untyped-def]
    """Give the host the processes and services of the start of the episode."""
    clear_processes(s, e, host)
    s.svc_count[e, host] = 0
    for i in range(codes.MAX_BASE_PROCESSES):
        kind = s.base_kind[e, host, i]
        if kind < 0:
            break
        pid = s.base_pid[e, host, i]
        add_process(s, e, host, pid, kind, 0)
        if kind != codes.SESSION_PROCESS:
            set_service(s, e, host, kind, pid)


@njit(cache=True)
def remember_base(s, e, host, kind, pid):  # type: ignore[no-untyped-def]
    """Add a process to what the host has at the start of the episode."""
    i = 0
    while s.base_kind[e, host, i] >= 0:
        i += 1
    s.base_kind[e, host, i] = kind
    s.base_pid[e, host, i] = pid


@njit(cache=True)
def port_known(values, following, chunk, used, port):  # type: ignore[no-untyped-def]
    """Tell whether a chain of chunks, of which the first holds ``used`` ports, contains the port."""
    while chunk >= 0:
        hits = 0
        for i in range(used):
            hits += values[chunk, i] == port
        if hits > 0:
            return True
        chunk = following[chunk]
        used = PORTS_PER_CHUNK
    return False


@njit(cache=True)
def draw_port(r, pool, heads, counts, following, values, host):  # type: ignore[no-untyped-def]
    """Draw an ephemeral port of the host and remember it; a known one is redrawn once, whatever comes.

    Takes the row's own arrays (generator, port pool) instead of the state, because it is called for every green
    access.
    """
    port = below(r, codes.NUM_PORTS)
    count = counts[host]
    head = heads[host]
    used = count - (count - 1) // PORTS_PER_CHUNK * PORTS_PER_CHUNK if count > 0 else 0
    if count > 0 and port_known(values, following, head, used, port):
        port = below(r, codes.NUM_PORTS)
    if count % PORTS_PER_CHUNK == 0:
        chunk = pool[FREE]
        pool[FREE] = following[chunk]
        pool[FREE_COUNT] -= 1
        following[chunk] = head
        heads[host] = chunk
        head = chunk
        used = 0
    values[head, used] = port
    counts[host] = count + 1


@njit(cache=True)
def open_port(s, e, host):  # type: ignore[no-untyped-def]
    """Draw an ephemeral port of the host and remember it."""
    draw_port(
        s.rng[e], s.port_pool[e], s.port_head[e], s.port_count[e], s.port_next[e], s.port_value[e], host
    )


@njit(cache=True)
def forget_ports(s, e, host):  # type: ignore[no-untyped-def]
    """Empty the host's list of ephemeral ports."""
    chunk = s.port_head[e, host]
    while chunk >= 0:
        following = s.port_next[e, chunk]
        give(s.port_pool[e], s.port_next[e], chunk)
        chunk = following
    s.port_head[e, host] = -1
    s.port_count[e, host] = 0
