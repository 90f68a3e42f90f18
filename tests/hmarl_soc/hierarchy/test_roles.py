import pytest

from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.roles import check_roles
from hmarl_soc.interface import Agent, Interface, make_layout
from hmarl_soc.registry import config_class, make_learner

FITTING = {"coordinator": (2, False), "hunter": (2, False), "triage": (4, True), "responder": (4, False)}


def interface(**changes):
    agents = FITTING | changes
    made = (Agent(name, make_layout(name, {"all": (3,)}), *kind) for name, kind in agents.items() if kind)
    return Interface(tuple(made), 0)


def test_the_roles_themselves_fit():
    check_roles(interface())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"triage": None}, "this environment has coordinator, hunter, responder$"),
        ({"analyst": (2, False)}, "this environment has .*, analyst$"),
        ({"triage": (4, False)}, "triage is not so$"),
        ({"hunter": (2, True)}, "hunter is not so$"),
        ({"responder": (5, False)}, "two numbers per segment and two more; it has 5$"),
        ({"responder": (2, False)}, "two numbers per segment and two more; it has 2$"),
    ],
)
@pytest.mark.parametrize("method", ["hmarl-soc", "hmarl-soc-ppo"])
def test_an_environment_of_other_roles_is_refused(method, changes, sentence):
    config = config_class(method)()
    assert isinstance(config, HmarlConfig)
    with pytest.raises(ValueError, match=sentence):
        make_learner(method, config, interface(**changes), 1, seed=0)
