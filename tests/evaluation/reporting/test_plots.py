"""The figures: deterministic, self-contained, well-formed, and free of overlap at their extremes."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from evaluation.games.cc4 import plots as plots_cc4
from evaluation.games.cc4.report import FIGURES
from evaluation.games.cc4.schema import EpisodeRecord, Summary
from evaluation.harness.summary import summarise
from evaluation.reporting import canvas, report
from tests.builders.factories import make_records, make_spec, with_scores
from tests.builders.figure_checks import check_layout, check_svg

LONG = [f"transferred-hierarchy-with-projection-and-masking-{i}" for i in range(4)]
EIGHT = ("no-defense", "random", "ops-only", "full", *LONG)
CASES = {
    "one policy": (("full",), 8, 500),
    "eight policies, long names": (EIGHT, 6, 500),
    "one episode": (("no-defense", "full"), 1, 500),
    "three steps": (("no-defense", "full"), 3, 3),
    "decades apart": (("no-defense", "full", "good"), 6, 500),
}


@cache
def case(name: str) -> tuple[Summary, list[EpisodeRecord]]:
    policies, episodes, steps = CASES[name]
    spec = make_spec(policies, episodes=episodes, steps=steps)
    means = {"no-defense": -4000.0, "good": -20.0} if name == "decades apart" else {}
    records = make_records(spec, means)
    return summarise(spec, records), records


@pytest.mark.parametrize("name", CASES)
def test_figures_are_well_formed_and_say_nothing_of_the_outside(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = report.figures(*case(name))
    assert set(drawn) == set(FIGURES)
    for figure, svg in drawn.items():
        check_svg(figure, svg)


def test_equal_input_gives_equal_text() -> None:
    summary, records = case("one policy")
    assert report.figures(summary, records) == report.figures(summary, records[::-1])


def test_other_scores_give_another_figure() -> None:
    summary, records = case("one policy")
    moved = [with_scores(records[0], records[0].score - 50), *records[1:]]
    assert report.figures(summary, records)["scores"] != report.figures(summary, moved)["scores"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("figure", FIGURES)
def test_no_text_overlaps_another_or_leaves_the_figure(name: str, figure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_layout(lambda: plots_cc4._FIGURES[figure](*case(name)), monkeypatch)


def test_no_episode_no_figure() -> None:
    spec = make_spec()
    assert report.figures(summarise(spec, []), []) == {}


def test_a_summary_without_its_rows_is_refused() -> None:
    summary, records = case("one episode")
    with pytest.raises(ValueError, match="no row of them"):
        report.figures(summary, records[:1])


def test_moving_average_by_hand() -> None:
    rewards = np.array([[0.0, 3.0, 6.0, 9.0]])
    assert plots_cc4._moving_average(rewards, 3).tolist() == [[1.5, 3.0, 6.0, 7.5]]
    assert plots_cc4._moving_average(rewards, 1).tolist() == rewards.tolist()


def test_long_names_are_shortened_only_while_they_stay_apart() -> None:
    assert canvas.labels_of(["a" * 40 + "1", "b"], 11) == ["aaaaa…aaaa1", "b"]
    twins = ["x" * 20 + "A" + "y" * 20, "x" * 20 + "B" + "y" * 20]
    assert canvas.labels_of(twins, 11) == twins


def test_numbers_of_cells() -> None:
    values = {-0.04: "0", 0.0: "0", -0.5: "−0.5", -9.96: "−10", -12.4: "−12", -1234.0: "−1\u2009234"}
    assert {value: canvas.number(value) for value in values} == values
