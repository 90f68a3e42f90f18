"""Green users: what they wish, their local work, their access to servers, and the phishing mails they open."""

from __future__ import annotations

import numpy as np

from cage4.native.jit import inlined, inner
from cage4.native.observations import rich
from cage4.native.reward import charge
from cage4.native.rng import below, uniform
from cage4.native.world import codes
from cage4.native.world.hosts import add_process, draw_pid, open_port
from cage4.native.world.sessions import open_session
from cage4.native.world.state import ABSTRACT

ACCESS, LOCAL_WORK = 0, 1
_SESSION = np.int64(codes.SESSION_PROCESS)


@inner
def map_green_reach(row):  # type: ignore[no-untyped-def]
    """Count the servers that the phase lets green visit, from each subnet up to each subnet."""
    for zone in range(codes.NUM_ZONES):
        total = 0
        for other in range(codes.NUM_ZONES):
            total += codes.GREEN_ALLOWED[row.phase, zone, other] * row.num_servers[other]
            row.green_reach[zone, other] = total


@inner
def draw_wishes(row, k):  # type: ignore[no-untyped-def]
    """Draw what each green agent will do: access, local work or sleep."""
    if k.green_acts == 0:
        return
    r = row.rng
    choice = row.green_choice
    for green in range(row.num_green):
        choice[green] = below(r, 3)


@inner
def act(row, pools, k):  # type: ignore[no-untyped-def]
    """Let all green agents act, in host order."""
    if k.green_acts == 0:
        return
    green = 0
    for zone in range(codes.INTERNET):
        for i in range(row.num_users[zone]):
            wish = row.green_choice[green]
            user = zone * codes.SLOTS + codes.FIRST_USER + i
            if wish == ACCESS:
                access_service(row, pools, k, zone, user)
            elif wish == LOCAL_WORK:
                work_locally(row, pools, k, zone, user)
            green += 1


@inlined
def work_locally(row, pools, k, zone, host):  # type: ignore[no-untyped-def]
    """Use a random running service; may fail, raise a false alarm, or open a phishing mail."""
    r = row.rng
    count = np.int64(row.svc_count[host])
    if row.svc_worn[host] == 0:
        below(r, count)  # every service runs at full reliability, so neither draw matters
        below(r, 100)
    elif not use_service(row, r, host, count):
        charge(row, zone, codes.LWF)
        return
    if uniform(r) < k.false_alarm_rate:
        open_port(row, pools.port, host)
        row.proc_events[host] += 1
        rich.note_process_alarm(pools.rich, host)
    if uniform(r) < k.phishing_rate:
        open_mail(row, pools, zone, host)


@inner
def use_service(row, r, host, count):  # type: ignore[no-untyped-def]
    """Use a random running service of the host; returns whether it worked."""
    active = 0
    for i in range(count):
        active += np.int64(row.svc_active[host, i])
    if active == 0:
        return False
    n = below(r, active)
    place = 0
    while n > 0 or row.svc_active[host, place] == 0:
        n -= row.svc_active[host, place]
        place += 1
    return below(r, 100) < row.svc_reliability[host, place]


@inlined
def access_service(row, pools, k, zone, user):  # type: ignore[no-untyped-def]
    """Visit a random server that the phase allows; fails if a block lies on either direction."""
    r = row.rng
    reach = row.green_reach[zone]
    n = below(r, np.int64(reach[codes.INTERNET]))
    target = 0
    while n >= reach[target]:
        target += 1
    if target > 0:
        n -= reach[target - 1]
    host = target * codes.SLOTS + codes.FIRST_SERVER + n
    port = open_port(row, pools.port, host)
    if row.blocked[zone, target] == 1 or row.blocked[target, zone] == 1:
        row.net_events[host] += 1
        rich.note_connections(row, pools.rich, host, host, 0, user, rich.BLOCKED_ACCESS_PORT, 1)
        charge(row, zone, codes.ASF)
    elif uniform(r) < k.false_alarm_rate:
        row.net_events[host] += 1
        # CybORG writes this one down the wrong way round: the user's side is the local one.
        rich.note_connections(row, pools.rich, host, user, 0, host, port, 1)


@inner
def open_mail(row, pools, zone, host):  # type: ignore[no-untyped-def]
    """Give red a session on the host, unless it has one: the sender is the last neighbour's, else a random one."""
    for agent in range(codes.NUM_RED):
        if row.red_on_host[host, agent] > 0:
            return
    sender = -1
    candidates = 0
    for other in range(codes.NUM_HOSTS):
        for agent in range(codes.NUM_RED):
            if row.red_on_host[other, agent] > 0:
                if other // codes.SLOTS == zone:
                    sender = agent
                    break
                candidates += 1
    if sender < 0:
        if candidates == 0:
            return
        sender = nth_candidate(row, below(row.rng, candidates))
    pid = draw_pid(row, pools, host)
    add_process(row, pools, host, pid, _SESSION)
    open_session(row, pools, np.int64(sender), host, codes.USER_USER, pid, ABSTRACT)


@inner
def nth_candidate(row, n):  # type: ignore[no-untyped-def]
    """Return the agent of the n-th (host, red agent) pair with a session, in host order."""
    for host in range(codes.NUM_HOSTS):
        for agent in range(codes.NUM_RED):
            if row.red_on_host[host, agent] > 0:
                if n == 0:
                    return agent
                n -= 1
    return -1
