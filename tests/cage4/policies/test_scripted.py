"""The scripted defenders: each rule of their docstrings, on hand-made observations."""

import numpy as np
import pytest

from cage4 import actions, spec
from cage4.observations import flat as observation
from cage4.observations import rich
from cage4.policies.scripted import Investigator, Reactive
from cage4.spec import Verb


def observe(agent=0, process=(), connection=()):
    obs = {}
    for i, name in enumerate(spec.BLUE_AGENTS):
        fields = observation.decode(i, np.zeros((1, spec.OBSERVATION_SIZES[i]), np.int64))
        if i == agent:
            for slot in process:
                fields.process[0, slot // 16, slot % 16] = 1
            for slot in connection:
                fields.connection[0, slot // 16, slot % 16] = 1
        obs[name] = observation.encode(i, fields)
    return obs


@pytest.fixture
def ask():
    policy = Reactive()
    mask = {name: np.ones((1, n), np.int8) for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)}

    def answer(agent, obs, memory=None, busy=0, absent=()):
        mask[spec.BLUE_AGENTS[agent]][0, policy._decoy[agent][list(absent)]] = 0
        obs = {**obs, "busy": np.full((1, 5), busy)}
        decision = policy.act(obs, mask, memory or policy.initial_memory(1), np.zeros((1, 5, 0)))
        return actions.decode(agent, int(decision.actions[spec.BLUE_AGENTS[agent]][0])), decision.memory

    return answer


@pytest.mark.parametrize(("agent", "slot"), [(0, 0), (1, 15), (4, 20), (4, 47)])
def test_both_events_are_answered_with_restore_and_one_with_remove(ask, agent, slot):
    action, _ = ask(agent, observe(agent, process=[slot], connection=[slot]))
    assert (action.verb, action.slot) == (Verb.RESTORE, slot % 16)
    assert action.subnet == spec.BLUE_SUBNETS[agent][slot // 16]
    action, _ = ask(agent, observe(agent, process=[slot]))
    assert (action.verb, action.slot) == (Verb.REMOVE, slot % 16)


def test_what_is_seen_while_busy_is_answered_later_and_once(ask):
    action, memory = ask(0, observe(0, process=[3], connection=[3]), busy=2)
    assert action.verb == Verb.SLEEP
    action, memory = ask(0, observe(), memory)
    assert (action.verb, action.slot) == (Verb.RESTORE, 3)
    action, memory = ask(0, observe(), memory)
    assert action.verb == Verb.DEPLOY_DECOY


def test_quiet_times_place_decoys_on_existing_hosts_in_turn(ask):
    memory, slots = None, []
    for _ in range(4):
        action, memory = ask(0, observe(connection=[7]), memory, absent=(0, 2))
        assert action.verb == Verb.DEPLOY_DECOY
        slots.append(action.slot)
    assert slots == [1, 3, 4, 5]


def investigate(agent, busy=0, memory=None, absent=(), **seen):
    """Ask the investigator once; ``seen`` names fields of the rich observation and the slots where they are 1."""
    policy = Investigator()
    views = {}
    for i, name in enumerate(spec.BLUE_AGENTS):
        fields = rich.decode(i, np.zeros((1, rich.size(i)), np.int32))
        if i == agent:
            for field, slots in seen.items():
                for slot in slots:
                    getattr(fields, field)[0, slot // 16, slot % 16] = 1
        views[name] = rich.encode(i, fields)
    mask = {name: np.ones((1, n), np.int8) for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)}
    mask[spec.BLUE_AGENTS[agent]][0, policy._analyse[agent][list(absent)]] = 0
    obs = {"busy": np.full((1, 5), busy), "rich": views}
    decision = policy.act(obs, mask, memory or policy.initial_memory(1), np.zeros((1, 5, 0)))
    return actions.decode(agent, int(decision.actions[spec.BLUE_AGENTS[agent]][0])), decision.memory


@pytest.mark.parametrize("proof", ["file_cmd", "file_escalate", "process_events"])
@pytest.mark.parametrize(("agent", "slot"), [(0, 0), (2, 15), (4, 20), (4, 47)])
def test_proof_is_restored_once(proof, agent, slot):
    action, memory = investigate(agent, busy=1, **{proof: [slot]})
    assert action.verb == Verb.SLEEP
    action, memory = investigate(agent, memory=memory)
    assert (action.verb, action.subnet, action.slot) == (Verb.RESTORE, spec.BLUE_SUBNETS[agent][slot // 16], slot % 16)
    action, _ = investigate(agent, memory=memory)
    assert action.verb == Verb.ANALYSE


def test_alarms_are_no_proof_and_hosts_are_looked_at_in_turn():
    memory, slots = None, []
    for _ in range(20):
        action, memory = investigate(0, memory=memory, absent=(1, 5), process_alarms=[3])
        assert action.verb == Verb.ANALYSE
        slots.append(action.slot)
    existing = [slot for slot in range(16) if slot not in (1, 5)]
    assert slots == (existing * 2)[:20]
