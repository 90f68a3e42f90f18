"""What red decides: the finite-state agent with its memory, DiscoveryFSRed's preferences, the random agent."""

from __future__ import annotations

import numpy as np

from cage4.native.jit import allocating, inner
from cage4.native.rng import below, uniform, weighted
from cage4.native.world import codes
from cage4.native.world.sessions import find_session
from cage4.native.world.state import (
    BROKEN,
    NAMED,
    NOTHING,
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

_SERVER_PREFERENCE = 0.75


def _transitions() -> np.ndarray:
    """Return [state, command] -> state of the host after a success; failures change nothing."""
    table = np.repeat(np.arange(codes.NUM_STATES)[:, None], codes.NUM_RED_VERBS, axis=1)
    for plain in (codes.K, codes.S, codes.U, codes.R):
        table[plain, codes.DISCOVER] = plain + 1
    for swept in (0, 1):
        for verb in (codes.AGGRESSIVE, codes.STEALTH):
            table[codes.K + swept, verb] = codes.S + swept
        table[codes.S + swept, codes.EXPLOIT] = codes.U + swept
        table[codes.U + swept, codes.ESCALATE] = codes.R + swept
        table[codes.U + swept, codes.WITHDRAW] = codes.S + swept
        table[codes.R + swept, codes.WITHDRAW] = codes.S + swept
    return table


_SUCCESS = _transitions()


@inner
def decide_all(row, pools, k):  # type: ignore[no-untyped-def]
    """Ask every red agent for a command and store it where no command is in progress."""
    for agent in range(codes.NUM_RED):
        slot = row.red_queue[agent]
        is_free = slot[RED_LEFT] == 0
        if is_free:
            slot[RED_VERB] = codes.RED_SLEEP
            slot[RED_LEFT] = 1
        if row.red_active[agent] == 0 or k.red_policy == codes.POLICY_SLEEP:
            continue
        if k.red_policy == codes.POLICY_RANDOM:
            row.red_moved[agent] = 0
            choose_at_random(row, pools, k, agent, is_free)
            continue
        digest(row, pools, agent)
        if is_free:
            choose(row, pools, k, agent)
        row.red_calls[agent] += 1


@inner
def tick(row, pools):  # type: ignore[no-untyped-def]
    """Count down every slot; returns how many due commands the session filter removes."""
    filtered = 0
    for agent in range(codes.NUM_RED):
        slot = row.red_queue[agent]
        due = row.red_due[agent]
        slot[RED_LEFT] -= 1
        if slot[RED_LEFT] < 1:
            for i in range(slot.shape[0]):
                due[i] = slot[i]
            if due[RED_VERB] != codes.RED_SLEEP and find_session(row, pools, agent, np.int64(due[RED_SESSION])) < 0:
                due[RED_LEFT] = -1
                filtered += 1
        else:
            due[RED_VERB] = codes.RED_SLEEP
        row.red_seen[agent, SEEN_VERB] = NOTHING
        row.red_keys[agent] = 0
        row.red_exploited[agent] = -1
    return filtered


# ------------------------------------------------------------------------------------------- finite-state memory
@inner
def digest(row, pools, agent):  # type: ignore[no-untyped-def]
    """Update the agent's table of hosts by what it saw of the last step."""
    apply_result(row, agent)
    seen = row.red_seen[agent]
    if seen[SEEN_VERB] == codes.DISCOVER and seen[SEEN_TRUE] == 1:
        zone = np.int64(seen[SEEN_ZONE])
        for host in range(zone * codes.SLOTS + 1, (zone + 1) * codes.SLOTS):
            if row.host_octet[host] > 0:
                enter_host(row, agent, host, UNNAMED)
    for i in range(row.red_keys[agent]):
        enter_host(row, agent, np.int64(row.red_key_host[agent, i]), np.int64(row.red_key_named[agent, i]))
    # While its sessions stay the same, all their hosts are in the table and none can have been lost.
    if row.red_moved[agent] == 1:
        row.red_moved[agent] = 0
        node = row.ses_head[agent]
        while node >= 0:
            enter_host(row, agent, np.int64(pools.ses[node].host), NAMED)
            node = pools.ses[node].next
        notice_losses(row, agent)


@inner
def apply_result(row, agent):  # type: ignore[no-untyped-def]
    """Move the hosts that the last command concerned to their next state."""
    seen = row.red_seen[agent]
    verb = seen[SEEN_VERB]
    if verb == NOTHING or seen[SEEN_TRUE] == 0:
        return
    if verb == codes.DISCOVER:
        for i in range(row.fsm_count[agent]):
            host = row.fsm_host[agent, i]
            if host // codes.SLOTS == seen[SEEN_ZONE]:
                row.fsm_state[agent, host] = _SUCCESS[row.fsm_state[agent, host], verb]
        return
    host = seen[SEEN_HOST]
    state = _SUCCESS[row.fsm_state[agent, host], verb]
    # Only plain U is given up on foreign ground: CybORG compares with "U" alone.
    if state == codes.U and codes.RED_OWNER[host // codes.SLOTS] != agent:
        state = codes.F
        row.fsm_given_up[agent] += row.fsm_state[agent, host] != codes.F
    row.fsm_state[agent, host] = state


@inner
def enter_host(row, agent, host, named):  # type: ignore[no-untyped-def]
    """Add a host to the table, or learn its name."""
    if row.fsm_state[agent, host] == codes.ABSENT:
        row.fsm_state[agent, host] = codes.U if row.red_calls[agent] == 0 else codes.K
        row.fsm_host[agent, row.fsm_count[agent]] = host
        row.fsm_count[agent] += 1
    if named == 1:
        row.fsm_named[agent, host] = 1


@inner
def notice_losses(row, agent):  # type: ignore[no-untyped-def]
    """Return hosts that were held, and on which the agent sees no session any more, to KD."""
    looted = row.red_looted[agent] if row.red_exploited[agent] >= 0 else -1
    for i in range(row.fsm_count[agent]):
        host = row.fsm_host[agent, i]
        if codes.U <= row.fsm_state[agent, host] <= codes.RD and row.red_on_host[host, agent] == 0 and host != looted:
            row.fsm_state[agent, host] = codes.KD


# ------------------------------------------------------------------------------------------- finite-state choice
@inner
def choose(row, pools, k, agent):  # type: ignore[no-untyped-def]
    """Choose a host, a command for its state, and a session; store the command."""
    host = choose_by_priority(row, k, agent) if k.red_policy == codes.POLICY_DISCOVERY else choose_host(row, agent)
    if host < 0:
        row.fault = BROKEN  # an active agent always knows a host worth a command
        return
    slot = row.red_queue[agent]
    verb = weighted(row.rng, k.choice[row.fsm_state[agent, host]])
    if verb == codes.DISCOVER:
        slot[RED_ZONE] = nth_known(row.known_zone[agent], below(row.rng, count_ones(row.known_zone[agent])))
    slot[RED_VERB] = verb
    slot[RED_HOST] = host
    slot[RED_SESSION] = pools.known[below(row.rng, np.int64(row.known_count[agent]))].id[agent]
    slot[RED_LEFT] = k.duration[verb]


@inner
def choose_host(row, agent):  # type: ignore[no-untyped-def]
    """Choose uniformly among the hosts not given up, in table order; -1 if there is none."""
    total = np.int64(row.fsm_count[agent] - row.fsm_given_up[agent])
    if total == 0:
        return -1
    n = below(row.rng, total)
    if row.fsm_given_up[agent] == 0:
        return np.int64(row.fsm_host[agent, n])
    for i in range(row.fsm_count[agent]):
        host = np.int64(row.fsm_host[agent, i])
        if row.fsm_state[agent, host] != codes.F:
            if n == 0:
                return host
            n -= 1
    return -1


@allocating
def choose_state(row, k, agent):  # type: ignore[no-untyped-def]
    """Choose a state among those of the candidate hosts, by DiscoveryFSRed's priorities; 0 without candidates."""
    states = np.empty(codes.NUM_STATES, np.int64)
    is_listed = np.zeros(codes.NUM_STATES, np.bool_)
    count = 0
    for i in range(row.fsm_count[agent]):
        state = row.fsm_state[agent, row.fsm_host[agent, i]]
        if state != codes.F and not is_listed[state]:
            is_listed[state] = True
            states[count] = state
            count += 1
    if count == 0:
        return 0
    total = 0.0
    for i in range(count):
        total += k.priority[states[i]]
    if total == 0.0:
        return states[below(row.rng, count)]
    # The same floating-point steps as CybORG and NumPy, so that ties fall the same way.
    factor = 1 / (total / 100)
    cdf = np.empty(count)
    running = 0.0
    for i in range(count):
        running += (k.priority[states[i]] / 100) * factor
        cdf[i] = running
    for i in range(count):
        cdf[i] /= running
    return states[weighted(row.rng, cdf)]


@allocating
def choose_by_priority(row, k, agent):  # type: ignore[no-untyped-def]
    """Choose a state, then a host in it: a known server three times out of four; -1 if there is none."""
    state = choose_state(row, k, agent)
    if state == 0:
        return -1
    hosts = np.empty(codes.NUM_HOSTS, np.int64)
    is_server = np.empty(codes.NUM_HOSTS, np.bool_)
    count = 0
    servers = 0
    for i in range(row.fsm_count[agent]):
        host = row.fsm_host[agent, i]
        if row.fsm_state[agent, host] == state:
            hosts[count] = host
            is_server[count] = row.fsm_named[agent, host] == 1 and host % codes.SLOTS >= codes.FIRST_SERVER
            servers += is_server[count]
            count += 1
    if count == 1 or servers == 0:
        return hosts[below(row.rng, count)]
    wanted = uniform(row.rng) <= _SERVER_PREFERENCE or servers == count
    n = below(row.rng, servers if wanted else count - servers)
    for i in range(count):
        if is_server[i] == wanted:
            if n == 0:
                return hosts[i]
            n -= 1
    return -1


# ---------------------------------------------------------------------------------------------------- random red
@inner
def count_ones(flags):  # type: ignore[no-untyped-def]
    """Count the flags that are set."""
    total = 0
    for i in range(flags.shape[0]):
        total += np.int64(flags[i])
    return total


@inner
def nth_known(flags, n):  # type: ignore[no-untyped-def]
    """Return the index of the n-th set flag."""
    for i in range(flags.shape[0]):
        if flags[i] == 1:
            if n == 0:
                return i
            n -= 1
    return -1


@inner
def choose_at_random(row, pools, k, agent, is_free):  # type: ignore[no-untyped-def]
    """Draw a command and its parameters uniformly; the draws are made even if the result is thrown away."""
    r = row.rng
    verb = below(r, codes.NUM_RED_VERBS)
    host, zone, ident = 0, 0, 0
    names, addresses = row.known_name[agent], row.known_address[agent]
    if verb == codes.DISCOVER:
        zone = nth_known(row.known_zone[agent], below(r, count_ones(row.known_zone[agent])))
    elif verb == codes.EXPLOIT:
        host = nth_known(addresses, below(r, count_ones(addresses)))
    elif verb == codes.ESCALATE or verb == codes.DEGRADE or verb == codes.IMPACT:
        host = nth_known(names, below(r, count_ones(names)))
    if verb != codes.RED_SLEEP:
        ident = pools.known[below(r, np.int64(row.known_count[agent]))].id[agent]
    if verb == codes.AGGRESSIVE or verb == codes.STEALTH or verb == codes.DECEPTION or verb == codes.WITHDRAW:
        host = nth_known(addresses, below(r, count_ones(addresses)))
    if verb == codes.WITHDRAW:
        host = nth_known(names, below(r, count_ones(names)))
    if is_free:
        slot = row.red_queue[agent]
        slot[RED_VERB] = verb
        slot[RED_HOST] = host
        slot[RED_ZONE] = zone
        slot[RED_SESSION] = ident
        slot[RED_LEFT] = k.duration[verb]
