"""The plans of studies: every arm can be trained, and an ablation removes exactly one thing."""

import pytest

from evaluation.studies.training.plans import FULL, PLANS, REFERENCE, SCRIPTED, SMOKE, Arm, run_name, run_settings
from hmarl_soc.config import parse
from hmarl_soc.registry import config_class
from native_sim.soc.policies import POLICIES

ARMS = [(plan.name, arm) for plan in PLANS.values() for arm in plan.learned]


def resolved(arm, size=FULL):
    return parse(run_settings(arm, size), config_class(arm.method)).to_dict()


def leaves(value, path=""):
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in leaves(part, f"{path}.{name}".strip(".")).items()}
    return {path: value}


def changed(arm, other):
    one, two = leaves(resolved(arm)), leaves(resolved(other))
    return {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}


@pytest.mark.parametrize("size", [FULL, SMOKE], ids=["full", "smoke"])
@pytest.mark.parametrize(("plan", "arm"), ARMS, ids=[f"{plan}-{arm.label}" for plan, arm in ARMS])
def test_every_arm_has_sound_settings(plan, arm, size):
    config = resolved(arm, size)
    assert config["trainer"]["validate_every"] <= config["trainer"]["steps"]


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_arms_have_names_of_their_own_and_the_reference_comes_first(plan):
    labels = [arm.label for arm in plan.arms]
    assert labels[0] == REFERENCE
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_scripted_arms_exist_and_do_not_cheat(plan):
    names = {arm.label for arm in plan.arms if arm.method == SCRIPTED}
    assert names <= set(POLICIES["corrected"]) - {"oracle"}


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_contrasts_are_between_learned_arms_of_the_plan_that_differ(plan):
    labels = {arm.label for arm in plan.learned}
    assert all({first, second} <= labels and first != second for first, second in plan.contrasts)


def test_every_weight_of_the_reward_is_doubled_against_halved():
    plan = PLANS["reward-weights"]
    assert {first for first, _ in plan.contrasts} == {arm.label for arm in plan.arms if arm.label.endswith(" x 2")}
    for first, second in plan.contrasts:
        assert second == first.replace(" x 2", " x 0.5")


def test_budget_is_equal_for_all():
    for _, arm in ARMS:
        config = resolved(arm)
        assert config["trainer"]["steps"] == FULL.steps
        assert config["environment"]["num_envs"] == FULL.num_envs


@pytest.mark.parametrize("study", ["table4", "k-sweep", "reward-weights"])
def test_an_ablation_changes_exactly_one_setting(study):
    reference, *others = PLANS[study].learned
    for arm in others:
        if arm.method == reference.method:
            assert len(changed(reference, arm)) == 1, arm.label


def test_studies_share_the_runs_of_equal_arms():
    names = {run_name(REFERENCE, resolved(plan.arms[0])) for plan in PLANS.values()}
    assert len(names) == 1
    others = {run_name(arm.method, resolved(arm)) for arm in PLANS["k-sweep"].learned}
    assert len(others) == 5


def test_sweep_of_k_is_the_papers():
    assert {arm.x for arm in PLANS["k-sweep"].arms} == {1, 3, 5, 10, 20}


def test_an_arms_settings_win_over_the_smoke_size():
    arm = Arm("x", REFERENCE, {"network": {"attention": False}})
    assert (
        resolved(arm, SMOKE)["method"]["network"] | {"hidden": 16, "attention": False}
        == resolved(arm, SMOKE)["method"]["network"]
    )
