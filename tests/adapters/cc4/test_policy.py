from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.mapper_table import DRAWS, FALLBACKS
from cage4 import actions, spec
from cage4.observations import flat as observation
from cage4.spec import Subnet
from native_sim.api import Decision, Policy
from native_sim.soc import policies as soc_policies
from native_sim.soc import spec as soc


class Spy(Policy):
    """Keeps what it is shown, counts steps in its memory, and answers as told."""

    def __init__(self, outputs=None):
        self.outputs = outputs or {}
        self.shown = []

    def initial_memory(self, num_envs):
        return {"steps": np.zeros(num_envs, int), "none": None}

    def act(self, obs, mask, memory, draws):
        self.shown.append((obs, mask, draws))
        count = len(obs["triage"])
        answer = {role: np.broadcast_to(value, (count, *np.shape(value))) for role, value in self.outputs.items()}
        return Decision(answer, {"steps": memory["steps"] + 1, "none": None})


def carry(bundle, policy, **options):
    made = bundle.policy(lambda described, folder: policy, Path(), **options)
    if isinstance(policy, Spy):
        policy.shown.clear()  # it was asked once whether it coordinates
    return made


def run(policy, steps, seed=0, rows=slice(None)):
    """Play a stream; return decisions and the last memory."""
    count = len(steps[0][0]["busy"])
    generator = np.random.default_rng(seed)
    memory = _cut(policy.initial_memory(count), rows)
    decisions = []
    for obs, mask in steps:
        draws = generator.random((count, spec.NUM_BLUE, policy.draws_per_agent))[rows]
        decision = policy.act(_cut(obs, rows), _cut(mask, rows), memory, draws)
        memory = decision.memory
        decisions.append(decision)
    return decisions, memory


def _cut(value, rows):
    if isinstance(value, dict):
        return {name: _cut(part, rows) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_cut(part, rows) for part in value)
    return None if value is None else value[rows]


def check_legal(decision, obs, mask):
    for agent, name in enumerate(spec.BLUE_AGENTS):
        chosen = decision.actions[name]
        assert np.take_along_axis(mask[name], chosen[:, None], axis=1).all(), name
        busy = obs["busy"][:, agent] > 0
        assert (chosen[busy] == actions.SLEEP[agent]).all()
    assert decision.messages.shape == (len(obs["busy"]), 5, 8) and np.isin(decision.messages, (0, 1)).all()


def test_only_a_responder_answers_what_is_confirmed(bundle, stream):
    sure = bundle.hosts._replace(coef=np.zeros_like(bundle.hosts.coef), intercept=np.ones(terms.HOST_TERMS.size))
    policy = carry(
        replace(bundle, hosts=sure, assignment="paper"), Spy({"responder": np.ones(12)}), directive=np.zeros(8)
    )
    decisions, _ = run(policy, stream(7, 64, 10))
    answers = (spec.Verb.REMOVE, spec.Verb.RESTORE)
    answered = [
        sum(np.isin(actions.VERB[agent, decision.actions[name]], answers).sum() for decision in decisions)
        for agent, name in enumerate(spec.BLUE_AGENTS)
    ]
    assert answered[3] > 0 and sum(answered) == answered[3]


@pytest.mark.parametrize("assignment", ["natural", "paper"])
@pytest.mark.parametrize("carried", ["random", "adaptive"])
def test_masks_and_busy_states_are_kept(bundle, stream, carried, assignment):
    policy = carry(bundle.with_assignment(assignment), soc_policies.make_policy(carried))
    steps = stream(0, 64, 10)
    for decision, (obs, mask) in zip(run(policy, steps)[0], steps, strict=True):
        check_legal(decision, obs, mask)


@pytest.mark.slow
def test_masks_are_kept_over_a_million_random_inputs(bundle, stream):
    policy = carry(bundle, soc_policies.make_policy("random"))
    decided = 0
    for seed in range(20):
        steps = stream(seed, 500, 20)
        for decision, (obs, mask) in zip(run(policy, steps, seed)[0], steps, strict=True):
            check_legal(decision, obs, mask)
            decided += decision.messages.shape[0] * spec.NUM_BLUE
    assert decided == 1_000_000


@pytest.mark.parametrize("carried", ["random", "adaptive"])
def test_an_environment_decides_alone_as_it_does_among_others(bundle, stream, carried):
    policy = carry(bundle, soc_policies.make_policy(carried))
    steps = stream(1, 6, 8)
    together, _ = run(policy, steps)
    for row in range(6):
        alone, _ = run(policy, steps, rows=slice(row, row + 1))
        for one, all_of_them in zip(alone, together, strict=True):
            for name in spec.BLUE_AGENTS:
                assert one.actions[name][0] == all_of_them.actions[name][row]
            assert (one.messages[0] == all_of_them.messages[row]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_projection_is_the_same_to_the_last_bit_for_any_number_of_rows(bundle, dtype):
    known = np.random.default_rng(5).random((101, 48, features.HOST.size)).astype(dtype)
    together = bundle.hosts(known)
    for rows in (1, 2, 7, 64):
        assert np.array_equal(bundle.hosts(known[:rows]), together[:rows])
    assert np.allclose(together, known @ bundle.hosts.coef + bundle.hosts.intercept, rtol=0, atol=1e-8)


def test_the_carried_policy_plays_in_double_precision(bundle):
    single, double = Spy(), Spy()
    single.exact = lambda: double
    assert carry(bundle, single).carried is double


def test_a_memory_is_not_changed_by_deciding(bundle, stream):
    policy = carry(bundle, soc_policies.make_policy("adaptive"))
    steps = stream(2, 4, 3)
    memory = run(policy, steps[:2])[1]
    draws = np.random.default_rng(0).random((4, 5, policy.draws_per_agent))
    first = policy.act(*steps[2], memory, draws)
    second = policy.act(*steps[2], memory, draws)
    for name in spec.BLUE_AGENTS:
        assert (first.actions[name] == second.actions[name]).all()


def test_the_carried_policy_sees_the_soc_and_nothing_else(bundle, stream):
    spy = Spy()
    policy = carry(bundle, spy)
    _, memory = run(policy, stream(3, 2, 4))
    assert memory["carried"]["steps"].tolist() == [[4] * 5] * 2
    obs, mask, draws = spy.shown[-1]
    assert set(obs) == set(soc.AGENTS) and draws.shape == (10, 4, 0) and policy.draws_per_agent == DRAWS
    for role, size, choices in zip(soc.AGENTS, soc.OBSERVATION_SIZES, soc.ACTION_SIZES, strict=True):
        assert obs[role].shape == (10, size) and np.isfinite(obs[role]).all()
        assert mask[role].shape == (10, choices) and mask[role].all()


def test_the_directive_reaches_agent_4_at_once_and_the_others_by_message(bundle, stream):
    wanted = np.linspace(-1, 1, 8)
    spy = Spy({"coordinator": wanted})
    decisions, memory = run(carry(bundle, spy), stream(4, 2, 2))
    assert np.allclose(memory["directive"], wanted)
    bits = bundle.directive_codec.encode(wanted)
    assert (decisions[0].messages[:, 4] == bits).all()
    field = soc.OBSERVATIONS["hunter"]["directive"].slice
    second = spy.shown[1][0]["hunter"][:, field].reshape(2, 5, 8)
    assert np.allclose(second[:, 4], wanted)  # the other agents see the bits of the stream, which are random here
    assert np.isin(second[:, :4], (-0.5, 0.5)).all()


def test_a_nan_keeps_the_directive_and_no_coordinator_is_neutral(bundle, stream):
    steps = stream(5, 1, 2)
    assert not run(carry(bundle, Spy({"coordinator": np.full(8, np.nan)})), steps)[1]["directive"].any()
    assert not run(carry(bundle, Spy()), steps)[1]["directive"].any()


def test_a_constant_directive_is_in_force_everywhere(bundle, stream):
    spy = Spy({"coordinator": np.ones(8)})
    run(carry(bundle, spy, directive=np.full(8, 0.25)), stream(6, 2, 2))
    for role in ("coordinator", "hunter", "responder"):
        assert (spy.shown[1][0][role][:, soc.OBSERVATIONS[role]["directive"].slice] == 0.25).all()


def test_roles_that_an_agent_does_not_play_are_off(bundle, stream):
    everything = {"responder": np.ones(12), "hunter": np.ones(16), "triage": np.array(0), "coordinator": np.zeros(8)}
    policy = carry(bundle.with_assignment("paper"), Spy(everything))
    verbs = {agent: set() for agent in range(5)}
    for decision in run(policy, stream(7, 64, 10))[0]:
        for agent, name in enumerate(spec.BLUE_AGENTS):
            verbs[agent] |= {spec.Verb(int(v)).name for v in actions.VERB[agent, decision.actions[name]]}
    assert not verbs[0] & {"REMOVE", "RESTORE"} and "ANALYSE" in verbs[0]
    assert not verbs[2] & {"RESTORE", "DEPLOY_DECOY"} and "ANALYSE" in verbs[2]
    assert not verbs[3] & {"ANALYSE", "DEPLOY_DECOY"}
    assert not verbs[4] & {"ANALYSE", "RESTORE", "REMOVE", "DEPLOY_DECOY"}


def test_agents_of_one_subnet_change_places_with_their_observations(bundle, stream):
    """Nothing but the segment tells agents 0 to 3 apart: what one sees, another would see alike in its place."""
    spy = Spy()
    steps = stream(8, 3, 3)
    policy = carry(bundle, spy)
    run(policy, steps)
    swapped = []
    for obs, mask in steps:
        a, b = spec.BLUE_AGENTS[0], spec.BLUE_AGENTS[3]
        other, other_mask = {**obs, "rich": dict(obs["rich"]), "busy": obs["busy"].copy()}, dict(mask)
        other[a], other[b] = obs[b].copy(), obs[a].copy()
        for name in (a, b):
            other[name][:, 0] = 0  # the phase tells the zones apart: both see the first one
            obs[name][:, 0] = 0
        other["rich"][a], other["rich"][b] = obs["rich"][b], obs["rich"][a]
        other["busy"][:, [0, 3]] = obs["busy"][:, [3, 0]]
        other_mask[a], other_mask[b] = mask[b], mask[a]
        swapped.append((other, other_mask))
    plain, turned = Spy(), Spy()
    run(carry(bundle, plain), steps)
    run(carry(bundle, turned), swapped)
    for (first, *_), (second, *_) in zip(plain.shown, turned.shown, strict=True):
        one = soc.OBSERVATIONS["hunter"].unpack(first["hunter"].reshape(3, 5, -1)[:, 0])
        two = soc.OBSERVATIONS["hunter"].unpack(second["hunter"].reshape(3, 5, -1)[:, 3])
        for field in (0, 2, 3, 4, 5, 6):  # all of a case but its segment
            assert np.allclose(one["cases"][..., field], two["cases"][..., field])
        here, there = terms.SEGMENT_OF_AGENT[0], terms.SEGMENT_OF_AGENT[3]
        assert np.allclose(one["segments"][:, here], two["segments"][:, there])


def test_fallbacks_are_named_and_counted(bundle, stream):
    policy = carry(bundle, Spy({"hunter": np.r_[np.ones(5), -np.ones(11)]}), directive=np.zeros(8))
    policy.mapper.config = type(policy.mapper.config)(suspicion=0.0)  # nor scope: nothing to look at
    steps = stream(9, 8, 5)
    _, memory = run(policy, steps)
    free = sum((obs["busy"] == 0).sum(axis=1) for obs, _ in steps)
    counted = policy.fallbacks(memory)
    assert tuple(counted) == FALLBACKS and (counted["no target"] == free).all() and not counted["not valid"].any()


def test_a_policy_that_needs_the_truth_is_refused(bundle):
    with pytest.raises(ValueError, match="wants state cannot be carried"):
        carry(bundle, soc_policies.Oracle())


@pytest.mark.parametrize(
    ("agent", "source", "forbidden"),
    [
        (1, Subnet.RESTRICTED_ZONE_A, (0, 0, 0)),  # the policy forbids it in phase 1 alone
        (3, Subnet.RESTRICTED_ZONE_B, (0, 0, 1)),  # in phase 2 alone, the last one
        (0, Subnet.RESTRICTED_ZONE_B, (0, 1, 1)),  # from phase 1 on
        (1, Subnet.INTERNET, (1, 1, 1)),
    ],
)
def test_traffic_that_a_later_phase_needs_is_not_forbidden(bundle, stream, agent, source, forbidden):
    carrier, name = bundle.carrier(), spec.BLUE_AGENTS[agent]
    obs, mask = stream(3, 4, 1)[0]
    for phase, expected in enumerate(forbidden):
        fields = observation.decode(agent, obs[name])
        policy = np.broadcast_to(spec.COMMS_POLICY[phase, list(spec.BLUE_SUBNETS[agent])], fields.policy.shape)
        shown = fields._replace(phase=np.full(4, phase), policy=policy)
        sight = carrier.see({**obs, name: observation.encode(agent, shown)}, mask, carrier.initial_memory(4))
        assert (sight.situation(agent).forbidden[:, 0, spec.SORTED_RANK[source]] == expected).all()
