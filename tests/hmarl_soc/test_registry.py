import importlib
import json

import numpy as np
import pytest

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import CheckpointError
from hmarl_soc.config import EnvironmentConfig, MethodConfig, parse
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.interface import describe
from hmarl_soc.registry import METHODS, config_class, find, load_policy, make_learner, policy_of
from hmarl_soc.training.runs import make_env
from native_sim.soc import spec
from tests.builders.nested import paths, put


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_where_it_is_said_to_be(name):
    assert issubclass(config_class(name), MethodConfig)
    for part in find(name)[1:]:
        module, _, attribute = part.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_an_unknown_method_lists_the_known():
    with pytest.raises(ValueError, match="unknown method 'magic'; known are hmarl-soc"):
        find("magic")


def saved(folder, method="hmarl-soc", **changes):
    kind = config_class(method)
    network = {"hidden": 16, "attention": method == "hmarl-soc"}
    config = parse({"environment": {"num_envs": 1}, "method": {"network": network}}, kind)
    env = make_env(config.environment)
    interface = describe(env, spec.STATE.size)
    policy = make_learner(method, config.method, interface, 1, 0).policy()
    parts = {"kind": "weights", "method": method, "interface": interface.to_dict(), "config": config.to_dict()}
    checkpoint.save(folder, checkpoint.Checkpoint(**(parts | changes), state={"arrays": dict(policy.weights())}))
    return policy, env


def test_weights_come_back_as_the_same_policy(tmp_path):
    policy, env = saved(tmp_path / "best")
    observations, infos = env.reset(seed=0)
    for folder in (tmp_path, tmp_path / "best"):
        again = load_policy(folder)
        given, back = (
            p.act(observations, infos["action_mask"], p.initial_memory(1), np.zeros((1, 4, 0))).actions
            for p in (policy, again)
        )
        assert all((given[role] == back[role]).all() for role in spec.AGENTS)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    other = parse({"method": {"network": {"hidden": 16, "heads": 2}}}, HmarlConfig)
    saved(tmp_path, config=other.to_dict())
    with pytest.raises(CheckpointError, match="do not fit method 'hmarl-soc'"):
        load_policy(tmp_path)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_policy(tmp_path / "nowhere")


HARMLESS = (("versions",), ("config",), ("interface", "state_size"))
"""Nothing that decides how weights act, or settings with other values that are allowed too."""


@pytest.mark.parametrize("method", ["hmarl-soc", "mappo"])
def test_whatever_is_damaged_in_a_manifest_is_told_in_one_sentence(method, tmp_path):
    saved(tmp_path, method)
    manifest = json.loads((tmp_path / checkpoint.MANIFEST).read_text(encoding="utf-8"))
    del manifest["digest"]  # as earlier versions wrote it
    for path in paths(manifest):
        for wrong in (5, "x", None, [], {}, float("inf")):
            damaged = json.dumps(put(manifest, path, wrong))
            (tmp_path / checkpoint.MANIFEST).write_text(damaged, encoding="utf-8")
            try:
                load_policy(tmp_path)
            except ValueError as error:  # as the command line tells in one sentence
                assert "\n" not in str(error)
            else:
                told_apart_later = {"observation", "discrete", "name"} & {*path}  # compared with the game
                assert told_apart_later or any(path[: len(part)] == part for part in HARMLESS), (path, wrong)


@pytest.mark.parametrize("method", ["hmarl-soc", "mappo"])
def test_weights_of_a_wrong_shape_or_without_a_number_are_refused(method, tmp_path):
    saved(tmp_path, method)
    weights = checkpoint.load(tmp_path)
    for name, array in weights.state["arrays"].items():
        for wrong in (array[..., :-1], np.full_like(array, np.nan), array[None], array.ravel()[0]):
            arrays = weights.state["arrays"] | {name: wrong}
            with pytest.raises(CheckpointError, match="do not fit method"):
                policy_of(weights._replace(state={"arrays": arrays}), tmp_path)


def test_training_never_sees_held_out_networks():
    with pytest.raises(ValueError, match="held_out is not a setting of training"):
        make_env(EnvironmentConfig(num_envs=1, knobs={"held_out": True}))
