"""Runs put together from settings: under the reference rules too, which show no state and have no teacher."""

import json

import numpy as np
import pytest

from hmarl_soc.checkpoint import CheckpointError
from hmarl_soc.config import parse
from hmarl_soc.registry import METHODS, config_class, load_policy
from hmarl_soc.training.runs import make_trainer, train
from hmarl_soc.training.validation import play
from native_sim import make_vec
from tests.builders.nested import paths, without

NET = {"network": {"hidden": 8, "attention": False}}
PPO = {**NET, "rollout": 64, "minibatch": 32, "epochs": 1}
Q = {**NET, "warm_up": 32, "batch_size": 16, "capacity": 256}
DIRECTIVES = {"coordinator": {"every": 5, "rollout": 16, "minibatch": 8, "epochs": 1}}
OFF_POLICY = {"replay": {"capacity": 256, "batch_size": 16}, "warm_up": 32, "updates_per_step": 0.1}
SETTINGS = {
    "hmarl-soc": {
        "network": {"hidden": 8, "heads": 2, "key_size": 2},
        "potential": {"rollout": 64, "minibatch": 32, "epochs": 1},
        **DIRECTIVES,
        **OFF_POLICY,
    },
    "hmarl-soc-ppo": {**NET, **DIRECTIVES, "lower": {"rollout": 64, "minibatch": 32, "epochs": 1}},
    **dict.fromkeys(("single-drl", "mappo", "ippo"), PPO),
    **dict.fromkeys(("iql", "qmix"), Q),
}


def settings(method, **environment):
    data = {
        "environment": {"num_envs": 4, "teacher": "none", **environment},
        "trainer": {"steps": 128, "log_every": 64, "validate_every": 64, "validation_episodes": 2},
        "method": SETTINGS[method],
    }
    return parse(data, config_class(method))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_under_the_reference_rules_and_its_weights_play(method, tmp_path):
    knobs = {"rules": "reference", "networks": "episode", "max_steps": 30}
    outcome = train(method, settings(method, knobs=knobs), 0, tmp_path)
    assert outcome.steps == 128 and np.isfinite(outcome.best_score)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    validation = next(line for line in lines if line["kind"] == "validation")
    assert {"csr", "mttd", "mttr", "exfiltrated"} <= set(validation)
    env = make_vec("reference", num_envs=2, threads=1, networks="episode", max_steps=30)
    assert np.isfinite(play(env, load_policy(tmp_path), [0, 1])["return"]).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_before_its_first_step_goes_on_as_if_nothing_had_happened(method, tmp_path):
    for name in ("whole", "killed"):
        trainer = make_trainer(method, settings(method), 3, tmp_path / name)
        if name == "whole":
            trainer.run()
        else:
            trainer.save()
            train(method, settings(method), 3, tmp_path / name, resume=True)
    whole, killed = (_manifest(tmp_path / name) for name in ("whole", "killed"))
    assert whole == killed


def _manifest(run):
    """What a run ends with, its arrays by their digest, without the time that it took."""
    manifest = json.loads((run / "last" / "manifest.json").read_text(encoding="utf-8"))
    best = json.loads((run / "best" / "manifest.json").read_text(encoding="utf-8"))
    del manifest["digest"], manifest["state"]["spent_s"]
    del manifest["state"]["log"]["bytes"], manifest["state"]["log"]["sha256"]  # its lines tell times
    return manifest, best


def test_critics_see_the_state_under_the_corrected_rules_only(tmp_path):
    corrected = make_trainer("hmarl-soc", settings("hmarl-soc"), 0, tmp_path)
    reference = make_trainer("hmarl-soc", settings("hmarl-soc", knobs={"rules": "reference"}), 0, tmp_path)
    assert (corrected.interface.state_size, reference.interface.state_size) == (48, 0)
    assert corrected.field.seen().state.shape == (4, 48)
    assert reference.field.seen().state is None


@pytest.mark.parametrize("method", ["hmarl-soc", "iql", "mappo"])
def test_a_checkpoint_that_lacks_something_is_refused_and_loses_no_line_of_the_log(method, tmp_path):
    train(method, settings(method), 0, tmp_path)
    manifest, log = tmp_path / "last" / "manifest.json", (tmp_path / "log.jsonl").read_bytes()
    whole = json.loads(manifest.read_text(encoding="utf-8"))
    del whole["digest"]  # as earlier versions wrote it
    trainer, refused = make_trainer(method, settings(method), 0, tmp_path), 0
    named = [path for path in paths(whole["state"])[1:] if len(path) <= 3 and all(isinstance(key, str) for key in path)]
    for path in named:
        if path[:2] == ("learner", "pending") or path[:2] == ("field", "actions"):
            continue  # by agent, whatever these are called; the next step replaces them
        manifest.write_text(json.dumps(without(whole, ("state", *path))), encoding="utf-8")
        try:
            trainer.resume()
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error) and str(tmp_path / "last") in str(error), path
            assert (tmp_path / "log.jsonl").read_bytes() == log
        else:
            # A mean that would be told; or the digest of the log, which earlier versions did not write. Nothing else.
            assert path == ("log", "sha256") or (path[0] == "log" and len(path) == 3), path
    assert refused > 20
    manifest.write_text(json.dumps(whole), encoding="utf-8")
    trainer.resume()
