"""Bars move while a batch is played, count every episode once, and name what is played."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

import cage4
from cage4.policies.baselines import NoDefense, RandomValid
from evaluation.harness import progress
from evaluation.harness.rollout import Episode, Labels
from native_sim.soc.config import make_config
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.policies import make_policy
from tests.builders.playing import play


@pytest.fixture
def heard():
    """What is told while a test plays, as (policy, episodes)."""
    told = []
    with progress.listening(lambda *what: told.append(what)):
        yield told
    assert not progress.listened()


def spec(*policies, episodes=4):
    return SimpleNamespace(policies=policies, episodes=episodes)


def rows(policy, count):
    return [SimpleNamespace(policy=policy)] * count


def task(bar):
    return bar._progress.tasks[0]


def test_a_batch_tells_of_its_steps_before_an_episode_ends(heard):
    env = cage4.vector_env("native", num_envs=4, steps=30)
    played = play(env, RandomValid(), [Episode(i, i) for i in range(4)], Labels("mine", "native", "base-v1", 30))
    next(played)
    counts = [episodes for _, episodes in heard]
    assert {policy for policy, _ in heard} == {"mine"}
    assert counts == pytest.approx([4 * step / 29 for step in range(1, 30)])
    assert len(list(played)) == 3


def test_more_episodes_than_rows_add_up(heard):
    env = cage4.vector_env("native", num_envs=2, steps=12)
    records = list(play(env, NoDefense(), [Episode(i, i) for i in range(5)], Labels("none", "native", "base-v1", 12)))
    counts = [episodes for _, episodes in heard]
    assert len(records) == 5 and counts[-1] == 5.0
    assert counts == sorted(counts) and len(counts) == 33


def test_episodes_that_end_early_count_whole(heard):
    env = SocVectorEnv(make_config(), 3, 1)
    labels = Labels("none", "soc", "corrected", 200)
    records = list(play(env, make_policy("no-defense"), [Episode(i, i) for i in range(3)], labels))
    assert len({record.length for record in records}) > 1  # one after the other
    assert heard[-1] == ("none", 3.0) and max(episodes for _, episodes in heard) == 3.0


def test_nobody_listening_costs_and_changes_nothing():
    assert not progress.listened()
    env = cage4.vector_env("native", num_envs=1, steps=12)
    assert len(list(play(env, NoDefense(), [Episode(0, 0)], Labels("none", "native", "base-v1", 12)))) == 1


def test_the_bar_of_episodes_moves_within_a_batch_and_names_who_plays(monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    bar = progress._EpisodesBar(Progress(disable=True), spec("first", "second"), rows("first", 1))
    assert (task(bar).completed, task(bar).total) == (1, 8) and "compiles" in task(bar).description
    bar.under_way("first", 0.5)
    assert (task(bar).completed, task(bar).description) == (1.5, "first")
    bar.under_way("first", 2.25)
    assert task(bar).completed == 3.25
    bar.add(rows("first", 3))
    assert (task(bar).completed, task(bar).description) == (4, "second")
    bar.add(rows("second", 1))  # one of several batches
    assert (task(bar).completed, task(bar).description) == (5, "second")
    bar.add(rows("second", 3))
    assert (task(bar).completed, task(bar).description) == (8, "second")


def test_the_bar_of_episodes_passes_over_who_failed():
    bar = progress._EpisodesBar(Progress(disable=True), spec("failed", "good", "last"), [])
    bar.add(rows("good", 4))
    assert task(bar).description == "last"


def test_moves_are_few_however_many_steps(monkeypatch):
    bar = progress._EpisodesBar(Progress(disable=True), spec("one"), [])
    moved = []
    monkeypatch.setattr(bar._progress, "update", lambda *_, **what: moved.append(what))
    for step in range(1000):
        bar.under_way("one", step / 1000)
    assert 1 <= len(moved) < 100


def test_names_are_no_markup():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with progress.runs_bar(console, 2) as bar:
        list(bar.begin(["[red]a[/red]"], str))
    with progress.episodes_bar(console, spec("[b]c"), []) as add:
        add(rows("[b]c", 1))
    assert "[red]a[/red]" in text.getvalue() and "[b]c" in text.getvalue()


def test_the_bar_of_runs_names_those_that_go_on():
    bar = progress.RunsBar(Progress(disable=True), 5, 2)
    turns = bar.begin([1, 2, 3], lambda number: f"run {number}")
    next(turns)
    assert (task(bar).completed, task(bar).description) == (2, "run 1")
    next(turns)
    assert task(bar).description == "run 1, run 2"
    bar.end("run 1")
    assert (task(bar).completed, task(bar).description) == (3, "run 2")
