import numpy as np
import pytest
from gymnasium.spaces import MultiDiscrete

from hmarl_soc.hierarchy.urgency import measure_urgency
from hmarl_soc.hierarchy.views import make_view
from hmarl_soc.interface import Agent, describe, from_dict, make_layout
from native_sim import make_vec
from native_sim.soc import spec
from tests.builders.toys import ToyEnv


@pytest.fixture(scope="module")
def soc():
    return describe(make_vec(), spec.STATE.size)


def test_an_interface_names_what_the_environment_has(soc):
    assert [agent.name for agent in soc.agents] == list(spec.AGENTS)
    assert soc["triage"].discrete and soc["triage"].actions == 4
    assert soc["hunter"].observation["cases"].shape == (8, 7)
    with pytest.raises(KeyError, match="no agent 'nobody'"):
        soc["nobody"]


def test_it_comes_back_from_plain_values_and_any_change_changes_the_digest(soc):
    assert from_dict(soc.to_dict()).digest == soc.digest
    for change in ({"state_size": 3}, {"agents": soc.to_dict()["agents"][:3]}):
        assert from_dict(soc.to_dict() | change).digest != soc.digest


def test_spaces_that_no_learner_takes_are_refused():
    env = ToyEnv({"a": (3, 2, False)}, None)
    env.single_action_space["a"] = MultiDiscrete([2, 2])
    with pytest.raises(ValueError, match="actions of a are MultiDiscrete"):
        describe(env)


def test_a_view_overwrites_the_directive_of_the_last_step_or_appends_it(soc):
    observations, directives = np.full((2, 128), 0.5), np.array([[0.25] * 8, [-1.0] * 8])
    view = make_view(soc["hunter"], 8)
    seen = view(observations, directives)
    place = view.layout["directive"].slice
    assert seen.shape == (2, 128) and (seen[:, place] == directives).all()
    assert (np.delete(seen, np.r_[place], axis=1) == 0.5).all() and (observations == 0.5).all()
    appended = make_view(soc["triage"], 8)
    seen = appended(np.full((2, 64), 0.5), directives)
    assert seen.shape == (2, 72) and (seen[:, 64:] == directives).all() and (seen[:, :64] == 0.5).all()
    odd = Agent("x", make_layout("x", {"directive": (3,)}), 2, False)
    with pytest.raises(ValueError, match=r"observes a directive of \(3,\)"):
        make_view(odd, 8)


def test_urgency_is_confidence_and_what_waits_for_a_response(soc):
    layout = soc["hunter"].observation
    hunter = np.zeros((3, 128), np.float32)
    cases = hunter[:, layout["cases"].slice].reshape(3, 8, 7)
    segments = hunter[:, layout["segments"].slice].reshape(3, 5, 12)
    cases[1, 0, 0] = 0.8  # belief
    segments[2, 4, 3], segments[2, 4, 4] = 0.6, 0.2  # confirmed, isolated
    hunter[:, layout["cases"].slice] = cases.reshape(3, -1)
    hunter[:, layout["segments"].slice] = segments.reshape(3, -1)
    assert measure_urgency(soc, {"hunter": hunter}) == pytest.approx([0.0, 0.4, 0.2])
    other = describe(ToyEnv({"hunter": (4, 2, False)}, None))
    assert (measure_urgency(other, {"hunter": np.ones((2, 4))}) == 0).all()
