"""A new world for one row: subnets, hosts, services, sessions, in CybORG's order of draws."""

from __future__ import annotations

import numpy as np

from cage4.native.agents.green import map_green_reach
from cage4.native.jit import allocating, inner
from cage4.native.observations.flat import write_reset_outputs
from cage4.native.rng import below, uniform
from cage4.native.world import codes
from cage4.native.world.hosts import add_process, draw_pid, install, remember_base
from cage4.native.world.sessions import open_session
from cage4.native.world.state import ABSTRACT, NOTHING, clear_pool

# Subnets of blue 4 and red 5 in the order of generation, which is not the order of blue's observations.
_HQ_FIRST = 5
_HQ_LAST = 7
_NUM_HQ = 3
_SESSION = np.int64(codes.SESSION_PROCESS)
_RED_0 = np.int64(0)


@allocating
def reset_row(row, pools, k):  # type: ignore[no-untyped-def]
    """Generate a new world for a row from its random stream and start an episode in it."""
    clear_row(row, pools)
    draw_subnets(row)
    used_pids = np.zeros(10000, np.bool_)
    for zone in range(codes.NUM_ZONES):
        draw_hosts(row, k, zone, used_pids)
    draw_blue_parents(row)
    start_host = draw_red_starts(row)
    for host in range(codes.NUM_HOSTS):
        install(row, pools, host)
    open_blue_sessions(row, pools)
    open_green_sessions(row, pools)
    pid = draw_pid(row, pools, start_host)
    add_process(row, pools, start_host, pid, _SESSION)
    node = open_session(row, pools, _RED_0, start_host, codes.USER_UBUNTU, pid, ABSTRACT)
    pools.known[0].id[0] = pools.ses[node].id
    pools.known[0].flag[0] = 1
    row.known_count[0] = 1
    row.red_active[0] = 1
    map_green_reach(row)
    write_reset_outputs(row)


@inner
def clear_row(row, pools):  # type: ignore[no-untyped-def]
    """Forget the last episode; the random stream stays."""
    row.time = 0
    row.phase = 0
    row.life = codes.PLAYING
    row.fault = 0
    row.subnet_octet[:] = 0
    row.host_octet[:] = 0
    row.num_users[:] = 0
    row.num_servers[:] = 0
    row.num_green = 0
    row.base_kind[:] = -1
    row.svc_count[:] = 0
    clear_pool(row.proc_pool, pools.proc)
    clear_pool(row.port_pool, pools.port)
    clear_pool(row.ses_pool, pools.ses)
    row.proc_head[:] = -1
    row.proc_tail[:] = -1
    row.port_count[:] = 0
    row.port_head[:] = -1
    row.port_trace[:] = np.uint64(0)
    row.net_events[:] = 0
    row.proc_events[:] = 0
    row.files[:] = 0
    row.suspects = 0
    row.blocked[:] = 0
    row.ses_count[:] = 0
    row.ses_head[:] = -1
    row.ses_tail[:] = -1
    row.red_on_host[:] = 0
    row.red_active[:] = 0
    row.red_queue[:] = 0
    row.red_seen[:] = NOTHING
    row.red_exploited[:] = -1
    row.red_keys[:] = 0
    row.red_calls[:] = 0
    row.red_moved[:] = 0
    row.red_opened = 0
    row.red_top_id = 0
    row.fsm_count[:] = 0
    row.fsm_given_up[:] = 0
    row.fsm_state[:] = 0
    row.fsm_named[:] = 0
    row.known_count[:] = 0
    for i in range(pools.known.shape[0]):
        pools.known[i].flag[:] = 0
    row.known_zone[:] = 0
    row.known_address[:] = 0
    row.known_name[:] = 0
    row.blue_queue[:] = 0


@inner
def nth_free(used, n):  # type: ignore[no-untyped-def]
    """Take the n-th unused index (counted from 0) and mark it as used."""
    i = 0
    while True:
        if not used[i]:
            if n == 0:
                used[i] = True
                return i
            n -= 1
        i += 1


@allocating
def draw_subnets(row):  # type: ignore[no-untyped-def]
    """Draw the /24 block of each subnet."""
    used = np.zeros(256, np.bool_)
    for zone in range(codes.NUM_ZONES):
        row.subnet_octet[zone] = nth_free(used, below(row.rng, 256 - zone))


@allocating
def draw_hosts(row, k, zone, used_pids):  # type: ignore[no-untyped-def]
    """Draw a subnet's router (or the internet's host), users and servers."""
    r = row.rng
    used = np.zeros(254, np.bool_)
    first = zone * codes.SLOTS
    row.host_octet[first] = 1 + nth_free(used, below(r, 254))
    below(r, 2)  # operating system
    if zone == codes.INTERNET:
        return
    users = k.min_users + below(r, k.max_users - k.min_users + 1)
    for i in range(users):
        host = first + codes.FIRST_USER + i
        row.host_octet[host] = 1 + nth_free(used, below(r, 253 - i))
        draw_body(row, host, zone, used_pids)
    servers = k.min_servers + below(r, k.max_servers - k.min_servers + 1)
    top = 253
    for i in range(servers):
        while used[top]:
            top -= 1
        used[top] = True
        host = first + codes.FIRST_SERVER + i
        row.host_octet[host] = 1 + top
        draw_body(row, host, zone, used_pids)
    row.num_users[zone] = users
    row.num_servers[zone] = servers
    row.num_green += users


@inner
def draw_unused_pid(r, used_pids):  # type: ignore[no-untyped-def]
    """Draw a four-digit process id that no host of this world was given before."""
    while True:
        pid = 1000 + below(r, 9000)
        if not used_pids[pid]:
            used_pids[pid] = True
            return pid


@allocating
def draw_body(row, host, zone, used_pids):  # type: ignore[no-untyped-def]
    """Draw the operating system and the services of a user host or server."""
    r = row.rng
    below(r, 2)  # operating system
    remember_base(row, host, np.int64(codes.SSHD), draw_unused_pid(r, used_pids))
    count = 1
    if zone == codes.OPERATIONAL_A or zone == codes.OPERATIONAL_B:
        remember_base(row, host, np.int64(codes.OTSERVICE), draw_unused_pid(r, used_pids))
        count += 1
    # Unused add-ons take a process id too.
    pid_apache = draw_unused_pid(r, used_pids)
    pid_mysql = draw_unused_pid(r, used_pids)
    pid_smtp = draw_unused_pid(r, used_pids)
    taken = np.zeros(3, np.bool_)
    addons = below(r, 4)
    for i in range(addons):
        kind = codes.APACHE2 + nth_free(taken, below(r, 3 - i))
        pid = pid_apache
        if kind == codes.MYSQLD:
            pid = pid_mysql
        elif kind == codes.SMTP:
            pid = pid_smtp
        remember_base(row, host, kind, pid)
        count += 1
    for _ in range(count):
        uniform(r)  # would make the service vulnerable, with a probability that is never met


@inner
def draw_blue_parents(row):  # type: ignore[no-untyped-def]
    """Draw the host of each blue agent's first session."""
    r = row.rng
    for blue in range(codes.NUM_BLUE):
        first = blue if blue < codes.NUM_BLUE - 1 else _HQ_FIRST
        last = blue if blue < codes.NUM_BLUE - 1 else _HQ_LAST
        below(r, last - first + 1)  # a starting subnet that nothing uses
        total = 0
        for zone in range(first, last + 1):
            total += 1 + row.num_users[zone] + row.num_servers[zone]
        n = below(r, total)
        for host in range(first * codes.SLOTS, (last + 1) * codes.SLOTS):
            if row.host_octet[host] > 0:
                if n == 0:
                    row.blue_parent[blue] = host
                n -= 1


@inner
def draw_red_starts(row):  # type: ignore[no-untyped-def]
    """Draw every red agent's starting host, of which it knows subnet, address and name; returns that of red 0."""
    r = row.rng
    start = 0
    for red in range(codes.NUM_RED):
        zone = codes.CONTRACTOR if red == 0 else red - 1
        if red == codes.NUM_RED - 1:
            zone = _HQ_FIRST + below(r, _NUM_HQ)
        users = row.num_users[zone]
        n = below(r, users + row.num_servers[zone])
        slot = codes.FIRST_USER + n if n < users else codes.FIRST_SERVER + n - users
        host = zone * codes.SLOTS + slot
        row.known_zone[red, zone] = 1
        row.known_address[red, host] = 1
        row.known_name[red, host] = 1
        if red == 0:
            start = host
    return start


@inner
def open_base_session(row, pools, host):  # type: ignore[no-untyped-def]
    """Start the process of a blue or green session, which Restore brings back."""
    pid = draw_pid(row, pools, host)
    add_process(row, pools, host, pid, _SESSION)
    remember_base(row, host, _SESSION, pid)


@inner
def open_blue_sessions(row, pools):  # type: ignore[no-untyped-def]
    """Open one blue session per owned host, routers included: the parent's first, then in host order."""
    for blue in range(codes.NUM_BLUE):
        parent = np.int64(row.blue_parent[blue])
        open_base_session(row, pools, parent)
        for host in range(codes.NUM_HOSTS):
            is_owned = codes.BLUE_OWNER[host // codes.SLOTS] == blue
            if is_owned and host != parent and row.host_octet[host] > 0:
                open_base_session(row, pools, host)


@inner
def open_green_sessions(row, pools):  # type: ignore[no-untyped-def]
    """Open a green session on every user host."""
    for zone in range(codes.INTERNET):
        for i in range(row.num_users[zone]):
            open_base_session(row, pools, zone * codes.SLOTS + codes.FIRST_USER + i)
