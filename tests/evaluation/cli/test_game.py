"""--game and --engine: two options, and their old spelling as one still means the same, with a notice."""

import json

import pytest
from typer.testing import CliRunner

from cage4.engines import ENGINES as CC4_ENGINES
from evaluation.cli.app import app
from evaluation.cli.game import ENGINES, engine_to_play, game_to_train
from evaluation.harness.game import ENGINES as PLAYABLE
from evaluation.inputs.errors import BadInput

PLAY = ("evaluate", "--steps", "8", "--episodes", "2", "--policies", "no-defense,random")
NOTICE = "Notice: --engine soc is the old spelling, which the next version refuses; write --game soc instead."


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("game", "engine", "expected"),
    [
        (None, None, "auto"),
        (None, "native", "native"),
        (None, "cyborg", "cyborg"),
        ("cc4", None, "auto"),
        ("cc4", "cyborg", "cyborg"),
        ("soc", None, "soc"),
        ("soc", "auto", "soc"),
        ("soc", "native", "soc"),
    ],
)
def test_what_is_played(game, engine, expected):
    assert engine_to_play(game, engine, pytest.fail) == expected


@pytest.mark.parametrize(
    ("game", "engine", "expected"),
    [
        (None, None, None),
        (None, "native", None),
        ("soc", "auto", "soc"),
        ("cc4", None, "cc4"),
        ("cc4", "native", "cc4"),
    ],
)
def test_what_is_trained(game, engine, expected):
    assert game_to_train(game, engine, pytest.fail) == expected


@pytest.mark.parametrize(
    ("translate", "game", "engine", "expected"),
    [
        (engine_to_play, None, "soc", "soc"),
        (engine_to_play, "soc", "soc", "soc"),
        (game_to_train, None, "soc", "soc"),
        (game_to_train, None, "cc4", "cc4"),
        (game_to_train, "cc4", "cc4", "cc4"),
    ],
)
def test_the_old_spelling_is_told(translate, game, engine, expected):
    told = []
    assert translate(game, engine, told.append) == expected
    assert len(told) == 1 and f"write --game {engine} instead" in told[0]


@pytest.mark.parametrize(
    ("translate", "game", "engine", "sentence"),
    [
        (engine_to_play, "moon", None, "unknown game 'moon'; choose cc4 or soc"),
        (engine_to_play, "", None, "unknown game ''; choose cc4 or soc"),
        (engine_to_play, None, "cc4", "unknown engine 'cc4' of the game cc4; choose auto, native or cyborg"),
        (engine_to_play, None, "", "unknown engine '' of the game cc4"),
        (engine_to_play, "soc", "cyborg", "unknown engine 'cyborg' of the game soc; choose auto or native"),
        (engine_to_play, "cc4", "soc", "--game cc4 and --engine soc name two games; leave --engine out"),
        (game_to_train, "moon", None, "unknown game 'moon'; choose cc4 or soc"),
        (game_to_train, "soc", "cc4", "--game soc and --engine cc4 name two games; leave --engine out"),
        (game_to_train, "cc4", "cyborg", "choose native or auto; given 'cyborg'"),
    ],
)
def test_what_does_not_go_together_is_refused(translate, game, engine, sentence):
    with pytest.raises(BadInput) as caught:
        translate(game, engine, pytest.fail)
    assert sentence in str(caught.value)


def test_the_engines_are_those_that_exist():
    assert set(ENGINES["cc4"]) == {"auto", *CC4_ENGINES}
    assert set(PLAYABLE) == {*ENGINES["cc4"], "soc"}


def rows(folder):
    return [
        {name: value for name, value in json.loads(line).items() if name != "wall_s"}
        for line in (folder / "episodes.jsonl").read_text().splitlines()
    ]


def test_both_spellings_give_equal_results(tmp_path):
    answers = []
    for name, spelling in (("new", ("--game", "soc")), ("old", ("--engine", "soc"))):
        done = call(*PLAY, *spelling, "--out", tmp_path / name, "--json")
        assert done.exit_code == 0, done.output
        assert (NOTICE in " ".join(done.stderr.split())) == (name == "old")
        answers.append(json.loads(done.stdout.splitlines()[-1]) | {"run": ""})
        assert json.loads((tmp_path / name / "spec.json").read_text())["spec"]["engine"] == "soc"
    assert answers[0] == answers[1]
    again = call(*PLAY, "--game", "soc", "--out", tmp_path / "old")
    assert again.exit_code == 0 and "4 of 4 episodes are there already" in again.output


def test_the_default_game_is_cc4(tmp_path):
    for name, spelling in (("none", ()), ("game", ("--game", "cc4")), ("engine", ("--engine", "native"))):
        done = call(*PLAY, *spelling, "--out", tmp_path / name, "--json")
        answer = json.loads(done.stdout.splitlines()[-1])
        assert (answer["engine"], answer["variant"]) == ("native", "base-v1")
        assert done.stderr.count("Notice") == 0


def test_training_passes_the_game_on_and_tells_the_old_spelling(monkeypatch, tmp_path):
    games = []

    def train(*asked):
        games.append(asked[-1])
        return {"interrupted": False, "failure": None}

    monkeypatch.setattr("evaluation.jobs.train.train", train)
    for spelling, told in ((("--game", "cc4"), False), (("--engine", "cc4"), True), (("--engine", "native"), False)):
        done = call("train", "--seed", 0, "--out", tmp_path, *spelling)
        assert done.exit_code == 0, done.output
        assert ("write --game cc4 instead" in " ".join(done.stderr.split())) == told
    assert games == ["cc4", "cc4", None]


@pytest.mark.parametrize("study", ["transfer-zero-shot", "cross-simulator"])
def test_studies_of_transfer_take_engines_of_cc4_alone(study, tmp_path):
    done = call("study", study, "--bundle", "soc-adaptive", "--engine", "soc", "--out", tmp_path)
    assert done.exit_code == 2 and "name two games" in done.stderr
    assert not list(tmp_path.iterdir())
