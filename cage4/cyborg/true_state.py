"""The true state read from CybORG's simulation: plain functions, which import nothing of CybORG."""

from __future__ import annotations

from typing import Any

from cage4 import spec
from cage4.observations import rich, true_state
from cage4.observations.true_state import FILES, KNOWLEDGE, RUNNING, SERVICES, STOPPED, TrueState
from cage4.variants import RED_ACTIONS

_SERVICE_NUMBER = {name: number for number, name in enumerate(SERVICES)}
_SUBNET_NUMBER = {subnet.cyborg_name: int(subnet) for subnet in spec.Subnet}
_DECOY_PROCESS = ("apache2", "Tomcat.exe", "haraka", "vsftpd")
"""CybORG's process names of decoys, in the order of ``rich.DECOY_NAMES``."""
_OT = _SERVICE_NUMBER["OTSERVICE"]
_BLUE_VERBS = {verb.cyborg_name: 1 + int(verb) for verb in spec.Verb}


def read(controller: Any) -> TrueState:
    """Read the state of one simulation.

    Args:
        controller: CybORG's ``environment_controller``.

    Returns:
        Arrays whose first axis has length 1.
    """
    out = true_state.allocate(1)
    state = controller.state
    out.step[0], out.phase[0] = controller.step_count, state.mission_phase
    for to, sources in state.blocks.items():
        for source in sources:
            out.firewall[0, _SUBNET_NUMBER[_text(to)], _SUBNET_NUMBER[_text(source)]] = 1
    watched = {subnet for subnets in spec.BLUE_SUBNETS for subnet in subnets}
    for name, host in state.hosts.items():
        zone, slot = true_state.host_place(str(name))
        out.exists[0, zone, slot] = 1
        _read_host(host, out, zone, slot)
        if zone in watched:
            events = host.events
            out.connection_events[0, zone, slot] = len(events.old_network_connections)
            out.process_events[0, zone, slot] = len(events.old_process_creation)
    for agent in spec.BLUE_AGENTS:
        for name, ids in state.sessions[agent][0].sus_pids.items():
            out.suspicious_ids[0][true_state.host_place(str(name))] = len(ids)
    for number, agent in enumerate(spec.RED_AGENTS):
        _read_red(controller, out, number, agent)
    verbs = {name: 1 + number for number, name in enumerate(RED_ACTIONS)}
    _read_queues(controller, spec.RED_AGENTS, verbs, out.red_verb[0], out.red_target[0], out.red_ticks[0])
    _read_queues(controller, spec.BLUE_AGENTS, _BLUE_VERBS, out.blue_verb[0], out.blue_target[0], out.blue_ticks[0])
    return out


def _text(name: Any) -> str:
    return str(getattr(name, "value", name))


def _read_host(host: Any, out: TrueState, zone: int, slot: int) -> None:
    for key, service in host.services.items():
        number = _SERVICE_NUMBER[getattr(key, "name", key)]
        out.services[0, zone, slot, number] = RUNNING if service.active else STOPPED
        out.reliability[0, zone, slot, number] = service.get_service_reliability()
    out.ot_stopped[0, zone, slot] = out.services[0, zone, slot, _OT] == STOPPED
    for file in host.files:
        out.files[0, zone, slot, FILES.index(file.name)] += 1
    for process in host.processes:
        if process.decoy_type.name != "NONE":
            out.decoy_processes[0, zone, slot, _DECOY_PROCESS.index(process.name)] += 1


def _read_red(controller: Any, out: TrueState, number: int, agent: str) -> None:
    interface, state = controller.agent_interfaces[agent], controller.state
    out.red_active[0, number] = interface.active
    for session in state.sessions[agent].values():
        zone, slot = true_state.host_place(str(session.hostname))
        out.red_sessions[0, zone, slot, number, int(session.username == "root")] += 1
    table = getattr(interface.agent, "host_states", {})
    names = {str(address): str(name) for address, name in state.ip_addresses.items()} if table else {}
    for address, entry in table.items():
        zone, slot = true_state.host_place(names[str(address)])
        out.red_knowledge[0, number, zone, slot] = KNOWLEDGE.index(entry["state"])


def _read_queues(
    controller: Any, agents: tuple[str, ...], numbers: dict[str, int], verb: Any, target: Any, ticks: Any
) -> None:
    for place, agent in enumerate(agents):
        entry = controller.actions_in_progress.get(agent)
        if not entry:
            continue
        action = entry["action"]
        verb[place] = numbers[type(action).__name__]
        ticks[place] = entry["remaining_ticks"]
        name = getattr(action, "hostname", None)
        if name is None:
            name = controller.state.ip_addresses[action.ip_address]
        zone, slot = true_state.host_place(str(name))
        target[place] = 1 + zone * rich.HOST_SLOTS + slot
