"""Ways of playing blue when two engines are compared, or a trace is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cage4 import actions, spec
from cage4.native.agents.blue import CATALOGUE
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.observations import flat as observation
from cage4.observations.spaces import action_sizes


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
    """Draw any index, also those that the mask forbids and those that only pad."""
    return Play(rng.integers(0, action_sizes(env.pad_spaces)))


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


def play_malformed(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Draw valid actions, but let up to two agents submit CybORG's InvalidAction, now and then while busy."""
    indices = play_valid(rng, env).indices
    assert indices is not None
    commands = CATALOGUE[np.arange(spec.NUM_BLUE), indices].astype(np.int64)
    malformed = rng.choice(spec.NUM_BLUE, rng.integers(0, 3), replace=False)
    if len(malformed):  # longer sums of tenths depend on the version of Python that CybORG runs on
        commands[commands[:, 0] == codes.RESTORE] = codes.SLEEP, 0, 0
    commands[malformed] = codes.INVALID, 0, 0
    return Play(None, commands)


def play_reactive(rng: np.random.Generator, env: NativeVectorEnv) -> Play:
    """Answer what the flat observation shows: Restore or Remove hosts with events, otherwise any valid action."""
    indices = play_valid(rng, env).indices
    assert indices is not None
    for i, owned in enumerate(spec.BLUE_SUBNETS):
        seen = observation.decode(i, env.state.observation[0, i])
        for verb, events in ((spec.Verb.RESTORE, seen.process & seen.connection), (spec.Verb.REMOVE, seen.process)):
            shown = np.argwhere(events)
            if len(shown):
                zone, slot = rng.choice(shown)
                indices[i] = actions.encode(i, actions.BlueAction(verb, owned[zone], int(slot)))
                break
    return Play(indices)


DRIVERS: dict[str, Driver] = {
    "sleep": play_sleep,
    "valid": play_valid,
    "any": play_any,
    "messages": play_messages,
    "reactive": play_reactive,
    "resubmit": play_resubmit,
    "commands": play_commands,
    "malformed": play_malformed,
    **{verb.name.lower(): biased_to(verb) for verb in spec.Verb if verb is not spec.Verb.SLEEP},
}
"""Name -> how blue plays in a comparison."""
