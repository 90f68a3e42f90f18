"""The summary: right numbers, the same bytes in any order, honest about missing rows."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from evaluation.games.cc4.schema import Summary
from evaluation.harness import statistics
from evaluation.harness.schema import PairComparison, VersusBaseline
from evaluation.harness.summary import summarise, summary_json
from tests.builders.factories import make_record, make_records, make_spec, with_scores

POLICIES = ("no-defense", "random", "full")
SPEC = make_spec(POLICIES, episodes=12)
RECORDS = make_records(SPEC)
SUMMARY = summarise(SPEC, RECORDS)


def scores(policy: str) -> np.ndarray:
    return np.array([row.score for row in RECORDS if row.policy == policy])


def versus(summary: Summary, policy: str) -> VersusBaseline:
    found = summary.policies[policy].versus_baseline
    assert found is not None
    return found


def test_rows_in_any_order_give_the_same_bytes() -> None:
    shuffled = RECORDS.copy()
    random.Random(0).shuffle(shuffled)
    assert summary_json(summarise(SPEC, shuffled)) == summary_json(SUMMARY)


def test_wall_time_leaves_no_trace() -> None:
    slower = [row.model_copy(update={"wall_s": row.wall_s + 100}) for row in RECORDS]
    assert summary_json(summarise(SPEC, slower)) == summary_json(SUMMARY)
    assert "wall" not in summary_json(SUMMARY)


def test_a_summary_read_back_is_the_one_written() -> None:
    text = summary_json(SUMMARY)
    assert Summary.model_validate_json(text) == SUMMARY
    assert summary_json(Summary.model_validate_json(text)) == text
    assert list(json.loads(text)["policies"]) == list(POLICIES)


def test_the_numbers_of_a_policy() -> None:
    figures = SUMMARY.policies["full"]
    played = scores("full")
    assert figures.n == 12
    assert figures.mean == pytest.approx(played.mean())
    assert figures.std == pytest.approx(played.std(ddof=1))
    assert figures.mean_sum_over_agents == pytest.approx(5 * played.mean())
    assert sum(figures.phase_means) == pytest.approx(figures.mean)
    assert np.sum(figures.parts) + sum(figures.action_costs) == pytest.approx(figures.mean)
    assert sum(figures.actions.values()) == pytest.approx(5 * 499)
    assert figures.ci95 is not None
    assert figures.ci95[0] < figures.mean < figures.ci95[1]


def test_the_interval_of_a_policy_is_its_own() -> None:
    """The interval of a policy must not depend on who else was played, only on the seed of the spec."""
    alone = summarise(make_spec(("full",), episodes=12), [row for row in RECORDS if row.policy == "full"])
    assert alone.policies["full"].ci95 == SUMMARY.policies["full"].ci95
    other_seed = make_spec(("full",), episodes=12, seed=8)
    assert summarise(other_seed, make_records(other_seed)).policies["full"].ci95 != alone.policies["full"].ci95


def test_against_the_baseline() -> None:
    entry = versus(SUMMARY, "full")
    none, full = scores("no-defense"), scores("full")
    assert SUMMARY.policies["no-defense"].versus_baseline is None
    assert entry["n"] == 12
    assert entry["difference"] == pytest.approx((full - none).mean())
    assert entry["normalised_score"] == pytest.approx((full.mean() - none.mean()) / (-113 - none.mean()))
    assert entry["improvement_percent"] == pytest.approx(100 * (1 - full.mean() / none.mean()))
    assert entry["probability_of_improvement"] == statistics.probability_of_improvement(full, none)
    raw = [versus(SUMMARY, policy)["welch_p"] for policy in ("random", "full")]
    corrected = [versus(SUMMARY, policy)["welch_p_holm"] for policy in ("random", "full")]
    assert corrected == statistics.holm(raw)


def test_without_a_baseline_nothing_is_compared_with_it() -> None:
    spec = make_spec(("random", "full"), episodes=4)
    summary = summarise(spec, make_records(spec))
    assert all(figures.versus_baseline is None for figures in summary.policies.values())
    assert len(summary.comparisons) == 1


@pytest.mark.parametrize("changes", [{"variant": "quiet-v1"}, {"steps": 100}])
def test_the_normalised_score_exists_only_for_the_game_of_the_literature(changes: dict[str, Any]) -> None:
    spec = make_spec(episodes=3, **changes)
    assert versus(summarise(spec, make_records(spec)), "full")["normalised_score"] is None


def test_all_pairs_are_compared_and_corrected() -> None:
    pairs = [(entry["a"], entry["b"]) for entry in SUMMARY.comparisons]
    assert pairs == [("no-defense", "random"), ("no-defense", "full"), ("random", "full")]
    p = [entry["p"] for entry in SUMMARY.comparisons]
    assert [entry["p_holm"] for entry in SUMMARY.comparisons] == statistics.holm(p)
    assert [entry["p_fdr"] for entry in SUMMARY.comparisons] == statistics.benjamini_hochberg(p)
    assert all("paired" in entry["test"] for entry in SUMMARY.comparisons)


def test_only_common_seeds_are_paired() -> None:
    kept = [row for row in RECORDS if (row.policy, row.index % 3) != ("full", 0)]
    summary = summarise(SPEC, kept)
    common = [i for i in range(12) if i % 3]
    assert not summary.complete
    assert summary.policies["full"].n == versus(summary, "full")["n"] == 8
    assert versus(summary, "full")["difference"] == pytest.approx(
        (scores("full") - scores("no-defense"))[common].mean()
    )
    assert summary.comparisons[-1]["n"] == (8, 8)


def test_policies_without_a_common_seed_are_compared_by_welch() -> None:
    spec = make_spec(episodes=6)
    rows = [row for row in make_records(spec) if (row.index < 3) == (row.policy == "full")]
    summary = summarise(spec, rows)
    assert summary.policies["full"].versus_baseline is None
    (entry,) = summary.comparisons
    assert entry["test"].startswith("Welch")
    low, high = entry["difference_ci95"]
    assert low < entry["difference"] < high


def test_a_run_that_was_stopped_at_once_is_summarised_too() -> None:
    nothing = summarise(SPEC, [])
    assert (nothing.complete, nothing.policies, nothing.asked) == (False, {}, POLICIES)
    one = summarise(SPEC, RECORDS[:1])
    assert list(one.policies) == ["no-defense"]
    assert one.policies["no-defense"].std is None
    assert one.policies["no-defense"].ci95 is None
    assert not one.complete


def test_one_episode_each_gives_no_interval_and_no_p() -> None:
    spec = make_spec(episodes=1)
    summary = summarise(spec, make_records(spec))
    assert summary.complete
    entry = versus(summary, "full")
    assert entry["difference_ci95"] is entry["welch_p"] is entry["welch_p_holm"] is None
    assert summary.comparisons[0]["p"] is summary.comparisons[0]["p_holm"] is None
    summary_json(summary)


def test_constant_scores_are_summarised_without_nan() -> None:
    spec = make_spec(episodes=5)
    rows = [with_scores(row, -900.0 if row.policy == "no-defense" else -113.7) for row in make_records(spec)]
    summary = summarise(spec, rows)
    assert summary.policies["full"].std == 0.0
    assert versus(summary, "full")["welch_p"] is None
    assert versus(summary, "full")["brunner_munzel_p"] == pytest.approx(2 / 252)  # 10 choose 5
    summary_json(summary)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"policy": "best"}, "no policy of this run"),
        ({"index": 99}, "does not play"),
        ({"seed": 1}, "does not play"),
        ({"engine": "cyborg"}, "played on cyborg"),
        ({"variant": "quiet-v1"}, "played on native quiet-v1"),
        ({}, "twice"),
    ],
)
def test_rows_that_do_not_belong_are_refused(changes: dict[str, Any], word: str) -> None:
    stranger = make_record(SPEC, "full", 0).model_copy(update=changes)
    with pytest.raises(ValueError, match=word):
        summarise(SPEC, [*RECORDS, stranger])


def test_comparisons_are_typed_and_read_as_their_json_does() -> None:
    told = json.loads(summary_json(SUMMARY))
    kinds = (versus(SUMMARY, "full"), VersusBaseline), (SUMMARY.comparisons[0], PairComparison)
    for (found, kind), fields in zip(
        kinds, (told["policies"]["full"]["versus_baseline"], told["comparisons"][0]), strict=True
    ):
        assert isinstance(found, kind) and list(kind.model_fields) == list(fields)
        for name, value in fields.items():
            assert getattr(found, name) == found[name] == (tuple(value) if isinstance(value, list) else value)
    with pytest.raises(KeyError, match="a comparison has no 'p_value'; it has a, b, n, test"):
        SUMMARY.comparisons[0]["p_value"]


@pytest.mark.parametrize("change", [{"more": 1}, {"p": "small"}, {"n": [1]}, {"a": None}])
def test_a_comparison_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PairComparison.model_validate({**SUMMARY.comparisons[0].model_dump(), **change})
