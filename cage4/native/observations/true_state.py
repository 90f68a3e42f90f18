"""The true state in named arrays, read from the rows of the compiled engine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.native.jit import inner
from cage4.native.world import codes
from cage4.native.world.state import BLUE_A, BLUE_LEFT, BLUE_VERB, RED_HOST, RED_LEFT, RED_VERB, Store
from cage4.observations import rich, true_state
from cage4.observations.true_state import TrueState
from cage4.variants import RED_ACTIONS
from native_sim.kernels.jit import fingerprint, kept

_RED_VERB: Final = np.array([0, *(1 + RED_ACTIONS.index(n) for n in codes.RED_VERB_NAMES[: codes.RED_SLEEP])], np.int32)
"""1 + the engine's number of a red action -> 1 + its place in RED_ACTIONS; the latter lists no Sleep."""
_SLOT: Final = np.array(
    [rich.ROUTER_SLOT, *range(spec.MAX_SERVERS, spec.MAX_HOSTS_PER_SUBNET), *range(spec.MAX_SERVERS)], np.int64
)
"""The engine's place of a host in its subnet (router, users, servers) -> host slot."""


def read(store: Store, rows: npt.NDArray[np.int64]) -> TrueState:
    """Read the state of the given rows [N]."""
    out = true_state.allocate(len(rows))
    _read_batch(store, rows, out)
    return out._replace(red_verb=_RED_VERB[out.red_verb])


@inner
def read_host(row, processes, out, i, host):  # type: ignore[no-untyped-def]
    """Read what is on one host."""
    zone, slot = host // codes.SLOTS, _SLOT[host % codes.SLOTS]
    out.exists[i, zone, slot] = 1
    for kind in range(2):
        out.files[i, zone, slot, kind] = row.files[host, kind]
    for place in range(row.svc_count[host]):
        kind = row.svc_kind[host, place]
        out.services[i, zone, slot, kind] = 1 + row.svc_active[host, place]
        out.reliability[i, zone, slot, kind] = row.svc_reliability[host, place]
        if kind == codes.OTSERVICE:
            out.ot_stopped[i, zone, slot] = 1 - row.svc_active[host, place]
    node = row.proc_head[host]
    while node >= 0:
        kind = processes[node].kind
        if codes.DECOY_APACHE <= kind <= codes.DECOY_VSFTPD:
            out.decoy_processes[i, zone, slot, kind - codes.DECOY_APACHE] += 1
        node = processes[node].next
    if codes.BLUE_OWNER[zone] >= 0:
        out.connection_events[i, zone, slot] = row.net_events[host]
        out.process_events[i, zone, slot] = row.proc_events[host]
    for agent in range(codes.NUM_RED):
        out.red_knowledge[i, agent, zone, slot] = row.fsm_state[agent, host]


@inner
def number_of(host):  # type: ignore[no-untyped-def]
    """Return 1 + (17 * subnet + host slot)."""
    return 1 + host // codes.SLOTS * codes.SLOTS + _SLOT[host % codes.SLOTS]


@inner
def read_red(row, sessions, out, i, agent):  # type: ignore[no-untyped-def]
    """Read one red agent's sessions and its action in progress."""
    out.red_active[i, agent] = row.red_active[agent]
    node = row.ses_head[agent]
    while node >= 0:
        host = sessions[node].host
        level = 1 if sessions[node].user == codes.USER_ROOT else 0
        out.red_sessions[i, host // codes.SLOTS, _SLOT[host % codes.SLOTS], agent, level] += 1
        node = sessions[node].next
    slot = row.red_queue[agent]
    if slot[RED_LEFT] > 0:
        out.red_verb[i, agent] = 1 + slot[RED_VERB]
        out.red_target[i, agent] = number_of(slot[RED_HOST])
        out.red_ticks[i, agent] = slot[RED_LEFT]


@inner
def read_row(row, processes, sessions, suspects, out, i):  # type: ignore[no-untyped-def]
    """Read one row into place ``i``, which holds zeros."""
    out.step[i] = row.time
    out.phase[i] = row.phase
    for to in range(codes.NUM_ZONES):
        for source in range(codes.NUM_ZONES):
            out.firewall[i, to, source] = row.blocked[to, source]
    for host in range(codes.NUM_HOSTS):
        if row.host_octet[host] > 0:
            read_host(row, processes, out, i, host)
    for n in range(row.suspects):
        host = suspects[n].host
        out.suspicious_ids[i, host // codes.SLOTS, _SLOT[host % codes.SLOTS]] += 1
    for agent in range(codes.NUM_RED):
        read_red(row, sessions, out, i, agent)
    for blue in range(codes.NUM_BLUE):
        slot = row.blue_queue[blue]
        if slot[BLUE_LEFT] > 0:
            out.blue_verb[i, blue] = 1 + slot[BLUE_VERB]
            out.blue_target[i, blue] = number_of(slot[BLUE_A])
            out.blue_ticks[i, blue] = slot[BLUE_LEFT]


def _compile(fingerprint: int) -> Any:
    @kept()
    def read_batch(store, rows, out):  # type: ignore[no-untyped-def]
        """Read ``rows`` [N] into ``out``."""
        _ = fingerprint
        for i in range(rows.shape[0]):
            e = rows[i]
            read_row(store.rows[e], store.proc[e], store.ses[e], store.suspect[e], out, i)

    return read_batch


_read_batch = _compile(fingerprint(__name__))
