"""What a learner must know of an environment before it builds networks: sizes and names, not the environment itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from gymnasium.spaces import Box, Discrete, MultiDiscrete

from native_sim.api import HasLayouts, Layout, VectorEnv


@dataclass(frozen=True)
class Agent:
    """One agent of the environment."""

    name: str
    observation: Layout  # F named entries; one field "all" where the environment names none
    actions: int  # U: numbers of a box, or choices
    discrete: bool


@dataclass(frozen=True)
class Interface:
    """The agents of an environment in their order, and the size of the true state (0: none is shown)."""

    agents: tuple[Agent, ...]
    state_size: int

    def __getitem__(self, name: str) -> Agent:
        for agent in self.agents:
            if agent.name == name:
                return agent
        raise KeyError(f"no agent {name!r}; the agents are {', '.join(agent.name for agent in self.agents)}")

    @property
    def digest(self) -> str:
        """Hash of every name, size and order: weights fit only where it is equal."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, from which :func:`from_dict` makes an equal interface."""
        return {
            "state_size": self.state_size,
            "agents": [
                {
                    "name": agent.name,
                    "actions": agent.actions,
                    "discrete": agent.discrete,
                    "observation": [[field.name, list(field.shape)] for field in agent.observation],
                }
                for agent in self.agents
            ],
        }


def from_dict(data: dict[str, Any]) -> Interface:
    """Make an interface from what :meth:`Interface.to_dict` returned."""
    agents = []
    for entry in data["agents"]:
        shapes = {name: tuple(shape) for name, shape in entry["observation"]}
        layout = make_layout(entry["name"], shapes)
        agents.append(Agent(entry["name"], layout, int(entry["actions"]), bool(entry["discrete"])))
    return Interface(tuple(agents), int(data["state_size"]))


def make_layout(name: str, shapes: dict[str, tuple[int, ...]]) -> Layout:
    """Return a layout of fields with these shapes, one after the other."""
    return Layout.of(name, ((field, shape, 0, float("inf"), "") for field, shape in shapes.items()))


def describe(env: VectorEnv, state_size: int = 0) -> Interface:
    """Return the interface of any vector environment.

    Args:
        env: Its observation layouts are used where it has them (:class:`native_sim.api.HasLayouts`).
        state_size: Length of ``infos["state"]``, 0 where the environment shows none.

    Raises:
        ValueError: If an observation is neither a flat box nor flat whole numbers, or an action is neither a flat box
            nor discrete.
    """
    layouts = env.observation_layouts if isinstance(env, HasLayouts) else {}
    agents = []
    spaces, actions = cast(Any, env.single_observation_space), cast(Any, env.single_action_space)
    for name in env.agents:
        space, action = spaces[name], actions[name]
        if not isinstance(space, Box | MultiDiscrete) or len(space.shape) != 1:
            raise ValueError(f"observations of {name} are {space}; a learner needs a flat box, or flat whole numbers")
        flat = isinstance(action, Box) and len(action.shape) == 1
        if not flat and not isinstance(action, Discrete):
            raise ValueError(f"actions of {name} are {action}; a learner needs a flat box or a discrete space")
        layout = layouts.get(name) or make_layout(name, {"all": (int(space.shape[0]),)})
        count = int(action.n) if isinstance(action, Discrete) else int(action.shape[0])
        agents.append(Agent(name, layout, count, isinstance(action, Discrete)))
    return Interface(tuple(agents), state_size)
