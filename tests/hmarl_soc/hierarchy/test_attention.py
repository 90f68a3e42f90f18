import json

import numpy as np
import pytest

from hmarl_soc.config import parse
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.hierarchy.attention import attention_of, explain, faithfulness, tokens_of, views_of
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.learner import Hierarchy
from hmarl_soc.interface import describe
from hmarl_soc.training.runs import make_env
from native_sim.soc import spec


@pytest.fixture(scope="module")
def played():
    """An untrained hierarchy and what eight environments show it after some steps."""
    config = parse({"environment": {"num_envs": 8}, "method": {"network": {"hidden": 16, "heads": 2}}}, HmarlConfig)
    env = make_env(config.environment)
    policy = Hierarchy(config.method, describe(env, spec.STATE.size), 8, 0).policy()
    observations, infos = env.reset(seed=0)
    memory = policy.initial_memory(8)
    for _ in range(30):
        decision = policy.act(observations, infos["action_mask"], memory, np.zeros((8, 4, 0)))
        batch = env.step(decision.actions)
        observations, infos, memory = batch.observations, batch.infos, decision.memory
    return policy, observations, memory


def test_reports_are_of_the_decision_taken(played):
    policy, observations, memory = played
    decision = policy.act(observations, {}, memory, np.zeros((8, 4, 0)))
    for row in range(8):
        reports = {report.role: report for report in explain(policy, observations, memory, row)}
        assert ("coordinator" in reports) == (memory["age"][row] == 0)
        names = ("escalated", "suppressed", "correlated", "enriched")
        assert reports["triage"].decision == names[decision.actions["triage"][row]]
        view = views_of(policy, observations, memory)["triage"]
        weights = attention_of(policy, "triage", view)[row]
        assert reports["triage"].reasons[0].weight == pytest.approx(weights.max())
        assert weights.sum() == pytest.approx(1.0)


def test_reports_are_json_and_words(played):
    policy, observations, memory = played
    report = explain(policy, observations, memory, 0, most=20)[-2]
    assert report.role == "triage"
    assert json.loads(json.dumps(report.to_dict()))["reasons"][0]["token"] == report.reasons[0].token
    assert str(report).startswith(f"triage: {report.decision} because of ")
    assert any("alert 1" in reason.words for reason in report.reasons)


def test_counts_in_words_are_never_negative(played):
    policy, observations, memory = played
    report = explain(policy, observations, memory, 0, most=20)[1]
    words = [reason.words for reason in report.reasons if "recent alerts" in reason.words]
    assert words and not any("-0" in word for word in words)


def test_a_token_that_decides_alone_is_found():
    """A network that reads one token: gradient finds it, and deleting it first ends the decision at once."""
    policy, role = _reader_of("alerts[0]")
    views = np.random.default_rng(0).random((20, policy.views[role].layout.size)).astype(np.float32)
    areas = faithfulness(policy, role, views, np.random.default_rng(1))
    tokens = tokens_of(policy, role)
    best = 0.5 / len(tokens.names)  # gone after the first of T deletions
    assert areas["gradient"][0] == pytest.approx(np.full(20, best), abs=1e-3)
    assert areas["gradient"][1] == pytest.approx(np.full(20, 1.0 - best), abs=1e-3)
    assert areas["attention"][0] == pytest.approx(areas["gradient"][0], abs=1e-3)
    assert areas["random"][0].mean() == pytest.approx(0.5, abs=0.15)


def _reader_of(token):
    """Return a policy whose triage attends to, and reads, one token only."""
    config = parse({"environment": {"num_envs": 1}, "method": {"network": {"hidden": 16, "heads": 2}}}, HmarlConfig)
    env = make_env(config.environment)
    policy = Hierarchy(config.method, describe(env, spec.STATE.size), 1, 0).policy()
    arrays = {name: array.copy() for name, array in policy.weights().items()}
    tokens = tokens_of(policy, "triage")
    index = tokens.names.index(token)
    arrays["triage.first.weight"][0, tokens.member[index] == 0] = 0.0
    arrays["triage.attention.query.weight"][:] = 0.0
    arrays["triage.attention.query.bias"][:] = 1.0
    arrays["triage.attention.key"][:] = 0.0
    arrays["triage.attention.key_bias"][:] = 0.0
    arrays["triage.attention.key_bias"][:, :, index] = 1.0
    return HierarchyPolicy(policy.config, policy.interface, arrays), "triage"


def test_without_attention_there_is_nothing_to_explain(played):
    network = {"hidden": 16, "heads": 2, "attention": False}
    config = parse({"environment": {"num_envs": 1}, "method": {"network": network}}, HmarlConfig)
    env = make_env(config.environment)
    policy = Hierarchy(config.method, describe(env, spec.STATE.size), 1, 0).policy()
    observations, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match="trained without attention"):
        explain(policy, observations, policy.initial_memory(1))
