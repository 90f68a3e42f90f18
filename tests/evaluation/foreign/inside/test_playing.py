"""Submissions on a stand-in for CybORG: each plays its own code, whatever others are called, and one episode only."""

import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evaluation.foreign import process
from evaluation.foreign.inside.child import OURS
from evaluation.foreign.limits import Limits
from evaluation.foreign.process import Surroundings, scope
from evaluation.games.cc4.submissions import play_submission
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import PolicyFailure

STEPS = 12
EPISODES = (Episode(0, 11), Episode(1, 12))
SUBMISSION = """
    import os, sys, time
    {imports}

    class Sleep:
        def __init__(self, price):
            self.price = price

    class Agent:
        calls = 0

        def get_action(self, observation, action_space):
            Agent.calls += 1
            {act}
            return Sleep({price})

    class Wrapper:
        agents = tuple(f"blue_agent_{{i}}" for i in range(5))

        def __init__(self, cyborg):
            self.cyborg = cyborg

        def reset(self):
            {reset}
            return dict.fromkeys(self.agents), {{}}

        def step(self, actions):
            {step}
            return dict.fromkeys(self.agents), {{}}, {{}}, {{}}, {{}}

        def action_space(self, agent):
            return None

    class Submission:
        NAME, TEAM, TECHNIQUE = "name", "team", "technique"
        AGENTS = {{agent: Agent() for agent in Wrapper.agents}}

        def wrap(env):
            return Wrapper(env)
"""
PLAIN = {"imports": "from brain import PRICE", "act": "", "price": "PRICE"}
PLAIN |= {"reset": "self.cyborg.reset()", "step": "self.cyborg.parallel_step(actions)"}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "CHILD", Path(__file__).with_name("stand_in.py"))
    monkeypatch.chdir(tmp_path)


def write(folder, files=None, **parts):
    folder.mkdir()
    (folder / "submission.py").write_text(textwrap.dedent(SUBMISSION).format(**{**PLAIN, **parts}))
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    return folder


def play(path, episodes=EPISODES):
    labels = Labels(str(path), "cyborg", "base-v1", STEPS)
    return [row.model_dump(exclude={"wall_s", "policy"}) for row in play_submission(str(path), episodes, labels)]


def per_step(path):
    """What the code of a submission costs in every step but the first."""
    (price,) = {tuple(row["step_rewards"][1:]) for row in play(path)}
    assert len(set(price)) == 1
    return -price[0]


def zipped(folder, prefix=""):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.py"):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0)])
@pytest.mark.parametrize("kind", ["module", "package", "zip"])
def test_helpers_of_one_name_are_each_submissions_own(tmp_path, order, kind):
    name = "brain/__init__.py" if kind == "package" else "brain.py"
    paths = [write(tmp_path / letter, {name: f"PRICE = {price}\n"}) for letter, price in (("a", 1), ("b", 10))]
    if kind == "zip":
        paths = [zipped(path) for path in paths]
    assert [per_step(paths[number]) for number in order] == [5 * (1, 10)[number] for number in order]


@pytest.mark.parametrize("prefix", ["", "submission/"])
def test_zips_of_either_form(tmp_path, prefix):
    imports = "from submission.brain import PRICE" if prefix else PLAIN["imports"]
    path = zipped(write(tmp_path / "a", {"brain.py": "PRICE = 3\n"}, imports=imports), prefix)
    assert per_step(path) == 15


@pytest.mark.parametrize("name", [*OURS, "numpy_helper", "gymnasium", "pydantic", "threadpoolctl"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_a_submission_may_have_modules_of_any_name(tmp_path, name, form):
    if form.startswith("{}/") and name not in OURS:
        pytest.skip("one form is enough")
    folder = write(tmp_path / "a", {form.format(name): "PRICE = 7\n"}, imports=f"from {name} import PRICE")
    assert per_step(folder) == 35


def test_all_of_our_names_at_once_and_late_imports(tmp_path):
    files = {f"{name}.py": "PRICE = 1\n" for name in OURS} | {"late.py": "PRICE = 2\n"}
    price = "(" + " + ".join(f"{name}.PRICE" for name in OURS) + " + __import__('late').PRICE)"
    assert per_step(write(tmp_path / "a", files, imports=f"import {', '.join(OURS)}", price=price)) == 5 * 7


def test_a_submission_may_use_what_is_installed(tmp_path):
    imports = "import numpy, gymnasium, cage4.spec"
    assert per_step(write(tmp_path / "a", imports=imports, price="len(cage4.spec.BLUE_AGENTS)")) == 25


def test_an_episode_depends_on_its_seed_alone(tmp_path):
    folder = write(
        tmp_path / "a",
        imports="import random, numpy as np",
        price="Agent.calls + random.randrange(9) + np.random.randint(9) + hash('text') % 5",
    )
    both = play(folder)
    assert play(folder, EPISODES[::-1])[::-1] == both
    assert both[0]["step_rewards"] != both[1]["step_rewards"]


@pytest.mark.parametrize(
    "reset", ["self.cyborg.reset(); self.cyborg.reset()", "self.cyborg.np_random.random(5); self.cyborg.reset(seed=3)"]
)
def test_a_wrapper_cannot_choose_its_world(tmp_path, reset):
    plain = play(write(tmp_path / "a", imports="", price="1"))
    assert play(write(tmp_path / "b", imports="", price="1", reset=reset)) == plain


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"step": "self.cyborg.parallel_step(actions); self.cyborg.parallel_step(actions)"},
            "its wrapper played 2 steps of CybORG in one step; each must play exactly one",
        ),
        (
            {"step": "for _ in range(100): self.cyborg.parallel_step(actions)"},
            "its wrapper played on after the end of the episode",
        ),
        (
            {"step": "self.cyborg.environment_controller.step(actions)"},
            "its wrapper played 0 steps of CybORG in one step",
        ),
        (
            {
                "step": "Agent.calls > 20 and self.cyborg.environment_controller.step(actions)\n"
                "        self.cyborg.parallel_step(actions)"
            },
            "its wrapper steps CybORG past parallel_step()",
        ),
        ({"step": "pass"}, "its wrapper played 0 steps of CybORG in one step"),
        (
            {"step": "Agent.calls > 20 and self.cyborg.reset(); self.cyborg.parallel_step(actions)"},
            "its wrapper reset the environment in the middle of an episode, after 4 steps",
        ),
        (
            {
                "step": "try: Agent.calls > 20 and self.cyborg.reset()\n        except Exception: pass\n"
                "        self.cyborg.parallel_step(actions)"
            },
            "its wrapper reset the environment in the middle of an episode, after 4 steps",
        ),
        ({"act": "sys.exit(0)"}, "raised SystemExit: 0"),
        ({"act": "os._exit(3)"}, "ended its process (exit code 3) in get_action() of blue_agent_0"),
        ({"act": "Agent.calls == 8 and time.sleep(99)"}, "took longer than 3 s for get_action() of blue_agent_2"),
        ({"imports": "import sys; sys.exit(0)"}, "raised SystemExit: 0"),
        ({"imports": "import os; os._exit(0)"}, "ended its process (exit code 0) in loading"),
        ({"imports": "from nowhere import BRAIN"}, "raised ModuleNotFoundError: No module named 'nowhere'"),
        ({"imports": "syntax error"}, "raised SyntaxError"),
        ({"price": "float('nan')"}, "played what is no episode"),
        ({"price": "'much'"}, "raised TypeError"),
    ],
)
def test_its_own_failures(tmp_path, parts, sentence):
    folder = write(tmp_path / "a", **{"imports": "import os, sys, time", "price": "1", **parts})
    with scope(Surroundings.here(Limits(3.0))), pytest.raises(PolicyFailure) as caught:
        play(folder)
    assert str(caught.value).startswith(f"policy {folder}: {sentence}"), caught.value
    assert "\n" not in str(caught.value)


def test_a_wrapper_may_begin_anew_after_the_end(tmp_path):
    step = "self.cyborg.parallel_step(actions)\n"
    step += "        if self.cyborg.environment_controller.done: self.cyborg.reset()"
    plain = play(write(tmp_path / "a", imports="", price="1"))
    assert play(write(tmp_path / "b", imports="", price="1", step=step)) == plain


def test_steps_before_the_episode_are_not_counted(tmp_path):
    folder = write(tmp_path / "a", imports="", price="1")
    text = (folder / "submission.py").read_text()
    warm = "env.reset(); [env.parallel_step({}) for _ in range(4)]; return Wrapper(env)"
    other = tmp_path / "b"
    other.mkdir()
    (other / "submission.py").write_text(text.replace("return Wrapper(env)", warm))
    assert play(other) == play(folder)


def test_what_is_unpacked_is_cleaned_up(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert per_step(zipped(write(tmp_path / "a", {"brain.py": "PRICE = 3\n"}))) == 15
    assert not list((tmp_path / "temporary").iterdir())


def test_rewards_add_up(tmp_path):
    for row in play(write(tmp_path / "a", imports="", price="1")):
        assert len(row["step_rewards"]) == STEPS - 2
        assert row["score"] == np.sum(row["parts"]) == sum(row["step_rewards"])
        assert row["actions"]["Sleep"] == 5 * (STEPS - 1)
