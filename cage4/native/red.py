"""What red's commands do when their time has come."""

from __future__ import annotations

import numpy as np
from numba import njit

from cage4 import spec
from cage4.native import codes
from cage4.native.hosts import add_process, draw_pid, open_port, remove_process
from cage4.native.rng import below, uniform
from cage4.native.sessions import add_key, announce, find_session, open_session, stop_session
from cage4.native.state import (
    RED_HOST,
    RED_LEFT,
    RED_SESSION,
    RED_VERB,
    RED_ZONE,
    SEEN_HOST,
    SEEN_TRUE,
    SEEN_VERB,
    SEEN_ZONE,
)

# Exploits in the order in which they are considered.
HTTP, HTTPS, SSH, SQL, HARAKA = range(5)
_NUM_EXPLOITS = 5
_EXPLOIT_WEIGHT = np.array([3.0, 4.0, 0.1, 5.0, 6.0])
_EXPLOIT_KINDS = np.zeros((_NUM_EXPLOITS, codes.NUM_KINDS), np.int64)
_EXPLOIT_KINDS[HTTP, [codes.APACHE2, codes.DECOY_APACHE, codes.DECOY_VSFTPD]] = 1
_EXPLOIT_KINDS[HTTPS, codes.DECOY_TOMCAT] = 1
_EXPLOIT_KINDS[SSH, codes.SSHD] = 1
_EXPLOIT_KINDS[SQL, codes.MYSQLD] = 1
_EXPLOIT_KINDS[HARAKA, [codes.SMTP, codes.DECOY_HARAKA]] = 1

_UNSEEN_RATE = 1 - 0.95
"""An exploit's alarm stays out when its draw is not above this."""
_DECOY_FOUND, _DECOY_MISTAKEN = 0.5, 0.1
_DEGRADE_POINTS = 20
_BRUTE_FORCE_EVENTS = 10

_Z = spec.Subnet


def _parents() -> list[int]:
    above = {_Z.OPERATIONAL_ZONE_A: _Z.RESTRICTED_ZONE_A, _Z.OPERATIONAL_ZONE_B: _Z.RESTRICTED_ZONE_B}
    above |= {_Z.ADMIN_NETWORK: _Z.PUBLIC_ACCESS_ZONE, _Z.OFFICE_NETWORK: _Z.PUBLIC_ACCESS_ZONE}
    return [-1 if zone is _Z.INTERNET else int(above.get(zone, _Z.INTERNET)) for zone in _Z]


_PARENT = _parents()


def _climb(zone: int) -> list[int]:
    path = [zone]
    while _PARENT[path[-1]] >= 0:
        path.append(_PARENT[path[-1]])
    return path


def _routes() -> tuple[np.ndarray, np.ndarray]:
    """Return the routers between any two subnets of the tree, both ends included, and their number."""
    route = np.full((codes.NUM_ZONES, codes.NUM_ZONES, codes.NUM_ZONES), -1, np.int64)
    length = np.zeros((codes.NUM_ZONES, codes.NUM_ZONES), np.int64)
    for a in range(codes.NUM_ZONES):
        for b in range(codes.NUM_ZONES):
            up, down = _climb(a), _climb(b)
            top = next(zone for zone in up if zone in down)
            path = up[: up.index(top) + 1] + down[: down.index(top)][::-1]
            route[a, b, : len(path)] = path
            length[a, b] = len(path)
    return route, length


_ROUTE, _ROUTE_LENGTH = _routes()


def _links() -> np.ndarray:
    """Return [subnet, subnet] -> 1 where root on the one's first server reveals the other's."""
    links = {
        _Z.CONTRACTOR_NETWORK: (_Z.RESTRICTED_ZONE_A, _Z.RESTRICTED_ZONE_B, _Z.PUBLIC_ACCESS_ZONE),
        _Z.RESTRICTED_ZONE_A: (_Z.OPERATIONAL_ZONE_A, _Z.CONTRACTOR_NETWORK),
        _Z.OPERATIONAL_ZONE_A: (_Z.RESTRICTED_ZONE_A,),
        _Z.RESTRICTED_ZONE_B: (_Z.OPERATIONAL_ZONE_B, _Z.CONTRACTOR_NETWORK),
        _Z.OPERATIONAL_ZONE_B: (_Z.RESTRICTED_ZONE_B,),
        _Z.PUBLIC_ACCESS_ZONE: (_Z.ADMIN_NETWORK, _Z.OFFICE_NETWORK, _Z.CONTRACTOR_NETWORK),
        _Z.ADMIN_NETWORK: (_Z.PUBLIC_ACCESS_ZONE,),
        _Z.OFFICE_NETWORK: (_Z.PUBLIC_ACCESS_ZONE,),
    }
    table = np.zeros((codes.NUM_ZONES, codes.NUM_ZONES), np.int64)
    for zone, others in links.items():
        table[zone, list(others)] = 1
    return table


_LINKS = _links()


@njit(cache=True)
def act(s, k, e):  # type: ignore[no-untyped-def]
    """Let all red agents carry out what is due, except what the session filter removed."""
    for agent in range(codes.NUM_RED):
        due = s.red_due[e, agent]
        if due[RED_VERB] == codes.RED_SLEEP or due[RED_LEFT] < 0:
            continue
        succeeded = execute(s, k, e, agent)
        seen = s.red_seen[e, agent]
        seen[SEEN_VERB] = due[RED_VERB]
        seen[SEEN_HOST] = due[RED_HOST]
        seen[SEEN_ZONE] = due[RED_ZONE]
        seen[SEEN_TRUE] = succeeded


@njit(cache=True)
def execute(s, k, e, agent):  # type: ignore[no-untyped-def]
    """Carry out one command; returns whether it succeeded. Its session may have gone since the filter."""
    due = s.red_due[e, agent]
    verb = due[RED_VERB]
    host = np.int64(due[RED_HOST])
    source = find_session(s, e, agent, due[RED_SESSION])
    if verb == codes.ESCALATE:
        return escalate(s, e, agent, host, source)
    if verb == codes.IMPACT:
        return impact(s, e, agent, host, source)
    if verb == codes.DEGRADE:
        return degrade(s, e, agent, host)
    if source < 0:
        return False
    if verb == codes.DISCOVER:
        return discover(s, e, agent, np.int64(due[RED_ZONE]))
    if verb == codes.AGGRESSIVE:
        return scan(s, e, agent, host, source, k.aggressive_rate)
    if verb == codes.STEALTH:
        return scan(s, e, agent, host, source, k.stealth_rate)
    if verb == codes.DECEPTION:
        return seek_decoys(s, e, agent, host)
    if verb == codes.EXPLOIT:
        return exploit(s, e, agent, host, source)
    return withdraw(s, e, agent, host, due[RED_SESSION])


@njit(cache=True)
def discover(s, e, agent, zone):  # type: ignore[no-untyped-def]
    """Sweep a subnet. The hosts found are listed when the agent looks at the result."""
    for host in range(zone * codes.SLOTS + 1, (zone + 1) * codes.SLOTS):
        if s.host_octet[e, host] > 0:
            s.known_address[e, agent, host] = 1
    return True


@njit(cache=True)
def is_cut_off(s, e, source, host):  # type: ignore[no-untyped-def]
    """Tell whether blue blocks traffic from the session's subnet to the host's."""
    return s.blocked[e, host // codes.SLOTS, s.ses_host[e, source] // codes.SLOTS] == 1


@njit(cache=True)
def scan(s, e, agent, host, source, rate):  # type: ignore[no-untyped-def]
    """Scan a host's ports: seen port by port or not at all, decoys always; the session remembers the ports."""
    if s.ses_abstract[e, source] == 0 or is_cut_off(s, e, source, host):
        return False
    is_seen = uniform(s.rng[e]) <= rate
    ports = codes.SCANNED
    node = s.proc_head[e, host]
    while node >= 0:
        kind = s.proc_kind[e, node]
        if codes.KIND_OPEN[kind] == 1:
            ports |= codes.KIND_PORT[kind]
            if is_seen or kind >= codes.DECOY_APACHE:
                open_port(s, e, host)
                s.net_events[e, host] += 1
        node = s.proc_next[e, node]
    s.ses_ports[e, source, host] = ports
    add_key(s, e, agent, host, 0)
    return True


@njit(cache=True)
def seek_decoys(s, e, agent, host):  # type: ignore[no-untyped-def]
    """Look for decoys among the host's processes; the only lasting effect is that its name becomes known."""
    r = s.rng[e]
    is_any = False
    node = s.proc_head[e, host]
    while node >= 0:
        kind = s.proc_kind[e, node]
        is_decoy = codes.DECOY_APACHE <= kind <= codes.DECOY_VSFTPD
        if uniform(r) <= _DECOY_FOUND and is_decoy:
            is_any = True
        elif uniform(r) <= _DECOY_MISTAKEN and not is_decoy:
            is_any = True
        node = s.proc_next[e, node]
    if is_any:
        add_key(s, e, agent, host, 1)
    return True


@njit(cache=True)
def choose_exploit(s, e, ports):  # type: ignore[no-untyped-def]
    """Choose among the exploits that the remembered ports allow: never the best one if there is another."""
    r = s.rng[e]
    options = np.empty(_NUM_EXPLOITS, np.int64)
    count = 0
    web = ports & (codes.PORT_80 | codes.PORT_443) != 0
    for way in range(_NUM_EXPLOITS):
        is_open = (
            (way == HTTP and ports & codes.PORT_80 != 0)
            or (way == HTTPS and ports & codes.PORT_443 != 0)
            or (way == SSH and ports & codes.PORT_22 != 0)
            or (way == SQL and ports & codes.PORT_3390 != 0 and web)
            or (way == HARAKA and ports & codes.PORT_25 != 0)
        )
        if is_open:
            options[count] = way
            count += 1
    if count == 0:
        return -1
    if count == 1:
        return options[0]
    best = 0
    for i in range(1, count):
        if _EXPLOIT_WEIGHT[options[i]] > _EXPLOIT_WEIGHT[options[best]]:
            best = i
    n = below(r, count - 1)
    uniform(r)  # would choose the best one, with probability 0
    return options[n if n < best else n + 1]


@njit(cache=True)
def exploit(s, e, agent, host, source):  # type: ignore[no-untyped-def]
    """Exploit a host that the session has scanned; opens an ordinary session on success."""
    ports = s.ses_ports[e, source, host]
    if s.ses_abstract[e, source] == 0 or ports == 0 or is_cut_off(s, e, source, host):
        return False
    way = choose_exploit(s, e, ports)
    if way < 0:
        return False
    if way == SSH:
        alarm_route(s, e, s.ses_host[e, source], host)
    target = s.proc_head[e, host]
    while target >= 0 and _EXPLOIT_KINDS[way, s.proc_kind[e, target]] == 0:
        target = s.proc_next[e, target]
    if target < 0:
        return False
    if way == SSH:
        open_port(s, e, host)
        s.net_events[e, host] += _BRUTE_FORCE_EVENTS
        loot(s, e, agent, host, source, True)
        return True
    kind = s.proc_kind[e, target]
    is_decoy = kind >= codes.DECOY_APACHE
    if is_decoy:
        open_port(s, e, host)
        s.net_events[e, host] += 1
    # Against genuine services only the SQL injection works; the others work on decoys, where nothing is gained.
    works = is_decoy or way == SQL
    if not works or uniform(s.rng[e]) <= 0.0:
        add_key(s, e, agent, host, 0)
        return False
    open_port(s, e, host)
    if is_decoy:
        open_port(s, e, host)
        s.net_events[e, host] += 1
        add_key(s, e, agent, host, 0)
        return False
    loot(s, e, agent, host, source, False)
    return True


@njit(cache=True)
def alarm_route(s, e, source_host, host):  # type: ignore[no-untyped-def]
    """Draw an alarm on every host of the route of a brute force, its source included."""
    r = s.rng[e]
    if uniform(r) > _UNSEEN_RATE:
        s.net_events[e, source_host] += 1
    if source_host == host:
        return
    a, b = source_host // codes.SLOTS, host // codes.SLOTS
    for i in range(_ROUTE_LENGTH[a, b]):
        if uniform(r) > _UNSEEN_RATE:
            s.net_events[e, _ROUTE[a, b, i] * codes.SLOTS] += 1
    if uniform(r) > _UNSEEN_RATE:
        s.net_events[e, host] += 1


@njit(cache=True)
def loot(s, e, agent, host, source, is_certain):  # type: ignore[no-untyped-def]
    """Open the session of a successful exploit, leave its file, and alarm blue, surely or nearly so."""
    pid = draw_pid(s, e, host)
    add_process(s, e, host, pid, codes.SESSION_PROCESS, 0)
    node = open_session(s, e, agent, host, codes.USER_USER, pid, 0, 1)
    s.red_exploited[e, agent] = node
    s.red_looted[e, agent] = host
    s.files[e, host, 0] += 1
    if is_certain or uniform(s.rng[e]) > _UNSEEN_RATE:
        s.proc_events[e, host] += 1
        if codes.BLUE_OWNER[host // codes.SLOTS] >= 0:
            # Monitor will remember it at the end of the step; nothing reads or clears the memory before that.
            n = s.suspects[e]
            s.suspect_host[e, n] = host
            s.suspect_pid[e, n] = pid
            s.suspects[e] = n + 1
    add_key(s, e, agent, host, 1)
    add_key(s, e, agent, s.ses_host[e, source], 0)


@njit(cache=True)
def root_session(s, e, agent, host):  # type: ignore[no-untyped-def]
    """Return the agent's first root session on the host, or -1."""
    node = s.ses_head[e, agent]
    while node >= 0 and not (s.ses_host[e, node] == host and s.ses_user[e, node] == codes.USER_ROOT):
        node = s.ses_next[e, node]
    return node


@njit(cache=True)
def escalate(s, e, agent, host, source):  # type: ignore[no-untyped-def]
    """Make one of the agent's sessions on the host root's, and reveal the hosts it is linked to."""
    count = s.red_on_host[e, host, agent]
    if count == 0:
        return False
    node = root_session(s, e, agent, host)
    if node < 0:
        n = below(s.rng[e], count)
        if source < 0 or s.ses_abstract[e, source] == 0:
            return False
        node = s.ses_head[e, agent]
        while n > 0 or s.ses_host[e, node] != host:
            if s.ses_host[e, node] == host:
                n -= 1
            node = s.ses_next[e, node]
        s.ses_user[e, node] = codes.USER_ROOT
        s.files[e, host, 1] += 1
        process = s.proc_head[e, host]
        while process >= 0:
            if s.proc_pid[e, process] == s.ses_pid[e, node]:
                s.proc_root[e, process] = 1
                break
            process = s.proc_next[e, process]
    announce(s, e, agent, node)
    add_key(s, e, agent, host, 1)
    zone = host // codes.SLOTS
    if source >= 0 and host == zone * codes.SLOTS + codes.FIRST_SERVER:
        for other in range(codes.NUM_ZONES):
            if _LINKS[zone, other] == 1:
                add_key(s, e, agent, other * codes.SLOTS + codes.FIRST_SERVER, 1)
    return True


@njit(cache=True)
def impact(s, e, agent, host, source):  # type: ignore[no-untyped-def]
    """Stop the host's operational service for good, until a restore."""
    if root_session(s, e, agent, host) < 0:
        return False
    for place in range(s.svc_count[e, host]):
        if s.svc_kind[e, host, place] == codes.OTSERVICE and s.svc_active[e, host, place] == 1:
            add_key(s, e, agent, host, 1)
            if source < 0:
                return False
            s.svc_active[e, host, place] = 0
            remove_process(s, e, host, s.svc_pid[e, host, place])
            return True
    return False


@njit(cache=True)
def degrade(s, e, agent, host):  # type: ignore[no-untyped-def]
    """Take 20 points of reliability from every running service of the host."""
    if root_session(s, e, agent, host) < 0:
        return False
    for place in range(s.svc_count[e, host]):
        if s.svc_active[e, host, place] == 1:
            s.svc_reliability[e, host, place] = max(0, s.svc_reliability[e, host, place] - _DEGRADE_POINTS)
    add_key(s, e, agent, host, 1)
    return True


@njit(cache=True)
def withdraw(s, e, agent, host, ident):  # type: ignore[no-untyped-def]
    """Close the agent's sessions on the host: children, then the parentless except id 0, then the source."""
    victims = np.empty(s.red_on_host[e, host, agent] + 1, np.int64)
    count = 0
    for children in (1, 0):
        node = s.ses_head[e, agent]
        while node >= 0:
            if (
                s.ses_host[e, node] == host
                and s.ses_child[e, node] == children
                and (children == 1 or s.ses_id[e, node] != 0)
            ):
                victims[count] = s.ses_id[e, node]
                count += 1
            node = s.ses_next[e, node]
    if s.ses_host[e, find_session(s, e, agent, ident)] == host:
        victims[count] = ident
        count += 1
    if count == 0:
        return False
    for i in range(count):
        victim = find_session(s, e, agent, victims[i])
        if victim < 0 or find_session(s, e, agent, ident) < 0:
            return False
        stop_session(s, e, agent, victim)
    return True
