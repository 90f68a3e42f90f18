"""A policy at the official judge: asked agent by agent there, deciding once per step for all five here.

An exported submission brings this module along. It imports nothing of CybORG: what it needs of it is a
``BlueFlatWrapper``, whose ``reset`` and ``step`` it replaces on that one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from cage4 import actions, spec
from cage4.cyborg.rich import RichRecorder
from cage4.observations.rich import DTYPE as RICH_DTYPE
from native_sim.api import Array, Policy

AVAILABLE: Final = ("busy", "phase", "rich")
"""What a policy may want beside the flat vectors: what an agent can know at the judge."""


class Team:
    """Plays one policy through the judge's calls, one environment, one episode after another.

    Args:
        policy: It must not draw random numbers, and may want only what is in :data:`AVAILABLE`.

    Raises:
        ValueError: If the policy asks for more than the judge gives.
    """

    def __init__(self, policy: Policy) -> None:
        check_policy(policy)
        self._policy = policy
        self._recorder: RichRecorder | None = None
        self._observations: dict[str, Array] = {}
        self._mask: dict[str, Array] = {}
        self._memory: Any = None
        self._busy = np.zeros((1, spec.NUM_BLUE), np.int64)
        self._chosen: dict[str, int] | None = None
        self._messages: dict[str, Array] | None = None

    def join(self, wrapper: Any) -> Any:
        """Take over a ``BlueFlatWrapper`` and return it; its ``reset`` and ``step`` keep their meaning."""
        reset, step = wrapper.reset, wrapper.step
        if "rich" in self._policy.wants:
            self._recorder = RichRecorder(wrapper)

        def watched_reset(*args: Any, **kwargs: Any) -> Any:
            if self._recorder:
                self._recorder.begin_episode()
            result = reset(*args, **kwargs)
            self._begin(*result)
            return result

        def watched_step(actions: Any = None, messages: Any = None, **kwargs: Any) -> Any:
            result = step(actions, messages=self._messages if messages is None else messages, **kwargs)
            self._played(result[0])
            return result

        wrapper.reset, wrapper.step = watched_reset, watched_step
        return wrapper

    def action(self, agent: str) -> int:
        """Return an agent's action in the coming step; the first call of a step decides for all five."""
        if self._chosen is None:
            self._chosen = self._decide()
        return self._chosen[agent]

    def _begin(self, observations: Mapping[str, Array], infos: Mapping[str, Any]) -> None:
        self._mask = {name: np.array([infos[name]["action_mask"]], np.int8) for name in spec.BLUE_AGENTS}
        self._memory = self._policy.initial_memory(1)
        self._busy[:] = 0
        self._messages = None
        self._see(observations)

    def _played(self, observations: Mapping[str, Array]) -> None:
        """Count the ticks of the five commands, as CybORG does: what is submitted to a busy agent is dropped."""
        for i, name in enumerate(spec.BLUE_AGENTS):
            if self._busy[0, i] == 0 and self._chosen is not None:
                is_valid = self._mask[name][0, self._chosen[name]] == 1
                verb = actions.VERB[i, self._chosen[name]] if is_valid else spec.Verb.SLEEP
                self._busy[0, i] = spec.DURATION[verb]
        self._busy = np.maximum(self._busy - 1, 0)
        self._see(observations)

    def _see(self, observations: Mapping[str, Array]) -> None:
        self._observations = {name: np.array([observations[name]], np.int8) for name in spec.BLUE_AGENTS}
        self._chosen = None

    def _decide(self) -> dict[str, int]:
        obs: dict[str, Any] = dict(self._observations)
        if "busy" in self._policy.wants:
            obs["busy"] = self._busy.copy()
        if "phase" in self._policy.wants:
            obs["phase"] = self._observations[spec.BLUE_AGENTS[0]][:, 0].astype(np.int64)
        if self._recorder:
            vectors = zip(spec.BLUE_AGENTS, self._recorder.vectors(), strict=True)
            obs["rich"] = {name: np.array([vector], RICH_DTYPE) for name, vector in vectors}
        decision = self._policy.act(obs, self._mask, self._memory, np.zeros((1, spec.NUM_BLUE, 0)))
        self._memory = decision.memory
        if decision.messages is not None:
            bits = np.asarray(decision.messages)[0].astype(bool)
            self._messages = dict(zip(spec.BLUE_AGENTS, bits, strict=True))
        else:
            self._messages = None
        return {name: int(decision.actions[name][0]) for name in spec.BLUE_AGENTS}


def check_policy(policy: Policy) -> None:
    """Refuse a policy that cannot play at the judge as it does here.

    Raises:
        ValueError: One sentence naming what it asks for and why the judge cannot give it.
    """
    if policy.draws_per_agent:
        raise ValueError(
            f"the policy takes {policy.draws_per_agent} random draws per agent and step, but the official evaluation "
            f"tells no episode seed from which the same draws could follow; make it decide without draws"
        )
    missing = [name for name in policy.wants if name not in AVAILABLE]
    if missing:
        raise ValueError(
            f"the policy wants {missing[0]!r}, which no agent knows at the official evaluation; "
            f"it may want {', '.join(AVAILABLE)}"
        )
