"""Everything that decides how an episode goes on, read from either engine into the same plain form.

Nothing here imports CybORG: objects of it arrive as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.native.world.state import PORTS_PER_CHUNK, RED_HOST, RED_LEFT, RED_SESSION, RED_VERB, RED_ZONE, State
from cage4.observations import rich, true_state
from native_sim.api import Array, Layout

if TYPE_CHECKING:
    from cage4.cyborg.engine import CyborgEpisode, CyborgFrame

Snapshot = dict[str, Any]
"""Field -> a plain value, a dictionary of plain values, or a dictionary of vectors that :func:`layout_of` names."""

_HOST_NAMES = tuple(codes.host_name(host) for host in range(codes.NUM_HOSTS))
_ZONE_NAMES = tuple(subnet.cyborg_name for subnet in spec.Subnet)


def layout_of(field: str, key: str) -> Layout | None:
    """Return what the entries of a snapshot's vector mean, or None if the value is not a vector with a layout."""
    if field == "rich":
        return rich.layout(spec.BLUE_AGENTS.index(key))
    return true_state.LAYOUT if field == "true state" else None


# ------------------------------------------------------------------------------------------------ CybORG's side
def snapshot_cyborg(episode: CyborgEpisode, frame: CyborgFrame) -> Snapshot:
    """Read everything that is compared from CybORG.

    Args:
        episode: A CybORG environment with the rich observation.
        frame: What its last reset or step returned.
    """
    controller, wrapper = episode.wrapper.env.environment_controller, episode.wrapper
    generator = episode.generator.bit_generator.state
    queues = controller.actions_in_progress
    assert frame.rich is not None, "make the episode with rich=True"
    return {
        "generator": (generator["state"], generator["has_uint32"], generator["uinteger"]),
        "reward": frame.reward,
        "action cost": frame.action_cost,
        "reward parts": frame.reward_parts.tolist(),
        "done": bool(controller.done),
        "observations": {name: np.asarray(frame.observations[name]).tolist() for name in spec.BLUE_AGENTS},
        "action masks": {name: [int(x) for x in wrapper.action_mask(name)] for name in spec.BLUE_AGENTS},
        "rich": dict(zip(spec.BLUE_AGENTS, frame.rich, strict=True)),
        "true state": {"": true_state.flatten(episode.true_state())[0]},
        "blue queues": {name: _cyborg_blue_queue(queues.get(name)) for name in spec.BLUE_AGENTS},
        **_cyborg_hosts(controller),
        **_cyborg_red(controller),
    }


def _cyborg_red_queue(entry: Any, addresses: Mapping[Any, str], zones: Mapping[Any, Any]) -> Any:
    if entry is None:
        return None
    action, name = entry["action"], type(entry["action"]).__name__
    if name == "Sleep":
        return (name, int(entry["remaining_ticks"]))
    if name == "DiscoverRemoteSystems":
        target = str(getattr(zones[action.subnet], "value", zones[action.subnet]))
    else:
        target = str(action.hostname) if hasattr(action, "hostname") else str(addresses[action.ip_address])
    return (name, target, int(action.session), int(entry["remaining_ticks"]))


def _cyborg_blue_queue(entry: Any) -> Any:
    return None if entry is None else (type(entry["action"]).__name__, int(entry["remaining_ticks"]))


def _known(options: Mapping[Any, bool]) -> list[Any]:
    return [key for key, is_known in options.items() if is_known]


def _cyborg_red(controller: Any) -> Snapshot:
    state, interfaces = controller.state, controller.agent_interfaces
    addresses, zones = state.ip_addresses, state.subnets_cidr_to_name
    queues = controller.actions_in_progress
    text = {str(address): str(name) for address, name in addresses.items()}
    space = {name: interfaces[name].action_space for name in spec.RED_AGENTS}
    tables = {name: getattr(interfaces[name].agent, "host_states", {}) for name in spec.RED_AGENTS}
    return {
        "red sessions": {
            name: [
                (
                    int(ident),
                    str(session.hostname),
                    str(session.username),
                    type(session).__name__ == "RedAbstractSession",
                    int(session.pid),
                    session.parent is not None,
                )
                for ident, session in state.sessions[name].items()
            ]
            for name in spec.RED_AGENTS
        },
        "red active": {name: bool(interfaces[name].active) for name in spec.RED_AGENTS},
        "red queues": {name: _cyborg_red_queue(queues.get(name), addresses, zones) for name in spec.RED_AGENTS},
        "red tables": {
            name: [(text[ip], row["state"], row["hostname"] is not None) for ip, row in tables[name].items()]
            for name in spec.RED_AGENTS
        },
        "known session ids": {name: [int(i) for i in _known(space[name].server_session)] for name in spec.RED_AGENTS},
        "known subnets": {
            name: [str(getattr(zones[cidr], "value", zones[cidr])) for cidr in _known(space[name].subnet)]
            for name in spec.RED_AGENTS
        },
        "known addresses": {
            name: [str(addresses[ip]) for ip in _known(space[name].ip_address)] for name in spec.RED_AGENTS
        },
        "known names": {name: [str(host) for host in _known(space[name].hostname)] for name in spec.RED_AGENTS},
    }


def _cyborg_hosts(controller: Any) -> Snapshot:
    hosts, state = controller.state.hosts, controller.state
    owned = {name for i in range(spec.NUM_BLUE) for name in _owned_hosts(i) if name in hosts}
    return {
        "hosts": [str(name) for name in hosts],
        "processes": {str(n): [int(p.pid) for p in h.processes] for n, h in hosts.items()},
        "root processes": {str(n): [int(p.pid) for p in h.processes if p.user == "root"] for n, h in hosts.items()},
        "services": {
            str(n): [(int(s.process), bool(s.active), int(s.get_service_reliability())) for s in h.services.values()]
            for n, h in hosts.items()
        },
        "files": {
            str(n): [sum(f.name == name for f in h.files) for name in ("cmd.sh", "escalate.sh")]
            for n, h in hosts.items()
        },
        "ephemeral ports": {str(n): list(map(int, h.ephemeral_ports)) for n, h in hosts.items()},
        "events": {
            name: (
                len(hosts[name].events.old_network_connections),
                len(hosts[name].events.old_process_creation),
            )
            for name in sorted(owned)
        },
        "suspicious processes": {
            agent: {
                str(h): [int(p) for p in pids] for h, pids in sorted(state.sessions[agent][0].sus_pids.items()) if pids
            }
            for agent in spec.BLUE_AGENTS
        },
        "blocks": sorted(
            (str(getattr(to, "value", to)), str(getattr(source, "value", source)))
            for to, sources in state.blocks.items()
            for source in sources
        ),
    }


def _owned_hosts(blue: int) -> list[str]:
    return [_HOST_NAMES[host] for host in range(codes.NUM_HOSTS) if codes.BLUE_OWNER[host // codes.SLOTS] == blue]


# -------------------------------------------------------------------------------------------------- native side
def _chain(head: Any, following: Array) -> list[int]:
    nodes, node = [], int(head)
    while node >= 0:
        nodes.append(node)
        node = int(following[node])
    return nodes


def _native_ports(s: State, row: int, host: int) -> list[int]:
    chunks = _chain(s.port_head[row, host], s.port_next[row])[::-1]
    count = int(s.port_count[row, host])
    assert len(chunks) == -(-count // PORTS_PER_CHUNK)
    ports: list[int] = (s.port_value[row, chunks].ravel()[:count].astype(np.int64) + codes.FIRST_PORT).tolist()
    return ports


def _native_hosts(s: State, row: int) -> Snapshot:
    present = [host for host in range(codes.NUM_HOSTS) if s.host_octet[row, host] > 0]
    chains = {host: _chain(s.proc_head[row, host], s.proc_next[row]) for host in present}
    suspects: dict[str, dict[str, list[int]]] = {name: {} for name in spec.BLUE_AGENTS}
    for i in range(int(s.suspects[row])):
        host = int(s.suspect_host[row, i])
        memory = suspects[spec.BLUE_AGENTS[codes.BLUE_OWNER[host // codes.SLOTS]]]
        memory.setdefault(_HOST_NAMES[host], []).append(int(s.suspect_pid[row, i]))
    return {
        "hosts": [_HOST_NAMES[h] for h in present],
        "processes": {_HOST_NAMES[h]: [int(s.proc_pid[row, i]) for i in chains[h]] for h in present},
        "root processes": {
            _HOST_NAMES[h]: [int(s.proc_pid[row, i]) for i in chains[h] if s.proc_root[row, i]] for h in present
        },
        "services": {
            _HOST_NAMES[h]: [
                (int(s.svc_pid[row, h, i]), bool(s.svc_active[row, h, i]), int(s.svc_reliability[row, h, i]))
                for i in range(s.svc_count[row, h])
            ]
            for h in present
        },
        "files": {_HOST_NAMES[h]: s.files[row, h].tolist() for h in present},
        "ephemeral ports": {_HOST_NAMES[h]: _native_ports(s, row, h) for h in present},
        "events": {
            name: (int(s.net_events[row, h]), int(s.proc_events[row, h]))
            for name, h in sorted((_HOST_NAMES[h], h) for h in present if codes.BLUE_OWNER[h // codes.SLOTS] >= 0)
        },
        "suspicious processes": {name: dict(sorted(memory.items())) for name, memory in suspects.items()},
        "blocks": sorted((_ZONE_NAMES[to], _ZONE_NAMES[source]) for to, source in np.argwhere(s.blocked[row])),
    }


def _native_red_queue(slot: Array) -> Any:
    if slot[RED_LEFT] == 0:
        return None
    verb = int(slot[RED_VERB])
    name, left = codes.RED_VERB_NAMES[verb], int(slot[RED_LEFT])
    if verb == codes.RED_SLEEP:
        return (name, left)
    target = _ZONE_NAMES[slot[RED_ZONE]] if verb == codes.DISCOVER else _HOST_NAMES[slot[RED_HOST]]
    return (name, target, int(slot[RED_SESSION]), left)


def _native_blue_queue(slot: Array) -> Any:
    if slot[3] == 0:
        return None
    verb = int(slot[0])
    return ("InvalidAction" if verb == codes.INVALID else spec.Verb(verb).cyborg_name, int(slot[3]))


def _native_red(s: State, row: int) -> Snapshot:
    def sessions(red: int) -> list[tuple[Any, ...]]:
        return [
            (
                int(s.ses_id[row, i]),
                _HOST_NAMES[s.ses_host[row, i]],
                codes.USER_NAMES[s.ses_user[row, i]],
                bool(s.ses_abstract[row, i]),
                int(s.ses_pid[row, i]),
                bool(s.ses_child[row, i]),
            )
            for i in _chain(s.ses_head[row, red], s.ses_next[row])
        ]

    def table(red: int) -> list[tuple[str, str, bool]]:
        hosts = s.fsm_host[row, red, : s.fsm_count[row, red]]
        return [
            (_HOST_NAMES[h], codes.STATE_NAMES[s.fsm_state[row, red, h]], bool(s.fsm_named[row, red, h])) for h in hosts
        ]

    def per_agent(read: Callable[[int], Any]) -> dict[str, Any]:
        return {name: read(i) for i, name in enumerate(spec.RED_AGENTS)}

    return {
        "red sessions": per_agent(sessions),
        "red active": per_agent(lambda i: bool(s.red_active[row, i])),
        "red queues": per_agent(lambda i: _native_red_queue(s.red_queue[row, i])),
        "red tables": per_agent(table),
        "known session ids": per_agent(lambda i: s.known_id[row, : s.known_count[row, i], i].tolist()),
        "known subnets": per_agent(lambda i: [_ZONE_NAMES[z] for z in np.flatnonzero(s.known_zone[row, i])]),
        "known addresses": per_agent(lambda i: [_HOST_NAMES[h] for h in np.flatnonzero(s.known_address[row, i])]),
        "known names": per_agent(lambda i: [_HOST_NAMES[h] for h in np.flatnonzero(s.known_name[row, i])]),
    }


def snapshot_native(env: NativeVectorEnv, observations: Mapping[str, Array], infos: Mapping[str, Any]) -> Snapshot:
    """Read everything that is compared from the first row of the native engine.

    Args:
        env: An engine of one row, with the rich observation.
        observations: What its last reset or step returned, as are ``infos``.
    """
    s, row = env.state, 0
    generator = env.generator_state(row)
    return {
        "generator": (generator["state"], generator["has_uint32"], generator["uinteger"]),
        "reward": float(s.parts[row].sum() + s.cost[row]),
        "action cost": float(s.cost[row]),
        "reward parts": s.parts[row].tolist(),
        "done": bool(s.life[row] == codes.FINISHED),
        "observations": {name: observations[name][row].tolist() for name in spec.BLUE_AGENTS},
        "action masks": {name: infos["action_mask"][name][row].tolist() for name in spec.BLUE_AGENTS},
        "rich": {name: infos["rich"][name][row] for name in spec.BLUE_AGENTS},
        "true state": {"": true_state.flatten(env.true_state())[row]},
        "blue queues": {name: _native_blue_queue(s.blue_queue[row, i]) for i, name in enumerate(spec.BLUE_AGENTS)},
        **native_world(env, row),
    }


def native_world(env: NativeVectorEnv, row: int = 0) -> Snapshot:
    """Read the hosts and what red has and knows of a row of the native engine."""
    return {**_native_hosts(env.state, row), **_native_red(env.state, row)}
