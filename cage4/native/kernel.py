"""The order of a step, on one page, and the compiled loops over rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import prange

from cage4 import spec
from cage4.native import reward
from cage4.native.agents import blue, green, red
from cage4.native.agents import red_policy as policy
from cage4.native.jit import inner
from cage4.native.observations import flat as observe
from cage4.native.observations import rich
from cage4.native.rng import skip_shuffle
from cage4.native.world import codes, sessions
from cage4.native.world.state import FREE_COUNT, OK, PORTS_PER_CHUNK, Pools
from cage4.native.world.topology import reset_row
from native_sim.kernels.jit import fingerprint, kept

# The most that one step can take from the pools, besides what scans of crowded hosts need.
_PROCESSES_PER_STEP = 5 + 6 + codes.MAX_GREEN + 5 * codes.MAX_BASE_PROCESSES
_SESSIONS_PER_STEP = 6 + codes.MAX_GREEN
_CHUNKS_PER_STEP = codes.MAX_GREEN + 4 * codes.NUM_RED


@inner
def pool_without_room(row, pools):  # type: ignore[no-untyped-def]
    """Return the first pool that may not suffice for what one step can bring, as a fault; OK if all do."""
    if row.proc_pool[FREE_COUNT] < _PROCESSES_PER_STEP:
        return 1
    if row.ses_pool[FREE_COUNT] < _SESSIONS_PER_STEP:
        return 2
    # Each scan takes at most one port per process of a host.
    used = pools.proc.shape[0] - row.proc_pool[FREE_COUNT]
    if row.port_pool[FREE_COUNT] < _CHUNKS_PER_STEP + codes.NUM_RED * (used // PORTS_PER_CHUNK):
        return 3
    if row.red_top_id + _SESSIONS_PER_STEP >= pools.known.shape[0]:
        return 4
    if row.suspects + codes.NUM_RED > pools.suspect.shape[0]:
        return 5
    return OK


@inner
def update_phase(row, k):  # type: ignore[no-untyped-def]
    """Move on to the phase that the number of steps played calls for."""
    if row.time == k.phase_1 or row.time == k.phase_2:
        row.phase = 1 if row.time < k.phase_2 else 2
        green.map_green_reach(row)
        observe.write_policies(row)


@inner
def step_one(row, pools, k, commands, messages):  # type: ignore[no-untyped-def]
    """Play one step of a row with blue's ``commands`` [5, 3] (verb, target a, target b) and messages [5, 8]."""
    row.fault = pool_without_room(row, pools)
    if row.fault != OK:
        return
    row.parts[:] = 0
    row.net_events[:] = 0
    row.proc_events[:] = 0
    update_phase(row, k)

    # Everyone is asked; who is busy is not heard.
    for agent in range(codes.NUM_BLUE):
        blue.submit(row, agent, commands[agent, 0], commands[agent, 1], commands[agent, 2])
    reward.charge_commands(row, commands[:, 0])
    green.draw_wishes(row, k)
    policy.decide_all(row, pools, k)
    blue.tick(row)
    filtered = policy.tick(row, pools)
    rich.begin_step(row, pools.rich)

    # CybORG shuffles all actions for a bandwidth limit that never binds; only the draws matter.
    skip_shuffle(row.rng, codes.NUM_BLUE + row.num_green + codes.NUM_RED - filtered)
    blue.act(row, pools)
    green.act(row, pools, k)
    red.act(row, pools, k)
    sessions.reassign(row, pools)
    for agent in range(codes.NUM_RED):
        if row.red_active[agent] == 1 and row.red_moved[agent] == 1:
            sessions.check_sessions(row, pools, agent)

    row.time += 1
    if row.time >= k.steps - 1:
        row.life = codes.FINISHED
    reward.charge_impacts(row)
    observe.write_observations(row)
    observe.write_messages(row, messages)


@inner
def pools_of(store, e, out, i):  # type: ignore[no-untyped-def]
    """Return the pools of row ``e``, whose outputs go to place ``i``."""
    return Pools(
        store.proc[e],
        store.ses[e],
        store.scan[e],
        store.port[e],
        store.known[e],
        store.suspect[e],
        rich.place_of(out.rich, i),
    )


@inner
def copy_outputs(row, out, i):  # type: ignore[no-untyped-def]
    """Copy what the last step or reset of a row left to place ``i`` of the batch."""
    # Loops become wide moves; assigning arrays would first copy them, in case they overlap.
    for agent in range(codes.NUM_BLUE):
        source, target = row.observation[agent], out.observation[i, agent]
        for place in range(spec.MAX_OBSERVATION):
            target[place] = source[place]
        out.busy[i, agent] = row.busy[agent]
    for zone in range(codes.NUM_ZONES):
        for part in range(spec.NUM_REWARD_PARTS):
            out.parts[i, zone, part] = row.parts[zone, part]
    out.cost[i] = row.cost
    out.phase[i] = row.phase
    out.life[i] = row.life
    out.fault[i] = row.fault


@inner
def step_place(store, k, rows, i, commands, messages, out):  # type: ignore[no-untyped-def]
    """Play one step of the row at place ``i`` of the batch."""
    row = store.rows[rows[i]]
    step_one(row, pools_of(store, rows[i], out, i), k, commands[i], messages[i])
    copy_outputs(row, out, i)


@inner
def decode_row(row, actions, commands):  # type: ignore[no-untyped-def]
    """Translate the action indices [5] of a row into ``commands`` [5, 3]."""
    for agent in range(codes.NUM_BLUE):
        verb, a, b = blue.decode(row, agent, actions[agent])
        commands[agent, 0] = verb
        commands[agent, 1] = a
        commands[agent, 2] = b


@inner
def reset_place(store, k, rows, i, out):  # type: ignore[no-untyped-def]
    """Generate a new world in the row at place ``i`` of the batch."""
    row = store.rows[rows[i]]
    reset_row(row, pools_of(store, rows[i], out, i), k)
    rich.write_present(row, rich.place_of(out.rich, i))
    copy_outputs(row, out, i)


class Loops(NamedTuple):
    """The compiled loops over the places of a batch."""

    step_batch: Any
    reset_batch: Any


def _compile_loops(fingerprint: int, parallel: bool) -> Loops:
    """Return the loops, compiled on first use and cached on disk, see :mod:`native_sim.kernels.jit`."""

    @kept(parallel=parallel)
    def step_batch(store, k, rows, places, commands, messages, out):  # type: ignore[no-untyped-def]
        """Play one step at the given places of a batch: rows [N], commands [N, 5, 3], messages [N, 5, 8]."""
        _ = fingerprint, parallel
        for j in prange(places.shape[0]):
            step_place(store, k, rows, places[j], commands, messages, out)

    @kept(parallel=parallel)
    def reset_batch(store, k, rows, places, out):  # type: ignore[no-untyped-def]
        """Generate a new world at the given places of a batch: rows [N]."""
        _ = fingerprint, parallel
        for i in prange(places.shape[0]):
            reset_place(store, k, rows, places[i], out)

    return Loops(step_batch, reset_batch)


def _compile_decoder(fingerprint: int) -> Any:
    @kept()
    def decode_batch(store, rows, actions, commands):  # type: ignore[no-untyped-def]
        """Translate action indices [N, 5] into commands [N, 5, 3]."""
        _ = fingerprint
        for i in range(rows.shape[0]):
            decode_row(store.rows[rows[i]], actions[i], commands[i])

    return decode_batch


serial = _compile_loops(fingerprint(__name__), parallel=False)
"""The loops for one thread. They start none, and so run in a process that was forked, too."""
threaded = _compile_loops(fingerprint(__name__), parallel=True)
"""The loops that share the rows among the threads of Numba; see :mod:`native_sim.kernels.threads` on forks.

Loading them already starts those threads. Both hold the interpreter lock, so that threads of Python take turns:
Numba's plainest kind of threads does not bear two loops at once."""
decode_batch = _compile_decoder(fingerprint(__name__))
