"""Lockstep proof: the native engine beside the real CybORG, compared after every step with tolerance zero.

:func:`play_side_by_side` drives one CybORG episode (through its ``BlueFlatWrapper``, given by the caller) and the
same episode in :class:`~cage4.native.engine.NativeVectorEnv`, reads everything that decides their future from
both, and stops at the first difference. Nothing here imports CybORG: objects of it arrive as arguments, and its
classes come through ``cage4.cyborg_engine``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.native import codes
from cage4.native.blue import CATALOGUE
from cage4.native.engine import NativeVectorEnv
from cage4.native.state import PORTS_PER_CHUNK, RED_HOST, RED_LEFT, RED_SESSION, RED_VERB, RED_ZONE, State
from cage4.variants import Variant
from native_sim.api import Array

Snapshot = dict[str, Any]
CyborgFactory = Callable[[Variant, int, int], Any]
"""(variant, steps, seed) -> a padded ``BlueFlatWrapper`` around a freshly constructed CybORG."""

_HOST_NAMES = tuple(codes.host_name(host) for host in range(codes.NUM_HOSTS))
_ZONE_NAMES = tuple(subnet.cyborg_name for subnet in spec.Subnet)
_NAMED_VERBS = (codes.ESCALATE, codes.DEGRADE, codes.IMPACT, codes.WITHDRAW)


# ------------------------------------------------------------------------------------------------ CybORG's side
class _Recorder:
    """A reward table that writes down which of its entries were asked for."""

    def __init__(self, rewards: Mapping[str, int], record: npt.NDArray[np.int64]) -> None:
        self._rewards, self._record = rewards, record

    def __getitem__(self, part: str) -> int:
        self._record[[p.short for p in spec.RewardPart].index(part)] += self._rewards[part]
        return self._rewards[part]


def cyborg_parts(controller: Any) -> list[list[int]]:
    """Return the reward of the last step as [9 subnets][LWF, ASF, RIA], by asking CybORG's own calculator again."""
    calculator = type(controller.team_reward_calculators["Blue"]["BlueRewardMachine"])("")
    record = np.zeros((spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS), np.int64)
    table = calculator.get_phase_rewards(controller.state.mission_phase)
    recorded = {name: _Recorder(table[name], record[i]) for i, name in enumerate(_ZONE_NAMES)}
    calculator.get_phase_rewards = lambda phase: recorded
    controller.calculate_reward(calculator)
    return record.tolist()


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
        "ephemeral ports": {str(n): [int(p) for p in h.ephemeral_ports] for n, h in hosts.items()},
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


def snapshot_cyborg(wrapper: Any, observations: Mapping[str, Array], is_reset: bool) -> Snapshot:
    """Read everything that is compared from CybORG, given its padded flat wrapper and the last observations."""
    cyborg = wrapper.env
    controller = cyborg.environment_controller
    generator = cyborg.np_random.bit_generator.state
    reward = controller.reward["Blue"]
    queues = controller.actions_in_progress
    return {
        "generator": (generator["state"], generator["has_uint32"], generator["uinteger"]),
        "reward": 0 if is_reset else reward["BlueRewardMachine"] + reward["action_cost"],
        "action cost": 0 if is_reset else reward["action_cost"],
        "reward parts": np.zeros((9, 3), np.int64).tolist() if is_reset else cyborg_parts(controller),
        "done": bool(controller.done),
        "observations": {name: np.asarray(observations[name]).tolist() for name in spec.BLUE_AGENTS},
        "action masks": {name: [int(x) for x in wrapper.action_mask(name)] for name in spec.BLUE_AGENTS},
        "blue queues": {name: _cyborg_blue_queue(queues.get(name)) for name in spec.BLUE_AGENTS},
        **_cyborg_hosts(controller),
        **_cyborg_red(controller),
    }


# -------------------------------------------------------------------------------------------------- native side
def _chain(head: Any, following: Array) -> list[int]:
    nodes, node = [], int(head)
    while node >= 0:
        nodes.append(node)
        node = int(following[node])
    return nodes


def _native_ports(s: State, row: int, host: int) -> list[int]:
    chunks = _chain(s.port_head[row, host], s.port_next[row])[::-1]
    values = [int(v) + codes.FIRST_PORT for chunk in chunks for v in s.port_value[row, chunk]]
    count = int(s.port_count[row, host])
    assert len(chunks) == -(-count // PORTS_PER_CHUNK)
    return values[:count]


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


def snapshot_native(env: NativeVectorEnv, row: int = 0) -> Snapshot:
    """Read everything that is compared from a row of the native engine."""
    s = env.state
    generator = env.generator_state(row)
    return {
        "generator": (generator["state"], generator["has_uint32"], generator["uinteger"]),
        "reward": int(s.parts[row].sum() + s.cost[row]),
        "action cost": int(s.cost[row]),
        "reward parts": s.parts[row].tolist(),
        "done": bool(s.life[row] == codes.FINISHED),
        "observations": {name: s.observation[row, i].tolist() for i, name in enumerate(spec.BLUE_AGENTS)},
        "action masks": {name: s.action_mask[row, i].tolist() for i, name in enumerate(spec.BLUE_AGENTS)},
        "blue queues": {name: _native_blue_queue(s.blue_queue[row, i]) for i, name in enumerate(spec.BLUE_AGENTS)},
        **_native_hosts(s, row),
        **_native_red(s, row),
    }


# --------------------------------------------------------------------------------------------------- comparison
class Difference(NamedTuple):
    """One field that differs, with both values."""

    field: str
    cyborg: Any
    native: Any


def differences(cyborg: Snapshot, native: Snapshot) -> list[Difference]:
    """Return the fields that differ; of a field that is a dictionary, only the entries that do."""
    found = []
    for field in cyborg:
        a, b = cyborg[field], native[field]
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            for key in [*a, *(key for key in b if key not in a)]:
                if a.get(key) != b.get(key):
                    found.append(Difference(f"{field}[{key}]", a.get(key), b.get(key)))
        else:
            found.append(Difference(field, a, b))
    return found


def digest(snapshot: Snapshot) -> str:
    """Return 12 hexadecimal digits of everything in a snapshot: equal snapshots of either engine, equal digests."""
    text = json.dumps(_plain(snapshot), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Lockstep:
    """How far two engines went together."""

    steps: int
    """Steps compared and found equal."""
    episodes: int
    divergence: tuple[Difference, ...] = ()
    """The first differences; empty if there were none."""

    def __str__(self) -> str:
        if not self.divergence:
            return f"{self.steps} steps in {self.episodes} episodes, no difference"
        lines = [f"first difference after {self.steps} equal steps (episode {self.episodes}):"]
        lines += [f"  {d.field}\n    CybORG: {d.cyborg}\n    native: {d.native}" for d in self.divergence]
        return "\n".join(lines)


# -------------------------------------------------------------------------------------------------------- plays
class Play(NamedTuple):
    """One joint action: indices [5] or commands [5, 3] (one of them None), and messages [5, 8] or None."""

    indices: npt.NDArray[np.int64] | None
    commands: npt.NDArray[np.int64] | None = None
    messages: npt.NDArray[np.int8] | None = None


Driver = Callable[[np.random.Generator, NativeVectorEnv], Play]


def play_sleep(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Let every blue agent sleep."""
    return Play(np.array([np.flatnonzero(CATALOGUE[i, :, 0] == codes.SLEEP)[0] for i in range(spec.NUM_BLUE)]))


def play_valid(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Draw a valid action for every agent."""
    return Play(np.array([rng.choice(np.flatnonzero(mask)) for mask in env.state.action_mask[0]]))


def play_any(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Draw any index, also those that the mask forbids and the padding."""
    return Play(rng.integers(0, spec.MAX_ACTIONS, spec.NUM_BLUE))


def play_messages(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Draw valid actions, and random messages."""
    messages = rng.integers(0, 2, (spec.NUM_BLUE, spec.MESSAGE_BITS)).astype(np.int8)
    return play_valid(rng, env)._replace(messages=messages)


def biased_to(verb: spec.Verb, share: float = 0.7) -> Driver:
    """Return a driver that mostly plays one verb, preferably where red is; else any valid action."""

    def play(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
        indices = play_valid(rng, env).indices
        assert indices is not None
        is_red = env.state.red_on_host[0].sum(axis=1) > 0
        for i in range(spec.NUM_BLUE):
            fits = (env.state.action_mask[0, i] == 1) & (CATALOGUE[i, :, 0] == verb)
            if verb in spec.HOST_VERBS and rng.random() < 0.8 and (fits & is_red[CATALOGUE[i, :, 1]]).any():
                fits &= is_red[CATALOGUE[i, :, 1]]
            if rng.random() < share:
                indices[i] = rng.choice(np.flatnonzero(fits))
        return Play(indices)

    return play


def play_resubmit(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Submit Restore and Remove again and again while they are in progress."""
    indices = play_valid(rng, env).indices
    assert indices is not None
    for i in range(spec.NUM_BLUE):
        fits = (env.state.action_mask[0, i] == 1) & np.isin(CATALOGUE[i, :, 0], (codes.RESTORE, codes.REMOVE))
        if env.state.busy[0, i] > 0 or rng.random() < 0.3:
            indices[i] = rng.choice(np.flatnonzero(fits))
    return Play(indices)


def play_commands(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Draw commands no index stands for: routers, foreign and absent hosts, traffic between any two subnets."""
    commands = np.zeros((spec.NUM_BLUE, 3), np.int64)
    for i in range(spec.NUM_BLUE):
        verb = int(rng.integers(0, spec.NUM_VERBS))
        if verb in spec.TRAFFIC_VERBS:
            commands[i] = verb, rng.integers(0, spec.NUM_SUBNETS), rng.integers(0, spec.NUM_SUBNETS)
        elif verb in spec.HOST_VERBS:
            own = np.flatnonzero(codes.BLUE_OWNER[np.arange(codes.NUM_HOSTS) // codes.SLOTS] == i)
            routers = own[own % codes.SLOTS == 0]
            pool = (routers, own, np.arange(codes.NUM_HOSTS))[rng.integers(0, 3)]
            commands[i] = verb, rng.choice(pool), 0
        else:
            commands[i, 0] = verb
    return Play(None, commands)


DRIVERS: dict[str, Driver] = {
    "sleep": play_sleep,
    "valid": play_valid,
    "any": play_any,
    "messages": play_messages,
    "resubmit": play_resubmit,
    "commands": play_commands,
    **{verb.name.lower(): biased_to(verb) for verb in spec.Verb if verb is not spec.Verb.SLEEP},
}
"""Name -> how blue plays in a comparison."""


def cyborg_action(command: Array, blue: int) -> Any:
    """Return CybORG's action object for a command (verb, target, source)."""
    from cage4.cyborg_engine import load_cyborg

    verb = spec.Verb(int(command[0]))
    make = load_cyborg().commands[verb.cyborg_name]
    if verb is spec.Verb.SLEEP:
        return make()
    common = {"session": 0, "agent": spec.BLUE_AGENTS[blue]}
    if verb is spec.Verb.MONITOR:
        return make(**common)
    if verb in spec.TRAFFIC_VERBS:
        return make(**common, from_subnet=_ZONE_NAMES[command[2]], to_subnet=_ZONE_NAMES[command[1]])
    return make(**common, hostname=_HOST_NAMES[command[1]])


def _step_cyborg(wrapper: Any, play: Play) -> Any:
    if play.commands is not None:
        actions = {name: cyborg_action(play.commands[i], i) for i, name in enumerate(spec.BLUE_AGENTS)}
    else:
        assert play.indices is not None
        actions = {name: int(play.indices[i]) for i, name in enumerate(spec.BLUE_AGENTS)}
    messages = None
    if play.messages is not None:
        messages = {name: play.messages[i] for i, name in enumerate(spec.BLUE_AGENTS)}
    return wrapper.step(actions, messages=messages)[0]


def _step_native(env: NativeVectorEnv, play: Play) -> None:
    messages = None if play.messages is None else play.messages[None]
    if play.commands is not None:
        env.step_commands(play.commands[None], messages)
        return
    assert play.indices is not None
    env.step({name: play.indices[i : i + 1] for i, name in enumerate(spec.BLUE_AGENTS)}, messages)


def untouched_cyborg(variant: Variant, steps: int, seed: int) -> Any:
    """Make the CybORG side of a comparison, without any of our shortcuts.

    Raises:
        CyborgUnavailable: If there is no CybORG to compare with.
    """
    from cage4.cyborg_engine import CyborgEpisode

    return CyborgEpisode(variant, steps, seed, pad_spaces=True, shortcuts=False).wrapper


def play_side_by_side(
    cyborg_factory: CyborgFactory,
    variant: Variant,
    steps: int,
    seed: int,
    driver: str = "valid",
    episodes: int = 1,
) -> Lockstep:
    """Play whole episodes in both engines and compare after each reset and step.

    Both are constructed with the seed and reset without one, so later episodes continue the random stream.

    Args:
        cyborg_factory: Makes the CybORG side.
        variant: The scenario, which the factory must apply to CybORG.
        steps: Episode length in CybORG's sense.
        seed: Seed of the simulators, and of blue's play.
        driver: One of :data:`DRIVERS`.
        episodes: Number of episodes.

    Raises:
        ValueError: If the driver is unknown.
    """
    if driver not in DRIVERS:
        raise ValueError(f"unknown driver {driver!r}; choose one of {', '.join(DRIVERS)}")
    wrapper = cyborg_factory(variant, steps, seed)
    env = NativeVectorEnv(1, variant, steps, seed, pad_spaces=True)
    rng = np.random.default_rng([seed, 2])
    equal = 0
    for episode in range(1, episodes + 1):
        observations, _ = wrapper.reset()
        env.reset()
        found = differences(snapshot_cyborg(wrapper, observations, True), snapshot_native(env))
        for _ in range(spec.episode_length(steps)):
            if found:
                return Lockstep(equal, episode, tuple(found))
            play = DRIVERS[driver](rng, env)
            observations = _step_cyborg(wrapper, play)
            _step_native(env, play)
            found = differences(snapshot_cyborg(wrapper, observations, False), snapshot_native(env))
            equal += not found
        if found:
            return Lockstep(equal, episode, tuple(found))
    return Lockstep(equal, episodes)
