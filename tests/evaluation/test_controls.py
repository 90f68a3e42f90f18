"""Every control does what its name says: what it takes away can be anything, and what it leaves still counts.

Each control is played twice on the same short episodes, the second time with a part perturbed. A part that is taken
away changes no action and no message; a part that stays changes some.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

import cage4
from adapters.bundle import bundle_folder, load_bundle
from adapters.cc4.environment import CarriedEnv
from adapters.cc4.policy import TransferredPolicy
from cage4 import spec
from evaluation.games.cc4.policies import make_policy
from evaluation.games.soc.policies import soc_registry
from evaluation.policies import registry
from evaluation.policies.silenced import Dicing, Grafted, Silenced
from evaluation.transfer import carried as transfer
from evaluation.transfer.named import make_carried
from hmarl_soc import checkpoint
from hmarl_soc.config import NetworkConfig
from hmarl_soc.finetuning.learner import FinetuneConfig, Finetuner
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.interface import describe
from hmarl_soc.registry import config_class, make_learner
from hmarl_soc.training.playing import TRAINING, Field, episode_seeds
from native_sim import make_vec
from native_sim.soc import policies as soc_policies
from native_sim.soc import spec as soc
from native_sim.soc.spec import AGENTS

ENVS, STEPS = 2, 60
LOWER = AGENTS[1:]
FOLDER = bundle_folder("hmarl-soc")
SHIPPED = "shipped"
TOYS = ("hmarl-soc", "hmarl-soc-ppo", "iql")


# ------------------------------------------------------------------------------------------------ policies and parts
def toy(method, **settings):
    """Return a small random policy of a method for the SOC simulator, whose roles put out much."""
    interface = describe(make_vec(num_envs=1, threads=1))
    attends = method.startswith("hmarl-soc")
    small = {"network": NetworkConfig(hidden=16, heads=2, key_size=4, attention=attends)}
    config = config_class(method).model_validate({**small, **settings})
    policy = make_learner(method, config, interface, 1, seed=3).policy()
    generator = np.random.default_rng(0)
    return policy.with_weights(
        {name: array + noise(generator, array) * ("last" in name) for name, array in policy.weights().items()}
    )


def noise(generator, array):
    return generator.normal(size=array.shape).astype(array.dtype) / 2


def roled(name):
    """Return the role whose weight this is: hierarchies say so, and flat methods number the agents."""
    first = name.partition(".")[0]
    return AGENTS[int(first)] if first.isdigit() else first


def perturbed(policy, *roles):
    """Return a policy with other weights in the roles."""
    generator = np.random.default_rng(1)
    arrays = dict(policy.weights())
    chosen = [name for name in arrays if roled(name) in roles and ("weight" in name or "bias" in name)]
    assert chosen
    arrays |= {name: arrays[name] + noise(generator, arrays[name]) for name in chosen}
    return policy.with_weights(arrays)


@pytest.fixture(scope="module")
def carried():
    """Name -> policy; each is made once."""
    made = {SHIPPED: make_carried({"kind": "trained", "name": "hmarl-soc"}, FOLDER)}
    return made | {method: toy(method) for method in TOYS}


class Part(NamedTuple):
    """What is perturbed: weights of roles, or something of the bundle."""

    roles: tuple[str, ...] = ()
    bundle: str = ""


def changed(bundle, part):
    """Return the bundle with a part of it perturbed."""
    if part == "usual directive":
        return replace(bundle, usual_directive=-bundle.usual_directive)
    if part == "projection":
        return replace(bundle, hosts=bundle.hosts._replace(coef=bundle.hosts.coef[::-1]))
    if part == "directive codec":
        return replace(bundle, directive_codec=bundle.directive_codec._replace(low=-np.ones(8), high=np.ones(8)))
    if part == "watch":
        return replace(bundle, mapper=replace(bundle.mapper, watch=not bundle.mapper.watch))
    return bundle


def make(control, policy, *parts):
    """Make a control of the shipped bundle that carries a policy, with parts of either perturbed."""
    bundle = load_bundle(FOLDER)
    for part in parts:
        bundle = changed(bundle, part.bundle)
        policy = perturbed(policy, *part.roles) if part.roles else policy
    assigned, _, control = control.rpartition("+")
    if assigned:
        bundle = bundle.with_assignment(assigned)
    control, _, seed = control.partition(".")
    made = transfer.CONTROLS[control](bundle, int(seed or 0)) if control else (bundle, None, lambda same: same)
    played, directive, change = made
    return played.policy(lambda *_: change(policy), FOLDER, directive)


def episode(policy, steps=STEPS, seeds=range(11, 11 + ENVS)):
    """Play CC4 and return all actions and messages, [T, N, 5 * (1 + 8)]."""
    env = cage4.vector_env("native", num_envs=ENVS, steps=steps + 2, rich=True)
    observations, infos = env.reset(seed=list(seeds))
    memory, generator, played = policy.initial_memory(ENVS), np.random.default_rng(5), []
    for _ in range(steps):
        draws = generator.random((ENVS, spec.NUM_BLUE, policy.draws_per_agent))
        shown = {**observations, **{name: infos[name] for name in policy.wants}}
        decision = policy.act(shown, infos["action_mask"], memory, draws)
        memory = decision.memory
        actions = np.stack([decision.actions[name] for name in spec.BLUE_AGENTS], axis=1)
        played.append(np.concatenate([actions, decision.messages.reshape(ENVS, -1)], axis=1))
        batch = env.step(decision.actions, decision.messages)
        observations, infos = batch.observations, batch.infos
    return np.stack(played)


# --------------------------------------------------------------------------------------------------- controls on CC4
COORDINATOR, HUNTER, TRIAGE, RESPONDER = (Part((role,)) for role in AGENTS)
EVERYTHING = Part(AGENTS)
USUAL, PROJECTION, CODEC, WATCH = (
    Part(bundle=name) for name in ("usual directive", "projection", "directive codec", "watch")
)
ACTING = (HUNTER, RESPONDER)
TABLE = {
    # control: parts that are taken away, parts that stay
    "": ((USUAL,), (COORDINATOR, CODEC, PROJECTION, *ACTING)),
    "ops-only": ((COORDINATOR, USUAL, CODEC), (PROJECTION, *ACTING)),
    "constant-directive": ((COORDINATOR,), (USUAL, PROJECTION, *ACTING)),
    "random-projection": ((USUAL,), (COORDINATOR, *ACTING)),
    "shuffled-features": ((USUAL,), (COORDINATOR, *ACTING)),
    "shuffled-observations": ((USUAL,), (COORDINATOR, CODEC, *ACTING)),
    "untrained": ((EVERYTHING, USUAL), (PROJECTION, CODEC)),
    "random-policy": ((EVERYTHING, USUAL), (PROJECTION, CODEC)),
    "idle-policy": ((EVERYTHING, USUAL, CODEC), ()),
    "without-watch": ((WATCH, USUAL), (COORDINATOR, *ACTING)),
    "best-constant": ((EVERYTHING, USUAL), (PROJECTION,)),
    "rule-soar": ((EVERYTHING, USUAL, CODEC), (PROJECTION,)),
    "without-coordinator": ((COORDINATOR, USUAL, CODEC), (PROJECTION, *ACTING)),
    "without-hunter": ((HUNTER, USUAL), (COORDINATOR, RESPONDER)),
    "without-triage": ((TRIAGE, USUAL), (COORDINATOR, *ACTING)),
    "without-responder": ((RESPONDER, USUAL), (COORDINATOR, HUNTER)),
    "random-coordinator": ((COORDINATOR, USUAL), (CODEC, *ACTING)),
    "random-hunter": ((HUNTER, USUAL), (COORDINATOR, RESPONDER)),
    "random-triage": ((TRIAGE, USUAL), (COORDINATOR, *ACTING)),
    "random-responder": ((RESPONDER, USUAL), (COORDINATOR, HUNTER)),
    "paper+": ((USUAL,), (COORDINATOR, CODEC, PROJECTION)),
    "paper+ops-only": ((COORDINATOR, USUAL, CODEC), (PROJECTION,)),
}


def test_every_control_is_in_the_table():
    assert {name.rpartition("+")[2] for name in TABLE} - {""} == set(transfer.CONTROLS)


DIRECTED = ("", "ops-only", "constant-directive", "without-coordinator", "random-coordinator", "shuffled-observations")
PLAYED = [(control, name) for control in DIRECTED for name in (SHIPPED, TOYS[0])]
PLAYED += [
    pytest.param(control, name, marks=pytest.mark.slow)
    for control, name in (
        *((control, SHIPPED) for control in TABLE if control not in DIRECTED),
        *((control, TOYS[-1]) for control in DIRECTED),
    )
]


@pytest.mark.parametrize(("control", "name"), PLAYED)
def test_what_a_control_takes_away_can_be_anything_and_what_it_leaves_counts(carried, control, name):
    before = episode(make(control, carried[name]))
    taken, staying = TABLE[control]
    assert np.array_equal(episode(make(control, carried[name], *taken)), before)
    for part in staying:
        assert not np.array_equal(episode(make(control, carried[name], part)), before), part


def test_an_idle_policy_does_nothing_but_what_the_mapper_does_without_being_asked(carried):
    made = make("idle-policy", carried[SHIPPED])
    played = episode(made)[:, :, : spec.NUM_BLUE]
    verbs = {spec.Verb(int(cage4.actions.VERB[i, u])) for i in range(spec.NUM_BLUE) for u in np.unique(played[..., i])}
    assert verbs <= {spec.Verb.MONITOR, spec.Verb.SLEEP, spec.Verb.ANALYSE}  # it keeps watch


@pytest.mark.parametrize("seeded", ["untrained", "random-projection", "shuffled-features", "shuffled-observations"])
def test_chance_counts_where_it_takes_part(carried, seeded):
    first, second = (episode(make(f"{seeded}.{seed}", carried[SHIPPED])) for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["hmarl-soc", "hmarl-soc-ppo"])
def test_no_coordinator_is_one_thing_under_all_its_names(carried, name):
    policy, off = carried[name], toy(name, coordinator={"enabled": False})
    expected = episode(make("ops-only", policy))
    assert np.array_equal(episode(make("without-coordinator", policy)), expected)
    assert np.array_equal(episode(make("", off)), expected)
    assert np.array_equal(episode(make("", off, COORDINATOR)), expected)


# -------------------------------------------------------------------------------- who hears what in a carried hierarchy
class Heard:
    """Writes down the directive that every agent's roles and mapper are told in every step."""

    def __init__(self, policy, monkeypatch):
        self.roles, self.mapped = [], []
        decide, mapper = HierarchyPolicy._decide, policy.mapper

        def listen(hierarchy, directives, obs, memory):
            self.roles.append(np.array(directives, np.float64).reshape(ENVS, spec.NUM_BLUE, 8))
            return decide(hierarchy, directives, obs, memory)

        def follow(now, orders, draws):
            self.mapped.append(orders.directive)
            return mapper(now, orders, draws)

        monkeypatch.setattr(HierarchyPolicy, "_decide", listen)
        policy.mapper = follow

    def arrays(self):
        """Return what the roles and what the mapper heard, [T, N, 5, 8] each."""
        mapped = np.reshape(self.mapped, (-1, spec.NUM_BLUE, ENVS, 8)).swapaxes(1, 2)
        return np.stack(self.roles), mapped


HEARING = [control for control in TABLE if not {"untrained", "best-constant", "rule-soar"} & {control}]
HEARING = [control for control in HEARING if "policy" not in control]


@pytest.mark.parametrize(("control", "name"), [(control, SHIPPED) for control in HEARING] + [("", "hmarl-soc-ppo")])
def test_mapper_and_roles_of_an_agent_hear_the_same(carried, control, name, monkeypatch):
    policy = make(control, carried[name])
    heard = Heard(policy, monkeypatch)
    played = episode(policy)
    roles, mapped = heard.arrays()
    assert roles.shape == mapped.shape == (STEPS, ENVS, spec.NUM_BLUE, 8)
    assert np.allclose(roles, mapped, atol=1e-6)
    if "ops-only" in control or control == "without-coordinator":
        assert not roles.any()
    elif control == "constant-directive":
        assert np.allclose(roles, load_bundle(FOLDER).usual_directive, atol=1e-6)
    else:  # agents 0 to 3 hear what agent 4 has said one step before
        said = played[:-1, :, -8:]
        told = load_bundle(FOLDER).directive_codec.decode(said)
        assert np.allclose(roles[1:, :, :4], told[:, :, None], atol=1e-6)
        every = 1 if control == "random-coordinator" else carried[name].config.coordinator.every
        moved = (np.diff(roles[:, :, 4], axis=0) != 0).any(axis=(1, 2))
        assert moved.any() and set(np.flatnonzero(moved) + 1) <= set(range(0, STEPS, every))


def test_agent_4_follows_what_it_decides_in_this_very_step(carried):
    """Its row is the policy as it plays in the SOC simulator, whatever the other rows are told."""
    policy, generator = carried["hmarl-soc"].exact(), np.random.default_rng(0)
    shown = {role: generator.random((6, size)) for role, size in zip(AGENTS, soc.OBSERVATION_SIZES, strict=True)}
    given = np.where(np.arange(6)[:, None] < 3, np.nan, generator.uniform(-1, 1, (6, 8)))
    memory, draws = policy.initial_memory(6), np.zeros((6, 4, 0))
    alone, among = policy.act(shown, {}, memory, draws), policy.follow(given, shown, {}, memory, draws)
    for role in AGENTS:
        assert np.array_equal(alone.actions[role][:3], among.actions[role][:3]), role
        assert role == "triage" or not np.array_equal(alone.actions[role][3:], among.actions[role][3:]), role
    assert np.array_equal(among.actions["coordinator"][3:], given[3:].astype(np.float32))


# ----------------------------------------------------------------------------------------- roles in the SOC simulator
def soc_episode(policy, steps=30):
    """Play the SOC simulator and return all actions, [T, N, 8 + 16 + 1 + 12]; a role that does nothing is all zero."""
    env = make_vec(num_envs=3, threads=1)
    obs, infos = env.reset(seed=[1, 2, 3])
    memory, generator, played = policy.initial_memory(3), np.random.default_rng(2), []
    for _ in range(steps):
        draws = generator.random((3, len(AGENTS), policy.draws_per_agent))
        decision = policy.act(obs, infos["action_mask"], memory, draws)
        memory = decision.memory
        silent = {"coordinator": np.zeros((3, 8)), "hunter": np.zeros((3, 16)), "responder": np.zeros((3, 12))}
        actions = {"triage": np.zeros(3), **silent, **decision.actions}
        played.append(np.concatenate([np.reshape(actions[role], (3, -1)) for role in AGENTS], axis=1))
        batch = env.step(decision.actions)
        obs, infos = batch.observations, batch.infos
    return np.stack(played)


WRAPPED = {
    "without": Silenced,
    "random": Dicing,
    "exchanged": lambda policy, role: Grafted(policy, soc_policies.Adaptive(), role),
    "exchanged for nothing": lambda policy, role: Grafted(policy, soc_policies.RuleSoar(), role),
}


@pytest.mark.parametrize("name", [SHIPPED, *TOYS[1:]])
@pytest.mark.parametrize("role", AGENTS)
@pytest.mark.parametrize("kind", WRAPPED)
def test_a_role_that_is_taken_away_in_the_soc_simulator_has_no_say(carried, kind, role, name):
    policy, wrap = carried[name], WRAPPED[kind]
    before = soc_episode(wrap(policy, role))
    assert np.array_equal(soc_episode(wrap(perturbed(policy, role), role)), before)
    for other in set(AGENTS) - {role}:
        assert not np.array_equal(soc_episode(wrap(perturbed(policy, other), role)), before), other


@pytest.mark.parametrize("role", AGENTS)
def test_without_a_role_by_name_its_weights_have_no_say(carried, role, tmp_path):
    saved = checkpoint.load(FOLDER / "policy", "weights")
    played = {}
    for part in (role, *(name for name in AGENTS if name != role)):
        arrays = perturbed(carried[SHIPPED], part).weights()
        checkpoint.save(tmp_path / part, saved._replace(state={**saved.state, "arrays": dict(arrays)}))
        played[part] = soc_episode(
            registry.make_policy(f"without:{role}/weights:{tmp_path / part}", soc_registry("corrected"))
        )
    before = soc_episode(registry.make_policy(f"without:{role}/weights:hmarl-soc", soc_registry("corrected")))
    for part, found in played.items():
        assert np.array_equal(found, before) == (part == role), part


@pytest.mark.parametrize("lent", AGENTS)
def test_a_role_that_is_lent_follows_the_coordinator_that_leads(carried, lent):
    """Of a hierarchy put into a scripted policy only the one role decides; its own coordinator is not heard."""
    teacher, policy = soc_policies.Adaptive(), carried["hmarl-soc"]
    before = soc_episode(Grafted(teacher, policy, lent))
    for part in AGENTS:
        same = np.array_equal(soc_episode(Grafted(teacher, perturbed(policy, part), lent)), before)
        assert same == (part != lent), part


@pytest.mark.parametrize("method", ["hmarl-soc", "hmarl-soc-ppo"])
def test_a_coordinator_that_is_off_has_no_say(carried, method):
    policy = toy(method, coordinator={"enabled": False})
    before = soc_episode(policy)
    assert not before[..., :8].any()
    assert np.array_equal(soc_episode(perturbed(policy, "coordinator")), before)
    assert np.array_equal(soc_episode(Silenced(carried[method], "coordinator")), before)
    for part in LOWER:
        assert not np.array_equal(soc_episode(perturbed(policy, part)), before), part


@pytest.mark.parametrize("name", [SHIPPED, *TOYS])
def test_a_policy_that_is_given_no_directive_acts(carried, name):
    class Following(Silenced):
        def act(self, obs, mask, memory, draws):
            return self.policy.follow(np.full((len(draws), 8), np.nan), obs, mask, memory, draws)

    assert np.array_equal(soc_episode(Following(carried[name], "triage")), soc_episode(carried[name]))


def test_a_bundle_is_played_by_these_controls_as_it_is_by_name(carried):
    for control in ("ops-only", "random-coordinator", "without-hunter"):
        named = make_policy(f"bundle:hmarl-soc@{control}")
        assert isinstance(named, TransferredPolicy)
        assert np.array_equal(episode(named, 10), episode(make(control, carried[SHIPPED]), 10))


# ------------------------------------------------------------------------------------------ what learns, and what plays
class Recorder:
    """Keeps the commands and messages that an engine is given."""

    def __init__(self, env):
        self.given, step = [], env.step

        def recorded(actions, messages=None, rows=None):
            commands = np.stack([actions[name] for name in spec.BLUE_AGENTS], axis=1)
            self.given.append(np.concatenate([commands, messages.reshape(ENVS, -1)], axis=1))
            return step(actions, messages, rows)

        env.step = recorded


@pytest.mark.parametrize("name", [SHIPPED, "hmarl-soc"])
def test_a_defender_is_tuned_under_the_directives_under_which_it_plays(carried, name):
    """Who learns takes, without exploration, every action that its bundle takes, and sends every message."""
    bundle = load_bundle(bundle_folder("hmarl-soc-tuned"))
    bundle = replace(bundle, mapper=replace(bundle.mapper, temperature=0.0))
    engine = cage4.vector_env("native", num_envs=ENVS, steps=STEPS + 2, rich=True)
    learned = Recorder(engine)
    field = Field(CarriedEnv(engine, bundle.carrier(), bundle.mapper), seed=0)
    settings = FinetuneConfig(network=NetworkConfig(hidden=8, attention=False))
    learner = Finetuner(settings, describe(field.env), ENVS, 0, carried[name], bundle.mapper_weights)
    for _ in range(STEPS):
        step = field.step(learner.act(field.seen(), explore=False))
        learner.observe(step)
        field.restart(step)
    played = episode(bundle.policy(lambda *_: carried[name]), seeds=episode_seeds(0, TRAINING, 0, ENVS))
    assert np.array_equal(np.stack(learned.given), played)
