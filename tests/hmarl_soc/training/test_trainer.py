import json
import math
import os
import signal

import numpy as np
import pytest

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import CheckpointError
from hmarl_soc.config import parse
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.interface import describe
from hmarl_soc.nn.averaging import Average
from hmarl_soc.training.playing import TRAINING, VALIDATION, Field, episode_seeds
from hmarl_soc.training.progress import Meter
from hmarl_soc.training.trainer import Trainer, TrainingDiverged
from hmarl_soc.training.validation import Validator
from tests.builders.toys import RandomWalk, ToyEnv

SPACES = {"a": (3, 2, False), "b": (2, 3, True)}


def reward(x, actions):
    return -np.abs(actions["a"][:, 0] - x[:, 0]) + (actions["b"] == 1)


def make(out, steps=96, validate=True, **trainer):
    env = ToyEnv(SPACES, reward, num_envs=4, length=7)
    sizes = {"steps": steps, "log_every": 8, "save_every": 48, "validate_every": 24, "validation_episodes": 5}
    config = parse({"trainer": sizes | trainer}, HmarlConfig)
    validator = Validator(ToyEnv(SPACES, reward, num_envs=3, length=7), 5) if validate else None
    return Trainer(env, RandomWalk(env), config, "toy", describe(env, 2), 5, out, validator)


def lines(folder):
    kept = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in kept]


@pytest.mark.parametrize("averaging", [0, 60])
def test_stopping_and_resuming_changes_nothing(tmp_path, averaging):
    whole = make(tmp_path / "whole", averaging=averaging)
    whole.run()
    make(tmp_path / "halves", steps=52, averaging=averaging).run()  # in the midst of episodes
    second = make(tmp_path / "halves", averaging=averaging)
    second.resume()
    outcome = second.run()
    assert outcome.steps == 96 and outcome.episodes == whole.field.finished > 0
    assert lines(tmp_path / "halves") == lines(tmp_path / "whole")
    assert second.learner.state_dict() == whole.learner.state_dict()


def test_lines_after_the_last_checkpoint_are_dropped_on_resume(tmp_path):
    run = make(tmp_path, steps=52)
    run.run()
    run.log.write({"kind": "train", "steps": 999})
    again = make(tmp_path)
    again.resume()
    assert lines(tmp_path)[-1]["steps"] != 999


def test_truncation_is_no_termination_and_the_last_observation_is_of_the_old_episode():
    env = ToyEnv(SPACES, reward, num_envs=2, length=3)
    field = Field(env, 0)
    for _ in range(3):
        seen = field.seen()
        step = field.step({"a": np.zeros((2, 2)), "b": np.zeros(2, int)})
        after = field.restart(step)
    assert step.truncations.all() and not step.terminations.any()
    assert (step.before.observations["a"] == seen.observations["a"]).all()
    assert not np.isclose(step.after.observations["a"], after.observations["a"]).any()
    assert field.finished == 2


def test_episode_seeds_are_a_list_and_purposes_differ():
    whole = episode_seeds(3, TRAINING, 0, 6)
    assert whole == episode_seeds(3, TRAINING, 0, 2) + episode_seeds(3, TRAINING, 2, 4)
    assert not set(whole) & set(episode_seeds(3, VALIDATION, 0, 6))
    assert not set(whole) & set(episode_seeds(4, TRAINING, 0, 6))
    assert all(0 <= seed < 2**63 for seed in whole)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path):
    run = make(tmp_path, save_every=24)
    kept = run.save

    def save_then_break():
        kept()
        if run.steps:
            run.learner.metric = math.nan

    run.save = save_then_break
    with pytest.raises(TrainingDiverged, match=r"metric became nan after 28 environment steps.*keeps the last good"):
        run.run()
    assert checkpoint.load(tmp_path / "last").state["steps"] == 24


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_saves(tmp_path, number):
    run = make(tmp_path)
    update = run.learner.update

    def interrupted():
        if run.learner.updates == 5:
            os.kill(os.getpid(), number)
        return update()

    run.learner.update = interrupted
    outcome = run.run()
    assert outcome.interrupted and outcome.steps == 24
    again = make(tmp_path)
    again.resume()
    assert not again.run().interrupted
    make(tmp_path / "whole").run()
    assert lines(tmp_path) == lines(tmp_path / "whole")


def test_best_weights_are_those_of_the_best_validation(tmp_path):
    run = make(tmp_path)
    scores = iter([1.0, 3.0, 2.0, -1.0])
    run.validate = lambda policy: {"score": next(scores)}
    run.run()
    best = checkpoint.load(tmp_path / "best", "weights")
    assert (best.state["score"], best.state["steps"]) == (3.0, 48)
    assert set(best.state["arrays"]) == {"a", "b"}


def test_averaged_weights_are_validated_and_saved(tmp_path):
    moments, validated = [], []
    for name, averaging in (("moment", 0), ("average", 40)):  # a step of 4 rows is more than a 20th of the window
        run = make(tmp_path / name, averaging=averaging)
        run.validate = lambda policy: validated.append(policy.actions["a"]) or {"score": float(len(validated))}
        act = run.learner.act
        run.learner.act = lambda seen, act=act, learner=run.learner: moments.append(learner.centre) or act(seen)
        run.run()
    found, centres = np.array(validated)[:, 0].reshape(2, 4), np.array(moments).reshape(2, 24)
    assert np.array_equal(centres[0], centres[1])  # what is learned stays the same
    average = Average(20)
    for steps, centre in enumerate([*centres[1, 1:], run.learner.centre], 1):
        average.add({"a": np.array([centre])})
        if steps % 6 == 0:
            assert found[1, steps // 6 - 1] == average.arrays({"a": np.zeros(1)})["a"][0]
    assert (found[0] != found[1]).all()
    best = checkpoint.load(tmp_path / "average" / "best", "weights")
    assert np.array_equal(best.state["arrays"]["a"], validated[-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_every": 9}, "another config: trainer.log_every is 8 there and 9 here"),
        ({"seed": 6}, "is of seed 5, not 6"),
        ({"method": "other"}, "another method"),
        ({"interface": {"agents": []}}, "another interface"),
    ],
)
def test_resume_refuses_another_run(tmp_path, change, message):
    make(tmp_path, steps=8).run()
    other = make(tmp_path, **{name: value for name, value in change.items() if name == "log_every"})
    if "seed" in change:
        other.seed = change["seed"]
    if "method" in change:
        other.method = change["method"]
    if "interface" in change:
        other.interface = describe(ToyEnv({"a": (4, 2, False)}, reward))
    with pytest.raises(CheckpointError, match=message):
        other.resume()


def test_validation_does_not_depend_on_the_number_of_environments():
    policy = RandomWalk(ToyEnv(SPACES, reward)).policy()
    scores = [Validator(ToyEnv(SPACES, reward, num_envs=count, length=7), 5)(policy)["score"] for count in (1, 3, 5)]
    assert scores[0] == pytest.approx(scores[1]) == pytest.approx(scores[2])


class Watching(Meter):
    def __init__(self):
        self.told = []

    def move(self, steps, total):
        self.told.append((steps, total))

    def show(self, steps, total, line):
        self.told.append("line")

    def name(self, what):
        self.told.append(what)


def test_a_meter_moves_with_every_step_and_hears_of_validations(tmp_path):
    run = make(tmp_path, steps=32, log_every=16, validate_every=16)
    run.meter = Watching()
    run.run()
    half = [*((steps, 32) for steps in (0, 4, 8, 12, 16)), "line", "validating", ""]
    assert run.meter.told == [*half, *((steps, 32) for steps in (20, 24, 28, 32)), "line", "validating", ""]


def test_a_meter_of_a_resumed_run_starts_where_it_was(tmp_path):
    make(tmp_path, steps=52).run()
    again = make(tmp_path, steps=60)
    again.resume()
    again.meter = Watching()
    again.run()
    assert again.meter.told[0] == (52, 60)


@pytest.mark.parametrize("config", [{}, {"trainer": None}, {"trainer": [1]}, {"trainer": {"steps": 3}}])
def test_settings_of_a_damaged_checkpoint_can_be_compared(config):
    from hmarl_soc.training.trainer import _that_matters

    assert "steps" not in (_that_matters(config).get("trainer") or {})
