"""Flat methods on CC4: settings, seeds apart from those of reports, and weights that know their game."""

import json
import shutil

import numpy as np
import pytest

from adapters.bundle import PACKAGED
from cage4 import spec
from evaluation.games.cc4 import training as training_cc4
from evaluation.games.cc4.policies import make_policy
from evaluation.games.soc.policies import soc_registry
from evaluation.harness.schema import EvalSpec
from evaluation.inputs.errors import BadInput
from evaluation.policies import registry
from evaluation.policies.registry import fingerprint
from hmarl_soc import checkpoint
from hmarl_soc.training.playing import TRAINING, VALIDATION, episode_seeds
from tests.builders.train_command import one_line, train

SMALL = """
[environment]
engine = "cc4"
num_envs = 4
knobs = {steps = 12}
[trainer]
log_every = 40
save_every = 80
validate_every = 80
validation_episodes = 2
[method]
rollout = 40
minibatch = 20
epochs = 1
[method.network]
hidden = 8
attention = false
"""


def test_defaults_of_cc4_hold_unless_others_are_given():
    found = training_cc4.settings({}, "ippo")
    assert (found.environment.engine, found.environment.teacher) == ("cc4", "none")
    assert found.method.reward_scale == 0.01 and found.method.rollout == 8_192 and found.method.drawn
    asked = {"environment": {"num_envs": 3}, "trainer": {"steps": 7}, "method": {"rollout": 50, "gamma": 0.9}}
    found = training_cc4.settings(asked, "mappo")
    assert (found.environment.num_envs, found.trainer.steps, found.trainer.validation_episodes) == (3, 7, 32)
    assert (found.method.rollout, found.method.gamma, found.method.epochs) == (50, 0.9, 4)
    assert training_cc4.settings({}, "qmix").method.reward_scale == 0.01


@pytest.mark.parametrize("method", ["hmarl-soc", "hmarl-soc-ppo"])
def test_hierarchies_are_carried_not_trained_there(method):
    with pytest.raises(ValueError, match="does not learn on CAGE Challenge 4"):
        training_cc4.settings({}, method)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"level": "small"}, "'level' is of the SOC simulator"),
        ({"teacher": "adaptive"}, "'teacher' is of the SOC simulator"),
        ({"knobs": {"max_steps": 9}}, "unknown knob 'max_steps' of CAGE Challenge 4; known: variant, steps"),
    ],
)
def test_settings_of_the_other_simulator_are_refused(environment, sentence):
    with pytest.raises(ValueError, match=sentence):
        training_cc4.settings({"environment": environment}, "ippo")


def test_training_and_validation_never_see_the_seeds_of_reports():
    reported = {seed for base in (0, 1000, 1001) for seed in _spec(base).episode_seeds()}
    for purpose in (TRAINING, VALIDATION):
        for seed in (0, 1, 1000):
            assert not reported & set(episode_seeds(seed, purpose, 0, 2000))
    assert not set(episode_seeds(0, TRAINING, 0, 2000)) & set(episode_seeds(0, VALIDATION, 0, 2000))


def _spec(seed):
    return EvalSpec(
        engine="native", variant="base-v1", variant_knobs={}, policies=("random",), episodes=2000, seed=seed
    )


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("method", ["ippo", "mappo"])
def test_train_resume_and_play(tmp_path, small, method):
    run = ["--method", method, "--config", small, "--seed", 1, "--out", tmp_path / "run"]
    done = train(*run, "--steps", 88, "--json")
    assert done.exit_code == 0, done.output
    assert np.isfinite(json.loads(done.stdout.splitlines()[-1])["best_score"])
    more = train(*run, "--steps", 168, "--resume", "--game", "cc4")
    assert more.exit_code == 0 and "168 steps" in more.output, more.output
    assert checkpoint.load(tmp_path / "run" / "best").config["environment"]["engine"] == "cc4"
    policy = make_policy(f"weights:{tmp_path / 'run'}")
    shown = {name: np.zeros((3, n)) for name, n in zip(spec.BLUE_AGENTS, spec.OBSERVATION_SIZES, strict=True)}
    masks = {name: np.ones((3, n), np.int8) for name, n in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)}
    masks["blue_agent_2"][:, :80] = 0
    seen = set()
    for draw in (0.0, 0.5, 1.0 - 1e-16):  # PPO plays CC4 by drawing, to both ends of what a draw may be
        draws = np.full((3, 5, policy.draws_per_agent), draw)
        chosen = policy.act(shown, masks, policy.initial_memory(3), draws).actions
        assert set(chosen) == set(spec.BLUE_AGENTS) and (chosen["blue_agent_2"] >= 80).all()
        assert all((chosen[name] < size).all() for name, size in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True))
        seen.add(tuple(int(chosen[name][0]) for name in spec.BLUE_AGENTS))
    assert len(seen) == 3
    with pytest.raises(BadInput, match="were trained in CAGE Challenge 4; use --game cc4"):
        registry.make_policy(f"weights:{tmp_path / 'run'}", soc_registry("corrected"))


def test_weights_of_the_soc_simulator_do_not_play_cc4(tmp_path):
    from hmarl_soc.baselines.config import PpoConfig
    from hmarl_soc.config import NetworkConfig, RunConfig
    from hmarl_soc.interface import Agent, Interface
    from hmarl_soc.registry import make_learner
    from native_sim.soc import spec as soc

    sizes = zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)
    agents = tuple(Agent(role, soc.OBSERVATIONS[role], size, role == "triage") for role, size in sizes)
    interface, config = Interface(agents, 0), PpoConfig(network=NetworkConfig(hidden=8, attention=False))
    policy = make_learner("ippo", config, interface, 1, seed=0).policy()
    weights = {"steps": 1, "score": 0.0, "arrays": policy.weights()}
    settings = RunConfig(method=config).to_dict()
    checkpoint.save(tmp_path, checkpoint.Checkpoint("weights", "ippo", interface.to_dict(), settings, weights))
    assert registry.make_policy(f"weights:{tmp_path}", soc_registry("corrected")).wants == ()
    with pytest.raises(BadInput, match="trained in the SOC simulator; use --game soc, or carry them"):
        make_policy(f"weights:{tmp_path}")
    with pytest.raises(BadInput, match="holds no checkpoint"):
        make_policy(f"weights:{tmp_path / 'nothing'}")


def test_a_bundle_names_the_weights_that_it_carries(tmp_path):
    soc = soc_registry("corrected")
    shutil.copytree(PACKAGED / "hmarl-soc", tmp_path / "mine")
    packaged, mine = "weights:hmarl-soc", f"weights:{tmp_path / 'mine'}"
    arrays = [registry.make_policy(name, soc).weights() for name in (packaged, mine)]
    assert arrays[0].keys() == arrays[1].keys() and all(np.array_equal(arrays[0][n], arrays[1][n]) for n in arrays[0])
    assert fingerprint(packaged, soc) == fingerprint(mine, soc) == fingerprint(f"without:hunter/{mine}", soc)
    assert fingerprint("without:hunter/adaptive", soc) is None
    manifest = tmp_path / "mine" / "policy" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert fingerprint(mine, soc) != fingerprint(packaged, soc) != fingerprint(f"without:hunter/{mine}", soc)
    manifest.write_text("{}", encoding="utf-8")
    for name in (mine, f"without:hunter/{mine}", "weights:hmarl-soc@ops-only"):
        with pytest.raises(BadInput):
            registry.make_policy(name, soc)
    with pytest.raises(BadInput, match="carries no trained weights; give one that does"):
        registry.make_policy("weights:soc-adaptive", soc)


@pytest.mark.parametrize("name", ["weights:hmarl-soc", "without:hunter/weights:hmarl-soc"])
def test_weights_play_only_under_the_rules_they_were_trained_by(name):
    registry.make_policy(name, soc_registry("corrected"))
    with pytest.raises(BadInput, match="coordinator sees other things than under the reference rules of the SOC sim"):
        registry.make_policy(name, soc_registry("reference"))


def test_contradictions_are_refused(tmp_path, small):
    done = train("--method", "ippo", "--config", small, "--seed", 1, "--out", tmp_path / "run", "--game", "soc")
    assert done.exit_code == 2 and "leave one of them out" in one_line(done)
    done = train("--method", "ippo", "--seed", 1, "--out", tmp_path / "run", "--game", "moon")
    assert done.exit_code == 2 and "unknown game 'moon'; known are cc4, soc" in one_line(done)
    done = train("--method", "ippo", "--seed", 1, "--out", tmp_path / "run", "--engine", "cyborg")
    assert done.exit_code == 2 and "choose native or auto; given 'cyborg'" in one_line(done)
    done = train("--seed", 1, "--out", tmp_path / "run", "--game", "cc4")
    assert done.exit_code == 2 and "does not learn on CAGE Challenge 4" in one_line(done)
    for base in ("tuned", "table2"):
        done = train("--method", "ippo", "--config", small, "--seed", 1, "--out", tmp_path / "run", "--base", base)
        assert done.exit_code == 2
        assert f"--base {base} was given, but CAGE Challenge 4 has settings of its own" in one_line(done)
    assert not (tmp_path / "run").exists()
