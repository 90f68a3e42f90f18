"""The order of a step, on one page, and the two parallel loops over rows."""

from __future__ import annotations

from numba import njit, prange

from cage4.native import blue, codes, green, observe, policy, red, reward, sessions
from cage4.native.rng import skip_shuffle
from cage4.native.state import FREE_COUNT, FULL, OK
from cage4.native.topology import reset_row

# The most that one step can take from the pools, besides what scans of crowded hosts need.
_PROCESSES_PER_STEP = 5 + 6 + codes.MAX_GREEN + 5 * codes.MAX_BASE_PROCESSES
_SESSIONS_PER_STEP = 6 + codes.MAX_GREEN
_CHUNKS_PER_STEP = codes.MAX_GREEN + 4 * codes.NUM_RED
_PORTS_PER_NEW_CHUNK = 32


@njit(cache=True)
def has_room(s, e):  # type: ignore[no-untyped-def]
    """Tell whether the row's pools suffice for whatever one step can bring."""
    used = s.proc_next.shape[1] - s.proc_pool[e, FREE_COUNT]
    if s.proc_pool[e, FREE_COUNT] < _PROCESSES_PER_STEP or s.ses_pool[e, FREE_COUNT] < _SESSIONS_PER_STEP:
        return False
    if s.port_pool[e, FREE_COUNT] < _CHUNKS_PER_STEP + codes.NUM_RED * (used // _PORTS_PER_NEW_CHUNK):
        return False
    if s.suspects[e] + codes.NUM_RED > s.suspect_pid.shape[1]:
        return False
    room = s.known_id.shape[2] - _SESSIONS_PER_STEP
    for agent in range(codes.NUM_RED):
        node = s.ses_head[e, agent]
        while node >= 0:
            if s.ses_id[e, node] >= room:
                return False
            node = s.ses_next[e, node]
    return True


@njit(cache=True)
def update_phase(s, k, e):  # type: ignore[no-untyped-def]
    """Move on to the phase that the number of steps played calls for."""
    if s.time[e] == k.phase_1:
        s.phase[e] = 1
    elif s.time[e] == k.phase_2:
        s.phase[e] = 2


@njit(cache=True)
def step_one(s, k, e, commands, messages):  # type: ignore[no-untyped-def]
    """Play one step of row ``e`` with blue's ``commands`` [5, 3] (verb, target a, target b) and messages [5, 8]."""
    if not has_room(s, e):
        s.fault[e] = FULL
        return
    s.fault[e] = OK
    s.parts[e] = 0
    s.net_events[e] = 0
    s.proc_events[e] = 0
    update_phase(s, k, e)

    # Everyone is asked; who is busy is not heard.
    for agent in range(codes.NUM_BLUE):
        blue.submit(s, e, agent, commands[agent, 0], commands[agent, 1], commands[agent, 2])
    reward.charge_commands(s, e, commands[:, 0])
    green.draw_wishes(s, k, e)
    policy.decide_all(s, k, e)
    blue.tick(s, e)
    filtered = policy.tick(s, e)

    # CybORG shuffles all actions for a bandwidth limit that never binds; only the draws matter.
    skip_shuffle(s.rng[e], codes.NUM_BLUE + s.num_green[e] + codes.NUM_RED - filtered)
    blue.act(s, e)
    green.act(s, k, e)
    red.act(s, k, e)
    sessions.reassign(s, e)
    for agent in range(codes.NUM_RED):
        if s.red_active[e, agent] == 1:
            sessions.check_sessions(s, e, agent)

    s.time[e] += 1
    if s.time[e] >= k.steps - 1:
        s.life[e] = codes.FINISHED
    reward.charge_impacts(s, e)
    observe.write_observations(s, e)
    observe.write_messages(s, e, messages)


@njit(cache=True)
def step_indexed(s, k, e, actions, commands, messages):  # type: ignore[no-untyped-def]
    """Decode blue's action indices [5] into ``commands`` and play the step."""
    for agent in range(codes.NUM_BLUE):
        verb, a, b = blue.decode(s, e, agent, actions[agent])
        commands[agent, 0], commands[agent, 1], commands[agent, 2] = verb, a, b
    step_one(s, k, e, commands, messages)


@njit(cache=True, parallel=True)
def step_batch(s, k, rows, actions, commands, messages):  # type: ignore[no-untyped-def]
    """Play one step in each of ``rows`` [N]: action indices [N, 5], scratch [N, 5, 3], messages [N, 5, 8]."""
    for i in prange(rows.shape[0]):
        step_indexed(s, k, rows[i], actions[i], commands[i], messages[i])


@njit(cache=True, parallel=True)
def reset_batch(s, k, rows):  # type: ignore[no-untyped-def]
    """Generate a new world in each of ``rows`` [N]."""
    for i in prange(rows.shape[0]):
        reset_row(s, k, rows[i])
