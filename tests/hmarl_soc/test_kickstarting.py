"""A teacher's advice: what is shown, who follows it, and that a run with it goes on exactly where it was."""

import numpy as np
import pytest

from hmarl_soc.config import AdviceConfig, parse
from hmarl_soc.interface import describe
from hmarl_soc.learner import Seen
from hmarl_soc.registry import METHODS, config_class, make_learner
from hmarl_soc.training.playing import Field
from hmarl_soc.training.runs import make_trainer
from hmarl_soc.training.trainer import Trainer
from native_sim.api import Decision, Policy
from tests.builders.toys import ToyEnv, same

SPACES = {
    "coordinator": (3, 1, False),
    "hunter": (3, 2, False),
    "triage": (3, 4, True),
    "responder": (3, 4, False),
}
TEAM = {
    "network": {"hidden": 16, "heads": 2, "key_size": 4},
    "coordinator": {"every": 1, "rollout": 64, "minibatch": 32, "epochs": 4, "learning_rate": 3e-3},
}
OFF_POLICY = {
    "replay": {"capacity": 4000, "batch_size": 32},
    "hunter": {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "entropy_weight": 1e-6},
    "triage": {"learning_rate": 3e-3, "epsilon_start": 0.1, "target_every": 10},
    "responder": {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3},
    "potential": {"rollout": 64, "minibatch": 32, "epochs": 2},
    "warm_up": 32,
    "updates_per_step": 1 / 16,
}
PPO = {"rollout": 64, "minibatch": 32, "epochs": 4, "learning_rate": 3e-3}
FLAT = {"network": {"hidden": 16, "attention": False}}
Q = {"capacity": 4000, "batch_size": 32, "warm_up": 32, "updates_per_step": 1 / 16, "learning_rate": 3e-3}
SETTINGS = {
    "hmarl-soc": TEAM | OFF_POLICY,
    "hmarl-soc-ppo": TEAM | {"lower": PPO},
    **dict.fromkeys(("single-drl", "mappo", "ippo"), FLAT | PPO),
    **dict.fromkeys(("iql", "qmix"), FLAT | Q | {"target_every": 10, "epsilon_start": 0.1}),
}


class Teacher(Policy):
    """Answers the sign of the first number that an agent sees."""

    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        up = {name: obs[name][:, :1] > 0 for name in SPACES}
        actions = {name: np.where(up[name], 1.0, -1.0) * np.ones(SPACES[name][1]) for name in SPACES}
        actions["triage"] = np.where(up["triage"][:, 0], 3, 1)
        actions["responder"][:, 1] = -1.0  # never remediates
        return Decision(actions, None)


def worthless(x, actions):
    return np.zeros(len(x))


def prized(x, actions):
    return actions["hunter"].mean(axis=1) + (actions["triage"] == 2)


def make(method, out, steps=320, teacher=True, reward=prized, advice=None, envs=4):
    env = ToyEnv(SPACES, reward, num_envs=envs, length=5)
    trainer = {"steps": steps, "log_every": 16, "save_every": 10**6, "validate_every": 10**6}
    given = SETTINGS[method] | {"advice": {"weight": 1.0, "steps": 250} if advice is None else advice}
    config = parse({"trainer": trainer, "method": given}, config_class(method))
    interface = describe(env, 4)
    learner = make_learner(method, config.method, interface, envs, 0)
    return Trainer(env, learner, config, method, interface, 0, out, teacher=Teacher() if teacher else None)


def assert_advice_is_of_this_very_step(seen):
    expected = Teacher().act(seen.observations, seen.masks, None, None).actions
    same(dict(seen.advice), expected)


def test_advice_is_for_what_is_seen_also_where_an_episode_has_just_begun():
    env = ToyEnv(SPACES, worthless, num_envs=4, length=6)
    field = Field(env, 0, Teacher())
    field.seen()
    env.time[:] = [0, 1, 2, 3]  # so that rows end at different steps
    shown = []
    for _ in range(8):
        seen = field.seen()
        shown.append(seen.advice["triage"])
        assert_advice_is_of_this_very_step(seen)
        step = field.step(seen.advice)
        assert step.before.advice is seen.advice
        assert_advice_is_of_this_very_step(field.restart(step))
    assert field.finished >= 4
    assert len(np.unique(np.stack(shown), axis=0)) > 1  # advice that never changes would prove nothing


def test_advice_is_there_again_after_loading():
    field = Field(ToyEnv(SPACES, worthless, num_envs=4, length=6), 0, Teacher())
    for _ in range(8):
        field.restart(field.step(field.seen().advice))
    again = Field(ToyEnv(SPACES, worthless, num_envs=4, length=6), 0, Teacher())
    again.load_state_dict(field.state_dict())
    assert_advice_is_of_this_very_step(again.seen())
    same(dict(again.seen().advice), dict(field.seen().advice))


def test_without_a_teacher_there_is_no_advice():
    env = ToyEnv(SPACES, worthless, num_envs=2)
    seen = Field(env, 0).seen()
    assert seen.advice is None
    empty = seen.advised(describe(env, 4))
    assert {name: (value.shape, value.dtype.kind) for name, value in empty.items()} == {
        "coordinator": ((2, 1), "f"),
        "hunter": ((2, 2), "f"),
        "triage": ((2,), "i"),
        "responder": ((2, 4), "f"),
    }


def test_a_teacher_is_refused_that_needs_more_than_it_sees():
    env = ToyEnv(SPACES, worthless, num_envs=2)
    remembers, draws, wants = Teacher(), Teacher(), Teacher()
    remembers.initial_memory = np.zeros
    draws.draws_per_agent = 1
    wants.wants = ("busy",)
    for teacher in (remembers, draws):
        with pytest.raises(ValueError, match=r"decide by what it sees alone; this one has a memory or draws$"):
            Field(env, 0, teacher)
    with pytest.raises(ValueError, match=r"this one wants busy$"):
        Field(env, 0, wants)


def test_a_teacher_is_refused_that_leaves_an_agent_alone():
    silent, partly = Teacher(), Teacher()
    silent.act = lambda *given: Decision({"hunter": np.zeros((2, 2))}, None)
    with pytest.raises(ValueError, match="leaves out coordinator"):
        Field(ToyEnv(SPACES, worthless, num_envs=2), 0, silent).seen()

    def act(obs, mask, memory, draws):
        decision = Teacher().act(obs, mask, memory, draws)
        decision.actions["coordinator"][1] = np.nan
        return decision

    partly.act = act
    with pytest.raises(ValueError, match="leaves out coordinator"):
        Field(ToyEnv(SPACES, worthless, num_envs=2), 0, partly).seen()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"teacher": "nobody"}, "setting 'environment.teacher' is wrong: unknown policy 'nobody'.*adaptive.*, none$"),
        ({"teacher": "random"}, "has a memory or draws$"),
        ({"knobs": {"rules": "reference"}}, "unknown policy 'adaptive' under reference rules; known: .*, none$"),
    ],
)
def test_wrong_teachers_are_refused_before_a_run_begins(environment, message, tmp_path):
    small = {"environment": {"num_envs": 2} | environment, "trainer": {"validation_episodes": 2}}
    with pytest.raises(ValueError, match=message) as error:
        make_trainer("mappo", parse(small, config_class("mappo")), 0, tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_weight_falls_linearly_to_where_it_stays():
    advice = AdviceConfig(weight=2.0, steps=100)
    assert [advice.at(steps) for steps in (0, 50, 100, 10**6)] == [2.0, 1.0, 0.0, 0.0]
    lasting = AdviceConfig(weight=2.0, steps=100, final=0.5)
    assert [lasting.at(steps) for steps in (0, 50, 100, 10**6)] == [2.0, 1.25, 0.5, 0.5]


def test_a_role_may_have_steps_of_its_own():
    advice = AdviceConfig(weight=2.0, steps=100, role_steps={"triage": 20})
    assert [advice.at(10, role) for role in ("triage", "hunter", None)] == [1.0, 1.8, 1.8]
    assert advice.at(20, "triage") == 0.0
    assert AdviceConfig(**advice.to_dict()) == advice
    assert "role_steps" not in AdviceConfig().to_dict()  # the settings of earlier runs did not have it
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        AdviceConfig(role_steps={"triage": 0})


@pytest.mark.parametrize("method", METHODS)
def test_a_role_that_is_let_go_decides_by_itself_while_the_others_follow(method, tmp_path):
    advice = {"weight": 100.0, "steps": 10**9, "role_steps": {"triage": 1}}
    run = make(method, tmp_path, 16 * 240, reward=lambda x, actions: 1.0 * (actions["triage"] == 2), advice=advice)
    run.run()
    after = agreement(run.learner.policy())
    assert after["triage"] < 0.1, after  # the teacher never answers 2
    assert min(after[name] for name in SPACES if name != "triage") > 0.85, after


@pytest.mark.parametrize("method", METHODS)
def test_steps_for_an_agent_that_is_not_there_are_refused(method, tmp_path):
    with pytest.raises(ValueError, match="role_steps names 'analyst'; the agents are coordinator, hunter, triage, res"):
        make(method, tmp_path, advice={"role_steps": {"analyst": 5}})


@pytest.mark.parametrize("method", ["hmarl-soc", "hmarl-soc-ppo", "mappo", "qmix"])
def test_a_run_with_a_teacher_resumes_exactly(method, tmp_path):
    whole = make(method, tmp_path / "whole")
    whole.run()
    make(method, tmp_path / "halves", steps=148).run()  # in the midst of episodes, and while advice counts
    second = make(method, tmp_path / "halves")
    second.resume()
    assert second.learner.advised and second.learner.steps == 148
    second.run()
    same(dict(whole.learner.state_dict()), dict(second.learner.state_dict()))
    same(dict(whole.field.state_dict()), dict(second.field.state_dict()))
    logs = [(tmp_path / name / "log.jsonl").read_text().count("off_advice") for name in ("whole", "halves")]
    assert logs[0] == logs[1] > 0


@pytest.mark.parametrize("method", ["hmarl-soc", "hmarl-soc-ppo", "mappo", "qmix"])
def test_advice_without_weight_is_no_advice(method, tmp_path):
    none = make(method, tmp_path / "none", steps=200, teacher=False)
    ignored = make(method, tmp_path / "ignored", steps=200, advice={"weight": 0.0})
    followed = make(method, tmp_path / "followed", steps=200, advice={"weight": 1.0})
    for run in (none, ignored, followed):
        run.run()
    kept, alike, other = (dict(run.learner.policy().weights()) for run in (none, ignored, followed))
    same(kept, alike)
    assert any(not np.array_equal(kept[name], other[name]) for name in kept)
    assert "off_advice" not in (tmp_path / "none" / "log.jsonl").read_text()
    assert "off_advice" in (tmp_path / "ignored" / "log.jsonl").read_text()


def agreement(policy):
    """Return per agent the share of decisions that are the teacher's, over observations of which none was learned."""
    rng = np.random.default_rng(7)
    shown = {name: rng.uniform(-1, 1, (300, size)).astype(np.float32) for name, (size, _, _) in SPACES.items()}
    masks = {name: np.ones((300, actions), np.int8) for name, (_, actions, _) in SPACES.items()}
    decided = policy.act(shown, masks, policy.initial_memory(300), np.zeros((300, 4, 0))).actions
    advised = Teacher().act(shown, masks, None, None).actions
    return {name: float((np.abs(decided[name] - advised[name]) < 0.5).mean()) for name in SPACES}


@pytest.mark.parametrize("method", METHODS)
def test_every_learned_method_comes_to_decide_as_its_teacher(method, tmp_path):
    run = make(method, tmp_path, 16 * 240, reward=worthless, advice={"weight": 100.0, "steps": 10**9}, envs=16)
    before = agreement(run.learner.policy())
    run.run()
    after = agreement(run.learner.policy())
    assert min(before.values()) < 0.7
    assert min(after.values()) > 0.85, after


@pytest.mark.parametrize("method", METHODS)
def test_the_settings_of_advice_are_the_same_for_all(method):
    assert config_class(method)().advice == AdviceConfig()


def test_forbidden_choices_are_no_rivals_of_what_is_advised(tmp_path):
    learner = make("iql", tmp_path).learner
    count = learner.actions.num_branches
    utilities = np.zeros((1, count, learner.actions.widest), np.float32)
    place = int(np.flatnonzero(learner.actions.sizes == 4)[0])
    utilities[0, place] = [9.0, 1.0, 0.0, 0.0]
    masks = {name: np.ones((1, actions), np.int8) for name, (_, actions, _) in SPACES.items()}
    masks["triage"][0, 0] = 0
    seen = Seen(np.arange(1), {}, masks, None, {name: np.full((1, n), -1.0) for name, (_, n, _) in SPACES.items()})
    seen.advice["triage"] = np.array([1])
    drawn = {"masks": learner.actions.pack(masks), "advice": learner.encode_advice(seen)}
    loss, differs = learner._distance(learner.to_tensor(utilities), drawn)
    # Triage's advice leads by 1; each of the other branches fails to lead equal utilities by the whole margin.
    assert float(loss.mean()) == pytest.approx(learner.config.margin * (count - 1) / count, rel=1e-5)
    assert float(differs) == 0.0
