"""Variants of the SOC simulator by name and by file: resolved, versioned, and refused in one sentence."""

from dataclasses import asdict

import pytest

from native_sim.soc.config import LEVELS, SocConfig, make_config
from native_sim.soc.variants import get_variant


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level):
    found = get_variant(f"corrected:{level}")
    assert found.config == make_config(level)
    assert found.id == ("corrected-v1" if level == "default" else f"corrected-{level}-v1")
    assert SocConfig(**asdict(found.config)) == found.config


def test_reference_draws_a_network_per_episode():
    found = get_variant("reference", held_out=True)
    assert (found.id, found.config.networks, found.config.held_out) == ("reference-v1", "episode", True)


def test_a_file_says_what_differs(tmp_path):
    path = tmp_path / "big.toml"
    path.write_text('name = "big"\nlevel = "apt"\nhosts_per_segment = 400\nstealth = 0.5\n')
    found = get_variant(str(path))
    assert found.id == "big-v1"
    assert found.config == make_config("apt", hosts_per_segment=400, stealth=0.5)
    path.write_text('rules = "reference"\nnetworks = "fixed"\nnetwork_seed = 7\n')
    found = get_variant(str(path))
    assert (found.id, found.config.rules, found.config.network_seed) == ("custom-v1", "reference", 7)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("hosts_per_segment = 1", "hosts_per_segment must lie in 2 to 20000; given 1"),
        ("hosts_per_segment = 2.5", "hosts_per_segment must be of type int"),
        ("colour = 1", "unknown knob 'colour'"),
        ("stealth = nan", "stealth must lie in 0 to 1"),
        ("level = 5", "level must be one of"),
        ('name = "corrected-apt"', "is taken"),
        ('name = "a/b"', "name must consist of"),
        ('rules = "reference"\nstealth = 0.5', "stealth has no effect under the reference rules"),
        ('rules = "reference"\nlevel = "apt"', "level has no effect under the reference rules"),
        ('rules = "other"', "rules must be one of"),
        ("rules =", "is not valid TOML"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        get_variant(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
