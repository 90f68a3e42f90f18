"""Two scripted defenders: the least that a learned one should beat, on the flat and on the rich observation.

While an action is in progress, an agent of either sleeps and remembers what it sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cage4 import actions, spec
from cage4.actions import BlueAction
from cage4.observations import flat as observation
from cage4.observations import rich
from cage4.spec import Verb
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy

CLEAR, ALARM, INTRUSION = 0, 1, 2


def _indices(agent: int, verb: Verb) -> Array:
    """[host slots of the agent] -> index of a host command."""
    slots = range(spec.MAX_HOSTS_PER_SUBNET)
    owned = spec.BLUE_SUBNETS[agent]
    return np.array([actions.encode(agent, BlueAction(verb, subnet, slot)) for subnet in owned for slot in slots])


class Reactive(Policy):
    """Sees the flat observation only: answers events, and places decoys in quiet times.

    A host that shows process and connection events in the same step is restored; one that shows a process event
    alone is removed from; with nothing to answer, decoys are placed on hosts in turn.
    """

    wants = ("busy",)

    def __init__(self) -> None:
        agents = range(spec.NUM_BLUE)
        self._restore = [_indices(agent, Verb.RESTORE) for agent in agents]
        self._remove = [_indices(agent, Verb.REMOVE) for agent in agents]
        self._decoy = [_indices(agent, Verb.DEPLOY_DECOY) for agent in agents]

    def initial_memory(self, num_envs: int) -> Any:
        """Per agent: the suspicion of every host slot, and how many decoys were placed on it."""
        return {
            name: (np.zeros((num_envs, len(slots)), np.int64), np.zeros((num_envs, len(slots)), np.int64))
            for name, slots in zip(spec.BLUE_AGENTS, self._restore, strict=True)
        }

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Answer the worst suspicion of each agent."""
        chosen, kept = {}, {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            suspicion, decoys = memory[name]
            fields = observation.decode(i, obs[name])
            process, connection = (field.reshape(suspicion.shape) for field in (fields.process, fields.connection))
            suspicion = np.maximum(suspicion, np.where(process & connection, INTRUSION, process * ALARM))
            free = obs["busy"][:, i] == 0
            rows, worst = np.arange(len(free)), suspicion.argmax(axis=1)
            level = suspicion[rows, worst]
            exists = mask[name][:, self._decoy[i]] == 1
            next_decoy = np.where(exists, decoys, np.iinfo(np.int64).max).argmin(axis=1)
            answer = np.where(level == INTRUSION, self._restore[i][worst], self._remove[i][worst])
            action = np.where(level == CLEAR, self._decoy[i][next_decoy], answer)
            chosen[name] = np.where(free, action, actions.SLEEP[i])
            suspicion, decoys = suspicion.copy(), decoys.copy()
            suspicion[rows[free], worst[free]] = CLEAR
            placed = free & (level == CLEAR)
            decoys[rows[placed], next_decoy[placed]] += 1
            kept[name] = (suspicion, decoys)
        return Decision(chosen, kept)


class Investigator(Policy):
    """Looks at hosts one after another and restores what is proven; sees the rich observation.

    Proof is a file found by Analyse, or a new process reported with its id (a false alarm has none). Without
    proof, the host not looked at for longest is analysed.
    """

    wants = ("busy", "rich")

    def __init__(self) -> None:
        agents = range(spec.NUM_BLUE)
        self._restore = [_indices(agent, Verb.RESTORE) for agent in agents]
        self._analyse = [_indices(agent, Verb.ANALYSE) for agent in agents]

    def initial_memory(self, num_envs: int) -> Any:
        """Per agent and host slot: proof (0/1), and steps since the last look."""
        return {
            name: tuple(np.zeros((num_envs, len(slots)), np.int64) for _ in range(2))
            for name, slots in zip(spec.BLUE_AGENTS, self._restore, strict=True)
        }

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Restore, or look at the next host."""
        chosen, kept = {}, {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            proof, age = memory[name]
            seen = rich.decode(i, obs["rich"][name])
            found = seen.file_cmd | seen.file_escalate | (seen.process_events > 0)
            proof = np.maximum(proof, _slots(found, proof.shape))
            exists = mask[name][:, self._analyse[i]] == 1
            rows = np.arange(len(exists))
            free = obs["busy"][:, i] == 0
            guilty = proof.argmax(axis=1)
            proven = proof[rows, guilty] > 0
            target = np.where(exists, age, -1).argmax(axis=1)
            action = np.where(proven, self._restore[i][guilty], self._analyse[i][target])
            chosen[name] = np.where(free, action, actions.SLEEP[i])
            proof, age = proof.copy(), age + 1
            acted = np.where(proven, guilty, target)
            proof[rows[free], acted[free]] = age[rows[free], acted[free]] = 0
            kept[name] = (proof, age)
        return Decision(chosen, kept)


def _slots(field: Array, shape: tuple[int, ...]) -> Array:
    """[N, Z, 17] -> [N, 16 * Z]: host slots without the router, which no command can act on."""
    return field[..., : spec.MAX_HOSTS_PER_SUBNET].reshape(shape).astype(np.int64)
