import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from hmarl_soc.config import RunConfig, Settings, parse, read_toml
from hmarl_soc.hierarchy.config import HmarlConfig

TABLE_2 = {
    "gamma": 0.99,
    "replay.capacity": 200_000,
    "replay.batch_size": 256,
    "network.hidden": 256,
    "coordinator.learning_rate": 3e-4,
    "coordinator.clip": 0.2,
    "coordinator.every": 5,
    "hunter.actor_learning_rate": 3e-4,
    "hunter.critic_learning_rate": 3e-4,
    "hunter.tau": 0.005,
    "triage.epsilon_start": 1.0,
    "triage.epsilon_end": 0.05,
    "triage.epsilon_steps": 50_000,
    "triage.target_every": 1000,
    "responder.actor_learning_rate": 3e-4,
    "responder.critic_learning_rate": 3e-4,
    "responder.tau": 0.005,
}


@pytest.mark.parametrize(("path", "value"), TABLE_2.items())
def test_defaults_are_those_of_table_2(path, value):
    setting = HmarlConfig()
    for part in path.split("."):
        setting = getattr(setting, part)
    assert setting == value


def groups(kind=RunConfig, seen=None):
    seen = set() if seen is None else seen
    seen.add(kind)
    for field in kind.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            groups(field.annotation, seen)
    return seen


def test_every_setting_says_what_it_means():
    for kind in groups() | groups(HmarlConfig):
        for name, field in kind.model_fields.items():
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Settings)):
                assert field.description or name == "method", f"{kind.__name__}.{name}"


def test_settings_come_back_from_plain_values(tmp_path):
    config = parse({"trainer": {"steps": 5}, "method": {"hunter": {"entropy_weight": 0.2}}}, HmarlConfig)
    assert config.method.hunter.entropy_weight == 0.2
    assert parse(json.loads(json.dumps(config.to_dict())), HmarlConfig) == config


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        HmarlConfig().gamma = 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainer]\nstep = 3", "unknown setting 'trainer.step'"),
        ("[method.hunter]\nlr = 3", "unknown setting 'hunter.lr'"),
        ("[method]\ngamma = 1.5", "setting 'gamma' of HmarlConfig is wrong: .*less than 1; given 1.5"),
        ("[nothing]\n", "unknown setting 'nothing'"),
        ("[trainer]\nsteps = 'many'", "trainer.steps"),
        ("[method.coordinator]\nclip = nan", "coordinator.clip"),
        ("[method.network]\nhidden = 30", "4 heads do not divide 30 hidden units"),
        ("[[[", "cannot be read"),
    ],
)
def test_wrong_settings_are_named_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        parse(read_toml(path), HmarlConfig)
    assert "\n" not in str(caught.value) or "cannot be read" in message


def test_a_missing_file_is_said():
    with pytest.raises(ValueError, match="cannot be read"):
        read_toml(Path("nowhere.toml"))
