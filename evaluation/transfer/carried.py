"""Carried policies on CC4: bundles by name, and the controls without which a transfer score means nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.bundle import Bundle, BundleError, MakeCarried, load_bundle
from adapters.cc4.carrier import LinearMap
from adapters.cc4.own_draws import OwnDraws
from evaluation.inputs.errors import BadInput
from evaluation.policies.silenced import Dicing, Silenced
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy
from native_sim.soc import policies as soc_policies
from native_sim.soc import spec as soc

SCRIPTED: Final = ("adaptive", "rule-soar", "best-constant", "random", "no-defense")


def make_scripted(described: Mapping[str, Any]) -> Policy:
    """Make a scripted carried policy.

    Raises:
        BadInput: If the description means nothing here.
    """
    if described.get("kind") == "scripted" and described.get("name") in SCRIPTED:
        return soc_policies.make_policy(str(described["name"]))
    raise BadInput(f"a bundle carries a scripted or a trained SOC policy; this one says {dict(described)}")


class RandomNetwork(Policy):
    """Untrained weights: a tanh network of one hidden layer per role, drawn from a seed. A control."""

    def __init__(self, seed: int, hidden: int = 64) -> None:
        generator = np.random.Generator(np.random.PCG64(seed))
        self._weights = {
            role: (
                generator.normal(size=(soc.OBSERVATION_SIZES[i], hidden)) / np.sqrt(soc.OBSERVATION_SIZES[i]),
                generator.normal(size=(hidden, soc.ACTION_SIZES[i])) / np.sqrt(hidden),
            )
            for i, role in enumerate(soc.AGENTS)
        }

    def initial_memory(self, num_envs: int) -> None:
        """Remember nothing."""

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Answer without having learned anything."""
        outputs = {
            role: np.tanh(np.tanh(obs[role] @ first) @ second) for role, (first, second) in self._weights.items()
        }
        outputs["triage"] = outputs["triage"].argmax(axis=1)
        return Decision(outputs, None)


class ShuffledObservations(Policy):
    """Plays a policy on observations whose entries change places, the same way in every step. A control.

    The entries of the directive stay where they are: what is taken away is what the roles see, and not what they are
    told to do.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        generator = np.random.Generator(np.random.PCG64(seed))
        self._policy = policy
        self._order = {role: _shuffled(role, generator) for role in soc.AGENTS}
        self.draws_per_agent = policy.draws_per_agent

    def initial_memory(self, num_envs: int) -> Any:
        """Return the policy's."""
        return self._policy.initial_memory(num_envs)

    def exact(self) -> ShuffledObservations:
        """Return this policy with actions in double precision."""
        twin = copy.copy(self)
        twin._policy = self._policy.exact()
        return twin

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Show the entries in another order."""
        return self._policy.act(self._shuffle(obs), mask, memory, draws)

    def follow(
        self, directive: Array, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray
    ) -> Decision:
        """Show the entries in another order, and pass on the directive."""
        return self._policy.follow(directive, self._shuffle(obs), mask, memory, draws)

    def _shuffle(self, obs: ObservationBatch) -> dict[str, Array]:
        return {role: obs[role][:, order] for role, order in self._order.items()}


def _shuffled(role: str, generator: np.random.Generator) -> Array:
    """Return which entry of a role's observation is shown in which place; those of the directive keep theirs."""
    layout = soc.OBSERVATIONS[role]
    order = np.arange(layout.size)
    told = [order[entry.slice] for entry in layout if entry.name in ("directive", "routing")]
    others = np.setdiff1d(order, np.concatenate(told))
    order[others] = generator.permutation(others)
    return order


def _generator(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose,))))


def random_map(linear: LinearMap, generator: np.random.Generator) -> LinearMap:
    """Return a random map of the same size: each term's weights change places and signs. Its offset stays."""
    coef = np.stack([generator.permutation(column) for column in linear.coef.T], axis=1)
    return LinearMap(coef * generator.choice((-1.0, 1.0), coef.shape), linear.intercept)


def shuffled_map(linear: LinearMap, generator: np.random.Generator) -> LinearMap:
    """Return the map of someone who confuses the features: every one is read in the place of another."""
    return LinearMap(linear.coef[generator.permutation(len(linear.coef))], linear.intercept)


def _with_maps(bundle: Bundle, change: Callable[[LinearMap, np.random.Generator], LinearMap], seed: int) -> Bundle:
    generator = _generator(seed, 1)
    return replace(bundle, hosts=change(bundle.hosts, generator), zones=change(bundle.zones, generator))


Made = tuple[Bundle, Array | None, Callable[[Policy], Policy]]
"""The bundle to play, a constant directive if any, and what becomes of the carried policy."""


def _keep(policy: Policy) -> Policy:
    return policy


def _carrying(name: str) -> Callable[[Bundle, int], Made]:
    """Return the control in which another scripted policy is carried."""
    return lambda bundle, seed: (bundle, None, lambda policy: soc_policies.make_policy(name))


def _silencing(role: str) -> Callable[[Bundle, int], Made]:
    """Return the control in which a role does nothing."""
    return lambda bundle, seed: (bundle, None, lambda policy: Silenced(policy, role))


def _dicing(role: str) -> Callable[[Bundle, int], Made]:
    """Return the control in which a role draws at random."""
    return lambda bundle, seed: (bundle, None, lambda policy: Dicing(policy, role))


def _unwatched(bundle: Bundle, seed: int) -> Made:
    """Return the control in which an agent with nothing to do waits."""
    if bundle.mapper_weights is not None:
        raise BadInput(
            f"bundle {bundle.name} has a learned mapper, in which looking without being asked cannot be told apart; "
            "without-watch needs a bundle with the table"
        )
    return replace(bundle, mapper=replace(bundle.mapper, watch=False)), None, _keep


CONTROLS: Final[dict[str, Callable[[Bundle, int], Made]]] = {
    "ops-only": lambda bundle, seed: (bundle, np.zeros(8), _keep),
    "constant-directive": lambda bundle, seed: (bundle, bundle.usual_directive, _keep),
    "random-projection": lambda bundle, seed: (_with_maps(bundle, random_map, seed), None, _keep),
    "shuffled-features": lambda bundle, seed: (_with_maps(bundle, shuffled_map, seed), None, _keep),
    "shuffled-observations": lambda bundle, seed: (bundle, None, lambda policy: ShuffledObservations(policy, seed)),
    "untrained": lambda bundle, seed: (bundle, None, lambda policy: RandomNetwork(seed)),
    "random-policy": lambda bundle, seed: (bundle, None, lambda policy: soc_policies.RandomActions()),
    "idle-policy": lambda bundle, seed: (bundle, None, lambda policy: soc_policies.NoDefense()),
    "without-watch": _unwatched,
    **{name: _carrying(name) for name in ("best-constant", "rule-soar")},
    **{f"without-{role}": _silencing(role) for role in soc.AGENTS},
    **{f"random-{role}": _dicing(role) for role in soc.AGENTS},
}
"""What may follow a bundle's path after ``@``, with ``.SEED`` where chance takes part."""
PAPER: Final = "paper"
"""Before a control or alone: the paper's assignment, as in ``@paper`` or ``@paper+ops-only``."""
OWN_DRAWS: Final = "own-draws"
"""Before everything else or alone: the policy makes its draws itself from what it sees, as an exported one does."""


def make_played(folder: Path, wanted: str, make: MakeCarried) -> Policy:
    """Make the policy of the bundle in a folder.

    Args:
        folder: Of the bundle.
        wanted: What follows ``@`` in a name; empty for the bundle as it is.
        make: Makes the carried policy.

    Raises:
        BadInput: If there is no such bundle or control.
    """
    own_draws, assignment, control, seed = _parse(wanted)
    try:
        bundle = load_bundle(folder)
        if assignment:
            bundle = bundle.with_assignment(assignment)
        played, directive, change = CONTROLS[control](bundle, seed) if control else (bundle, None, _keep)
        policy = played.policy(lambda described, where: change(make(described, where)), folder, directive)
    except BundleError as error:
        raise BadInput(str(error)) from error
    return OwnDraws(policy) if own_draws else policy


def _parse(wanted: str) -> tuple[bool, str | None, str, int]:
    """Return own draws or not, assignment (None for the bundle's own), control and seed of what follows ``@``."""
    own_draws, rest = _leads(OWN_DRAWS, wanted)
    assigned, rest = _leads(PAPER, rest)
    control, _, seed = rest.partition(".")
    if (control and control not in CONTROLS) or (seed and not seed.isdigit()):
        raise BadInput(
            f"unknown control {wanted!r} of a bundle; allowed are {PAPER}, {', '.join(CONTROLS)}, "
            f"{PAPER}+ before one of these, .SEED after it, and {OWN_DRAWS}+ before everything"
        )
    return own_draws, PAPER if assigned else None, control, int(seed or 0)


def _leads(word: str, text: str) -> tuple[bool, str]:
    """Return whether a text is a word or begins with it and a plus, and what follows."""
    first, _, rest = text.partition("+")
    return (True, rest) if first == word else (False, text)
