"""--game and --engine: two options, and their old spelling as one still means the same, with a notice."""

import json

import pytest
from typer.testing import CliRunner

from evaluation.cli.app import app
from evaluation.cli.game import ENGINES, game_to_play, game_to_train
from evaluation.harness.game import GAMES, find_game
from evaluation.inputs.errors import BadInput

PLAY = ("evaluate", "--steps", "8", "--episodes", "2", "--policies", "no-defense,random")
NOTICE = "Notice: --engine soc is the old spelling, which the next version refuses; write --game soc instead."


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("game", "engine", "expected"),
    [
        (None, None, ("cc4", "auto")),
        (None, "native", ("cc4", "native")),
        ("cc4", None, ("cc4", "auto")),
        ("cc4", "cyborg", ("cc4", "cyborg")),
        ("soc", None, ("soc", "auto")),
        ("soc", "native", ("soc", "native")),
    ],
)
def test_what_is_played(game, engine, expected):
    assert game_to_play(game, engine, pytest.fail) == expected


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


@pytest.mark.parametrize("game", [None, "soc", "cc4"])
@pytest.mark.parametrize("engine", ["soc", "cc4"])
@pytest.mark.parametrize("translate", [game_to_play, game_to_train])
def test_the_old_spelling_is_told_and_two_games_are_refused(translate, engine, game):
    told = []
    if game not in (None, engine):
        with pytest.raises(BadInput, match=f"--game {game} and --engine {engine} name two games; leave --engine out"):
            translate(game, engine, told.append)
        assert not told
        return
    assert translate(game, engine, told.append) == ((engine, "auto") if translate is game_to_play else engine)
    assert len(told) == 1 and f"write --game {engine} instead" in told[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--game", "moon"), "unknown game 'moon'; known are cc4, soc"),
        (("--game", ""), "unknown game ''; known are cc4, soc"),
        (("--engine", "moon"), "unknown engine 'moon' of CAGE Challenge 4; choose auto or native or cyborg"),
        (("--engine", ""), "unknown engine '' of CAGE Challenge 4"),
        (
            ("--game", "soc", "--engine", "cyborg"),
            "unknown engine 'cyborg' of the SOC simulator; choose auto or native",
        ),
        (("--game", "cc4", "--engine", "soc"), "--game cc4 and --engine soc name two games; leave --engine out"),
    ],
)
def test_what_does_not_exist_is_one_sentence(arguments, sentence, tmp_path):
    done = call(*PLAY, *arguments, "--out", tmp_path / "run")
    assert done.exit_code == 2 and sentence in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--game", "moon"), "unknown game 'moon'; known are cc4, soc"),
        (("--game", ""), "unknown game ''; known are cc4, soc"),
        (("--game", "soc", "--engine", "cc4"), "--game soc and --engine cc4 name two games; leave --engine out"),
        (("--engine", "cyborg"), "choose native or auto; given 'cyborg'"),
    ],
)
def test_training_refuses_them_too(arguments, sentence, tmp_path):
    done = call("train", "--seed", 0, *arguments, "--out", tmp_path / "run")
    assert done.exit_code == 2 and sentence in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_the_engines_of_help_texts_are_those_of_the_games():
    assert list(ENGINES) == list(GAMES.ours)
    for game, engines in ENGINES.items():
        assert find_game(game).engines == engines


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
