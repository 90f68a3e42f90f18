"""The true state of an episode in named arrays, for centralised critics, analysis and plots.

This is what no defender sees: it never enters an observation, and the engines give it only when asked, by their
method ``true_state()``. Blue agents see :mod:`cage4.observations.flat` and :mod:`cage4.observations.rich`.

Subnets are in generation order (:class:`cage4.spec.Subnet`), host slots as in the rich observation: servers 0-5,
users 0-9, then the router, in whose place the internet has its only host. All arrays are int32 and at least 0; 0
means "nothing" wherever a code is stored as 1 + a number.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from cage4 import spec
from cage4.observations import rich
from cage4.variants import RED_ACTIONS, RED_STATES
from native_sim.api import Layout

DTYPE: Final = np.int32
HOST_SLOTS: Final = rich.HOST_SLOTS
LEVELS: Final = ("user", "root")
"""What a red session may do on its host; sessions of the user ubuntu count as "user"."""
FILES: Final = ("cmd.sh", "escalate.sh")
"""Files that successful exploits and escalations leave."""
SERVICES: Final = ("SSHD", "OTSERVICE", "APACHE2", "MYSQLD", "SMTP", *rich.DECOY_NAMES)
"""Services of a host, genuine ones first, then those of decoys."""
ABSENT, STOPPED, RUNNING = range(3)
"""State of a service."""
KNOWLEDGE: Final = ("", *RED_STATES, "F")
"""What a finite-state red agent believes of a host; the first stands for hosts it does not know."""

I32 = npt.NDArray[np.int32]


class TrueState(NamedTuple):
    """The state of N episodes after their last step or reset."""

    step: I32  # [N] step calls played in this episode
    phase: I32  # [N] mission phase played last
    firewall: I32  # [N, 9, 9] [to, from] 1 where blue blocks traffic
    exists: I32  # [N, 9, 17] 1 where there is a host
    red_sessions: I32  # [N, 9, 17, 6, 2] sessions on the host by red agent and LEVELS
    files: I32  # [N, 9, 17, 2] files on the host, by FILES
    services: I32  # [N, 9, 17, 9] ABSENT, STOPPED or RUNNING, by SERVICES
    reliability: I32  # [N, 9, 17, 9] percent; 0 for absent services
    decoy_processes: I32  # [N, 9, 17, 4] processes of decoys, by rich.DECOY_NAMES; each Vsftpd adds one
    ot_stopped: I32  # [N, 9, 17] 1 where an Impact stopped the operational service
    suspicious_ids: I32  # [N, 9, 17] process ids that Monitor remembers of the host, repetitions included
    connection_events: I32  # [N, 9, 17] of this step, on hosts that a blue agent watches
    process_events: I32  # [N, 9, 17] of this step, on hosts that a blue agent watches
    red_active: I32  # [N, 6] 1 while the red agent holds a session
    red_knowledge: I32  # [N, 6, 9, 17] number in KNOWLEDGE; 0 for red agents without a table
    red_verb: I32  # [N, 6] 1 + number in RED_ACTIONS of the action in progress, 0 if there is none
    red_target: I32  # [N, 6] 1 + (17 * subnet + host slot) of its target
    red_ticks: I32  # [N, 6] ticks left of it
    blue_verb: I32  # [N, 5] 1 + spec.Verb of the action in progress, 0 if there is none
    blue_target: I32  # [N, 5] 1 + (17 * subnet + host slot) of its target
    blue_ticks: I32  # [N, 5] ticks left of it


_Z, _H, _R, _B = spec.NUM_SUBNETS, HOST_SLOTS, spec.NUM_RED, spec.NUM_BLUE
_MANY = int(np.iinfo(DTYPE).max)
_PERCENT = 100


def _layout() -> Layout:
    table: tuple[tuple[str, tuple[int, ...], int, str], ...] = (
        ("step", (), _MANY, "step calls played in this episode"),
        ("phase", (), spec.NUM_PHASES - 1, "mission phase played last"),
        ("firewall", (_Z, _Z), 1, "[to, from] traffic is blocked"),
        ("exists", (_Z, _H), 1, "there is a host"),
        ("red_sessions", (_Z, _H, _R, len(LEVELS)), _MANY, "sessions on the host by red agent and level"),
        ("files", (_Z, _H, len(FILES)), _MANY, "files on the host by kind"),
        ("services", (_Z, _H, len(SERVICES)), RUNNING, "absent, stopped or running"),
        ("reliability", (_Z, _H, len(SERVICES)), _PERCENT, "percent; 0 for absent services"),
        ("decoy_processes", (_Z, _H, len(rich.DECOY_NAMES)), _MANY, "processes of decoys by kind"),
        ("ot_stopped", (_Z, _H), 1, "the operational service has been stopped"),
        ("suspicious_ids", (_Z, _H), _MANY, "process ids that Monitor remembers"),
        ("connection_events", (_Z, _H), _MANY, "connection events of this step on watched hosts"),
        ("process_events", (_Z, _H), _MANY, "process events of this step on watched hosts"),
        ("red_active", (_R,), 1, "the red agent holds a session"),
        ("red_knowledge", (_R, _Z, _H), len(KNOWLEDGE) - 1, "what the red agent believes of the host"),
        ("red_verb", (_R,), len(RED_ACTIONS), "1 + action in progress"),
        ("red_target", (_R,), _Z * _H, "1 + host number of its target"),
        ("red_ticks", (_R,), _MANY, "ticks left of it"),
        ("blue_verb", (_B,), spec.NUM_VERBS, "1 + action in progress"),
        ("blue_target", (_B,), _Z * _H, "1 + host number of its target"),
        ("blue_ticks", (_B,), _MANY, "ticks left of it"),
    )
    return Layout.of("CC4 true state", ((name, shape, 0, high, meaning) for name, shape, high, meaning in table))


LAYOUT: Final = _layout()
"""The true state as one flat vector: what each index means."""


def space() -> Box:
    """Return the space of one flat state [F]: from 0 to the largest value of each entry."""
    high = LAYOUT.pack({field.name: np.full(field.shape, field.high, DTYPE) for field in LAYOUT}, DTYPE)
    return Box(np.zeros_like(high), high, dtype=DTYPE)


def allocate(num: int) -> TrueState:
    """Return zeros for ``num`` episodes."""
    return TrueState(**{field.name: np.zeros((num, *field.shape), DTYPE) for field in LAYOUT})


def stack(states: list[TrueState]) -> TrueState:
    """Join states along their first axis; an empty list gives an empty state."""
    if not states:
        return allocate(0)
    return TrueState(*(np.concatenate(arrays) for arrays in zip(*states, strict=True)))


def flatten(state: TrueState) -> I32:
    """Return the state as vectors [N, F] int32, laid out as in :data:`LAYOUT`."""
    vectors: I32 = LAYOUT.pack(state._asdict(), DTYPE)
    return vectors


def unflatten(vectors: I32) -> TrueState:
    """Return vectors [N, F] as a state: the exact inverse of :func:`flatten`.

    Raises:
        ValueError: If the last axis has another length.
    """
    return TrueState(**LAYOUT.unpack(vectors))


def host_place(name: str) -> tuple[int, int]:
    """Return subnet and host slot of CybORG's host name.

    Raises:
        KeyError: If no host can have this name.
    """
    return _PLACES[name]


_PLACES: Final = {
    rich.host_name(subnet, slot): (int(subnet), slot)
    for subnet in spec.Subnet
    for slot in ((rich.ROUTER_SLOT,) if subnet is spec.Subnet.INTERNET else range(HOST_SLOTS))
}
