"""Variants: knobs to JSON and back, custom files, and refusals in one sentence."""

import json

import pytest

from cage4.variants import VARIANTS, Variant, get_variant


@pytest.mark.parametrize("name", VARIANTS)
def test_knobs_survive_json(name):
    variant = VARIANTS[name]
    assert Variant.from_dict(json.loads(json.dumps(variant.to_dict()))) == variant
    assert get_variant(name) is get_variant(variant.id) is variant
    assert hash(variant) == hash(Variant.from_dict(variant.to_dict()))


def test_a_custom_file(tmp_path):
    path = tmp_path / "loud.toml"
    path.write_text('red = "discovery"\nfalse_alarm_rate = 1\nmax_users = 5\n')
    variant = get_variant(str(path))
    assert variant == Variant("custom", red="discovery", false_alarm_rate=1, max_users=5)
    assert variant.id == "custom-v1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour = 1", "has no knob 'colour'; it has name, version, red"),
        ("min_users = 'three'", "min_users must be a whole number; given 'three'"),
        ("min_users = 2.5", "min_users must be a whole number"),
        ("min_users = true", "min_users must be a whole number"),
        ("phishing_rate = '1'", "phishing_rate must be a number"),
        ("red_one_tick = 1", "red_one_tick must be true or false"),
        ("min_users = 11", "1 <= min_users <= max_users <= 10; given 11 and 10"),
        ("min_users = 0", "1 <= min_users"),
        ("min_servers = 4\nmax_servers = 3", "1 <= min_servers <= max_servers <= 6; given 4 and 3"),
        ("phishing_rate = 1.5", "phishing_rate is a probability between 0 and 1; given 1.5"),
        ("phishing_rate = nan", "phishing_rate is a probability"),
        ('red = "purple"', "unknown red agent 'purple'"),
        ('green = "purple"', "unknown green agent 'purple'"),
        ("red_choices = [[1]]", "red_choices must have 8 rows of 9 probabilities"),
        ("red_choices = 3", "red_choices must be rows of probabilities"),
        ('name = "base"', "the name 'base' is taken"),
        ("red = ", "is not valid TOML"),
    ],
)
def test_impossible_files(tmp_path, text, sentence):
    path = tmp_path / "variant.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        get_variant(str(path))
    assert sentence in str(caught.value)
    assert "variant.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_absent_files():
    with pytest.raises(ValueError, match="unknown variant 'hard'; known variants: base, const-size"):
        get_variant("hard")
    with pytest.raises(ValueError, match=r"absent.toml cannot be read"):
        get_variant("absent.toml")
