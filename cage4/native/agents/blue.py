"""Blue's commands: decoding, the one slot per agent, and what each command does."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cage4 import actions, spec
from cage4.native.jit import allocating, inner
from cage4.native.observations import rich
from cage4.native.rng import below
from cage4.native.world import codes
from cage4.native.world.hosts import (
    add_process,
    draw_pid,
    find_process,
    forget_ports,
    install,
    remove_process,
    set_service,
)
from cage4.native.world.sessions import close_session_of_process, close_sessions_on
from cage4.native.world.state import BLUE_A, BLUE_B, BLUE_LEFT, BLUE_VERB


def _host_of_slot(zone: int, slot: int) -> int:
    """Return the host number of an observation slot (servers first, then users)."""
    if slot < spec.MAX_SERVERS:
        return zone * codes.SLOTS + codes.FIRST_SERVER + slot
    return zone * codes.SLOTS + codes.FIRST_USER + slot - spec.MAX_SERVERS


def _catalogue() -> npt.NDArray[np.int16]:
    table = np.zeros((codes.NUM_BLUE, spec.MAX_ACTIONS, 3), np.int16)
    table[:, :, 0] = codes.SLEEP
    for blue in range(codes.NUM_BLUE):
        for index, action in enumerate(actions.catalogue(blue)):
            zone = action.subnet or 0
            target = zone if action.slot is None else _host_of_slot(zone, action.slot)
            table[blue, index] = action.verb, target, action.source or 0
    table.flags.writeable = False
    return table


CATALOGUE: Final = _catalogue()
"""[agent, action index] -> verb, target host or destination subnet, source subnet; Sleep behind the last one."""

_DURATION = np.array((*spec.DURATION, 1), np.int64)
_IS_HOST_VERB = np.array([verb in spec.HOST_VERBS for verb in spec.Verb] + [False])


@inner
def decode(row, blue, index):  # type: ignore[no-untyped-def]
    """Translate an action index; the index of an absent host means Sleep."""
    verb, a, b = CATALOGUE[blue, index]
    if _IS_HOST_VERB[verb] and row.host_octet[a] == 0:
        return codes.SLEEP, 0, 0
    return np.int64(verb), np.int64(a), np.int64(b)


@inner
def submit(row, blue, verb, a, b):  # type: ignore[no-untyped-def]
    """Put a command into the agent's slot, or drop it if the slot is taken."""
    slot = row.blue_queue[blue]
    if slot[BLUE_LEFT] > 0:
        return
    if _IS_HOST_VERB[verb] and (codes.BLUE_OWNER[a // codes.SLOTS] != blue or row.host_octet[a] == 0):
        verb = codes.INVALID
    slot[BLUE_VERB] = verb
    slot[BLUE_A] = a
    slot[BLUE_B] = b
    slot[BLUE_LEFT] = _DURATION[verb]


@inner
def tick(row):  # type: ignore[no-untyped-def]
    """Count down every slot; what is due goes to ``blue_due``, Sleep stands for what is not."""
    for blue in range(codes.NUM_BLUE):
        slot = row.blue_queue[blue]
        due = row.blue_due[blue]
        slot[BLUE_LEFT] -= 1
        if slot[BLUE_LEFT] < 1:
            for i in range(slot.shape[0]):
                due[i] = slot[i]
        else:
            due[BLUE_VERB] = codes.SLEEP
        row.busy[blue] = slot[BLUE_LEFT]


@inner
def act(row, pools):  # type: ignore[no-untyped-def]
    """Carry out what is due: traffic commands of all agents first, then the others."""
    for blue in range(codes.NUM_BLUE):
        due = row.blue_due[blue]
        if due[BLUE_VERB] == codes.BLOCK:
            rich.note_traffic(row, pools.rich, blue)
            row.blocked[due[BLUE_A], due[BLUE_B]] = 1
        elif due[BLUE_VERB] == codes.ALLOW:
            rich.note_traffic(row, pools.rich, blue)
            row.blocked[due[BLUE_A], due[BLUE_B]] = 0
    for blue in range(codes.NUM_BLUE):
        verb = row.blue_due[blue, BLUE_VERB]
        host = np.int64(row.blue_due[blue, BLUE_A])
        if verb == codes.REMOVE:
            remove(row, pools, host)
        elif verb == codes.RESTORE:
            restore(row, pools, host)
        elif verb == codes.DECOY:
            deploy_decoy(row, pools, host)


@inner
def remove(row, pools, host):  # type: ignore[no-untyped-def]
    """Stop the processes of the host that Monitor ever suspected, except root's; a service starts anew."""
    for i in range(row.suspects):
        if pools.suspect[i].host != host:
            continue
        pid = np.int64(pools.suspect[i].pid)
        node = find_process(row, pools, host, pid)
        if node < 0 or pools.proc[node].root == 1:
            continue
        kind = np.int64(pools.proc[node].kind)
        remove_process(row, pools, host, pid)
        for place in range(row.svc_count[host]):
            if row.svc_pid[host, place] == pid:
                fresh = draw_pid(row, pools, host)
                row.svc_pid[host, place] = fresh
                add_process(row, pools, host, fresh, kind)
                break
        close_session_of_process(row, pools, host, pid)


@inner
def restore(row, pools, host):  # type: ignore[no-untyped-def]
    """Bring the host back to the start of the episode; Monitor's memory stays."""
    close_sessions_on(row, pools, host)
    install(row, pools, host)
    forget_ports(row, pools.port, host)
    row.files[host, :] = 0
    row.net_events[host] = 0
    row.proc_events[host] = 0


@allocating
def deploy_decoy(row, pools, host):  # type: ignore[no-untyped-def]
    """Start a random decoy among those whose port is free; Vsftpd tests a port that is always free."""
    open_ports = 0
    node = row.proc_head[host]
    while node >= 0:
        open_ports |= codes.KIND_PORT[pools.proc[node].kind]
        node = pools.proc[node].next
    options = np.empty(4, np.int64)
    count = 0
    for kind in (codes.DECOY_APACHE, codes.DECOY_TOMCAT, codes.DECOY_HARAKA):
        if open_ports & codes.KIND_PORT[kind] == 0:
            options[count] = kind
            count += 1
    options[count] = codes.DECOY_VSFTPD
    kind = options[below(row.rng, count + 1)]
    pid = draw_pid(row, pools, host)
    add_process(row, pools, host, pid, kind)
    set_service(row, host, kind, pid)
    rich.note_decoy(pools.rich, host, kind, pid)
