import importlib

import numpy as np
import pytest

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import CheckpointError
from hmarl_soc.config import EnvironmentConfig, HmarlConfig, MethodConfig, parse
from hmarl_soc.hierarchy import Hierarchy
from hmarl_soc.interface import describe
from hmarl_soc.registry import METHODS, config_class, find, load_policy
from hmarl_soc.runs import make_env
from native_sim.soc import spec


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_where_it_is_said_to_be(name):
    assert issubclass(config_class(name), MethodConfig)
    for part in find(name):
        module, _, attribute = part.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_an_unknown_method_lists_the_known():
    with pytest.raises(ValueError, match="unknown method 'magic'; known: hmarl-soc"):
        find("magic")


def saved(folder, **changes):
    config = parse({"environment": {"num_envs": 1}, "method": {"network": {"hidden": 16}}}, HmarlConfig)
    env = make_env(config.environment)
    interface = describe(env, spec.STATE.size)
    policy = Hierarchy(config.method, interface, 1, 0).policy()
    parts = {"kind": "weights", "method": "hmarl-soc", "interface": interface.to_dict(), "config": config.to_dict()}
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


def test_training_never_sees_held_out_networks():
    with pytest.raises(ValueError, match="held_out is not a setting of training"):
        make_env(EnvironmentConfig(num_envs=1, knobs={"held_out": True}))
