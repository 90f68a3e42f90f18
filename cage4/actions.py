"""Blue actions: index <-> (verb, target), for every agent. The catalogue is CybORG's BlueFixedActionWrapper.

An index always means the same command on the same host slot or subnet pair; whether that host exists in this
episode is what the mask says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.spec import BLUE_SUBNETS, HOST_VERBS, SORTED_SUBNETS, TRAFFIC_VERBS, Subnet, Verb


@dataclass(frozen=True)
class BlueAction:
    """One command of a blue agent, in words.

    Raises:
        ValueError: If the verb and its target do not fit each other.
    """

    verb: Verb
    subnet: Subnet | None = None
    """Subnet of the host, or the destination of a traffic command."""
    slot: int | None = None
    """Host slot of a host command: 0-5 servers, 6-15 users."""
    source: Subnet | None = None
    """Where the traffic of a traffic command comes from."""

    def __post_init__(self) -> None:
        has = (self.subnet is not None, self.slot is not None, self.source is not None)
        needs = (
            self.verb in HOST_VERBS or self.verb in TRAFFIC_VERBS,
            self.verb in HOST_VERBS,
            self.verb in TRAFFIC_VERBS,
        )
        if has != needs:
            wanted = [name for name, need in zip(("subnet", "slot", "source"), needs, strict=True) if need]
            raise ValueError(f"{self.verb.cyborg_name} takes {' and '.join(wanted) or 'no target'}; given {self!r}")

    def __str__(self) -> str:
        """Return CybORG's label without addresses, such as ``Restore admin_network_subnet_server_host_0``."""
        if self.slot is not None and self.subnet is not None:
            return f"{self.verb.cyborg_name} {spec.slot_name(self.subnet, self.slot)}"
        if self.source is not None and self.subnet is not None:
            return f"{self.verb.cyborg_name} {self.subnet.cyborg_name} <- {self.source.cyborg_name}"
        return self.verb.cyborg_name


def traffic_sources(destination: Subnet) -> tuple[Subnet, ...]:
    """Return the eight sources of a destination's traffic commands, in catalogue order."""
    return tuple(subnet for subnet in SORTED_SUBNETS if subnet is not destination)


def _check_agent(agent: int) -> None:
    if not 0 <= agent < spec.NUM_BLUE:
        raise ValueError(f"blue agent {agent} does not exist; blue agents are 0 to {spec.NUM_BLUE - 1}")


@cache
def catalogue(agent: int) -> tuple[BlueAction, ...]:
    """Return every action of a blue agent (0-4), in index order: 82 entries for agents 0-3, 242 for agent 4."""
    _check_agent(agent)
    entries: list[BlueAction] = []
    for verb in Verb:
        if verb in HOST_VERBS:
            slots = range(spec.MAX_HOSTS_PER_SUBNET)
            entries += [BlueAction(verb, subnet, slot) for subnet in BLUE_SUBNETS[agent] for slot in slots]
        elif verb in TRAFFIC_VERBS:
            for to in BLUE_SUBNETS[agent]:
                entries += [BlueAction(verb, to, source=source) for source in traffic_sources(to)]
        else:
            entries.append(BlueAction(verb))
    return tuple(entries)


@cache
def _indices(agent: int) -> dict[BlueAction, int]:
    return {action: index for index, action in enumerate(catalogue(agent))}


def decode(agent: int, index: int) -> BlueAction:
    """Return what an index means to a blue agent.

    Raises:
        ValueError: If the agent does not exist or the index lies outside its catalogue.
    """
    actions = catalogue(agent)
    if not 0 <= index < len(actions):
        raise ValueError(f"action {index} of blue_agent_{agent} does not exist; indices are 0 to {len(actions) - 1}")
    return actions[index]


def encode(agent: int, action: BlueAction) -> int:
    """Return the index of an action: the exact inverse of :func:`decode`.

    Raises:
        ValueError: If the agent's catalogue does not hold the action (a foreign subnet, for example).
    """
    _check_agent(agent)
    try:
        return _indices(agent)[action]
    except KeyError:
        owned = ", ".join(subnet.short for subnet in BLUE_SUBNETS[agent])
        raise ValueError(
            f"blue_agent_{agent} has no action {action}; it acts on {owned} and on traffic into them from elsewhere"
        ) from None


def label(agent: int, index: int) -> str:
    """Return an action in CybORG's words, without addresses."""
    return str(decode(agent, index))


SLEEP: Final[tuple[int, ...]] = tuple(encode(agent, BlueAction(Verb.SLEEP)) for agent in range(spec.NUM_BLUE))
"""Agent -> index of Sleep: 49 for agents 0-3, 145 for agent 4."""
MONITOR: Final[tuple[int, ...]] = tuple(encode(agent, BlueAction(Verb.MONITOR)) for agent in range(spec.NUM_BLUE))


def _tables() -> dict[str, npt.NDArray[np.int8]]:
    tables = {name: np.full((spec.NUM_BLUE, spec.MAX_ACTIONS), -1, np.int8) for name in ("subnet", "slot", "source")}
    tables["verb"] = np.full((spec.NUM_BLUE, spec.MAX_ACTIONS), Verb.SLEEP, np.int8)
    for agent in range(spec.NUM_BLUE):
        for index, action in enumerate(catalogue(agent)):
            tables["verb"][agent, index] = action.verb
            for name in ("subnet", "slot", "source"):
                value = getattr(action, name)
                tables[name][agent, index] = -1 if value is None else int(value)
    for table in tables.values():
        table.flags.writeable = False
    return tables


_TABLES: Final = _tables()


def _host_table(agent: int) -> npt.NDArray[np.int64]:
    subnets = BLUE_SUBNETS[agent]
    table = np.full((spec.NUM_VERBS, len(subnets) * spec.MAX_HOSTS_PER_SUBNET), -1, np.int64)
    for index, action in enumerate(catalogue(agent)):
        if action.slot is not None and action.subnet is not None:
            place = subnets.index(action.subnet)
            table[action.verb, place * spec.MAX_HOSTS_PER_SUBNET + action.slot] = index
    table.flags.writeable = False
    return table


def _traffic_table(agent: int) -> npt.NDArray[np.int64]:
    subnets = BLUE_SUBNETS[agent]
    table = np.full((len(TRAFFIC_VERBS), len(subnets), spec.NUM_SUBNETS), -1, np.int64)
    for index, action in enumerate(catalogue(agent)):
        if action.source is not None and action.subnet is not None:
            verb, place = TRAFFIC_VERBS.index(action.verb), subnets.index(action.subnet)
            table[verb, place, spec.SORTED_RANK[action.source]] = index
    table.flags.writeable = False
    return table


HOST_INDEX: Final = tuple(_host_table(agent) for agent in range(spec.NUM_BLUE))
"""Agent -> [verb, host slot H, 16 per subnet] -> index of the host command; -1 where the verb names no host."""
TRAFFIC_INDEX: Final = tuple(_traffic_table(agent) for agent in range(spec.NUM_BLUE))
"""Agent -> [Allow or Block, own subnet Z, source in sorted order] -> index; -1 where the source is the destination."""
VERB: Final = _TABLES["verb"]
"""[agent, index] -> verb; the padding of agents 0-3 (82 to 241) is Sleep, as in CybORG."""
SUBNET: Final = _TABLES["subnet"]
"""[agent, index] -> subnet in generation order, -1 for none."""
SLOT: Final = _TABLES["slot"]
"""[agent, index] -> host slot, -1 for none."""
SOURCE: Final = _TABLES["source"]
"""[agent, index] -> source subnet of a traffic command in generation order, -1 for none."""
