import io
import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.games.cc4.tally import make_record
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import BadInput
from evaluation.studies.transfer import zero_shot
from evaluation.studies.transfer.zero_shot import claims, compare, render, rows_of

QUIET = Console(file=io.StringIO())


def played(policy, scores):
    """Rows of a policy whose episodes came to these scores."""
    labels = Labels(policy, "native", "base-v1", 500)
    return {
        index: make_record(
            Episode(index, index), labels, rewards=np.array([score, *np.zeros(498)]), parts=np.zeros((3, 9, 3)),
            costs=np.zeros(3), actions={}, invalid=0, busy=0, wall_s=0.0,
        )
        for index, score in enumerate(scores)
    }  # fmt: skip


@pytest.fixture
def rows():
    return rows_of(["mine"])


def scores_of(rows, **better):
    """Everything scores about -1000, the full system -150; ``better`` raises single rows by the end of their name."""
    generator = np.random.default_rng(0)
    base = -generator.integers(900, 1100, 40)
    found = {}
    for row in rows:
        level = base + (850 if row.kind == "system" else 0) - generator.integers(0, 10, 40)
        for name, gain in better.items():
            level = level + gain * row.policy.endswith(name.replace("_", "-"))
        found[row.policy] = played(row.policy, level)
    return found


def test_every_control_and_both_assignments_have_a_row(rows):
    policies = {row.policy for row in rows}
    assert {"no-defense", "random", "random-unmasked", "bundle:mine", "bundle:mine@paper"} <= policies
    assert {"bundle:mine@ops-only", "bundle:mine@paper+ops-only", "bundle:mine@untrained.2"} <= policies
    assert len(policies) == len(rows) and len(rows_of(["a", "b"])) == 2 * len(rows) - len(zero_shot.BASELINES)


def test_a_claim_needs_every_control(rows):
    found = compare(rows, scores_of(rows))
    assert claims(rows, found) == [{"system": "bundle:mine", "holds": True, "not beaten": []}]
    found = compare(rows, scores_of(rows, constant_directive=850))
    (claim,) = claims(rows, found)
    assert not claim["holds"] and claim["not beaten"] == ["bundle:mine@constant-directive"]


def test_ops_only_and_the_papers_assignment_do_not_void_a_claim(rows):
    (claim,) = claims(rows, compare(rows, scores_of(rows, ops_only=900, paper=900)))
    assert claim["holds"]


def test_differences_are_paired_and_corrected(rows):
    found = compare(rows, scores_of(rows))
    assert len(found) == len(rows) - 1
    for one in found:
        assert one.ci95[0] <= one.difference <= one.ci95[1] and one.p_holm >= one.p_value
        assert 840 < one.difference < 860  # far less than the spread between episodes


def test_a_system_is_compared_with_its_own_controls_only():
    rows = rows_of(["a", "ab"])
    pairs = {(one.full, one.other) for one in compare(rows, scores_of(rows))}
    assert ("bundle:a", "bundle:a@untrained.0") in pairs and ("bundle:a", "bundle:ab@untrained.0") not in pairs


def test_the_report_shows_every_row_and_the_verdict(rows):
    scores = scores_of(rows, untrained_1=850) | {}
    comparisons = compare(rows, scores)
    summary = {
        "study": "s", "engine": "native", "variant": "base-v1", "episodes": 40, "seed": 0,
        "rows": [{**row._asdict(), **zero_shot._figures(scores[row.policy], 0)} for row in rows],
        "comparisons": [{**vars(one), "better": one.better} for one in comparisons],
        "claims": claims(rows, comparisons),
    }  # fmt: skip
    json.dumps(summary)
    text = render(summary)
    assert all(f"| {row.label} |" in text for row in rows)
    assert "the full system beats the baselines and every control" in text
    assert "fallbacks per episode by reason" in text and "no target" not in text


def test_fallbacks_have_a_column_per_reason(rows):
    scores = scores_of(rows)
    row = scores["bundle:mine"][0]
    scores["bundle:mine"][0] = row.model_copy(update={"fallbacks": {"no target": 80, "not valid": 2}})
    assert zero_shot._figures(scores["bundle:mine"], 0)["fallbacks"] == {"no target": 2.0, "not valid": 0.05}
    summary = {
        "study": "s", "engine": "native", "variant": "base-v1", "episodes": 40, "seed": 0, "comparisons": [],
        "rows": [{**row._asdict(), **zero_shot._figures(scores[row.policy], 0)} for row in rows], "claims": [],
    }  # fmt: skip
    lines = [line for line in render(summary).splitlines() if line.startswith("|")]
    assert "| no target | not valid |" in lines[0] and len({line.count("|") for line in lines}) == 1


def test_a_study_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(BadInput, match="needs --bundle"):
        zero_shot.study([], tmp_path, "native", "base", 2, 1000, 1, QUIET)
    with pytest.raises(BadInput, match="is not a bundle"):
        zero_shot.study([str(tmp_path)], tmp_path, "native", "base", 2, 1000, 1, QUIET)
