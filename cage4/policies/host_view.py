"""What a blue agent sees of its hosts: the rich observation, reduced to the host slots that commands can name.

H is the number of an agent's host slots: 16 per subnet (servers 0-5, users 0-9), so 16 for agents 0-3 and 48 for
agent 4, in the order of the action catalogue. Everything here is one agent's own view; no array mixes agents.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.observations import rich
from cage4.observations.rich import Signature
from cage4.spec import Verb
from native_sim.api import Array, ObservationBatch

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

WANTS: Final = ("busy", "rich")
"""What a policy that uses :func:`look` must ask of the infos."""
NUM_SLOTS: Final[tuple[int, ...]] = tuple(len(zones) * spec.MAX_HOSTS_PER_SUBNET for zones in spec.BLUE_SUBNETS)
"""Agent -> H."""
SLOT_SUBNET: Final[tuple[Ints, ...]] = tuple(
    np.repeat(np.array(zones, np.int64), spec.MAX_HOSTS_PER_SUBNET) for zones in spec.BLUE_SUBNETS
)
"""Agent -> [H] subnet of each host slot, generation order."""
IS_USER: Final[tuple[Bools, ...]] = tuple(
    np.arange(n) % spec.MAX_HOSTS_PER_SUBNET >= spec.MAX_SERVERS for n in NUM_SLOTS
)
"""Agent -> [H] whether the slot is a user host."""

# Looked up once: decoding every field would take longer than all rules of a defender.
_VERB, _TARGET = rich.HEADER["verb"].start, rich.HEADER["target_host"].start
_PRESENT, _ANALYSED, _FILE_CMD, _FILE_ESCALATE, _PROCESS_EVENTS, _PROCESS_ALARMS = (
    rich.HOST[name].start
    for name in ("present", "analysed", "file_cmd", "file_escalate", "process_events", "process_alarms")
)
_FIRST_HOST, _HOST_SIZE = rich.HEADER.size, rich.HOST.size
_CONNECTIONS = rich.HOST["connections"].slice


class Sight(NamedTuple):
    """What one agent sees before its decision, in N environments."""

    agent: int
    free: Bools  # [N] no command of its own is in progress
    phase: Ints  # [N] mission phase of the step just played
    exists: Bools  # [N, H]
    analysed: Bools  # [N, H] Analyse of this host was carried out in the step just played, as for the next two
    cmd: Bools  # [N, H] it saw cmd.sh
    escalated: Bools  # [N, H] it saw escalate.sh
    intruded: Bools  # [N, H] a new process was reported with its id: a successful exploit, never a false alarm
    decoy_hit: Bools  # [N, H] an exploit ran into a decoy
    alarmed: Bools  # [N, H] any event, false alarms included
    flat: Array  # [N, F] the flat vector, which cage4.observations.flat.decode splits into blocks, policy, messages
    verb: Ints  # [N] 1 + verb of the command carried out in the step just played, 0 for none
    target: Ints  # [N] host slot of that command, -1 for none

    def done(self, verb: Verb) -> Bools:
        """Return [N, H] whether this command on this host was carried out in the step just played."""
        slots = np.arange(self.exists.shape[1])
        found: Bools = (self.verb == 1 + verb)[:, None] & (slots == self.target[:, None])
        return found


def look(agent: int, obs: ObservationBatch) -> Sight:
    """Return what an agent sees.

    Args:
        agent: Blue agent, 0 to 4.
        obs: Observations of a policy that wants :data:`WANTS`.
    """
    name = spec.BLUE_AGENTS[agent]
    vectors = np.asarray(obs["rich"][name])
    hosts = vectors[:, _FIRST_HOST:].reshape(len(vectors), -1, rich.HOST_SLOTS, _HOST_SIZE)
    hosts = hosts[:, :, : spec.MAX_HOSTS_PER_SUBNET]  # [N, Z, 16, 57]: no command can name a router
    flat = np.asarray(obs[name])
    intruded = _is_set(hosts, _PROCESS_EVENTS)
    return Sight(
        agent=agent,
        free=np.asarray(obs["busy"])[:, agent] == 0,
        phase=flat[:, 0].astype(np.int64),
        exists=_is_set(hosts, _PRESENT),
        analysed=_is_set(hosts, _ANALYSED),
        cmd=_is_set(hosts, _FILE_CMD),
        escalated=_is_set(hosts, _FILE_ESCALATE),
        intruded=intruded,
        decoy_hit=_is_set(hosts, _CONNECTIONS.start + Signature.DECOY),
        alarmed=intruded | _is_set(hosts, _PROCESS_ALARMS) | hosts[..., _CONNECTIONS].any(-1).reshape(intruded.shape),
        flat=flat,
        verb=vectors[:, _VERB].astype(np.int64),
        target=_slot_of(vectors[:, _TARGET]),
    )


def _is_set(hosts: Array, column: int) -> Bools:
    """[N, Z, 16, 57] -> [N, H]: whether an entry of the host block is not 0."""
    found: Bools = hosts[..., column].reshape(len(hosts), -1) > 0
    return found


def _slot_of(target_host: Array) -> Ints:
    """0, or 1 + (17 * subnet number + slot) -> -1, or 16 * subnet number + slot."""
    number, slot = np.divmod(target_host.astype(np.int64) - 1, rich.HOST_SLOTS)
    return np.where(number < 0, -1, number * spec.MAX_HOSTS_PER_SUBNET + slot)
