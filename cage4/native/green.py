"""Green users: what they wish, their local work, their access to servers, and the phishing mails they open."""

from __future__ import annotations

from numba import njit

from cage4.native import codes
from cage4.native.hosts import add_process, draw_pid, draw_port
from cage4.native.reward import charge
from cage4.native.rng import below, uniform
from cage4.native.sessions import open_session

ACCESS, LOCAL_WORK = 0, 1


@njit(cache=True)
def draw_wishes(s, k, e):  # type: ignore[no-untyped-def]
    """Draw what each green agent will do: access, local work or sleep."""
    if k.green_acts == 0:
        return
    r = s.rng[e]
    choice = s.green_choice[e]
    for green in range(s.num_green[e]):
        choice[green] = below(r, 3)


@njit(cache=True)
def act(s, k, e):  # type: ignore[no-untyped-def]
    """Let all green agents act, in host order."""
    if k.green_acts == 0:
        return
    green = 0
    for zone in range(codes.INTERNET):
        for i in range(s.num_users[e, zone]):
            wish = s.green_choice[e, green]
            if wish == ACCESS:
                access_service(s, k, e, zone)
            elif wish == LOCAL_WORK:
                work_locally(s, k, e, zone, zone * codes.SLOTS + codes.FIRST_USER + i)
            green += 1


@njit(cache=True)
def work_locally(s, k, e, zone, host):  # type: ignore[no-untyped-def]
    """Use a random running service; may fail, raise a false alarm, or open a phishing mail."""
    r = s.rng[e]
    count = s.svc_count[e, host]
    active = 0
    for i in range(count):
        active += s.svc_active[e, host, i]
    if active == 0:
        charge(s, e, zone, codes.LWF)
        return
    n = below(r, active)
    place = 0
    while n > 0 or s.svc_active[e, host, place] == 0:
        n -= s.svc_active[e, host, place]
        place += 1
    if below(r, 100) >= s.svc_reliability[e, host, place]:
        charge(s, e, zone, codes.LWF)
        return
    if uniform(r) < k.false_alarm_rate:
        draw_port(r, s.port_pool[e], s.port_head[e], s.port_count[e], s.port_next[e], s.port_value[e], host)
        s.proc_events[e, host] += 1
    if uniform(r) < k.phishing_rate:
        open_mail(s, e, zone, host)


@njit(cache=True)
def access_service(s, k, e, zone):  # type: ignore[no-untyped-def]
    """Visit a random server that the phase allows; fails if a block lies on either direction."""
    r = s.rng[e]
    allowed = codes.GREEN_ALLOWED[s.phase[e], zone]
    servers = s.num_servers[e]
    total = 0
    for other in range(codes.INTERNET):
        total += allowed[other] * servers[other]
    n = below(r, total)
    target = 0
    while True:
        here = allowed[target] * servers[target]
        if n < here:
            break
        n -= here
        target += 1
    host = target * codes.SLOTS + codes.FIRST_SERVER + n
    draw_port(r, s.port_pool[e], s.port_head[e], s.port_count[e], s.port_next[e], s.port_value[e], host)
    if s.blocked[e, zone, target] == 1 or s.blocked[e, target, zone] == 1:
        s.net_events[e, host] += 1
        charge(s, e, zone, codes.ASF)
    elif uniform(r) < k.false_alarm_rate:
        s.net_events[e, host] += 1


@njit(cache=True)
def open_mail(s, e, zone, host):  # type: ignore[no-untyped-def]
    """Give red a session on the host, unless it has one: the sender is the last neighbour's, else a random one."""
    for agent in range(codes.NUM_RED):
        if s.red_on_host[e, host, agent] > 0:
            return
    sender = -1
    candidates = 0
    for other in range(codes.NUM_HOSTS):
        for agent in range(codes.NUM_RED):
            if s.red_on_host[e, other, agent] > 0:
                if other // codes.SLOTS == zone:
                    sender = agent
                    break
                candidates += 1
    if sender < 0:
        if candidates == 0:
            return
        sender = nth_candidate(s, e, below(s.rng[e], candidates))
    pid = draw_pid(s, e, host)
    add_process(s, e, host, pid, codes.SESSION_PROCESS, 0)
    open_session(s, e, sender, host, codes.USER_USER, pid, 1, 0)


@njit(cache=True)
def nth_candidate(s, e, n):  # type: ignore[no-untyped-def]
    """Return the agent of the n-th (host, red agent) pair with a session, in host order."""
    for host in range(codes.NUM_HOSTS):
        for agent in range(codes.NUM_RED):
            if s.red_on_host[e, host, agent] > 0:
                if n == 0:
                    return agent
                n -= 1
    return -1
