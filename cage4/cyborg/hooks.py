"""How a variant is applied to CybORG, and which of its dead work is skipped: on instances, never on classes.

Nothing here imports or changes CybORG's modules, so environments with different variants live side by side.
All functions take CybORG's own objects, which carry no types.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np
import numpy.typing as npt

from cage4 import spec
from cage4.variants import RED_ACTIONS, RED_STATES, Variant

_SUBNET_INDEX = {subnet.cyborg_name: int(subnet) for subnet in spec.Subnet}
_PART_INDEX = {part.short: int(part) for part in spec.RewardPart}


# --------------------------------------------------------------------------------------------- variants
def generator_settings(variant: Variant) -> dict[str, int]:
    """Return the attributes of the scenario generator that the variant sets."""
    return {
        "MIN_USER_HOSTS": variant.min_users,
        "MAX_USER_HOSTS": variant.max_users,
        "MIN_SERVER_HOSTS": variant.min_servers,
        "MAX_SERVER_HOSTS": variant.max_servers,
    }


def agent_settings(variant: Variant) -> dict[str, dict[str, Any]]:
    """Return, per team ("green", "red"), the attributes of its agent objects that the variant sets.

    CybORG makes new agent objects at each reset and forgets arguments of their constructors.
    """
    choices = variant.red_choices
    table = None
    if choices is not None:  # CybORG writes None where an action is not to be chosen
        rows = zip(RED_STATES, choices, strict=True)
        table = {state: [p if p > 0 else None for p in row] for state, row in rows}
    return {
        "green": {
            "phishing_error_rate": variant.phishing_rate,
            "fp_detection_rate": variant.false_alarm_rate,
        },
        "red": {} if table is None else {"state_transitions_probability": table},
    }


def action_settings(variant: Variant) -> dict[str, dict[str, Any]]:
    """Return, per class of action, the attributes of each action object that the variant sets."""
    settings: dict[str, dict[str, Any]] = {
        "AggressiveServiceDiscovery": {"detection_rate": variant.aggressive_scan_detection},
        "StealthServiceDiscovery": {"detection_rate": variant.stealth_scan_detection},
    }
    if variant.red_one_tick:
        for name in RED_ACTIONS:
            settings.setdefault(name, {})["duration"] = 1
    return settings


def apply_variant(controller: Any, variant: Variant) -> None:
    """Give one simulation the rates of a variant; they hold for all its later resets and steps."""
    teams, actions = agent_settings(variant), action_settings(variant)
    create_agents, replace_invalid = controller._create_agents, controller.replace_action_if_invalid

    def create(scenario: Any, agent_classes: Any = None) -> Any:
        interfaces = create_agents(scenario, agent_classes)
        for name, interface in interfaces.items():
            for key, value in teams.get(name.partition("_")[0], {}).items():
                if hasattr(interface.agent, key):  # a sleeping agent has no rates
                    setattr(interface.agent, key, value)
        return interfaces

    def replace(action: Any, agent: Any) -> Any:
        # Every action passes this check once, before its duration is read and before it is executed.
        action = replace_invalid(action, agent)
        for key, value in actions.get(type(action).__name__, {}).items():
            setattr(action, key, value)
        return action

    controller._create_agents = create
    controller.replace_action_if_invalid = replace


# ---------------------------------------------------------------------------------------------- rewards
class _RecordedZone(dict[str, int]):
    """The rewards of one subnet; notes each look-up, which is the moment CybORG charges it."""

    def __init__(self, rewards: dict[str, int], record: npt.NDArray[np.float64]) -> None:
        super().__init__(rewards)
        self._record = record

    def __getitem__(self, part: str) -> int:
        value = super().__getitem__(part)
        self._record[_PART_INDEX[part]] += value
        return value


class RewardRecorder:
    """Notes what CybORG's own reward calculator charges, by subnet and part."""

    def __init__(self, controller: Any) -> None:
        self.parts = np.zeros((spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        machine = controller.team_reward_calculators["Blue"]["BlueRewardMachine"]
        get_phase_rewards = machine.get_phase_rewards

        def recorded(phase: int) -> dict[str, _RecordedZone]:
            self.parts = np.zeros((spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
            return {
                zone: _RecordedZone(rewards, self.parts[_SUBNET_INDEX[zone]])
                for zone, rewards in get_phase_rewards(phase).items()
            }

        machine.get_phase_rewards = recorded


# -------------------------------------------------------------------------------------------- shortcuts
def install_shortcuts(controller: Any) -> None:
    """Skip work of one simulation whose result nothing in CAGE Challenge 4 reads.

    Observations of blue and red, rewards, the world and the random stream stay exactly the same; a test plays
    both in lockstep. Observations of green agents, which act blindly, are not put together any more.
    """
    for calculators in controller.team_reward_calculators.values():
        for calculator in calculators.values():
            calculator.calculate_simulation_reward = types.MethodType(_reward_without_true_state, calculator)
    filter_obs, last_observation = controller._filter_obs, controller.get_last_observation
    empty = types.SimpleNamespace(data={})

    def filter_unless_empty(obs: Any, agent_name: str | None = None) -> Any:
        # Most results name no host, and then the filter has nothing to remove.
        if any(isinstance(value, dict) or hasattr(value, "filter_addresses") for value in obs.data.values()):
            return filter_obs(obs, agent_name)
        return obs

    def last_unless_green(agent: str) -> Any:
        return empty if agent.startswith("green") else last_observation(agent)

    replace_invalid = controller.replace_action_if_invalid
    destinations = _Destinations()

    def replace(action: Any, agent: Any) -> Any:
        action = replace_invalid(action, agent)
        if type(action).__name__ == "GreenAccessService":
            choose = functools.partial(destinations.choose, action.ip_address, action.allowed_subnets)
            action.random_reachable_ip = choose
        return action

    controller._filter_obs = filter_unless_empty
    controller.replace_action_if_invalid = replace
    controller.get_last_observation = last_unless_green
    controller.sort_action_order = types.MethodType(_order_without_routes, controller)
    controller.get_connected_agents = types.MethodType(_connected_agents, controller)


class _Destinations:
    """The servers that green users may visit, listed once per zone, phase and world, not at each visit."""

    def __init__(self) -> None:
        self._state: Any = None
        self._servers: dict[tuple[Any, ...], list[Any]] = {}

    def choose(self, source: Any, allowed: list[Any], state: Any) -> Any:
        """Draw a destination as ``GreenAccessService.random_reachable_ip`` does: same list, same draw.

        The source itself needs no exclusion from the list: green users sit on user hosts, never on servers.
        """
        if state is not self._state:
            self._state, self._servers = state, {}
        zone = state.hostname_subnet_map[state.ip_addresses[source]]
        zones = tuple(allowed) if zone in allowed else (zone,)
        if zones not in self._servers:
            networks = [state.subnet_name_to_cidr[name] for name in zones]
            self._servers[zones] = [
                address
                for address, host in state.ip_addresses.items()
                if "server" in host and any(address in network for network in networks)
            ]
        return state.np_random.choice(self._servers[zones])


def shorten_state(controller: Any) -> None:
    """Stop one world from searching its unchanging network after each step; call after each reset."""
    controller.state.update_data_links = _do_nothing


def _do_nothing() -> None:
    pass


def _reward_without_true_state(calculator: Any, controller: Any) -> Any:
    # The true state takes more than half of a step to build, and no calculator of this challenge reads it.
    return calculator.calculate_reward({}, controller.action, controller.observation, controller.done, controller.state)


def _order_without_routes(controller: Any, actions: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    # Routes only decide which actions are dropped for lack of bandwidth, and every action uses none. The
    # order of that count is still drawn, because the draw moves the random stream.
    flat = [(agent, action) for agent, listed in actions.items() for action in listed]
    ordered: list[tuple[str, Any]] = controller.filter_actions(sorted(flat, key=lambda pair: pair[1].priority))
    controller.np_random.shuffle(list(range(len(ordered))))
    return ordered


def _connected_agents(controller: Any, agent: str) -> list[str]:
    # The network is one connected tree, so an agent hears every other one that has a session without parent.
    sessions = controller.state.sessions
    if all(session.parent is not None for session in sessions[agent].values()):
        return [agent]
    return [
        other
        for other, owned in sessions.items()
        if other != agent and any(session.parent is None for session in owned.values())
    ]
