"""The rich observation read from CybORG's raw dictionaries: pure functions, which import nothing of CybORG.

The rule is what the dictionary says. In it, under a host's name:

* "Sessions" (at reset only): the agent's own sessions, so the host exists;
* "Files": what Analyse saw there;
* "Processes" with a service name: the decoy that the agent deployed; with an id alone: a new process that Monitor
  reports (CybORG loses its connections on the way); without an id: one connection, which is an event of its own if
  it names a remote side, and otherwise a false alarm about a new process.

CybORG merges the parts of an observation in place each time it is read, and would double entries at the second
time, so a dictionary must be taken from the one reading of the flat wrapper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.observations import rich
from cage4.observations.rich import HEADER, HOST, NUM_RECORDS, Success

Vector = npt.NDArray[np.int32]
Raw = Mapping[str, Any]

# Looked up once: the functions below run for every event.
_SUCCESS, _VERB, _TARGET = HEADER["success"].start, HEADER["verb"].start, HEADER["target_host"].start
_SUBNET_FIELDS = (("to_subnet", HEADER["to_subnet"].start), ("from_subnet", HEADER["from_subnet"].start))
_HOST_SIZE, _PRESENT, _ANALYSED, _DENSITY = (
    HOST.size,
    HOST["present"].start,
    HOST["analysed"].start,
    HOST["density"].start,
)
_CONNECTIONS, _RECORDS, _REMOTE = HOST["connections"].slice, HOST["records"].start, HOST["remote_subnets"].start
_RECORD_SIZE = len(rich.RECORD_FIELDS)
_PROCESS_EVENTS, _PROCESS_IDS = HOST["process_events"].start, HOST["process_ids"].start
_PROCESS_ALARMS, _DECOY_KIND, _DECOY_ID = (
    HOST["process_alarms"].start,
    HOST["decoy_kind"].start,
    HOST["decoy_id"].start,
)
_FILES = {"cmd.sh": HOST["file_cmd"].start, "escalate.sh": HOST["file_escalate"].start}
_DECOYS = {name: 1 + kind for kind, name in enumerate(rich.DECOY_NAMES)}
_VERBS = {verb.cyborg_name: 1 + int(verb) for verb in spec.Verb} | {"InvalidAction": rich.INVALID_VERB}
_SUBNETS = {subnet.cyborg_name: 1 + place for place, subnet in enumerate(spec.SORTED_SUBNETS)}
_LABEL = re.compile(r"(\w+_subnet) \((\d+\.\d+\.\d+)\.\d+/24\)")


class AddressBook:
    """Which subnet an address belongs to, as the labels of an agent's traffic commands tell it.

    Args:
        labels: Action labels of any blue agent; those of its traffic commands name all nine subnets.

    Raises:
        ValueError: If a subnet is missing.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._ranks = {prefix: _SUBNETS[name] for label in labels for name, prefix in _LABEL.findall(label)}
        if len(self._ranks) != spec.NUM_SUBNETS:
            raise ValueError(f"action labels must name {spec.NUM_SUBNETS} subnets; they name {len(self._ranks)}")

    def locate(self, address: object) -> tuple[int, int]:
        """Return 1 + the subnet's place in sorted order, and the last number of the address; zeros for None.

        Raises:
            ValueError: If no subnet holds the address.
        """
        if address is None:
            return 0, 0
        prefix, _, octet = str(address).rpartition(".")
        if prefix not in self._ranks:
            raise ValueError(f"address {address} lies in none of the subnets that the action labels name")
        return self._ranks[prefix], int(octet)


@cache
def _host_numbers(agent: int) -> dict[str, int]:
    places = [(subnet, slot) for subnet in spec.BLUE_SUBNETS[agent] for slot in range(rich.HOST_SLOTS)]
    return {rich.host_name(subnet, slot): number for number, (subnet, slot) in enumerate(places)}


def _block(agent: int, name: str, vector: Vector) -> Vector:
    number = _host_numbers(agent).get(name)
    if number is None:
        raise ValueError(f"blue_agent_{agent} has no host {name!r}, but its observation speaks of one")
    start = rich.host_start(number)
    return vector[start : start + _HOST_SIZE]


def read_reset(agent: int, raw: Raw) -> Vector:
    """Read the observation at reset: which hosts the agent has sessions on.

    Args:
        agent: Blue agent, 0 to 4.
        raw: CybORG's dictionary.

    Returns:
        The rich vector [F] int32 of the reset.
    """
    vector = np.zeros(rich.size(agent), rich.DTYPE)
    vector[_SUCCESS] = Success[raw["success"].name]
    for name, host in raw.items():
        if isinstance(host, dict) and host.get("Sessions"):
            _block(agent, name, vector)[_PRESENT] = 1
    return vector


def read_step(agent: int, raw: Raw, at_reset: Vector, addresses: AddressBook) -> Vector:
    """Read the observation of a step.

    Args:
        agent: Blue agent, 0 to 4.
        raw: CybORG's dictionary; it is not changed.
        at_reset: What :func:`read_reset` returned in this episode.
        addresses: The subnets of this episode.

    Returns:
        The rich vector [F] int32 of the step.

    Raises:
        ValueError: If the dictionary names a host or address that cannot be.
    """
    vector = np.zeros(rich.size(agent), rich.DTYPE)
    present = slice(rich.host_start(0) + _PRESENT, None, _HOST_SIZE)
    vector[present] = at_reset[present]
    _read_action(agent, raw, vector)
    for name, host in raw.items():
        if isinstance(host, dict):
            block = _block(agent, name, vector)
            _read_files(host.get("Files", ()), block)
            for process in host.get("Processes", ()):
                _read_process(process, block, addresses)
    return vector


def _read_action(agent: int, raw: Raw, vector: Vector) -> None:
    vector[_SUCCESS] = Success[raw["success"].name]
    action = raw.get("action")
    if action is None:
        return
    verb = _VERBS[type(action).__name__]
    vector[_VERB] = verb
    name = getattr(action, "hostname", None)
    if name is not None:
        vector[_TARGET] = 1 + _host_numbers(agent)[name]
        if verb == 1 + spec.Verb.ANALYSE and vector[_SUCCESS] == Success.TRUE:
            _block(agent, name, vector)[_ANALYSED] = 1
    for key, place in _SUBNET_FIELDS:
        vector[place] = _SUBNETS.get(str(getattr(action, key, "")), 0)


def _read_files(files: Iterable[Mapping[str, Any]], block: Vector) -> None:
    for file in files:
        if file["File Name"] in _FILES:
            block[_FILES[file["File Name"]]] = 1
        block[_DENSITY] = max(int(block[_DENSITY]), round(100 * file.get("Density", 0)))


def _read_process(process: Mapping[str, Any], block: Vector, addresses: AddressBook) -> None:
    if "service_name" in process:
        block[_DECOY_KIND] = _DECOYS[process["service_name"]]
        block[_DECOY_ID] = process["PID"]
    elif "PID" in process:
        if block[_PROCESS_EVENTS] < NUM_RECORDS:
            block[_PROCESS_IDS + block[_PROCESS_EVENTS]] = process["PID"]
        block[_PROCESS_EVENTS] += 1
    else:
        for connection in process["Connections"]:
            if "remote_port" in connection or "remote_address" in connection:
                _read_connection(connection, block, addresses)
            else:
                block[_PROCESS_ALARMS] += 1


def _read_connection(connection: Mapping[str, Any], block: Vector, addresses: AddressBook) -> None:
    local_port, remote_port = connection.get("local_port", 0), connection.get("remote_port", 0)
    local = addresses.locate(connection.get("local_address"))
    remote = addresses.locate(connection.get("remote_address"))
    counts = block[_CONNECTIONS]
    place = int(counts.sum())
    if place < NUM_RECORDS:
        start = _RECORDS + place * _RECORD_SIZE
        block[start : start + _RECORD_SIZE] = (*local, local_port, *remote, remote_port)
    counts[rich.signature(local_port, remote_port)] += 1
    if remote[0]:
        block[_REMOTE + remote[0] - 1] += 1


class RichRecorder:
    """Reads what CybORG's flat wrapper reads, at the moment it reads it, once per agent and step.

    Args:
        wrapper: A ``BlueFlatWrapper``; its method ``observation_change`` is replaced on this one object.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._change = wrapper.observation_change
        self._at_reset: dict[str, Vector] = {}
        self._last: dict[str, Vector] = {}
        self._addresses: AddressBook | None = None
        wrapper.observation_change = self._read

    def begin_episode(self) -> None:
        """Take the next reading for that of a reset; to be called before the wrapper's reset."""
        self._at_reset = {}
        self._addresses = None

    def vectors(self) -> tuple[Vector, ...]:
        """Return the rich vectors of the last reset or step, in the order of the agents."""
        return tuple(self._last[agent] for agent in spec.BLUE_AGENTS)

    def _read(self, agent: str, raw: Raw) -> Any:
        number = spec.BLUE_AGENTS.index(agent)
        if agent not in self._at_reset:
            self._at_reset[agent] = self._last[agent] = read_reset(number, raw)
        else:
            if self._addresses is None:
                self._addresses = AddressBook(self._wrapper.action_labels(agent))
            self._last[agent] = read_step(number, raw, self._at_reset[agent], self._addresses)
        return self._change(agent, raw)
