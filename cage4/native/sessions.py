"""Red's sessions: each agent's ordered dictionary, hand-over between subnets, and the check that ends a step."""

from __future__ import annotations

from numba import njit

from cage4.native import codes
from cage4.native.hosts import remove_process
from cage4.native.rng import below
from cage4.native.state import BROKEN, MAX_KEYS, give, take


@njit(cache=True)
def find_session(s, e, agent, ident):  # type: ignore[no-untyped-def]
    """Return the pool index of the agent's session with this id, or -1."""
    node = s.ses_head[e, agent]
    while node >= 0 and s.ses_id[e, node] != ident:
        node = s.ses_next[e, node]
    return node


@njit(cache=True)
def append_session(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Put a pool element last in the agent's dictionary, under the next id: one above the highest, or 0."""
    highest = -1
    other = s.ses_head[e, agent]
    while other >= 0:
        highest = max(highest, s.ses_id[e, other])
        other = s.ses_next[e, other]
    s.ses_id[e, node] = highest + 1
    link_session(s, e, agent, node)
    s.ses_count[e, agent] += 1
    s.red_on_host[e, s.ses_host[e, node], agent] += 1


@njit(cache=True)
def link_session(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Chain a pool element behind the agent's last session."""
    s.ses_next[e, node] = -1
    if s.ses_head[e, agent] < 0:
        s.ses_head[e, agent] = node
    else:
        s.ses_next[e, s.ses_tail[e, agent]] = node
    s.ses_tail[e, agent] = node


@njit(cache=True)
def unlink_session(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Take a session out of the agent's chain without freeing it."""
    following = s.ses_next[e, node]
    if s.ses_head[e, agent] == node:
        previous = -1
        s.ses_head[e, agent] = following
    else:
        previous = s.ses_head[e, agent]
        while s.ses_next[e, previous] != node:
            previous = s.ses_next[e, previous]
        s.ses_next[e, previous] = following
    if following < 0:
        s.ses_tail[e, agent] = previous


@njit(cache=True)
def open_session(s, e, agent, host, user, pid, abstract, child):  # type: ignore[no-untyped-def]
    """Give the agent a new session on a host; returns its pool index."""
    node = take(s.ses_pool[e], s.ses_next[e])
    s.ses_host[e, node] = host
    s.ses_user[e, node] = user
    s.ses_pid[e, node] = pid
    s.ses_abstract[e, node] = abstract
    s.ses_child[e, node] = child
    s.ses_ports[e, node, :] = 0
    append_session(s, e, agent, node)
    return node


@njit(cache=True)
def close_session(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Delete a session of the agent; its process is not touched."""
    s.red_on_host[e, s.ses_host[e, node], agent] -= 1
    s.ses_count[e, agent] -= 1
    unlink_session(s, e, agent, node)
    give(s.ses_pool[e], s.ses_next[e], node)


@njit(cache=True)
def close_sessions_on(s, e, host):  # type: ignore[no-untyped-def]
    """Delete every red session on a host."""
    for agent in range(codes.NUM_RED):
        node = s.ses_head[e, agent]
        while s.red_on_host[e, host, agent] > 0:
            following = s.ses_next[e, node]
            if s.ses_host[e, node] == host:
                close_session(s, e, agent, node)
            node = following


@njit(cache=True)
def close_session_of_process(s, e, host, pid):  # type: ignore[no-untyped-def]
    """Delete the first red session on a host that runs as this process."""
    for agent in range(codes.NUM_RED):
        if s.red_on_host[e, host, agent] == 0:
            continue
        node = s.ses_head[e, agent]
        while node >= 0:
            if s.ses_host[e, node] == host and s.ses_pid[e, node] == pid:
                close_session(s, e, agent, node)
                return
            node = s.ses_next[e, node]


@njit(cache=True)
def stop_session(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Delete a session together with its process."""
    remove_process(s, e, s.ses_host[e, node], s.ses_pid[e, node])
    close_session(s, e, agent, node)


@njit(cache=True)
def announce(s, e, agent, node):  # type: ignore[no-untyped-def]
    """Add an abstract session's id to those the agent may choose; ids are never taken back."""
    ident = s.ses_id[e, node]
    if s.ses_abstract[e, node] == 1 and s.known_flag[e, agent, ident] == 0:
        s.known_flag[e, agent, ident] = 1
        s.known_id[e, agent, s.known_count[e, agent]] = ident
        s.known_count[e, agent] += 1


@njit(cache=True)
def add_key(s, e, agent, host, named):  # type: ignore[no-untyped-def]
    """Add a host to what the agent's last result showed, with or without its name."""
    n = s.red_keys[e, agent]
    if n == MAX_KEYS:
        s.fault[e] = BROKEN
        return
    s.red_key_host[e, agent, n] = host
    s.red_key_named[e, agent, n] = named
    s.red_keys[e, agent] = n + 1
    s.known_address[e, agent, host] = 1
    if named == 1:
        s.known_name[e, agent, host] = 1


@njit(cache=True)
def reassign(s, e):  # type: ignore[no-untyped-def]
    """Hand every session outside its agent's subnets to the owner of the subnet, as a fresh abstract session."""
    for agent in range(codes.NUM_RED):
        node = s.ses_head[e, agent]
        while node >= 0:
            following = s.ses_next[e, node]
            host = s.ses_host[e, node]
            owner = codes.RED_OWNER[host // codes.SLOTS]
            if owner != agent:
                s.red_on_host[e, host, agent] -= 1
                s.ses_count[e, agent] -= 1
                unlink_session(s, e, agent, node)
                s.ses_abstract[e, node] = 1
                s.ses_child[e, node] = 0
                s.ses_ports[e, node, :] = 0
                append_session(s, e, owner, node)
                # Only a session that this step's exploit opened appears in the old owner's result, from which
                # the new owner gets a copy; of phished ones it learns from its session check.
                if s.red_exploited[e, agent] == node:
                    add_key(s, e, owner, host, 1)
                    announce(s, e, owner, node)
            node = following
    for agent in range(codes.NUM_RED):
        s.red_active[e, agent] = s.ses_count[e, agent] > 0


@njit(cache=True)
def promote(s, e, agent):  # type: ignore[no-untyped-def]
    """Give id 0 to a random session of an agent that lost it; the session keeps its class."""
    if find_session(s, e, agent, 0) >= 0:
        return
    node = s.ses_head[e, agent]
    for _ in range(below(s.rng[e], s.ses_count[e, agent])):
        node = s.ses_next[e, node]
    unlink_session(s, e, agent, node)
    s.ses_id[e, node] = 0
    link_session(s, e, agent, node)
    other = s.ses_head[e, agent]
    while other >= 0:
        s.ses_child[e, other] = 0
        other = s.ses_next[e, other]


@njit(cache=True)
def check_sessions(s, e, agent):  # type: ignore[no-untyped-def]
    """End an active agent's step: repair id 0 and announce all its sessions, host by host."""
    promote(s, e, agent)
    is_news = False
    node = s.ses_head[e, agent]
    while node >= 0:
        host = s.ses_host[e, node]
        s.known_zone[e, agent, host // codes.SLOTS] = 1
        s.known_address[e, agent, host] = 1
        s.known_name[e, agent, host] = 1
        if s.ses_abstract[e, node] == 1 and s.known_flag[e, agent, s.ses_id[e, node]] == 0:
            is_news = True
        node = s.ses_next[e, node]
    # Hosts in the order of their first session, sessions of a host in session order. Announcing twice is
    # harmless, so a host may be visited once per session.
    node = s.ses_head[e, agent] if is_news else -1
    while node >= 0:
        other = node
        while other >= 0:
            if s.ses_host[e, other] == s.ses_host[e, node]:
                announce(s, e, agent, other)
            other = s.ses_next[e, other]
        node = s.ses_next[e, node]
