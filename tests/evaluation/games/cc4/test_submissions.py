"""CC4 submissions: folders and zips, paired with our own policies, and their own failures told from ours."""

import json
import textwrap
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.games.cc4.submissions import check_submission, play_submission
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import BadInput, PolicyFailure
from tests.builders.factories import make_spec

STEPS = 40
EPISODES = (Episode(0, 11), Episode(1, 12))
SUBMISSION = """
    import random
    import numpy as np
    from CybORG.Agents.Wrappers import BlueFlatWrapper
    from helper import START

    class Agent:
        def __init__(self):
            self.calls = START

        def get_action(self, observation, action_space):
            self.calls += 1
            {body}

    class Submission:
        NAME, TEAM, TECHNIQUE = "name", "team", "technique"
        AGENTS = {{f"blue_agent_{{i}}": Agent() for i in range({agents})}}

        def wrap(env):
            env = BlueFlatWrapper(env)
            env.reset()
            return env
"""
SLEEP = "return 49 if action_space.n == 82 else 145"
STATEFUL = "return (self.calls * 7 + random.randrange(9) + np.random.randint(9)) % action_space.n"


def write(folder, body=SLEEP, agents=5):
    folder.mkdir()
    (folder / "submission.py").write_text(textwrap.dedent(SUBMISSION).format(body=body, agents=agents))
    (folder / "helper.py").write_text("START = 0\n")
    return folder


def play(path, episodes=EPISODES):
    labels = Labels(str(path), "cyborg", "base-v1", STEPS)
    rows = [record.model_dump() for record in play_submission(str(path), episodes, labels)]
    return [{key: value for key, value in row.items() if key not in ("wall_s", "policy")} for row in rows]


@pytest.mark.cyborg
def test_a_sleeping_submission_is_paired_with_no_defense(tmp_path):
    import cage4
    from cage4.policies.baselines import NoDefense
    from tests.builders.playing import play as play_policy

    env = cage4.vector_env("cyborg", num_envs=1, steps=STEPS)
    labels = Labels("no-defense", "cyborg", "base-v1", STEPS)
    ours = [record.model_dump() for record in play_policy(env, NoDefense(), EPISODES, labels)]
    theirs = play(write(tmp_path / "sub"))
    for row in ours:
        del row["wall_s"], row["policy"]
    assert theirs == ours


@pytest.mark.cyborg
def test_an_episode_depends_on_its_seed_alone(tmp_path):
    folder = write(tmp_path / "sub", STATEFUL)
    both = play(folder)
    assert play(folder, EPISODES[::-1])[::-1] == both
    assert both[0]["step_rewards"] != both[1]["step_rewards"] or both[0]["actions"] != both[1]["actions"]
    flat, nested = tmp_path / "flat.zip", tmp_path / "nested.zip"
    for archive, prefix in ((flat, ""), (nested, "submission/")):
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("submission.py", "helper.py"):
                file.writestr(prefix + name, (folder / name).read_text())
        if prefix:
            with zipfile.ZipFile(archive, "a") as file:
                file.writestr("helper.py", (folder / "helper.py").read_text())
        assert play(archive) == both


@pytest.mark.cyborg
@pytest.mark.parametrize(
    ("body", "agents", "sentence"),
    [
        ("raise LookupError('lost')", 5, "raised LookupError: lost"),
        ("return 1000", 5, "raised IndexError"),
        ("return 'Restore'", 5, "raised TypeError"),
        (SLEEP, 7, "AGENTS names 'blue_agent_5'"),
        ("syntax error", 5, "raised SyntaxError"),
    ],
)
def test_its_own_failures(tmp_path, body, agents, sentence):
    with pytest.raises(PolicyFailure, match=sentence) as caught:
        play(write(tmp_path / "sub", body, agents))
    assert "Traceback" in caught.value.trace


def test_what_is_no_submission_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"holds no submission.py"):
        check_submission(tmp_path)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadInput, match="cannot be read as a zip"):
        check_submission(broken)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("other.py", "")
    with pytest.raises(BadInput, match=r"holds no submission.py"):
        check_submission(tmp_path / "empty.zip")


PRICED = "import brain, evaluation; return brain.CHOICE if self.calls % evaluation.EVERY == 0 else 49"


@pytest.mark.cyborg
@pytest.mark.parametrize("workers", ["1", "2"])
def test_submissions_play_their_own_code_beside_each_other(tmp_path, workers):
    episodes = [Episode(i, seed) for i, seed in enumerate(make_spec(episodes=2, seed=3).episode_seeds())]
    alone = {}
    for name, choice in (("a", 3), ("b", 77)):
        folder = write(tmp_path / name, PRICED)
        (folder / "brain.py").write_text(f"CHOICE = {choice}\n")
        (folder / "evaluation.py").write_text("EVERY = 2\n")
        alone[str(folder)] = sum(row["score"] for row in play(folder, episodes))
    for order in (list(alone), list(alone)[::-1]):
        out = tmp_path / f"run-{Path(order[0]).name}"
        options = ("--engine", "cyborg", "--steps", str(STEPS), "--episodes", "2", "--seed", "3", "--workers", workers)
        done = CliRunner().invoke(
            app, ["evaluate", *options, "--policies", ",".join(order), "--out", str(out), "--json"]
        )
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout.splitlines()[-1])["policies"]
        assert {name: 2 * found[name]["mean"] for name in order} == alone
    assert len(set(alone.values())) == 2
