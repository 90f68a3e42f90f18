import numpy as np
import pytest

from adapters.cc4 import features
from adapters.cc4 import mapper_linear as scorer
from adapters.cc4 import mapper_table as mappers
from adapters.cc4 import soc_terms as terms
from adapters.cc4.mapper_linear import SIZE, Lessons, LinearMapper, fit_scorer
from adapters.cc4.mapper_table import MapperConfig, Orders, Situation, TableMapper
from cage4 import actions, spec
from native_sim.soc import spec as soc

BELIEF = terms.HOST_TERMS["belief"].start


def situation(generator, count=200, agent=0):
    """Hosts of which each exists, is proven and believed in at random; the mask knows those that exist."""
    slots, subnets = features.num_slots(agent), len(spec.BLUE_SUBNETS[agent])
    exists = generator.random((count, slots)) < 0.7
    exists[:, 0] = True
    hosts = np.zeros((count, slots, features.HOST.size), np.float32)
    found = np.zeros((count, slots, terms.HOST_TERMS.size))
    found[..., BELIEF] = np.where(generator.random((count, slots)) < 0.1, 0.99, 0.2) * exists
    hosts[..., features.HOST["proof"].start] = found[..., BELIEF] > 0.9
    hosts[..., features.HOST["unwatched"].start] = generator.random((count, slots)) * exists
    shut = generator.integers(0, 2, (2, count, subnets, spec.NUM_SUBNETS))
    mask = np.ones((count, spec.NUM_ACTIONS[agent]), np.int8)
    for verb in spec.HOST_VERBS:
        mask[:, mappers.host_indices(agent)[verb]] = exists
    known = features.Features(hosts, np.zeros((count, features.ZONE.size)), exists, np.zeros_like(exists))
    free = generator.random(count) < 0.8
    return Situation(agent, known, found, np.full(count, -1), shut[0], shut[1], free, mask)


def orders(count, **levels):
    off = Orders(np.zeros((count, soc.DIRECTIVE_SIZE)), *np.zeros((7, count)), triage=np.full(count, -1))
    return off._replace(**{name: np.full(count, level) for name, level in levels.items()})


BY_ORDER = {
    "intensity": {"intensity": 0.5},  # nothing without scope
    "telemetry": {"telemetry": 0.5},
    "isolate": {"isolate": 0.5},
    "remediate": {"remediate": 0.5},
    "throttle": {"throttle": 0.5},
    "release": {"release": 0.5},
}


@pytest.mark.parametrize("order", BY_ORDER)
def test_an_order_is_in_the_columns_that_the_table_names(order):
    found = soc.WISHES.unpack(scorer.wishes(orders(3, **{order: 0.5}), 0))
    assert {name: column[0] for name, column in found.items() if column.any()} == {"always": 1.0, **BY_ORDER[order]}


@pytest.mark.parametrize(
    ("column", "number", "expected"),
    [
        (soc.Directive.FILTER, 0.25, {"close": 0.25}),
        (soc.Directive.FILTER, -0.25, {"reopen": 0.25}),
        (soc.Directive.POSTURE, -0.25, {"posture": -0.25}),
        (soc.Directive.ROUTING, 0.25, {}),
    ],
)
def test_a_directive_is_in_the_columns_that_the_table_names(column, number, expected):
    given = orders(3)
    given.directive[:, column] = number
    found = soc.WISHES.unpack(scorer.wishes(given, 0))
    assert {name: column[0] for name, column in found.items() if column.any()} == {"always": 1.0, **expected}


def test_scope_counts_with_intensity_and_triage_has_a_column_per_choice():
    found = soc.WISHES.unpack(scorer.wishes(orders(1, intensity=0.5, scope=0.5), 0))
    assert (found["intensity"], found["scope"]) == (0.5, 0.25)
    for choice in soc.Triage:
        found = soc.WISHES.unpack(scorer.wishes(orders(1)._replace(triage=np.array([choice])), 0))
        assert found["escalate"] == (choice == soc.Triage.ESCALATE) and found["enrich"] == (choice == soc.Triage.ENRICH)


@pytest.mark.parametrize("agent", [0, 4])
def test_options_name_every_command_once_and_only_what_is_legal(agent):
    now = situation(np.random.default_rng(0), agent=agent)
    indices, allowed = scorer.options(now)
    for row in range(20):
        legal = indices[row][allowed[row]]
        assert len(set(legal)) == len(legal) and (now.mask[row, legal] == 1).all()
        assert actions.MONITOR[agent] in legal


@pytest.mark.parametrize("agent", [0, 4])
def test_any_weights_give_legal_actions(agent):
    generator = np.random.default_rng(1)
    now = situation(generator, agent=agent)
    taken = set()
    for _ in range(5):
        mapper = LinearMapper(MapperConfig(), generator.normal(size=SIZE))
        mapped = mapper(now, orders(200, intensity=1.0, remediate=1.0), np.zeros((200, 4)))
        assert np.take_along_axis(now.mask, mapped.action[:, None], axis=1).all() and (mapped.fallback == -1).all()
        assert (mapped.action[~now.free] == actions.SLEEP[agent]).all()
        taken |= set(mapped.action[now.free])
    assert len(taken) > 20


def test_a_lesson_is_learned():
    """The table restores what is confirmed and else looks at the host unwatched for longest; so does the scorer."""
    generator = np.random.default_rng(2)
    config, wanted = MapperConfig(pace=1.0, suspect_from=0.5), orders(200, remediate=1.0, intensity=1.0, scope=1.0)
    draws = np.zeros((200, 4))
    lessons = []
    for _ in range(10):
        now = situation(generator)
        lessons.append(scorer.lessons(now, wanted, TableMapper(config)(now, wanted, draws).action, config))
    weights = fit_scorer(lessons, rounds=100)
    fresh = situation(generator)
    expected = TableMapper(config)(fresh, wanted, draws).action
    played = LinearMapper(config, weights)(fresh, wanted, draws).action
    same_verb = actions.VERB[0, played] == actions.VERB[0, expected]
    assert same_verb.mean() > 0.98
    untaught = LinearMapper(config, np.zeros(SIZE))(fresh, wanted, draws).action
    assert (untaught == expected)[fresh.free].mean() < 0.5 < (played == expected)[fresh.free].mean()


def test_the_gradient_of_the_likelihood_is_right():
    generator = np.random.default_rng(3)
    now = situation(generator, count=12)
    wanted, config = orders(12, remediate=1.0, telemetry=0.5), MapperConfig()
    taught = scorer.lessons(now, wanted, TableMapper(config)(now, wanted, np.zeros((12, 4))).action, config)
    weights = generator.normal(size=SIZE) / 10
    _, gradient = scorer._likelihood(weights, taught)
    direction = generator.normal(size=SIZE)
    ahead, behind = (scorer._likelihood(weights + step * direction, taught)[0] for step in (1e-5, -1e-5))
    assert gradient @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_a_busy_agent_teaches_nothing_and_nothing_teaches_nobody():
    now = situation(np.random.default_rng(4))._replace(free=np.zeros(200, bool))
    taught = scorer.lessons(now, orders(200), np.full(200, actions.MONITOR[0]), MapperConfig())
    assert isinstance(taught, Lessons) and len(taught.taken) == 0
    with pytest.raises(ValueError, match="at least one lesson"):
        fit_scorer([taught])


@pytest.mark.parametrize("agent", [0, 4])
def test_options_are_drawn_as_often_as_the_softmax_says_and_never_when_illegal(agent):
    generator = np.random.default_rng(5)
    now = situation(generator, count=1, agent=agent)
    now = Situation(agent, *[_repeat(part, 4000) for part in now[1:]])
    now, wanted = now._replace(free=np.ones(4000, bool)), orders(4000, intensity=1.0)
    config, weights = MapperConfig(temperature=2.0), generator.normal(size=SIZE)
    draws = np.zeros((4000, 4))
    draws[:, 0] = np.linspace(0.0, np.nextafter(1.0, 0.0), 4000)
    played = LinearMapper(config, weights)(now, wanted, draws).action
    indices, allowed = scorer.options(now)
    values = scorer.scores(
        weights, scorer.host_facts(now, config), scorer.zone_facts(now, config), scorer.wishes(wanted, agent)
    )
    chances = np.where(allowed[0], np.exp((values[0] - values[0].max()) / 2.0), 0.0)
    for index, chance in zip(indices[0], chances / chances.sum(), strict=True):
        assert (played == index).mean() == pytest.approx(chance, abs=1e-3)


def _repeat(part, count):
    if isinstance(part, tuple):
        return type(part)(*(_repeat(one, count) for one in part))
    return np.repeat(part, count, axis=0)
