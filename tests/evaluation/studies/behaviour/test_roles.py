"""The roles study in miniature: who decides for whom, what is compared, and that nothing is played twice."""

import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.games.soc.policies import soc_registry
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import make_policy
from evaluation.policies.silenced import Grafted
from evaluation.studies.behaviour import roles
from native_sim import make_vec
from native_sim.api import Decision, Policy
from native_sim.memory import take
from native_sim.soc.spec import AGENTS

QUIET = Console(quiet=True)
SOC = soc_registry("corrected")


class Counting(Policy):
    """Remembers how often it decided, and draws for triage."""

    draws_per_agent = 1
    wants = ("state",)

    def initial_memory(self, num_envs):
        return {"count": np.zeros(num_envs, np.int64)}

    def act(self, obs, mask, memory, draws):
        actions = dict(make_policy("adaptive", SOC).act(obs, mask, None, draws[..., :0]).actions)
        actions["triage"] = np.floor(4.0 * draws[:, AGENTS.index("triage"), 0]).astype(np.int64)
        return Decision(actions, {"count": memory["count"] + 1})


def run(out, policies=("random",), **given):
    return roles.study(policies, out, None, True, given.get("report_only", False), QUIET)


@pytest.mark.parametrize("role", AGENTS)
def test_only_the_role_is_exchanged(role):
    first, second = make_policy("adaptive", SOC), make_policy("best-constant", SOC)
    env = make_vec(num_envs=3, threads=1)
    obs, infos = env.reset(seed=[1, 2, 3])
    draws = np.zeros((3, len(AGENTS), 0))
    grafted = Grafted(first, second, role)
    found = grafted.act(obs, infos["action_mask"], grafted.initial_memory(3), draws).actions
    for name in AGENTS:
        chosen = (second if name == role else first).act(obs, infos["action_mask"], None, draws).actions
        assert (name in found) == (name in chosen)
        if name in chosen:
            np.testing.assert_array_equal(found[name], chosen[name])
    assert grafted.exact().role == role


def test_both_remember_and_draw_for_themselves():
    grafted = Grafted(Counting(), make_policy("random", SOC), "hunter")
    own = make_policy("random", SOC).draws_per_agent
    assert grafted.wants == ("state",) and grafted.draws_per_agent == 1 + own
    env = make_vec(num_envs=4, threads=1)
    obs, infos = env.reset(seed=[1, 2, 3, 4])
    memory = grafted.initial_memory(4)
    draws = np.random.default_rng(0).random((4, len(AGENTS), 1 + own))
    for steps in (1, 2):
        decision = grafted.act(obs, infos["action_mask"], memory, draws)
        memory = take(decision.memory, [0, 1, 2, 3])
        assert (memory[0]["count"] == steps).all()
    alone = make_policy("random", SOC).act(obs, infos["action_mask"], None, draws[..., 1:]).actions
    np.testing.assert_array_equal(decision.actions["hunter"], alone["hunter"])
    expected = np.floor(4.0 * draws[:, AGENTS.index("triage"), 0])
    np.testing.assert_array_equal(decision.actions["triage"], expected)


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="unknown role 'analyst'"):
        Grafted(Counting(), Counting(), "analyst")


def test_smoke_writes_everything_and_resumes_after_any_variant(tmp_path, monkeypatch):
    found = run(tmp_path)
    assert found["episodes"] == roles.SMOKE_EPISODES
    before = {name: (tmp_path / name).read_text() for name in ("summary.json", "table.md")}
    assert json.loads(before["summary.json"]) == json.loads(json.dumps(found))
    assert "| with the hunter of random | " in before["table.md"]
    (log,) = (tmp_path / "logs").iterdir()
    kept = json.loads(log.read_text())
    del kept["digest"]  # as earlier versions wrote it
    assert len(kept) == 10
    last = list(kept)[-1]
    log.write_text(json.dumps({name: values for name, values in kept.items() if name != last}))
    with pytest.raises(BadInput, match="run the study without --report-only first"):
        run(tmp_path, report_only=True)
    played, real = [], roles.play
    monkeypatch.setattr(roles, "play", lambda policy, episodes: played.append(policy) or real(policy, episodes))
    run(tmp_path)
    assert [(policy.role, type(policy)) for policy in played] == [(AGENTS[-1], Grafted)]
    monkeypatch.setattr(roles, "play", None)
    run(tmp_path)
    run(tmp_path, report_only=True)
    assert {name: (tmp_path / name).read_text() for name in before} == before


def test_a_role_that_does_as_the_teacher_makes_no_difference_and_a_worse_one_does(tmp_path):
    copied = run(tmp_path, ("without:triage/adaptive",))["policies"]["without:triage/adaptive"]
    for role in ("coordinator", "hunter", "responder"):
        assert copied["given"][role]["difference"] == copied["taken"][role]["difference"] == 0.0
    assert copied["given"]["triage"]["mean"] == copied["policy"]["mean"]
    assert copied["taken"]["triage"]["mean"] == copied["teacher"]["mean"]
    assert copied["given"]["triage"]["difference"] < 0.0


def test_differences_are_over_the_same_episodes():
    returns = {"adaptive": [1.0, 2.0, 4.0], "policy": [0.0, 1.0, 5.0]}
    for base in ("adaptive", "policy"):
        returns |= {f"{base}, the other's {role}": [3.0, 3.0, 3.5] for role in AGENTS}
    found = roles._compare(returns)
    assert found["given"]["hunter"]["difference"] == pytest.approx((2.0 + 1.0 - 0.5) / 3)
    assert found["taken"]["hunter"]["difference"] == pytest.approx((3.0 + 2.0 - 1.5) / 3)
    assert found["teacher"]["mean"] == pytest.approx(7.0 / 3) and found["policy"]["mean"] == 2.0


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (("nobody",), "unknown policy 'nobody'"),
        (("random", "random"), "each policy may be named once"),
        (("adaptive",), "adaptive is what the roles are put into"),
        (("bundle:soc-adaptive",), "carries no trained weights"),
        (("bundle:hmarl-soc@ops-only",), "is a control, which is of CC4 alone; give bundle:hmarl-soc$"),
    ],
)
def test_what_cannot_be_played_is_refused(policies, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        run(tmp_path, policies)
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadInput, match="--episodes must be at least 2; given 1"):
        roles.study(("random",), tmp_path, 1, False, False, QUIET)


@pytest.mark.parametrize("text", ["", "[]", '{"adaptive": [1.0]}', '{"adaptive": 5}'])
def test_damaged_returns_are_named(text, tmp_path):
    run(tmp_path)
    (file,) = (path for path in tmp_path.rglob("*.json") if path.name != "summary.json")
    file.write_text(text)
    with pytest.raises(BadInput, match=r"\.json is damaged .*; delete it, and the same command makes it again"):
        run(tmp_path)
