"""Red's sessions: each agent's ordered dictionary, hand-over between subnets, and the check that ends a step."""

from __future__ import annotations

import numpy as np

from cage4.native.jit import inner
from cage4.native.rng import below
from cage4.native.world import codes
from cage4.native.world.hosts import remove_process
from cage4.native.world.state import BROKEN, MAX_KEYS, NAMED, give, take

_PRIMARY = np.int64(0)


@inner
def find_session(row, pools, agent, ident):  # type: ignore[no-untyped-def]
    """Return the pool index of the agent's session with this id, or -1."""
    node = row.ses_head[agent]
    while node >= 0 and pools.ses[node].id != ident:
        node = pools.ses[node].next
    return node


@inner
def append_session(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Put a pool element last in the agent's dictionary, under the next id: one above the highest, or 0."""
    highest = -1
    other = row.ses_head[agent]
    while other >= 0:
        highest = max(highest, pools.ses[other].id)
        other = pools.ses[other].next
    pools.ses[node].id = highest + 1
    row.red_top_id = max(row.red_top_id, highest + 1)
    row.red_moved[agent] = 1
    link_session(row, pools, agent, node)
    row.ses_count[agent] += 1
    row.red_on_host[pools.ses[node].host, agent] += 1


@inner
def link_session(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Chain a pool element behind the agent's last session."""
    pools.ses[node].next = -1
    if row.ses_head[agent] < 0:
        row.ses_head[agent] = node
    else:
        pools.ses[row.ses_tail[agent]].next = node
    row.ses_tail[agent] = node


@inner
def unlink_session(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Take a session out of the agent's chain without freeing it."""
    row.red_moved[agent] = 1
    following = pools.ses[node].next
    if row.ses_head[agent] == node:
        previous = -1
        row.ses_head[agent] = following
    else:
        previous = row.ses_head[agent]
        while pools.ses[previous].next != node:
            previous = pools.ses[previous].next
        pools.ses[previous].next = following
    if following < 0:
        row.ses_tail[agent] = previous


@inner
def open_session(row, pools, agent, host, user, pid, abstract):  # type: ignore[no-untyped-def]
    """Give the agent a new session on a host, abstract or (an exploit's) ordinary; returns its pool index."""
    node = take(row.ses_pool, pools.ses)
    pools.ses[node].host = host
    pools.ses[node].user = user
    pools.ses[node].pid = pid
    pools.ses[node].abstract = abstract
    pools.ses[node].child = 1 - abstract
    pools.scan[node].ports[:] = 0
    append_session(row, pools, agent, node)
    row.red_opened = 1
    return node


@inner
def close_session(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Delete a session of the agent; its process is not touched."""
    row.red_on_host[pools.ses[node].host, agent] -= 1
    row.ses_count[agent] -= 1
    unlink_session(row, pools, agent, node)
    give(row.ses_pool, pools.ses, node)


@inner
def close_sessions_on(row, pools, host):  # type: ignore[no-untyped-def]
    """Delete every red session on a host."""
    for agent in range(codes.NUM_RED):
        node = row.ses_head[agent]
        while row.red_on_host[host, agent] > 0:
            following = pools.ses[node].next
            if pools.ses[node].host == host:
                close_session(row, pools, agent, node)
            node = following


@inner
def close_session_of_process(row, pools, host, pid):  # type: ignore[no-untyped-def]
    """Delete the first red session on a host that runs as this process."""
    for agent in range(codes.NUM_RED):
        if row.red_on_host[host, agent] == 0:
            continue
        node = row.ses_head[agent]
        while node >= 0:
            if pools.ses[node].host == host and pools.ses[node].pid == pid:
                close_session(row, pools, agent, node)
                return
            node = pools.ses[node].next


@inner
def stop_session(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Delete a session together with its process."""
    remove_process(row, pools, np.int64(pools.ses[node].host), np.int64(pools.ses[node].pid))
    close_session(row, pools, agent, node)


@inner
def announce(row, pools, agent, node):  # type: ignore[no-untyped-def]
    """Add an abstract session's id to those the agent may choose; ids are never taken back."""
    ident = pools.ses[node].id
    if pools.ses[node].abstract == 1 and pools.known[ident].flag[agent] == 0:
        pools.known[ident].flag[agent] = 1
        pools.known[row.known_count[agent]].id[agent] = ident
        row.known_count[agent] += 1


@inner
def add_key(row, agent, host, named):  # type: ignore[no-untyped-def]
    """Add a host to what the agent's last result showed, with or without its name."""
    n = row.red_keys[agent]
    if n == MAX_KEYS:
        row.fault = BROKEN
        return
    row.red_key_host[agent, n] = host
    row.red_key_named[agent, n] = named
    row.red_keys[agent] = n + 1
    row.known_address[agent, host] = 1


@inner
def reassign(row, pools):  # type: ignore[no-untyped-def]
    """Hand every session outside its agent's subnets to the owner of the subnet, as a fresh abstract session."""
    if row.red_opened == 1:
        row.red_opened = 0
        hand_over(row, pools)
    for agent in range(codes.NUM_RED):
        row.red_active[agent] = row.ses_count[agent] > 0


@inner
def hand_over(row, pools):  # type: ignore[no-untyped-def]
    """Move the sessions that lie outside their agent's subnets; only newly opened ones can."""
    for agent in range(codes.NUM_RED):
        node = row.ses_head[agent]
        while node >= 0:
            following = pools.ses[node].next
            host = np.int64(pools.ses[node].host)
            owner = codes.RED_OWNER[host // codes.SLOTS]
            if owner != agent:
                row.red_on_host[host, agent] -= 1
                row.ses_count[agent] -= 1
                unlink_session(row, pools, agent, node)
                pools.ses[node].abstract = 1
                pools.ses[node].child = 0
                pools.scan[node].ports[:] = 0
                append_session(row, pools, owner, np.int64(node))
                # Only a session that this step's exploit opened appears in the old owner's result, from which
                # the new owner gets a copy; of phished ones it learns from its session check.
                if row.red_exploited[agent] == node:
                    add_key(row, owner, host, NAMED)
                    announce(row, pools, owner, np.int64(node))
            node = following


@inner
def promote(row, pools, agent):  # type: ignore[no-untyped-def]
    """Give id 0 to a random session of an agent that lost it; the session keeps its class."""
    if find_session(row, pools, agent, _PRIMARY) >= 0:
        return
    node = row.ses_head[agent]
    for _ in range(below(row.rng, np.int64(row.ses_count[agent]))):
        node = pools.ses[node].next
    unlink_session(row, pools, agent, node)
    pools.ses[node].id = 0
    link_session(row, pools, agent, np.int64(node))
    other = row.ses_head[agent]
    while other >= 0:
        pools.ses[other].child = 0
        other = pools.ses[other].next


@inner
def check_sessions(row, pools, agent):  # type: ignore[no-untyped-def]
    """End an active agent's step: repair id 0 and announce all its sessions, host by host."""
    promote(row, pools, agent)
    is_news = False
    node = row.ses_head[agent]
    while node >= 0:
        host = pools.ses[node].host
        row.known_zone[agent, host // codes.SLOTS] = 1
        row.known_address[agent, host] = 1
        row.known_name[agent, host] = 1
        if pools.ses[node].abstract == 1 and pools.known[pools.ses[node].id].flag[agent] == 0:
            is_news = True
        node = pools.ses[node].next
    # Hosts in the order of their first session, sessions of a host in session order. Announcing twice is
    # harmless, so a host may be visited once per session.
    node = row.ses_head[agent] if is_news else -1
    while node >= 0:
        other = node
        while other >= 0:
            if pools.ses[other].host == pools.ses[node].host:
                announce(row, pools, agent, np.int64(other))
            other = pools.ses[other].next
        node = pools.ses[node].next
