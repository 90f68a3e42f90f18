"""Lockstep proof: the native engine beside the real CybORG, compared after every step with tolerance zero.

:func:`play_side_by_side` plays one episode in both engines with the same seed and the same actions, reads everything
that decides their future and everything that anyone may see (:mod:`cage4.parity.snapshots`), and stops at the first
difference. CybORG comes through ``cage4.cyborg.engine``, without any of our shortcuts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.native.world import codes
from cage4.parity.drivers import DRIVERS, Play
from cage4.parity.snapshots import Snapshot, layout_of, snapshot_cyborg, snapshot_native
from cage4.variants import Variant
from native_sim.api import Array

if TYPE_CHECKING:
    from cage4.cyborg.engine import CyborgEpisode, CyborgFrame

CyborgFactory = Callable[[Variant, int, int, bool], "CyborgEpisode"]
"""(variant, steps, seed, pad_spaces) -> a freshly constructed CybORG with the rich observation."""


# --------------------------------------------------------------------------------------------------- comparison
class Difference(NamedTuple):
    """One field that differs, with both values."""

    field: str
    cyborg: Any
    native: Any


def differences(cyborg: Snapshot, native: Snapshot) -> list[Difference]:
    """Return the fields that differ; of a dictionary or a vector, only the entries that do."""
    found: list[Difference] = []
    for field, a in cyborg.items():
        b = native[field]
        if not isinstance(a, dict):
            if a != b:
                found.append(Difference(field, a, b))
            continue
        for key in [*a, *(key for key in b if key not in a)]:
            left, right = a.get(key), b.get(key)
            if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
                found += _entries(field, key, left, right)
            elif left != right:
                found.append(Difference(f"{field}[{key}]", left, right))
    return found


def _entries(field: str, key: str, a: Array, b: Array) -> Iterator[Difference]:
    """Name the entries of two vectors that differ."""
    if a.shape != b.shape:
        yield Difference(f"{field}[{key}] shape", a.shape, b.shape)
        return
    layout = layout_of(field, key)
    for index in np.flatnonzero(a != b):
        part = next((f for f in layout or () if f.start <= index < f.slice.stop), None)
        name = f"{part.name}[{index - part.start}]" if part else f"[{index}]"
        yield Difference(f"{field}[{key}] {name}", int(a[index]), int(b[index]))


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
        return _plain(value.tolist()) if value.dtype.kind == "f" else value.tolist()
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Lockstep:
    """How far two engines went together."""

    steps: int
    """Steps compared and found equal."""
    episodes: int
    """Episodes begun."""
    divergence: tuple[Difference, ...] = ()
    """What differed first; empty if nothing did."""

    def __str__(self) -> str:
        if not self.divergence:
            return f"{self.steps} steps in {self.episodes} episodes, no difference"
        lines = [f"first difference after {self.steps} equal steps (episode {self.episodes}):"]
        lines += [f"  {d.field}\n    CybORG: {d.cyborg}\n    native: {d.native}" for d in self.divergence]
        return "\n".join(lines)


# -------------------------------------------------------------------------------------------------------- play
def step_cyborg(episode: CyborgEpisode, play: Play) -> CyborgFrame:
    """Play one joint action in CybORG."""
    actions: dict[str, Any] = {}
    for i, name in enumerate(spec.BLUE_AGENTS):
        if play.commands is not None:
            actions[name] = cyborg_action(play.commands[i], i)
        else:
            assert play.indices is not None
            actions[name] = int(play.indices[i])
    return episode.step(actions, play.messages)


def step_native(env: NativeVectorEnv, play: Play) -> Snapshot:
    """Play one joint action in the native engine, and return its snapshot."""
    messages = None if play.messages is None else play.messages[None]
    if play.commands is not None:
        batch = env.step_commands(play.commands[None], messages)
    else:
        assert play.indices is not None
        batch = env.step({name: play.indices[i : i + 1] for i, name in enumerate(spec.BLUE_AGENTS)}, messages)
    return snapshot_native(env, batch.observations, batch.infos)


def cyborg_action(command: Array, blue: int) -> Any:
    """Return CybORG's action object for a command (verb, target, source)."""
    from cage4.cyborg.engine import load_cyborg

    if command[0] == codes.INVALID:
        return load_cyborg().commands["InvalidAction"]()
    verb = spec.Verb(int(command[0]))
    make = load_cyborg().commands[verb.cyborg_name]
    if verb is spec.Verb.SLEEP:
        return make()
    common = {"session": 0, "agent": spec.BLUE_AGENTS[blue]}
    if verb is spec.Verb.MONITOR:
        return make(**common)
    if verb in spec.TRAFFIC_VERBS:
        to, source = (spec.Subnet(int(zone)).cyborg_name for zone in command[1:])
        return make(**common, from_subnet=source, to_subnet=to)
    return make(**common, hostname=codes.host_name(int(command[1])))


def untouched_cyborg(variant: Variant, steps: int, seed: int, pad_spaces: bool = True) -> CyborgEpisode:
    """Make the CybORG side of a comparison, without any of our shortcuts.

    Raises:
        CyborgUnavailable: If there is no CybORG to compare with.
    """
    from cage4.cyborg.engine import CyborgEpisode

    return CyborgEpisode(variant, steps, seed, pad_spaces, shortcuts=False, rich=True)


def play_side_by_side(
    cyborg_factory: CyborgFactory,
    variant: Variant,
    steps: int,
    seed: int,
    driver: str = "valid",
    episodes: int = 1,
    pad_spaces: bool = True,
) -> Lockstep:
    """Play whole episodes in both engines and compare after each reset and step.

    Both are constructed with the seed and reset without one, so later episodes continue the random stream.

    Args:
        cyborg_factory: Makes the CybORG side.
        variant: The scenario, which the factory must apply to CybORG.
        steps: Episode length in CybORG's sense.
        seed: Seed of the simulators, and of blue's play.
        driver: One of :data:`~cage4.parity.drivers.DRIVERS`.
        episodes: Number of episodes.
        pad_spaces: Give all agents the sizes of agent 4, in both engines.

    Raises:
        ValueError: If the driver is unknown.
    """
    if driver not in DRIVERS:
        raise ValueError(f"unknown driver {driver!r}; choose one of {', '.join(DRIVERS)}")
    cyborg = cyborg_factory(variant, steps, seed, pad_spaces)
    native = NativeVectorEnv(1, variant, steps, seed, pad_spaces=pad_spaces, rich=True)
    rng = np.random.default_rng([seed, 2])
    equal = 0
    for episode in range(1, episodes + 1):
        theirs, ours = snapshot_cyborg(cyborg, cyborg.reset()), snapshot_native(native, *native.reset())
        found = differences(theirs, ours)
        for _ in range(spec.episode_length(steps)):
            if found:
                return Lockstep(equal, episode, tuple(found))
            play = DRIVERS[driver](rng, native)
            theirs, ours = snapshot_cyborg(cyborg, step_cyborg(cyborg, play)), step_native(native, play)
            found = differences(theirs, ours)
            equal += not found
        if found:
            return Lockstep(equal, episode, tuple(found))
    return Lockstep(equal, episodes)
