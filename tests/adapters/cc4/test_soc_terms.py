import numpy as np
import pytest

from adapters.cc4 import soc_terms as terms
from adapters.cc4.soc_terms import HOST_TERMS, ZONE_TERMS, Cases, clock
from native_sim.soc import spec as soc

T = {field.name: field.start for field in HOST_TERMS}


def cases(count=2):
    slots = np.full((count, 8), -1)
    rows = np.zeros((count, 8, 9))
    alerts = np.full((count, 6), -1)
    zeros = np.zeros(count)
    return Cases(
        slots, rows, zeros, alerts, np.zeros((count, 6, 9)), np.zeros((count, 6)), np.zeros((count, 6)),
        np.zeros((count, 6)), zeros, zeros, zeros,
    )  # fmt: skip


def compose(found, own=None, segments=None, directive=None):
    count = len(found.num_cases)
    own = np.zeros((count, ZONE_TERMS.size)) if own is None else own
    segments = np.zeros((count, 5, 12)) if segments is None else segments
    directive = np.zeros((count, 8)) if directive is None else directive
    return terms.compose(
        clock(np.zeros(count)), own, segments, found, np.full(count, soc.CLOUD), directive, np.zeros(count)
    )


def test_segments_keep_the_reach_and_the_order_of_value_of_the_zones():
    rza, oza, rzb, ozb, hq = terms.SEGMENT_OF_AGENT
    assert {rza, rzb} == set(soc.SEGMENTS[hq].reaches)
    assert oza in soc.SEGMENTS[rza].reaches and ozb in soc.SEGMENTS[rzb].reaches
    assert oza not in soc.SEGMENTS[hq].reaches and ozb not in soc.SEGMENTS[hq].reaches
    assert min(soc.SEGMENTS[i].value for i in (oza, ozb)) > max(soc.SEGMENTS[i].value for i in (rza, rzb, hq))


def test_observations_have_the_layout_of_the_simulator_and_its_ranges():
    generator = np.random.default_rng(0)
    found = cases()._replace(
        case_slots=generator.integers(-1, 16, (2, 8)), cases=generator.random((2, 8, 9)),
        alert_slots=generator.integers(-1, 16, (2, 6)), alerts=generator.random((2, 6, 9)),
    )  # fmt: skip
    shown = compose(found, generator.random((2, ZONE_TERMS.size)), generator.random((2, 5, 12)), np.ones((2, 8)))
    for role in soc.AGENTS:
        layout = soc.OBSERVATIONS[role]
        assert shown[role].shape == (2, layout.size) and shown[role].dtype == np.float32
        for field in layout:
            part = shown[role][:, field.slice]
            assert part.min() >= field.low and part.max() <= field.high, (role, field.name)


def test_a_case_and_an_alert_lie_where_the_simulator_puts_them():
    found = cases(1)
    found.case_slots[0, 0], found.alert_slots[0, 0] = 3, 5
    found.cases[0, 0] = found.alerts[0, 0] = np.arange(1, 10) / 10
    shown = compose(found)
    case = soc.OBSERVATIONS["hunter"].unpack(shown["hunter"])["cases"][0]
    assert case[0] == pytest.approx([0.1, 1.0, 0.2, 0.3, 0.4, 0.5, 0.6]) and not case[1:].any()
    alert = soc.OBSERVATIONS["triage"].unpack(shown["triage"])["alerts"][0]
    assert alert[0] == pytest.approx([1, 0.7, 0.8, 1.0, 0.9, 1.0, 0, 0, 0.1]) and not alert[1:].any()
    assert np.array_equal(soc.OBSERVATIONS["responder"].unpack(shown["responder"])["cases"][0], case[:6])


def test_the_day_begins_at_midnight_and_the_office_with_the_missions():
    now = clock(np.array([0, 166, 167, 375]))
    assert now.office.tolist() == [0, 0, 1, 0] and now.time.tolist() == [0, 0.332, 0.334, 0.75]
    assert now.hour[0] == pytest.approx([0, 1])


def test_next_to_nothing_is_shown_as_nothing():
    half = terms.squash(np.array(0.5))
    rows = np.full((1, ZONE_TERMS.size), half * 0.9)
    shown = terms.settle_zone(rows)[0]
    assert shown[ZONE_TERMS["confirmed"].start] == 0 and shown[ZONE_TERMS["alerts"].start] > 0
    assert (terms.settle_zone(np.full((1, ZONE_TERMS.size), 7.0)) == 1).all()
    assert (terms.settle_zone(np.full((1, ZONE_TERMS.size), -7.0)) == 0).all()


def test_counts_of_all_segments_add_up():
    segments = np.zeros((1, 5, 12))
    segments[0, :2, ZONE_TERMS["confirmed"].start] = terms.squash(np.array([1.0, 2.0]))
    shown = compose(cases(1), segments=segments)
    total = soc.OBSERVATIONS["triage"].unpack(shown["triage"])["confirmed"][0]
    assert total == pytest.approx(terms.squash(np.array(3.0)))
