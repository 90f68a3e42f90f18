"""A new run against a recorded one: who is worse, and on what grounds."""

from __future__ import annotations

import io
import json
import math
from functools import cache
from typing import Any

import pytest
from rich.console import Console

from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness.compare import Run, compare, comparison_dict, comparison_table
from evaluation.harness.summary import summarise
from tests.builders.factories import make_records, make_spec, with_scores


@cache
def run(shift: float = 0.0, label: str = "", rows: bool = True, keep: int = 99, **changes: Any) -> Run:
    """Return a run whose policy ``full`` scores ``shift`` more than it would in every episode."""
    spec = make_spec(changes.pop("policies", ("no-defense", "full")), **{"episodes": 12, **changes})
    records: list[EpisodeRecord] = [
        with_scores(row, row.score + shift) if row.policy == "full" else row
        for row in make_records(spec)
        if row.index < keep
    ]
    return Run(summarise(spec, records), records if rows else (), label)


def test_a_run_is_identical_to_itself() -> None:
    result = compare(run(), run())
    assert [entry.verdict for entry in result.policies] == ["identical", "identical"]
    assert not result.worse
    assert not result.notes


def test_pairing_sees_a_small_loss_that_the_spread_would_hide() -> None:
    result = compare(run(), run(shift=-2.0))
    none, full = result.policies
    assert (none.verdict, full.verdict) == ("identical", "worse")
    assert full.paired
    assert (full.difference, full.interval) == (-2.0, (-2.0, -2.0))
    assert result.worse
    unpaired = compare(run(rows=False), run(shift=-2.0))
    assert unpaired.policies[1].verdict == "no difference shown"
    assert "not paired" in unpaired.notes[0]


def test_the_margin_forgives_losses_up_to_it() -> None:
    assert compare(run(), run(shift=-2.0), margin=3.0).policies[1].verdict == "equivalent"
    assert not compare(run(), run(shift=-2.0), margin=2.0).worse
    assert compare(run(), run(shift=-2.0), margin=1.9).worse
    assert compare(run(), run(shift=+2.0), margin=1.9).policies[1].verdict == "better"


def test_equivalence_is_tested_only_with_a_margin() -> None:
    assert compare(run(), run()).policies[1].equivalence_p is None
    assert compare(run(), run(), margin=5.0).policies[1].equivalence_p == 0.0
    noisy = compare(run(seed=1), run(seed=2), margin=1.0).policies[1]
    assert noisy.equivalence_p is not None
    assert noisy.equivalence_p > 0.05


def test_other_base_seeds_are_not_paired() -> None:
    result = compare(run(seed=1), run(seed=2, shift=-1000.0))
    assert [entry.paired for entry in result.policies] == [False, False]
    assert result.policies[1].verdict == "worse"


def test_a_shorter_run_is_paired_on_the_seeds_it_played() -> None:
    result = compare(run(), run(keep=5, shift=-2.0))
    assert result.policies[1].n_a == result.policies[1].n_b == 5
    assert result.policies[1].difference == -2.0
    assert any("not complete" in note for note in result.notes)
    fewer_asked = compare(run(), run(episodes=6))
    assert fewer_asked.policies[1].verdict == "identical"


def test_one_episode_decides_nothing_unless_it_is_the_same() -> None:
    assert compare(run(episodes=1), run(episodes=1, shift=-500.0)).policies[1].verdict == "too few episodes"
    assert not compare(run(episodes=1), run(episodes=1, shift=-500.0)).worse
    assert compare(run(episodes=1), run(episodes=1)).policies[1].verdict == "identical"


def test_other_engines_are_compared_and_said() -> None:
    result = compare(run(), run(engine="cyborg"))
    assert result.policies[1].paired
    assert any("engines differ" in note for note in result.notes)


def test_policies_of_one_side_are_named() -> None:
    result = compare(run(), run(policies=("full", "random")))
    assert [entry.policy for entry in result.policies] == ["full"]
    assert result.notes[-1].endswith("no-defense, random")


@pytest.mark.parametrize(
    ("a", "b", "margin", "word"),
    [
        ({"policies": ("full",)}, {"policies": ("random",)}, 0.0, "no policy in common"),
        ({}, {"steps": 100}, 0.0, "steps differs: 500 and 100"),
        ({}, {"variant": "quiet-v1"}, 0.0, "variant differs"),
        ({}, {}, -1.0, "margin"),
        ({}, {}, math.nan, "margin"),
    ],
)
def test_runs_that_cannot_be_compared(a: dict[str, Any], b: dict[str, Any], margin: float, word: str) -> None:
    with pytest.raises(ValueError, match=word) as error:
        compare(run(episodes=2, **a), run(episodes=2, **b), margin)
    assert "\n" not in str(error.value)


def test_the_result_as_json_and_as_a_table() -> None:
    result = compare(run(label="before"), run(shift=-2.0, label="[bold]after"), margin=1.0)
    text = json.loads(json.dumps(comparison_dict(result), allow_nan=False))
    assert text["worse"] is True
    assert text["policies"][1]["interval"] == [-2.0, -2.0]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(comparison_table(result))
    shown = console.export_text()
    assert "[bold]after" in shown
    assert "worse" in shown
    assert "-2.0 [-2.0, -2.0]" in shown
