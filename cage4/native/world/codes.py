"""Small integers that the kernels use for hosts, services, red's commands and red's view of a host.

Hosts are numbered by fixed slots so that a host keeps its number whatever the size of its subnet: subnet ``z``
(generation order) has its router at ``z * SLOTS``, then ten users, then six servers; the internet's only host is
the last one. Walking the numbers upwards and skipping absent hosts is CybORG's own host order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cage4 import spec

# ------------------------------------------------------------------------------------------------------------ hosts
SLOTS: Final = 1 + spec.MAX_USERS + spec.MAX_SERVERS
"""Host numbers of one subnet: router, users, servers."""
FIRST_USER: Final = 1
FIRST_SERVER: Final = FIRST_USER + spec.MAX_USERS
INTERNET: Final = int(spec.Subnet.INTERNET)
NUM_ZONES: Final = spec.NUM_SUBNETS
NUM_HOSTS: Final = INTERNET * SLOTS + 1
MAX_GREEN: Final = INTERNET * spec.MAX_USERS
NUM_BLUE: Final = spec.NUM_BLUE
NUM_RED: Final = spec.NUM_RED
CONTRACTOR: Final = int(spec.Subnet.CONTRACTOR_NETWORK)
OPERATIONAL_A: Final = int(spec.Subnet.OPERATIONAL_ZONE_A)
OPERATIONAL_B: Final = int(spec.Subnet.OPERATIONAL_ZONE_B)


def host_name(host: int) -> str:
    """Return CybORG's name of a host number."""
    zone, slot = divmod(host, SLOTS)
    subnet = spec.Subnet(zone)
    if slot == 0:
        return spec.router_name(subnet)
    if slot < FIRST_SERVER:
        return spec.slot_name(subnet, spec.MAX_SERVERS + slot - FIRST_USER)
    return spec.slot_name(subnet, slot - FIRST_SERVER)


# --------------------------------------------------------------------------------------------- services, processes
# A process is a service, a decoy, or belongs to a session; services and decoys share these numbers.
SSHD: Final = 0
OTSERVICE: Final = 1
APACHE2: Final = 2
MYSQLD: Final = 3
SMTP: Final = 4
DECOY_APACHE: Final = 5
DECOY_TOMCAT: Final = 6
DECOY_HARAKA: Final = 7
DECOY_VSFTPD: Final = 8
SESSION_PROCESS: Final = 9
NUM_KINDS: Final = 10
NUM_BASE_SERVICES: Final = 5
MAX_SERVICES: Final = 9
"""Five genuine services and one of each decoy."""
MAX_BASE_PROCESSES: Final = NUM_BASE_SERVICES + 2
"""Processes a host can have at the start: its services, a blue and a green session."""

# The ports red can make use of, as bits of a session's memory of a scan.
PORT_80: Final = 1
PORT_443: Final = 2
PORT_22: Final = 4
PORT_3390: Final = 8
PORT_25: Final = 16
SCANNED: Final = 64

KIND_PORT: Final = np.array([PORT_22, 0, PORT_80, PORT_3390, PORT_25, PORT_80, PORT_443, PORT_25, PORT_80, 0], np.int64)
"""Kind -> bit of the port it opens. The OT service's port 1 serves no exploit and so has no bit."""
KIND_OPEN: Final = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], np.int64)
"""Kind -> 1 if the process listens on a port at all."""

# ------------------------------------------------------------------------------------------------------------- red
# Commands in the order of red's action space, which is the order in which they are drawn.
DISCOVER: Final = 0
AGGRESSIVE: Final = 1
STEALTH: Final = 2
EXPLOIT: Final = 3
ESCALATE: Final = 4
DEGRADE: Final = 5
DECEPTION: Final = 6
IMPACT: Final = 7
WITHDRAW: Final = 8
RED_SLEEP: Final = 9
NUM_RED_VERBS: Final = 10
NO_ACTION: Final = -1
RED_DURATION: Final = (1, 1, 3, 4, 2, 2, 2, 2, 1, 1)
RED_VERB_NAMES: Final = (
    "DiscoverRemoteSystems",
    "AggressiveServiceDiscovery",
    "StealthServiceDiscovery",
    "ExploitRemoteService",
    "PrivilegeEscalate",
    "DegradeServices",
    "DiscoverDeception",
    "Impact",
    "Withdraw",
    "Sleep",
)

# What a finite-state red knows of a host. Adding 1 to a plain state gives the same one with its subnet swept ("D").
ABSENT: Final = 0
K: Final = 1
KD: Final = 2
S: Final = 3
SD: Final = 4
U: Final = 5
UD: Final = 6
R: Final = 7
RD: Final = 8
F: Final = 9
STATE_NAMES: Final = ("", "K", "KD", "S", "SD", "U", "UD", "R", "RD", "F")
NUM_STATES: Final = 10

POLICY_FSM: Final = 0
POLICY_DISCOVERY: Final = 1
POLICY_RANDOM: Final = 2
POLICY_SLEEP: Final = 3

# Linux user of a red session.
USER_UBUNTU: Final = 0
USER_USER: Final = 1
USER_ROOT: Final = 2
USER_NAMES: Final = ("ubuntu", "user", "root")

# ------------------------------------------------------------------------------------------------------------ blue
ANALYSE: Final = int(spec.Verb.ANALYSE)
MONITOR: Final = int(spec.Verb.MONITOR)
REMOVE: Final = int(spec.Verb.REMOVE)
RESTORE: Final = int(spec.Verb.RESTORE)
SLEEP: Final = int(spec.Verb.SLEEP)
ALLOW: Final = int(spec.Verb.ALLOW_TRAFFIC)
BLOCK: Final = int(spec.Verb.BLOCK_TRAFFIC)
DECOY: Final = int(spec.Verb.DEPLOY_DECOY)
INVALID: Final = spec.NUM_VERBS
"""What CybORG plays instead of a command it refuses: one tick, no effect. Blue may also submit it itself, at a cost."""

LWF: Final = int(spec.RewardPart.LOCAL_WORK_FAILED)
ASF: Final = int(spec.RewardPart.ACCESS_SERVICE_FAILED)
RIA: Final = int(spec.RewardPart.RED_IMPACT)

FIRST_PORT: Final = 49152
NUM_PORTS: Final = 60000 - FIRST_PORT

# Phases of the life of a row.
NEVER_RESET: Final = 0
PLAYING: Final = 1
FINISHED: Final = 2

# -------------------------------------------------------------------------------------------------- derived tables
RED_OWNER: Final = np.array(
    [next((r for r, zones in enumerate(spec.RED_SUBNETS) if z in zones), -1) for z in spec.Subnet], np.int64
)
"""Subnet -> the red agent it belongs to, -1 for the internet."""
BLUE_OWNER: Final = np.array(
    [next((b for b, zones in enumerate(spec.BLUE_SUBNETS) if z in zones), -1) for z in spec.Subnet], np.int64
)
"""Subnet -> the blue agent that owns it, -1 for the contractor network and the internet."""


def _green_allowed() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    allowed = np.zeros((spec.NUM_PHASES, NUM_ZONES, NUM_ZONES), np.int64)
    for phase, partners in enumerate(spec.GREEN_PARTNERS):
        for zone, others in partners.items():
            allowed[phase, zone, zone] = 1
            for other in others:
                allowed[phase, zone, other] = 1
    return allowed


GREEN_ALLOWED: Final = _green_allowed()
"""[phase, green's subnet, server's subnet] -> 1 where green may go."""
REWARDS: Final = np.array(spec.REWARDS, np.int64)
