"""A new world for one row: subnets, hosts, services, sessions, in CybORG's order of draws."""

from __future__ import annotations

import numpy as np
from numba import njit

from cage4.native import codes
from cage4.native.hosts import add_process, draw_pid, install, remember_base
from cage4.native.observe import write_reset_outputs
from cage4.native.rng import below, uniform
from cage4.native.sessions import open_session
from cage4.native.state import NOTHING, clear_pool

# Subnets of blue 4 and red 5 in the order of generation, which is not the order of blue's observations.
_HQ_FIRST = 5
_HQ_LAST = 7
_NUM_HQ = 3


@njit(cache=True)
def reset_row(s, k, e):  # type: ignore[no-untyped-def]
    """Generate a new world for row ``e`` from its random stream and start an episode in it."""
    clear_row(s, e)
    draw_subnets(s, e)
    used_pids = np.zeros(10000, np.bool_)
    for zone in range(codes.NUM_ZONES):
        draw_hosts(s, k, e, zone, used_pids)
    draw_blue_parents(s, e)
    start_host = draw_red_starts(s, e)
    for host in range(codes.NUM_HOSTS):
        install(s, e, host)
    open_blue_sessions(s, e)
    open_green_sessions(s, e)
    pid = draw_pid(s, e, start_host)
    add_process(s, e, start_host, pid, codes.SESSION_PROCESS, 0)
    node = open_session(s, e, 0, start_host, codes.USER_UBUNTU, pid, 1, 0)
    s.known_id[e, 0, 0] = s.ses_id[e, node]
    s.known_flag[e, 0, 0] = 1
    s.known_count[e, 0] = 1
    s.red_active[e, 0] = 1
    write_reset_outputs(s, e)


@njit(cache=True)
def clear_row(s, e):  # type: ignore[no-untyped-def]
    """Forget the last episode; the random stream stays."""
    s.time[e] = 0
    s.phase[e] = 0
    s.life[e] = codes.PLAYING
    s.fault[e] = 0
    s.subnet_octet[e] = 0
    s.host_octet[e] = 0
    s.num_users[e] = 0
    s.num_servers[e] = 0
    s.num_green[e] = 0
    s.base_kind[e] = -1
    s.svc_count[e] = 0
    clear_pool(s.proc_pool[e], s.proc_next[e])
    clear_pool(s.port_pool[e], s.port_next[e])
    clear_pool(s.ses_pool[e], s.ses_next[e])
    s.proc_head[e] = -1
    s.proc_tail[e] = -1
    s.port_count[e] = 0
    s.port_head[e] = -1
    s.net_events[e] = 0
    s.proc_events[e] = 0
    s.files[e] = 0
    s.suspects[e] = 0
    s.blocked[e] = 0
    s.ses_count[e] = 0
    s.ses_head[e] = -1
    s.ses_tail[e] = -1
    s.red_on_host[e] = 0
    s.red_active[e] = 0
    s.red_queue[e] = 0
    s.red_seen[e] = NOTHING
    s.red_exploited[e] = -1
    s.red_keys[e] = 0
    s.red_calls[e] = 0
    s.fsm_count[e] = 0
    s.fsm_state[e] = 0
    s.fsm_named[e] = 0
    s.known_count[e] = 0
    s.known_flag[e] = 0
    s.known_zone[e] = 0
    s.known_address[e] = 0
    s.known_name[e] = 0
    s.blue_queue[e] = 0


@njit(cache=True)
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


@njit(cache=True)
def draw_subnets(s, e):  # type: ignore[no-untyped-def]
    """Draw the /24 block of each subnet."""
    used = np.zeros(256, np.bool_)
    for zone in range(codes.NUM_ZONES):
        s.subnet_octet[e, zone] = nth_free(used, below(s.rng[e], 256 - zone))


@njit(cache=True)
def draw_hosts(s, k, e, zone, used_pids):  # type: ignore[no-untyped-def]
    """Draw a subnet's router (or the internet's host), users and servers."""
    r = s.rng[e]
    used = np.zeros(254, np.bool_)
    first = zone * codes.SLOTS
    s.host_octet[e, first] = 1 + nth_free(used, below(r, 254))
    below(r, 2)  # operating system
    if zone == codes.INTERNET:
        return
    users = k.min_users + below(r, k.max_users - k.min_users + 1)
    for i in range(users):
        host = first + codes.FIRST_USER + i
        s.host_octet[e, host] = 1 + nth_free(used, below(r, 253 - i))
        draw_body(s, e, host, zone, used_pids)
    servers = k.min_servers + below(r, k.max_servers - k.min_servers + 1)
    top = 253
    for i in range(servers):
        while used[top]:
            top -= 1
        used[top] = True
        host = first + codes.FIRST_SERVER + i
        s.host_octet[e, host] = 1 + top
        draw_body(s, e, host, zone, used_pids)
    s.num_users[e, zone] = users
    s.num_servers[e, zone] = servers
    s.num_green[e] += users


@njit(cache=True)
def draw_unused_pid(r, used_pids):  # type: ignore[no-untyped-def]
    """Draw a four-digit process id that no host of this world was given before."""
    while True:
        pid = 1000 + below(r, 9000)
        if not used_pids[pid]:
            used_pids[pid] = True
            return pid


@njit(cache=True)
def draw_body(s, e, host, zone, used_pids):  # type: ignore[no-untyped-def]
    """Draw the operating system and the services of a user host or server."""
    r = s.rng[e]
    below(r, 2)  # operating system
    remember_base(s, e, host, codes.SSHD, draw_unused_pid(r, used_pids))
    count = 1
    if zone == codes.OPERATIONAL_A or zone == codes.OPERATIONAL_B:
        remember_base(s, e, host, codes.OTSERVICE, draw_unused_pid(r, used_pids))
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
        remember_base(s, e, host, kind, pid)
        count += 1
    for _ in range(count):
        uniform(r)  # would make the service vulnerable, with a probability that is never met


@njit(cache=True)
def draw_blue_parents(s, e):  # type: ignore[no-untyped-def]
    """Draw the host of each blue agent's first session."""
    r = s.rng[e]
    for blue in range(codes.NUM_BLUE):
        first = blue if blue < codes.NUM_BLUE - 1 else _HQ_FIRST
        last = blue if blue < codes.NUM_BLUE - 1 else _HQ_LAST
        below(r, last - first + 1)  # a starting subnet that nothing uses
        total = 0
        for zone in range(first, last + 1):
            total += 1 + s.num_users[e, zone] + s.num_servers[e, zone]
        n = below(r, total)
        for host in range(first * codes.SLOTS, (last + 1) * codes.SLOTS):
            if s.host_octet[e, host] > 0:
                if n == 0:
                    s.blue_parent[e, blue] = host
                n -= 1


@njit(cache=True)
def draw_red_starts(s, e):  # type: ignore[no-untyped-def]
    """Draw every red agent's starting host, of which it knows subnet, address and name; returns that of red 0."""
    r = s.rng[e]
    start = 0
    for red in range(codes.NUM_RED):
        zone = codes.CONTRACTOR if red == 0 else red - 1
        if red == codes.NUM_RED - 1:
            zone = _HQ_FIRST + below(r, _NUM_HQ)
        users = s.num_users[e, zone]
        n = below(r, users + s.num_servers[e, zone])
        slot = codes.FIRST_USER + n if n < users else codes.FIRST_SERVER + n - users
        host = zone * codes.SLOTS + slot
        s.known_zone[e, red, zone] = 1
        s.known_address[e, red, host] = 1
        s.known_name[e, red, host] = 1
        if red == 0:
            start = host
    return start


@njit(cache=True)
def open_base_session(s, e, host):  # type: ignore[no-untyped-def]
    """Start the process of a blue or green session, which Restore brings back."""
    pid = draw_pid(s, e, host)
    add_process(s, e, host, pid, codes.SESSION_PROCESS, 0)
    remember_base(s, e, host, codes.SESSION_PROCESS, pid)


@njit(cache=True)
def open_blue_sessions(s, e):  # type: ignore[no-untyped-def]
    """Open one blue session per owned host, routers included: the parent's first, then in host order."""
    for blue in range(codes.NUM_BLUE):
        parent = s.blue_parent[e, blue]
        open_base_session(s, e, parent)
        for host in range(codes.NUM_HOSTS):
            is_owned = codes.BLUE_OWNER[host // codes.SLOTS] == blue
            if is_owned and host != parent and s.host_octet[e, host] > 0:
                open_base_session(s, e, host)


@njit(cache=True)
def open_green_sessions(s, e):  # type: ignore[no-untyped-def]
    """Open a green session on every user host."""
    for zone in range(codes.INTERNET):
        for i in range(s.num_users[e, zone]):
            open_base_session(s, e, zone * codes.SLOTS + codes.FIRST_USER + i)
