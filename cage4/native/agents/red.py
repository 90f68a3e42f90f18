"""What red's commands do when their time has come."""

from __future__ import annotations

import numpy as np

from cage4 import spec
from cage4.native.jit import allocating, inner
from cage4.native.observations import rich
from cage4.native.rng import below, uniform
from cage4.native.world import codes
from cage4.native.world.hosts import add_process, draw_pid, open_port, remove_process
from cage4.native.world.sessions import add_key, announce, find_session, open_session, stop_session
from cage4.native.world.state import (
    NAMED,
    ORDINARY,
    RED_HOST,
    RED_LEFT,
    RED_SESSION,
    RED_VERB,
    RED_ZONE,
    SEEN_HOST,
    SEEN_TRUE,
    SEEN_VERB,
    SEEN_ZONE,
    UNNAMED,
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
_SESSION = np.int64(codes.SESSION_PROCESS)
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


@inner
def act(row, pools, k):  # type: ignore[no-untyped-def]
    """Let all red agents carry out what is due, except what the session filter removed."""
    for agent in range(codes.NUM_RED):
        due = row.red_due[agent]
        if due[RED_VERB] == codes.RED_SLEEP or due[RED_LEFT] < 0:
            continue
        succeeded = execute(row, pools, k, agent)
        seen = row.red_seen[agent]
        seen[SEEN_VERB] = due[RED_VERB]
        seen[SEEN_HOST] = due[RED_HOST]
        seen[SEEN_ZONE] = due[RED_ZONE]
        seen[SEEN_TRUE] = succeeded


@inner
def execute(row, pools, k, agent):  # type: ignore[no-untyped-def]
    """Carry out one command; returns whether it succeeded. Its session may have gone since the filter."""
    due = row.red_due[agent]
    verb = due[RED_VERB]
    host = np.int64(due[RED_HOST])
    source = find_session(row, pools, agent, np.int64(due[RED_SESSION]))
    if verb == codes.ESCALATE:
        return escalate(row, pools, agent, host, source)
    if verb == codes.IMPACT:
        return impact(row, pools, agent, host, source)
    if verb == codes.DEGRADE:
        return degrade(row, pools, agent, host)
    if source < 0:
        return False
    if verb == codes.DISCOVER:
        return discover(row, agent, np.int64(due[RED_ZONE]))
    if verb == codes.AGGRESSIVE:
        return scan(row, pools, agent, host, source, k.aggressive_rate)
    if verb == codes.STEALTH:
        return scan(row, pools, agent, host, source, k.stealth_rate)
    if verb == codes.DECEPTION:
        return seek_decoys(row, pools, agent, host)
    if verb == codes.EXPLOIT:
        return exploit(row, pools, agent, host, source)
    return withdraw(row, pools, agent, host, np.int64(due[RED_SESSION]))


@inner
def discover(row, agent, zone):  # type: ignore[no-untyped-def]
    """Sweep a subnet. The hosts found are listed when the agent looks at the result."""
    for host in range(zone * codes.SLOTS + 1, (zone + 1) * codes.SLOTS):
        if row.host_octet[host] > 0:
            row.known_address[agent, host] = 1
    return True


@inner
def is_cut_off(row, pools, source, host):  # type: ignore[no-untyped-def]
    """Tell whether blue blocks traffic from the session's subnet to the host's."""
    return row.blocked[host // codes.SLOTS, pools.ses[source].host // codes.SLOTS] == 1


@inner
def scan(row, pools, agent, host, source, rate):  # type: ignore[no-untyped-def]
    """Scan a host's ports: seen port by port or not at all, decoys always; the session remembers the ports."""
    if pools.ses[source].abstract == 0 or is_cut_off(row, pools, source, host):
        return False
    is_seen = uniform(row.rng) <= rate
    ports = codes.SCANNED
    node = row.proc_head[host]
    while node >= 0:
        kind = pools.proc[node].kind
        if codes.KIND_OPEN[kind] == 1:
            ports |= codes.KIND_PORT[kind]
            if is_seen or kind >= codes.DECOY_APACHE:
                port = open_port(row, pools.port, host)
                row.net_events[host] += 1
                rich.note_touch(row, pools.rich, host, kind, pools.ses[source].host, port)
        node = pools.proc[node].next
    pools.scan[source].ports[host] = ports
    add_key(row, agent, host, UNNAMED)
    return True


@inner
def seek_decoys(row, pools, agent, host):  # type: ignore[no-untyped-def]
    """Look for decoys among the host's processes; the only lasting effect is that its name becomes known."""
    r = row.rng
    is_any = False
    node = row.proc_head[host]
    while node >= 0:
        kind = pools.proc[node].kind
        is_decoy = codes.DECOY_APACHE <= kind <= codes.DECOY_VSFTPD
        if (uniform(r) <= _DECOY_FOUND and is_decoy) or (uniform(r) <= _DECOY_MISTAKEN and not is_decoy):
            is_any = True
        node = pools.proc[node].next
    if is_any:
        add_key(row, agent, host, NAMED)
    return True


@allocating
def choose_exploit(row, ports):  # type: ignore[no-untyped-def]
    """Choose among the exploits that the remembered ports allow: never the best one if there is another."""
    r = row.rng
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


@inner
def exploit(row, pools, agent, host, source):  # type: ignore[no-untyped-def]
    """Exploit a host that the session has scanned; opens an ordinary session on success."""
    ports = pools.scan[source].ports[host]
    if pools.ses[source].abstract == 0 or ports == 0 or is_cut_off(row, pools, source, host):
        return False
    way = choose_exploit(row, ports)
    if way < 0:
        return False
    source_host = np.int64(pools.ses[source].host)
    if way == SSH:
        alarm_route(row, pools, source_host, host)
    target = row.proc_head[host]
    while target >= 0 and _EXPLOIT_KINDS[way, pools.proc[target].kind] == 0:
        target = pools.proc[target].next
    if target < 0:
        return False
    if way == SSH:
        port = open_port(row, pools.port, host)
        row.net_events[host] += _BRUTE_FORCE_EVENTS
        rich.note_connections(row, pools.rich, host, host, rich.SSH_PORT, source_host, port, _BRUTE_FORCE_EVENTS)
        loot(row, pools, agent, host, source, way == SSH)
        return True
    kind = pools.proc[target].kind
    is_decoy = kind >= codes.DECOY_APACHE
    if is_decoy:
        port = open_port(row, pools.port, host)
        row.net_events[host] += 1
        rich.note_touch(row, pools.rich, host, kind, source_host, port)
    # Against genuine services only the SQL injection works; the others work on decoys, where nothing is gained.
    works = is_decoy or way == SQL
    if not works or uniform(row.rng) <= 0.0:
        add_key(row, agent, host, UNNAMED)
        return False
    local_port = open_port(row, pools.port, host)
    if is_decoy:
        port = open_port(row, pools.port, host)
        row.net_events[host] += 1
        rich.note_connections(row, pools.rich, host, host, local_port, source_host, port, 1)
        add_key(row, agent, host, UNNAMED)
        return False
    loot(row, pools, agent, host, source, way == SSH)
    return True


@inner
def alarm_route(row, pools, source_host, host):  # type: ignore[no-untyped-def]
    """Draw an alarm on every host of the route of a brute force, its source included."""
    alarm_passage(row, pools, source_host, source_host, host)
    if source_host == host:
        return
    a, b = source_host // codes.SLOTS, host // codes.SLOTS
    for i in range(_ROUTE_LENGTH[a, b]):
        alarm_passage(row, pools, _ROUTE[a, b, i] * codes.SLOTS, source_host, host)
    alarm_passage(row, pools, host, source_host, host)


@inner
def alarm_passage(row, pools, place, source_host, host):  # type: ignore[no-untyped-def]
    """Draw the alarm on one host of the route, which names the ends of it."""
    if uniform(row.rng) > _UNSEEN_RATE:
        row.net_events[place] += 1
        rich.note_connections(row, pools.rich, place, host, 0, source_host, rich.SSH_PORT, 1)


@inner
def loot(row, pools, agent, host, source, is_certain):  # type: ignore[no-untyped-def]
    """Open the session of a successful exploit, leave its file, and alarm blue, surely or nearly so."""
    pid = draw_pid(row, pools, host)
    add_process(row, pools, host, pid, _SESSION)
    node = open_session(row, pools, agent, host, codes.USER_USER, pid, ORDINARY)
    row.red_exploited[agent] = node
    row.red_looted[agent] = host
    row.files[host, 0] += 1
    if is_certain or uniform(row.rng) > _UNSEEN_RATE:
        row.proc_events[host] += 1
        rich.note_process(pools.rich, host, pid)
        if codes.BLUE_OWNER[host // codes.SLOTS] >= 0:
            # Monitor will remember it at the end of the step; nothing reads or clears the memory before that.
            n = row.suspects
            pools.suspect[n].host = host
            pools.suspect[n].pid = pid
            row.suspects = n + 1
    add_key(row, agent, host, NAMED)
    add_key(row, agent, np.int64(pools.ses[source].host), UNNAMED)
    # Other results name hosts too, but only as headings, which the action space does not read.
    row.known_name[agent, host] = 1


@inner
def root_session(row, pools, agent, host):  # type: ignore[no-untyped-def]
    """Return the agent's first root session on the host, or -1."""
    node = row.ses_head[agent]
    while node >= 0 and not (pools.ses[node].host == host and pools.ses[node].user == codes.USER_ROOT):
        node = pools.ses[node].next
    return node


@inner
def escalate(row, pools, agent, host, source):  # type: ignore[no-untyped-def]
    """Make one of the agent's sessions on the host root's, and reveal the hosts it is linked to."""
    count = row.red_on_host[host, agent]
    if count == 0:
        return False
    node = root_session(row, pools, agent, host)
    if node < 0:
        n = below(row.rng, np.int64(count))
        if source < 0 or pools.ses[source].abstract == 0:
            return False
        node = row.ses_head[agent]
        while n > 0 or pools.ses[node].host != host:
            if pools.ses[node].host == host:
                n -= 1
            node = pools.ses[node].next
        pools.ses[node].user = codes.USER_ROOT
        row.files[host, 1] += 1
        process = row.proc_head[host]
        while process >= 0:
            if pools.proc[process].pid == pools.ses[node].pid:
                pools.proc[process].root = 1
                break
            process = pools.proc[process].next
    announce(row, pools, agent, np.int64(node))
    add_key(row, agent, host, NAMED)
    zone = host // codes.SLOTS
    if source >= 0 and host == zone * codes.SLOTS + codes.FIRST_SERVER:
        for other in range(codes.NUM_ZONES):
            if _LINKS[zone, other] == 1:
                add_key(row, agent, other * codes.SLOTS + codes.FIRST_SERVER, NAMED)
    return True


@inner
def impact(row, pools, agent, host, source):  # type: ignore[no-untyped-def]
    """Stop the host's operational service for good, until a restore."""
    if root_session(row, pools, agent, host) < 0:
        return False
    for place in range(row.svc_count[host]):
        if row.svc_kind[host, place] == codes.OTSERVICE and row.svc_active[host, place] == 1:
            add_key(row, agent, host, NAMED)
            if source < 0:
                return False
            row.svc_active[host, place] = 0
            row.svc_worn[host] = 1
            remove_process(row, pools, host, np.int64(row.svc_pid[host, place]))
            return True
    return False


@inner
def degrade(row, pools, agent, host):  # type: ignore[no-untyped-def]
    """Take 20 points of reliability from every running service of the host."""
    if root_session(row, pools, agent, host) < 0:
        return False
    row.svc_worn[host] = 1
    for place in range(row.svc_count[host]):
        if row.svc_active[host, place] == 1:
            row.svc_reliability[host, place] = max(0, row.svc_reliability[host, place] - _DEGRADE_POINTS)
    add_key(row, agent, host, NAMED)
    return True


@allocating
def withdraw(row, pools, agent, host, ident):  # type: ignore[no-untyped-def]
    """Close the agent's sessions on the host: children, then the parentless except id 0, then the source."""
    victims = np.empty(row.red_on_host[host, agent] + 1, np.int64)
    count = 0
    for children in (1, 0):
        node = row.ses_head[agent]
        while node >= 0:
            if (
                pools.ses[node].host == host
                and pools.ses[node].child == children
                and (children == 1 or pools.ses[node].id != 0)
            ):
                victims[count] = pools.ses[node].id
                count += 1
            node = pools.ses[node].next
    if pools.ses[find_session(row, pools, agent, ident)].host == host:
        victims[count] = ident
        count += 1
    if count == 0:
        return False
    for i in range(count):
        victim = find_session(row, pools, agent, victims[i])
        if victim < 0 or find_session(row, pools, agent, ident) < 0:
            return False
        stop_session(row, pools, agent, victim)
    return True
