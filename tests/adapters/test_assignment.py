import pytest

from adapters.assignment import ASSIGNMENTS, Assignment, get_assignment


def test_the_papers_assignment_is_the_papers():
    roles = get_assignment("paper").roles
    assert roles == (("hunter",), ("hunter",), ("triage",), ("responder",), ("coordinator",))


def test_in_the_natural_one_every_zone_has_all_its_roles():
    natural = ASSIGNMENTS["natural"]
    assert all(natural.has(agent, role) for agent in range(5) for role in ("hunter", "triage", "responder"))
    assert [agent for agent in range(5) if natural.has(agent, "coordinator")] == [4]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ((("hunter",),) * 4, "5 agents; given 4"),
        ((("boss",),) * 5, "unknown role 'boss' of agent 0"),
        ((("coordinator",), (), (), (), ()), "through agent 4; given agent 0"),
    ],
)
def test_impossible_assignments_are_refused(roles, message):
    with pytest.raises(ValueError, match=message):
        Assignment("mine", roles)
    with pytest.raises(ValueError, match="unknown assignment 'mine'; known: natural, paper"):
        get_assignment("mine")
