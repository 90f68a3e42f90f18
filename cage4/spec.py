"""CAGE Challenge 4 as tables: subnets, hosts, phases, policy, rewards, actions, messages. Pure data.

Everything here was read from, and is tested against, CybORG 4.0 (cage-challenge-4, commit ``8c3c50c``).
Two orders of the nine subnets exist and must never be mixed:

* generation order, the value of :class:`Subnet`: the order in which worlds are made, hosts are listed and
  red's options are drawn;
* sorted order, :data:`SORTED_SUBNETS`: alphabetical by name, the order of every blue observation and action.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

REFERENCE_VERSION: Final = "4.0"
REFERENCE_COMMIT: Final = "8c3c50c"
"""The CybORG that every engine here reproduces."""


class Subnet(IntEnum):
    """The nine subnets, in generation order."""

    RESTRICTED_ZONE_A = 0
    OPERATIONAL_ZONE_A = 1
    RESTRICTED_ZONE_B = 2
    OPERATIONAL_ZONE_B = 3
    CONTRACTOR_NETWORK = 4
    PUBLIC_ACCESS_ZONE = 5
    ADMIN_NETWORK = 6
    OFFICE_NETWORK = 7
    INTERNET = 8

    @property
    def cyborg_name(self) -> str:
        """CybORG's name, such as ``restricted_zone_a_subnet``."""
        return f"{self.name.lower()}_subnet"

    @property
    def short(self) -> str:
        """Three letters for tables and axes, such as ``RZA``."""
        return _SHORT[self]


_SHORT: Final = ("RZA", "OZA", "RZB", "OZB", "CON", "PAZ", "ADM", "OFF", "INT")
NUM_SUBNETS: Final = len(Subnet)
SORTED_SUBNETS: Final[tuple[Subnet, ...]] = tuple(sorted(Subnet, key=lambda subnet: subnet.cyborg_name))
"""ADM, CON, INT, OFF, OZA, OZB, PAZ, RZA, RZB."""
SORTED_RANK: Final[tuple[int, ...]] = tuple(SORTED_SUBNETS.index(subnet) for subnet in Subnet)
"""Subnet -> its place in sorted order."""
HQ: Final = (Subnet.PUBLIC_ACCESS_ZONE, Subnet.ADMIN_NETWORK, Subnet.OFFICE_NETWORK)

# ------------------------------------------------------------------------------------------------------------ hosts
MIN_USERS: Final = 3
MAX_USERS: Final = 10
MIN_SERVERS: Final = 1
MAX_SERVERS: Final = 6
MAX_HOSTS_PER_SUBNET: Final = MAX_SERVERS + MAX_USERS
"""Host slots of one subnet in blue observations and actions: servers 0-5, then users 0-9."""
INTERNET_HOST: Final = "root_internet_host_0"


def slot_name(subnet: Subnet, slot: int) -> str:
    """Return CybORG's host name of a slot (0-5 servers, 6-15 users) of a subnet."""
    if not 0 <= slot < MAX_HOSTS_PER_SUBNET:
        raise ValueError(f"host slot {slot} does not exist; slots are 0 to {MAX_HOSTS_PER_SUBNET - 1}")
    if slot < MAX_SERVERS:
        return f"{subnet.cyborg_name}_server_host_{slot}"
    return f"{subnet.cyborg_name}_user_host_{slot - MAX_SERVERS}"


def router_name(subnet: Subnet) -> str:
    """Return CybORG's name of the router of a subnet; the internet has a single host instead."""
    return INTERNET_HOST if subnet is Subnet.INTERNET else f"{subnet.cyborg_name}_router"


# ----------------------------------------------------------------------------------------------------------- agents
NUM_BLUE: Final = 5
NUM_RED: Final = 6
BLUE_AGENTS: Final[tuple[str, ...]] = tuple(f"blue_agent_{i}" for i in range(NUM_BLUE))
RED_AGENTS: Final[tuple[str, ...]] = tuple(f"red_agent_{i}" for i in range(NUM_RED))
BLUE_SUBNETS: Final[tuple[tuple[Subnet, ...], ...]] = (
    (Subnet.RESTRICTED_ZONE_A,),
    (Subnet.OPERATIONAL_ZONE_A,),
    (Subnet.RESTRICTED_ZONE_B,),
    (Subnet.OPERATIONAL_ZONE_B,),
    (Subnet.ADMIN_NETWORK, Subnet.OFFICE_NETWORK, Subnet.PUBLIC_ACCESS_ZONE),
)
"""Subnets of each blue agent, in the sorted order of its observations and actions."""
RED_SUBNETS: Final[tuple[tuple[Subnet, ...], ...]] = (
    (Subnet.CONTRACTOR_NETWORK,),
    (Subnet.RESTRICTED_ZONE_A,),
    (Subnet.OPERATIONAL_ZONE_A,),
    (Subnet.RESTRICTED_ZONE_B,),
    (Subnet.OPERATIONAL_ZONE_B,),
    (Subnet.PUBLIC_ACCESS_ZONE, Subnet.ADMIN_NETWORK, Subnet.OFFICE_NETWORK),
)
"""Subnets of each red agent; a session elsewhere is handed to the subnet's owner at the end of the step."""

# ----------------------------------------------------------------------------------------------- steps and phases
DEFAULT_STEPS: Final = 500
TIME_LIMIT_END: Final = "both"
"""CC4's last step is the end of the game, and sets both flags, as CybORG's one done flag does.

A score adds up the rewards of a fixed number of steps, in which the mission runs through its three phases; no reward
follows. So learners do not bootstrap there: see :data:`native_sim.api.TimeLimitEnd`.
"""
NUM_PHASES: Final = 3
PHASE_NAMES: Final = ("Preplanning", "MissionA", "MissionB")


def phase_lengths(steps: int) -> tuple[int, int, int]:
    """Split an episode into its three phases; 500 -> (167, 167, 166). The remainder goes to the early phases."""
    quotient, remainder = divmod(steps, NUM_PHASES)
    return (quotient + (remainder >= 1), quotient + (remainder == 2), quotient)


def phase_of_step(step: int, steps: int) -> int:
    """Return the phase (0, 1, 2) played by the step call number ``step`` (counted from 0) of an episode."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} lies outside an episode of {steps} steps (0 to {steps - 1})")
    first, second, _ = phase_lengths(steps)
    return int(step >= first) + int(step >= first + second)


def episode_length(steps: int) -> int:
    """Return the number of step calls until done: CybORG says done one step before ``steps``."""
    return steps - 1


# ---------------------------------------------------------------------------------------------------------- rewards
class RewardPart(IntEnum):
    """What costs the blue team something, besides its own actions (CybORG's BlueRewardMachine)."""

    LOCAL_WORK_FAILED = 0
    ACCESS_SERVICE_FAILED = 1
    RED_IMPACT = 2

    @property
    def short(self) -> str:
        """CybORG's three letters: LWF, ASF, RIA."""
        return ("LWF", "ASF", "RIA")[self]


NUM_REWARD_PARTS: Final = len(RewardPart)


def _reward_table() -> npt.NDArray[np.int64]:
    table = np.zeros((NUM_PHASES, NUM_SUBNETS, NUM_REWARD_PARTS), np.int64)
    for subnet in HQ:
        table[:, subnet] = (-1, -1, -3)
    table[0, Subnet.CONTRACTOR_NETWORK] = (0, -5, -5)
    table[0, Subnet.INTERNET] = (0, 0, -1)
    table[:, Subnet.RESTRICTED_ZONE_A] = ((-1, -3, -1), (-2, -1, -3), (-1, -3, -3))
    table[:, Subnet.OPERATIONAL_ZONE_A] = ((-1, -1, -1), (-10, 0, -10), (-1, -1, -1))
    table[:, Subnet.RESTRICTED_ZONE_B] = ((-1, -3, -1), (-1, -1, -1), (-2, -1, -3))
    table[:, Subnet.OPERATIONAL_ZONE_B] = ((-1, -1, -1), (-1, -1, -1), (-10, 0, -10))
    table.flags.writeable = False
    return table


REWARDS: Final = _reward_table()
"""[phase, subnet in generation order, part] -> reward of one such event."""
RESTORE_COST: Final = -1
"""Charged each time Restore is submitted, whether or not it is carried out."""
INVALID_COST: Final = -0.1
"""Charged each time CybORG's InvalidAction is submitted as such; what CybORG replaces by it is charged as submitted."""

# ------------------------------------------------------------------------------------------------ traffic policies
_Z = Subnet
_HQ_PARTNERS: Final = (_Z.CONTRACTOR_NETWORK, _Z.RESTRICTED_ZONE_A, _Z.RESTRICTED_ZONE_B)
GREEN_PARTNERS: Final[tuple[dict[Subnet, tuple[Subnet, ...]], ...]] = (
    {
        _Z.RESTRICTED_ZONE_A: (*HQ, _Z.CONTRACTOR_NETWORK, _Z.OPERATIONAL_ZONE_A, _Z.RESTRICTED_ZONE_B),
        _Z.OPERATIONAL_ZONE_A: (_Z.RESTRICTED_ZONE_A,),
        _Z.RESTRICTED_ZONE_B: (*HQ, _Z.CONTRACTOR_NETWORK, _Z.RESTRICTED_ZONE_A, _Z.OPERATIONAL_ZONE_B),
        _Z.OPERATIONAL_ZONE_B: (_Z.RESTRICTED_ZONE_B,),
        _Z.CONTRACTOR_NETWORK: (*HQ, _Z.RESTRICTED_ZONE_A, _Z.RESTRICTED_ZONE_B),
        **dict.fromkeys(HQ, _HQ_PARTNERS),
    },
    {
        _Z.RESTRICTED_ZONE_A: HQ,
        _Z.OPERATIONAL_ZONE_A: (),
        _Z.RESTRICTED_ZONE_B: (*HQ, _Z.CONTRACTOR_NETWORK, _Z.OPERATIONAL_ZONE_B),
        _Z.OPERATIONAL_ZONE_B: (_Z.RESTRICTED_ZONE_B,),
        _Z.CONTRACTOR_NETWORK: (*HQ, _Z.RESTRICTED_ZONE_B),
        **dict.fromkeys(HQ, _HQ_PARTNERS),
    },
    {
        _Z.RESTRICTED_ZONE_A: (*HQ, _Z.CONTRACTOR_NETWORK, _Z.OPERATIONAL_ZONE_A),
        _Z.OPERATIONAL_ZONE_A: (_Z.RESTRICTED_ZONE_A,),
        _Z.RESTRICTED_ZONE_B: HQ,
        _Z.OPERATIONAL_ZONE_B: (),
        _Z.CONTRACTOR_NETWORK: (*HQ, _Z.RESTRICTED_ZONE_A),
        **dict.fromkeys(HQ, _HQ_PARTNERS),
    },
)
"""Phase -> subnet -> subnets whose servers its green users visit, besides their own."""


def _policy_bits() -> npt.NDArray[np.int8]:
    connected = np.zeros((NUM_PHASES, NUM_SUBNETS, NUM_SUBNETS), bool)
    core = [z for z in Subnet if z not in (_Z.OPERATIONAL_ZONE_A, _Z.OPERATIONAL_ZONE_B)]
    a, b, con, net = _Z.RESTRICTED_ZONE_A, _Z.RESTRICTED_ZONE_B, _Z.CONTRACTOR_NETWORK, _Z.INTERNET
    oza, ozb = _Z.OPERATIONAL_ZONE_A, _Z.OPERATIONAL_ZONE_B
    edges = {(x, y) for x in core for y in core if x != y} | {(a, oza), (b, ozb)}
    removed: tuple[set[tuple[Subnet, Subnet]], ...] = (
        set(),
        {(a, oza), (a, con), (a, b), (a, net)},
        {(b, ozb), (b, con), (b, a), (b, net)},
    )
    for phase in range(NUM_PHASES):
        for x, y in edges:
            if (x, y) not in removed[phase] and (y, x) not in removed[phase]:
                connected[phase, x, y] = connected[phase, y, x] = True
    order = list(SORTED_SUBNETS)
    bits = (~connected)[:, :, order].astype(np.int8)
    bits.flags.writeable = False
    return bits


COMMS_POLICY: Final = _policy_bits()
"""[phase, subnet in generation order, other subnet in sorted order] -> 1 where the observation shows traffic as
*not* allowed. It is the wrapper's own graph: the own subnet counts as not allowed, and it differs from
:data:`GREEN_PARTNERS`."""


# ---------------------------------------------------------------------------------------------------------- actions
class Verb(IntEnum):
    """Blue's eight commands, in the order of the action catalogue."""

    ANALYSE = 0
    MONITOR = 1
    REMOVE = 2
    RESTORE = 3
    SLEEP = 4
    ALLOW_TRAFFIC = 5
    BLOCK_TRAFFIC = 6
    DEPLOY_DECOY = 7

    @property
    def cyborg_name(self) -> str:
        """CybORG's class name, such as ``AllowTrafficZone``."""
        return COMMANDS[self].cyborg_name


class Command(NamedTuple):
    """What one verb is: its name, what it is aimed at, and how long it takes."""

    cyborg_name: str
    target: Literal["host", "traffic", "nothing"]
    duration: int  # ticks


COMMANDS: Final[dict[Verb, Command]] = {
    Verb.ANALYSE: Command("Analyse", "host", 2),
    Verb.MONITOR: Command("Monitor", "nothing", 1),
    Verb.REMOVE: Command("Remove", "host", 3),
    Verb.RESTORE: Command("Restore", "host", 5),
    Verb.SLEEP: Command("Sleep", "nothing", 1),
    Verb.ALLOW_TRAFFIC: Command("AllowTrafficZone", "traffic", 1),
    Verb.BLOCK_TRAFFIC: Command("BlockTrafficZone", "traffic", 1),
    Verb.DEPLOY_DECOY: Command("DeployDecoy", "host", 2),
}
"""The one table of blue's commands, of which every other is made. A host command needs a host slot, and a traffic
command a destination and a source."""
NUM_VERBS: Final = len(Verb)
HOST_VERBS: Final = tuple(verb for verb, command in COMMANDS.items() if command.target == "host")
TRAFFIC_VERBS: Final = tuple(verb for verb, command in COMMANDS.items() if command.target == "traffic")
DURATION: Final[tuple[int, ...]] = tuple(COMMANDS[verb].duration for verb in Verb)
"""Verb -> ticks: an action submitted in step t takes effect in step t + ticks - 1."""
TRAFFIC_SOURCES: Final = NUM_SUBNETS - 1
"""Sources per destination subnet in the traffic commands: every other subnet, in sorted order."""

MESSAGE_BITS: Final = 8
NUM_SENDERS: Final = NUM_BLUE - 1


def num_actions(agent: int) -> int:
    """Return the size of a blue agent's action catalogue: 82 for agents 0-3, 242 for agent 4."""
    subnets = len(BLUE_SUBNETS[agent])
    per_subnet = len(HOST_VERBS) * MAX_HOSTS_PER_SUBNET + len(TRAFFIC_VERBS) * TRAFFIC_SOURCES
    return 2 + per_subnet * subnets


SUBNET_BLOCK: Final = 3 * NUM_SUBNETS + 2 * MAX_HOSTS_PER_SUBNET
"""Entries of one subnet in the flat observation: own subnet, blocked, policy (9 each), processes, connections."""


def observation_size(agent: int) -> int:
    """Return the length of a blue agent's flat observation: 92 for agents 0-3, 210 for agent 4."""
    return 1 + SUBNET_BLOCK * len(BLUE_SUBNETS[agent]) + NUM_SENDERS * MESSAGE_BITS


NUM_ACTIONS: Final[tuple[int, ...]] = tuple(num_actions(agent) for agent in range(NUM_BLUE))
OBSERVATION_SIZES: Final[tuple[int, ...]] = tuple(observation_size(agent) for agent in range(NUM_BLUE))
MAX_ACTIONS: Final = max(NUM_ACTIONS)
MAX_OBSERVATION: Final = max(OBSERVATION_SIZES)
