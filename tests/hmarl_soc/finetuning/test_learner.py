"""Fine-tuning: its gradients reach what they should, it is the mapper that plays, and it learns what can be learned."""

import numpy as np
import pytest
import torch

from adapters.assignment import get_assignment
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4.carrier import Carrier
from adapters.cc4.mapper_table import attention
from adapters.cc4.soc_terms import SEGMENT_OF_AGENT
from hmarl_soc.config import NetworkConfig
from hmarl_soc.finetuning import options
from hmarl_soc.finetuning.learner import FinetuneConfig, Finetuner
from hmarl_soc.finetuning.options import HOST_VERBS, WISHES, ZONE_VERBS, Scorer, want
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.interface import Agent, Interface, make_layout
from hmarl_soc.learner import Seen, Transition
from hmarl_soc.registry import make_learner
from native_sim.soc import spec as soc

ROWS, FACTS, ZONE_FACTS = 6, 5, 2
ROLES = dict(zip(soc.AGENTS, soc.OBSERVATION_SIZES, strict=True))
SIZE = (HOST_VERBS * FACTS + ZONE_VERBS * ZONE_FACTS) * WISHES


@pytest.fixture(scope="module")
def carried():
    """Random roles of the SOC simulator, small."""
    agents = tuple(
        Agent(name, soc.OBSERVATIONS[name], size, name == "triage")
        for name, size in zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)
    )
    config = HmarlConfig(network=NetworkConfig(hidden=16, heads=2, key_size=4))
    policy = make_learner("hmarl-soc", config, Interface(agents, 0), 1, seed=3).policy()
    generator = np.random.default_rng(0)  # a fresh actor puts out nearly nothing: let it differ
    arrays = {
        name: array + generator.normal(size=array.shape) / 4 * ("last" in name)
        for name, array in policy.weights().items()
    }
    return type(policy)(policy.config, policy.interface, {k: np.float32(v) for k, v in arrays.items()})


def layout(slots):
    shapes = {name: (size,) for name, size in ROLES.items()}
    shapes |= {"heard": (soc.DIRECTIVE_SIZE,), "free": (), "leads": (), "segment": (5,), "facts": (slots, FACTS)}
    shapes |= {"zone_facts": (ZONE_FACTS,), "allowed": (HOST_VERBS * slots + ZONE_VERBS,), "overview": (3,)}
    return make_layout(f"{slots} slots", shapes)


INTERFACE = Interface(
    tuple(Agent(name, layout(slots), 10, False) for name, slots in (("small", 2), ("other", 2), ("large", 4))), 0
)


class World:
    """Episodes of four steps; an option on a host pays its first fact to the agent that takes it.

    What ends them is ``final``, or else interrupts.
    """

    def __init__(self, seed=0, rows=ROWS, final=True):
        self.final = final
        self.generator, self.rows, self.clock = np.random.default_rng(seed), np.arange(rows), 0
        self.now = self._show()

    def _show(self):
        observations = {}
        for number, agent in enumerate(INTERFACE.agents):
            shown, count = agent.observation, len(self.rows)
            values = {field.name: self.generator.random((count, *field.shape)) for field in shown}
            values["facts"] = self.generator.integers(0, 2, values["facts"].shape)
            values["allowed"] = (self.generator.random(values["allowed"].shape) < 0.8) * 1.0
            values["allowed"][:, -ZONE_VERBS] = 1.0
            values["free"] = self.generator.random(count) < 0.7
            values["leads"] = np.full(count, number == 2)
            values["segment"] = np.eye(5)[np.full(count, number)]
            observations[agent.name] = shown.pack(values, np.float32)
        masks = {agent.name: np.ones((len(self.rows), 10), np.int8) for agent in INTERFACE.agents}
        return Seen(self.rows, observations, masks, None)

    def step(self, actions):
        before, pay = self.now, []
        for agent in INTERFACE.agents:
            fields, slots = (
                agent.observation.unpack(before.observations[agent.name]),
                agent.observation["facts"].shape[0],
            )
            option = actions[agent.name][:, 0].astype(int)
            assert (fields["allowed"][self.rows, option] > 0)[fields["free"] > 0].all()
            host = option < HOST_VERBS * slots
            paid = fields["facts"][self.rows, np.where(host, option % slots, 0), 0] * host
            pay.append(np.where(fields["free"] > 0, paid, 0.0))
        self.clock += 1
        ends, never = np.full(len(self.rows), self.clock % 4 == 0), np.zeros(len(self.rows), bool)
        final, cut = (ends, never) if self.final else (never, ends)
        self.now = self._show()
        shares = np.stack(pay, axis=1)
        return Transition(before, actions, shares.sum(axis=1), self.now, final, cut, {"agent_rewards": shares})


def make(carried, seed=0, rows=ROWS, mapper=None, **settings):
    small = {
        "network": {"hidden": 16, "attention": False},
        "rollout": 48,
        "minibatch": 16,
        "epochs": 2,
        "value_first": 0,
    }
    config = FinetuneConfig.model_validate({**small, **settings})
    return Finetuner(config, INTERFACE, rows, seed, carried, np.zeros(SIZE) if mapper is None else mapper)


def run(learner, world, steps):
    pay, metrics = [], {}
    for _ in range(steps):
        step = world.step(learner.act(world.now))
        learner.observe(step)
        metrics = learner.update() or metrics
        pay.append(step.rewards.mean())
    return np.array(pay), metrics


@pytest.mark.parametrize("leads", [False, True])
def test_wishes_are_those_of_the_mapper_that_plays(carried, leads):
    generator, count = np.random.default_rng(1), 50
    carrier = Carrier(None, None, get_assignment("natural"), None, None)  # orders need neither projections nor codecs
    shares, spreads = [], []
    for agent, segment in enumerate(SEGMENT_OF_AGENT):
        shown = {name: generator.random((count, size)).astype(np.float32) for name, size in ROLES.items()}
        heard = generator.uniform(-1, 1, (count, 8)).astype(np.float32)
        given = np.full((count, 8), np.nan) if leads else heard
        decision = carried.follow(given, shown, {}, carried.initial_memory(count), np.zeros((count, 4, 0)))
        directive = carried.direct(shown, carried.initial_memory(count))
        outputs = {name: np.asarray(value)[:, None].repeat(5, axis=1) for name, value in decision.actions.items()}
        orders = carrier.orders(agent, outputs, (directive if leads else heard).astype(np.float64))
        seen = {name: torch.from_numpy(array) for name, array in shown.items()} | {
            "heard": torch.from_numpy(heard),
            "leads": torch.full((count,), float(leads)),
            "segment": torch.eye(5)[torch.full((count,), int(segment))],
        }
        wishes, choice = want(make(carried).roles, carried.views, seen, torch.from_numpy(directive))
        ours, theirs = (soc.WISHES.unpack(found) for found in (wishes.detach().numpy(), scorer.wishes(orders, agent)))
        for name in ours:
            assert np.allclose(ours[name], theirs[name], atol=1e-5), name
        assert np.array_equal(choice.numpy(), decision.actions["triage"]) and len(set(choice.tolist())) > 1
        shares.append(attention(orders.directive, agent))
        spreads.append({name: np.ptp(column) for name, column in ours.items()})
    if not leads:  # columns that never vary could not be told apart
        for name in set(spreads[0]) - {"always", "escalate", "enrich"}:
            assert max(spread[name] for spread in spreads) > 0, name
    assert np.ptp(shares) > 0.1  # so that priorities were compared too


def test_columns_follow_the_table_and_not_the_order_of_the_code():
    values = {field.name: torch.full((2,), float(i)) for i, field in enumerate(soc.WISHES)}
    turned = dict(reversed(values.items()))
    assert options.columns(soc.WISHES, turned).tolist() == [[float(i) for i in range(WISHES)]] * 2
    del turned["scope"]
    with pytest.raises(ValueError, match="wishes has the fields always, intensity, scope"):
        options.columns(soc.WISHES, turned)


def test_scores_are_those_of_the_mapper_that_plays():
    generator, count = np.random.default_rng(1), 50
    facts, zone = generator.random((count, 16, scorer.HOST_FACTS)), generator.random((count, scorer.ZONE_FACTS))
    wanted, weights = generator.random((count, WISHES)), generator.normal(size=scorer.SIZE)
    net = Scorer(weights, scorer.HOST_FACTS, scorer.ZONE_FACTS)
    allowed = (generator.random((count, 4 * 16 + 3)) < 0.5) * 1.0
    allowed[:, 0] = 1.0
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (wanted, facts, zone, allowed)]
    ours, theirs = net.log_probs(*tensors).detach().numpy(), scorer.scores(weights, facts, zone, wanted)
    gaps = (ours - ours[:, :1], theirs - theirs[:, :1])
    assert np.allclose(*(gap[allowed > 0] for gap in gaps), atol=1e-3)
    assert (ours[allowed == 0] < -1e6).all() and np.allclose(np.exp(ours).sum(axis=1), 1.0, atol=1e-5)
    assert np.allclose(net.weights(), weights, atol=1e-6)


@pytest.mark.parametrize("parts", ["adapters", "heads", "all"])
def test_exactly_what_should_learn_moves(carried, parts):
    learner = make(carried, parts=parts, mapper=np.random.default_rng(0).normal(size=SIZE))
    before = {name: tensor.detach().clone() for name, tensor in learner.roles.named_parameters()}
    mapper, value = learner.scorer.weights(), [tensor.detach().clone() for tensor in learner.value.parameters()]
    run(learner, World(), 40)
    moved = {name for name, tensor in learner.roles.named_parameters() if not torch.equal(tensor, before[name])}
    expected = {
        "adapters": set(),
        "heads": {name for name in before if ".last." in name},
        "all": set(before),
    }[parts]
    assert moved == expected
    assert (learner.scorer.weights() != mapper).mean() > 0.9
    assert all(not torch.equal(*pair) for pair in zip(learner.value.parameters(), value, strict=True))


def test_the_value_learns_alone_at_first(carried):
    learner = make(carried, value_first=2)
    start = learner.policy().weights()
    _, metrics = run(learner, World(), 16)
    assert learner.updates == 2 and set(metrics) == {"value_loss", "explained_variance"}
    assert all(np.array_equal(start[name], array) for name, array in learner.policy().weights().items())
    run(learner, World(), 8)
    assert not np.array_equal(learner.policy().weights()["mapper"], start["mapper"])


def test_it_learns_which_hosts_pay(carried):
    learner = make(
        carried, rows=32, parts="adapters", rollout=512, minibatch=128, epochs=4, mapper_learning_rate=0.03, entropy=0.0
    )
    pay, _ = run(learner, World(rows=32), 320)
    chance, learned = pay[:32].mean(), pay[-64:].mean()
    assert learned > chance + 0.5, (chance, learned)  # three agents, 0.7 free each, 1 where an allowed host pays


@pytest.mark.parametrize("parts", ["adapters", "all"])
def test_saved_and_loaded_it_goes_on_exactly(carried, parts):
    whole, first = (make(carried, parts=parts) for _ in range(2))
    world, same = World(), World()
    run(whole, world, 30)
    run(first, same, 13)
    second = make(carried, parts=parts, seed=0)
    second.load_state_dict(first.state_dict())
    run(second, same, 17)
    expected, found = whole.policy().weights(), second.policy().weights()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    other = make(carried, parts=parts, seed=1)
    run(other, World(), 30)
    assert not np.array_equal(other.policy().weights()["mapper"], expected["mapper"])


@pytest.mark.parametrize("final", [True, False])
def test_a_target_counts_what_follows_an_interruption_only(carried, final):
    learner, world = make(carried, rollout=10_000), World(final=final)
    run(learner, world, 8)
    grid, _ = learner._rollout.take()
    steps = learner._prepare(grid)
    after = torch.as_tensor(grid["critic_after"].reshape(8 * ROWS, -1))
    rest = steps["targets"] - torch.as_tensor(grid["reward"]).reshape(8 * ROWS, -1)
    ends = torch.as_tensor(grid["end"]).reshape(-1)
    with torch.no_grad():
        follows = 0.0 if final else learner.config.gamma * learner.value(after)[0][ends]
    assert ends.sum() == 2 * ROWS and torch.allclose(rest[ends].float(), torch.as_tensor(follows).float(), atol=1e-5)
    assert final or follows.abs().max() > 1e-3


def test_a_checkpoint_that_knew_one_kind_of_end_is_gone_on_with(carried):
    learner, again, world = make(carried), make(carried), World()
    run(learner, world, 5)
    state = learner.state_dict()
    entries = dict(state["rollout"]["entries"])
    kept = entries.pop("final")
    again.load_state_dict({**state, "rollout": {**state["rollout"], "entries": entries}})
    assert kept.any() and np.array_equal(again.state_dict()["rollout"]["entries"]["final"], kept)


def test_what_it_starts_with_is_what_was_carried(carried):
    mapper = np.random.default_rng(2).normal(size=SIZE).astype(np.float32)
    weights = make(carried, mapper=mapper.astype(np.float64)).policy().weights()
    assert np.array_equal(weights["mapper"], mapper)
    assert all(np.array_equal(weights[name], array) for name, array in carried.weights().items())
    with pytest.raises(ValueError, match="does not fit"):
        make(carried, mapper=np.zeros(SIZE + 1))


def test_a_coordinator_that_is_off_directs_nothing(carried):
    config = carried.config.model_copy(
        update={"coordinator": carried.config.coordinator.model_copy(update={"enabled": False})}
    )
    learner = make(type(carried)(config, carried.interface, carried.weights()))
    world = World()
    assert all((action[:, 2:] == 0).all() for action in learner.act(world.now).values())


def test_a_state_of_other_rows_is_refused(carried):
    learner = make(carried)
    with pytest.raises(ValueError, match=r"memory\.issued has shape"):
        make(carried, rows=ROWS + 1).load_state_dict(learner.state_dict())
