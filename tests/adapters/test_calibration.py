import numpy as np
import pytest

from adapters.calibration import Samples, belief_thresholds, calibrate, scale_term
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import LinearMap

BELIEF = terms.HOST_TERMS["belief"].start


@pytest.fixture
def samples():
    """Hosts and zones of 8 episodes whose terms are a known linear map of what is seen, and a host held or not."""
    generator = np.random.default_rng(0)
    episode = np.repeat(np.arange(8), 300)
    made = []
    for layout, out in ((features.HOST, terms.HOST_TERMS), (features.ZONE, terms.ZONE_TERMS)):
        known = generator.random((len(episode), layout.size))
        made.append(Samples(known, known @ generator.random((layout.size, out.size)) / layout.size, episode))
    held = made[0].known[:, 0] > 0.7
    made[0].so[:, BELIEF] = held
    made[0].known[:, 0] = held
    return made


def test_calibration_finds_the_map_and_reports_every_method(samples):
    hosts, zones = samples
    found = calibrate(hosts, zones, hosts.so, zones.so)
    assert np.allclose(found.zones(zones.known), zones.so, atol=0.01)
    assert found.report["zones"]["held-out R2"][found.report["zones"]["method"]] > 0.99
    assert set(found.report["hosts"]["held-out R2"]) == {"ridge", "pls", "cca", "procrustes", "moments", "transport"}
    assert set(found.report["zones"]["by term"]) == {field.name for field in terms.ZONE_TERMS}


def test_what_is_confirmed_is_as_sure_as_the_soc_says(samples):
    hosts, zones = samples
    found = calibrate(hosts, zones, hosts.so, zones.so, ("ridge",))
    belief = found.hosts(hosts.known)[:, BELIEF]
    held = hosts.so[:, BELIEF] > 0
    confirmed = belief >= 0.924
    assert held[confirmed].mean() >= 0.97 and confirmed.sum() > 0.9 * held.sum()
    assert (belief[held] >= found.mapper.suspect_from).mean() >= 0.98


def test_thresholds_of_belief():
    belief = np.linspace(0, 1, 1001)
    sure, unsure = belief_thresholds(belief, belief > 0.5)
    assert sure == pytest.approx(0.49, abs=0.005) and unsure == pytest.approx(sure, abs=0.02)
    with pytest.raises(ValueError, match="no held host"):
        belief_thresholds(belief, np.zeros(1001, bool))


def test_episodes_are_held_out_whole(samples):
    (fit, _), (out, _) = samples[0].split()
    assert len(fit) == 6 * 300 and len(out) == 2 * 300
    assert not {row.tobytes() for row in fit[:, 1:]} & {row.tobytes() for row in out[:, 1:]}
    with pytest.raises(ValueError, match="at least two episodes; given 1"):
        Samples(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros(3)).split()


def test_one_term_is_scaled():
    found = scale_term(LinearMap(np.ones((2, 3)), np.ones(3)), 1, 2.0)
    assert found.intercept.tolist() == [1, 2, 1] and found.coef[:, 1].tolist() == [2, 2]
