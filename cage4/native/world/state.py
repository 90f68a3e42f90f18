"""The state of E environments as arrays: what each field means, its shape and its dtype, in one place.

Letters: E environments, H hosts (``codes.NUM_HOSTS``, absent ones included), Z subnets, B blue agents, R red
agents, W words of the port traces. What CybORG keeps in lists that can grow without bound lives in pools of one
size for all rows: P processes, S red sessions, C chunks of ephemeral ports, I session ids, L remembered process
ids. A pool's free elements form a chain through its ``next`` field. A row that could run out of room in its next
step is not stepped but says so in ``fault``; the engine then enlarges the pools and repeats it, so no list is ever
cut.

In memory the fields of a row lie together, as one record, and so do those of a pool's element: kernels pass a row
around as one pointer (which also keeps compilation short) and write ``row.time`` or ``pools.proc[i].pid``.
:class:`State` shows the same memory as one array per field.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4.native.jit import inner
from cage4.native.world import codes

I8 = npt.NDArray[np.int8]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

PORTS_PER_CHUNK = 32
SERVER_WORDS, OTHER_WORDS = 64, 4
"""Words of 64 bits in the trace of a server's ports, which are many, and of any other host's."""
TRACE_WORDS = codes.INTERNET * (codes.SLOTS - codes.FIRST_SERVER) * SERVER_WORDS
TRACE_WORDS += (codes.NUM_ZONES * codes.FIRST_SERVER) * OTHER_WORDS
OK, BROKEN = 0, -1
"""Values of ``fault``; a positive one is 1 + the place in :class:`Sizes` of a pool that needs room."""
FREE, FREE_COUNT = 0, 1
# NumPy scalars, because Numba compiles a function once more for every plain literal it is called with.
UNNAMED, NAMED = np.int64(0), np.int64(1)
ORDINARY, ABSTRACT = np.int64(0), np.int64(1)
RED_VERB, RED_HOST, RED_ZONE, RED_SESSION, RED_LEFT = range(5)
BLUE_VERB, BLUE_A, BLUE_B, BLUE_LEFT = range(4)
SEEN_VERB, SEEN_HOST, SEEN_ZONE, SEEN_TRUE = range(4)
MAX_KEYS = 16
NOTHING = -1
"""Verb of a red agent that has seen no result."""


class State(NamedTuple):
    """Everything that decides the future of E episodes, and the outputs of their last step."""

    # The random stream, the clock
    rng: U64  # [E, 6] uint64: generator of the row, see rng.py
    time: I32  # [E] int32: step calls played in this episode
    phase: I8  # [E] int8: mission phase played last
    life: I8  # [E] int8: never reset, playing or finished
    fault: I8  # [E] int8: OK, BROKEN (a state that cannot be), or the pool that needs room (row not stepped)
    # The world, constant in an episode
    subnet_octet: I16  # [E, Z] int16: third number of the subnet's addresses
    host_octet: I16  # [E, H] int16: last number of the host's address, 0 where there is no host
    num_users: I8  # [E, Z] int8: user hosts
    num_servers: I8  # [E, Z] int8: server hosts
    num_green: I16  # [E] int16: green agents
    green_reach: I16  # [E, Z, Z] int16: [from, to] servers that green may visit in this phase, summed up to subnet "to"
    blue_parent: I16  # [E, B] int16: host of the agent's first session
    base_kind: I8  # [E, H, 7] int8: processes at the start, in order; -1 behind the last
    base_pid: I16  # [E, H, 7] int16: their process ids
    # Services of each host, in order
    svc_count: I8  # [E, H] int8: number of services
    svc_kind: I8  # [E, H, 9] int8: kind
    svc_active: I8  # [E, H, 9] int8: 1 while running
    svc_reliability: I8  # [E, H, 9] int8: percent
    svc_pid: I32  # [E, H, 9] int32: process id
    svc_worn: I8  # [E, H] int8: 1 if a service of the host was ever degraded or stopped since its last restore
    # Processes of each host: chains through a pool
    proc_pool: I32  # [E, 2] int32: first free element, number of free elements
    proc_head: I32  # [E, H] int32: first process of the host, -1 if none
    proc_tail: I32  # [E, H] int32: last process of the host
    proc_next: I32  # [E, P] int32: next process of the same host, or next free element; -1 at the end
    proc_pid: I32  # [E, P] int32: process id
    proc_kind: I8  # [E, P] int8: service, decoy or session process
    proc_root: I8  # [E, P] int8: 1 if root runs it
    # Ephemeral ports of each host: chains of chunks, the newest first
    port_pool: I32  # [E, 2] int32: first free chunk, number of free chunks
    port_count: I32  # [E, H] int32: ports remembered
    port_trace: U64  # [E, W] uint64: bit p of a host's trace is set if a port p modulo its length is remembered
    port_head: I32  # [E, H] int32: newest chunk, -1 if none
    port_oldest: I32  # [E, H] int32: oldest chunk, if there is one
    port_next: I32  # [E, C] int32: next older chunk, or next free one; -1 at the end
    port_value: I16  # [E, C, 32] int16: port minus 49152
    # What happened on each host in this step, and what stays there
    net_events: I16  # [E, H] int16: network connection events of this step
    proc_events: I16  # [E, H] int16: process creation events of this step
    files: I16  # [E, H, 2] int16: files left by exploits and by escalations
    suspects: I32  # [E] int32: process ids that Monitor remembered, on all hosts
    suspect_host: I16  # [E, L] int16: host, in order of appearance
    suspect_pid: I32  # [E, L] int32: process id
    blocked: I8  # [E, Z, Z] int8: [to, from] 1 where traffic is blocked
    # Red sessions: chains through a pool, in the order of each agent's session dictionary
    ses_pool: I32  # [E, 2] int32: first free element, number of free elements
    ses_count: I16  # [E, R] int16: sessions of the agent
    ses_head: I32  # [E, R] int32: first session of the agent, -1 if none
    ses_tail: I32  # [E, R] int32: last session of the agent
    ses_next: I32  # [E, S] int32: next session of the same agent, or next free element; -1 at the end
    ses_id: I16  # [E, S] int16: session id
    ses_host: I16  # [E, S] int16: host
    ses_user: I8  # [E, S] int8: Linux user
    ses_abstract: I8  # [E, S] int8: 1 for a RedAbstractSession
    ses_child: I8  # [E, S] int8: 1 if it has a parent
    ses_pid: I32  # [E, S] int32: process id
    ses_ports: I8  # [E, S, H] int8: remembered scan of each host, as bits
    red_on_host: I16  # [E, H, R] int16: sessions of the agent on the host
    # Red agents
    red_active: I8  # [E, R] int8: 1 while the agent holds a session
    red_queue: I16  # [E, R, 5] int16: command in progress: verb, host, subnet, session id, ticks left (0: none)
    red_due: I16  # [E, R, 5] int16: command of this step, in the same form
    red_seen: I16  # [E, R, 4] int16: last result: verb (-1: none), host, subnet, 1 if it succeeded
    red_exploited: I16  # [E, R] int16: pool index of the session that this step's exploit opened, -1 if none
    red_looted: I16  # [E, R] int16: host of that session
    red_keys: I16  # [E, R] int16: number of hosts in the last result, session check excluded
    red_key_host: I16  # [E, R, 16] int16: those hosts, in order
    red_key_named: I8  # [E, R, 16] int8: 1 if the result gave the host's name
    red_calls: I32  # [E, R] int32: decisions asked of the agent in this episode
    red_moved: I8  # [E, R] int8: 1 if the agent's sessions changed since it last looked at them
    red_opened: I8  # [E] int8: 1 if a red session was opened in this step
    red_top_id: I16  # [E] int16: highest session id given in this episode
    fsm_count: I16  # [E, R] int16: hosts in the agent's table
    fsm_given_up: I16  # [E, R] int16: of those, hosts in state F
    fsm_host: I16  # [E, R, H] int16: hosts in order of entry
    fsm_state: I8  # [E, R, H] int8: [host] what the agent believes, 0 if not in the table
    fsm_named: I8  # [E, R, H] int8: [host] 1 if the agent knows its name
    known_count: I16  # [E, R] int16: session ids ever announced
    known_id: I16  # [E, I, R] int16: those ids, in order
    known_flag: I8  # [E, I, R] int8: [id] 1 if announced
    known_zone: I8  # [E, R, Z] int8: 1 if the agent may sweep the subnet
    known_address: I8  # [E, R, H] int8: 1 if the agent knows the host's address
    known_name: I8  # [E, R, H] int8: 1 if the agent knows the host's name
    # Green and blue agents
    green_choice: I8  # [E, 80] int8: this step's wish of each green agent
    blue_queue: I16  # [E, B, 4] int16: command in progress: verb, target a, target b, ticks left (0: none)
    blue_due: I16  # [E, B, 4] int16: command of this step, in the same form
    # Outputs of the last step
    observation: I8  # [E, B, 210] int8: flat observations, zeros behind the last entry
    action_mask: I8  # [E, B, 242] int8: 1 where the action is valid
    parts: I32  # [E, Z, 3] int32: reward of LWF, ASF, RIA in each subnet (generation order)
    cost: F64  # [E] float64: cost of blue's own actions
    busy: I16  # [E, B] int16: ticks left of the command in progress


_LAYOUT: dict[str, tuple[type, tuple[str | int, ...]]] = {
    "rng": (np.uint64, ("E", 6)),
    "time": (np.int32, ("E",)),
    "phase": (np.int8, ("E",)),
    "life": (np.int8, ("E",)),
    "fault": (np.int8, ("E",)),
    "subnet_octet": (np.int16, ("E", "Z")),
    "host_octet": (np.int16, ("E", "H")),
    "num_users": (np.int8, ("E", "Z")),
    "num_servers": (np.int8, ("E", "Z")),
    "num_green": (np.int16, ("E",)),
    "green_reach": (np.int16, ("E", "Z", "Z")),
    "blue_parent": (np.int16, ("E", "B")),
    "base_kind": (np.int8, ("E", "H", 7)),
    "base_pid": (np.int16, ("E", "H", 7)),
    "svc_count": (np.int8, ("E", "H")),
    "svc_kind": (np.int8, ("E", "H", 9)),
    "svc_active": (np.int8, ("E", "H", 9)),
    "svc_reliability": (np.int8, ("E", "H", 9)),
    "svc_pid": (np.int32, ("E", "H", 9)),
    "svc_worn": (np.int8, ("E", "H")),
    "proc_pool": (np.int32, ("E", 2)),
    "proc_head": (np.int32, ("E", "H")),
    "proc_tail": (np.int32, ("E", "H")),
    "proc_next": (np.int32, ("E", "P")),
    "proc_pid": (np.int32, ("E", "P")),
    "proc_kind": (np.int8, ("E", "P")),
    "proc_root": (np.int8, ("E", "P")),
    "port_pool": (np.int32, ("E", 2)),
    "port_count": (np.int32, ("E", "H")),
    "port_trace": (np.uint64, ("E", "W")),
    "port_head": (np.int32, ("E", "H")),
    "port_oldest": (np.int32, ("E", "H")),
    "port_next": (np.int32, ("E", "C")),
    "port_value": (np.int16, ("E", "C", 32)),
    "net_events": (np.int16, ("E", "H")),
    "proc_events": (np.int16, ("E", "H")),
    "files": (np.int16, ("E", "H", 2)),
    "suspects": (np.int32, ("E",)),
    "suspect_host": (np.int16, ("E", "L")),
    "suspect_pid": (np.int32, ("E", "L")),
    "blocked": (np.int8, ("E", "Z", "Z")),
    "ses_pool": (np.int32, ("E", 2)),
    "ses_count": (np.int16, ("E", "R")),
    "ses_head": (np.int32, ("E", "R")),
    "ses_tail": (np.int32, ("E", "R")),
    "ses_next": (np.int32, ("E", "S")),
    "ses_id": (np.int16, ("E", "S")),
    "ses_host": (np.int16, ("E", "S")),
    "ses_user": (np.int8, ("E", "S")),
    "ses_abstract": (np.int8, ("E", "S")),
    "ses_child": (np.int8, ("E", "S")),
    "ses_pid": (np.int32, ("E", "S")),
    "ses_ports": (np.int8, ("E", "S", "H")),
    "red_on_host": (np.int16, ("E", "H", "R")),
    "red_active": (np.int8, ("E", "R")),
    "red_queue": (np.int16, ("E", "R", 5)),
    "red_due": (np.int16, ("E", "R", 5)),
    "red_seen": (np.int16, ("E", "R", 4)),
    "red_exploited": (np.int16, ("E", "R")),
    "red_looted": (np.int16, ("E", "R")),
    "red_keys": (np.int16, ("E", "R")),
    "red_key_host": (np.int16, ("E", "R", 16)),
    "red_key_named": (np.int8, ("E", "R", 16)),
    "red_calls": (np.int32, ("E", "R")),
    "red_moved": (np.int8, ("E", "R")),
    "red_opened": (np.int8, ("E",)),
    "red_top_id": (np.int16, ("E",)),
    "fsm_count": (np.int16, ("E", "R")),
    "fsm_given_up": (np.int16, ("E", "R")),
    "fsm_host": (np.int16, ("E", "R", "H")),
    "fsm_state": (np.int8, ("E", "R", "H")),
    "fsm_named": (np.int8, ("E", "R", "H")),
    "known_count": (np.int16, ("E", "R")),
    "known_id": (np.int16, ("E", "I", "R")),
    "known_flag": (np.int8, ("E", "I", "R")),
    "known_zone": (np.int8, ("E", "R", "Z")),
    "known_address": (np.int8, ("E", "R", "H")),
    "known_name": (np.int8, ("E", "R", "H")),
    "green_choice": (np.int8, ("E", 80)),
    "blue_queue": (np.int16, ("E", "B", 4)),
    "blue_due": (np.int16, ("E", "B", 4)),
    "observation": (np.int8, ("E", "B", 210)),
    "action_mask": (np.int8, ("E", "B", 242)),
    "parts": (np.int32, ("E", "Z", 3)),
    "cost": (np.float64, ("E",)),
    "busy": (np.int16, ("E", "B")),
}
"""Field -> dtype and shape, letters standing for sizes."""


class Sizes(NamedTuple):
    """Elements per row of each pool."""

    proc: int = 1024
    ses: int = 192
    port: int = 896
    known: int = 256
    suspect: int = 256


class Pools(NamedTuple):
    """The pools of one row, as kernels see them; elements are records."""

    proc: Any  # [P] processes
    ses: Any  # [S] red sessions
    scan: Any  # [S] what each session remembers of its scans
    port: Any  # [C] chunks of ephemeral ports
    known: Any  # [I] known session ids
    suspect: Any  # [L] remembered process ids
    rich: Any  # [rich.SIZE] int32: the row's rich observations among the outputs, or None; see rich.py


class Store(NamedTuple):
    """The memory of all rows: one record per row, and the pools."""

    rows: Any  # [E] records
    proc: Any  # [E, P] records
    ses: Any  # [E, S] records
    scan: Any  # [E, S] records: apart from the sessions, because chains of sessions are walked all the time
    port: Any  # [E, C] records
    known: Any  # [E, I] records
    suspect: Any  # [E, L] records


_LETTERS = {
    "H": codes.NUM_HOSTS,
    "Z": codes.NUM_ZONES,
    "B": codes.NUM_BLUE,
    "R": codes.NUM_RED,
    "W": TRACE_WORDS,
}


class Outputs(NamedTuple):
    """What a batch of N rows shows after a step or reset; written by the kernels, fresh for every call."""

    observation: I8  # [N, B, 210] int8: flat observations, zeros behind the last entry
    parts: I32  # [N, Z, 3] int32: reward of LWF, ASF, RIA in each subnet (generation order)
    cost: F64  # [N] float64: cost of blue's own actions
    busy: I16  # [N, B] int16: ticks left of the command in progress
    phase: I8  # [N] int8: mission phase played
    life: I8  # [N] int8: playing or finished
    fault: I8  # [N] int8: OK, BROKEN, or the pool that needs room
    rich: I32 | None  # [N, F] int32: rich observations of all agents, zero at first; None if not asked for


def allocate_outputs(num: int, rich_size: int | None = None) -> Outputs:
    """Return outputs for a batch of ``num`` rows, with rich observations of the size given."""
    arrays: dict[str, Any] = {}
    for name in Outputs._fields[:-1]:
        dtype, shape = _LAYOUT[name]
        arrays[name] = np.empty((num, *(int(_LETTERS.get(str(size), size)) for size in shape[1:])), dtype)
    return Outputs(**arrays, rich=None if rich_size is None else np.zeros((num, rich_size), np.int32))


_POOL_LETTERS = {"P": "proc", "S": "ses", "C": "port", "I": "known", "L": "suspect"}


def _place(name: str) -> tuple[str, str]:
    """Return where a field of :class:`State` lies: member of :class:`Store` and field of its records."""
    if name == "ses_ports":
        return "scan", "ports"
    shape = _LAYOUT[name][1]
    pool = _POOL_LETTERS.get(str(shape[1])) if len(shape) > 1 else None
    return (pool, name.removeprefix(f"{pool}_")) if pool else ("rows", name)


def _record_types() -> dict[str, np.dtype[np.void]]:
    fields: dict[str, list[Any]] = {member: [] for member in Store._fields}
    for name, (dtype, shape) in _LAYOUT.items():
        member, field = _place(name)
        inner = shape[1:] if member == "rows" else shape[2:]
        fields[member].append((field, dtype, tuple(_LETTERS.get(str(size), size) for size in inner)))
    return {member: np.dtype(list_of, align=True) for member, list_of in fields.items()}


def allocate(num_envs: int, sizes: Sizes | None = None) -> Store:
    """Return memory for ``num_envs`` rows that were never reset."""
    lengths = (sizes or Sizes())._asdict()
    lengths["scan"] = lengths["ses"]
    arrays = {}
    for member, dtype in _record_types().items():
        shape = (num_envs, lengths[member]) if member in lengths else (num_envs,)
        arrays[member] = np.zeros(shape, dtype).view(np.recarray)
    return Store(**arrays)


def view(store: Store) -> State:
    """Show the memory as one array per field; writing to them writes to the memory."""
    arrays = {}
    for name in State._fields:
        member, field = _place(name)
        arrays[name] = np.asarray(getattr(store, member)[field])
    return State(**arrays)


def enlarge(store: Store, faults: Collection[int]) -> Store:
    """Double the pools that the faults name; contents and their order stay, the other memory is shared."""
    grown = {}
    names = [name for i, name in enumerate(Sizes._fields) if 1 + i in faults]
    for name in names + ["scan"] * ("ses" in names):
        old = getattr(store, name)
        size = old.shape[1]
        new = np.zeros((old.shape[0], 2 * size), old.dtype).view(np.recarray)
        new[:, :size] = old
        if name in ("proc", "ses", "port"):
            free = store.rows[f"{name}_pool"]
            new["next"][:, size:-1] = np.arange(size + 1, 2 * size)
            new["next"][:, -1] = free[:, FREE]
            free[:, FREE] = size
            free[:, FREE_COUNT] += size
        grown[name] = new
    return store._replace(**grown)


@inner
def clear_pool(pool, elements):  # type: ignore[no-untyped-def]
    """Make all elements of a row's pool free."""
    size = elements.shape[0]
    for i in range(size):
        elements[i].next = i + 1
    elements[size - 1].next = -1
    pool[FREE] = 0
    pool[FREE_COUNT] = size


@inner
def take(pool, elements):  # type: ignore[no-untyped-def]
    """Take a free element of a row's pool; the step's room check guarantees that there is one."""
    i = np.int64(pool[FREE])
    pool[FREE] = elements[i].next
    pool[FREE_COUNT] -= 1
    elements[i].next = -1
    return i


@inner
def give(pool, elements, i):  # type: ignore[no-untyped-def]
    """Return an element to a row's pool."""
    elements[i].next = pool[FREE]
    pool[FREE] = i
    pool[FREE_COUNT] += 1
