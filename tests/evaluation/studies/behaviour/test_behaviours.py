"""The behaviours study in miniature: what blind policies do is not taken for behaviour, and logs are all it needs."""

import json

import numpy as np
import pytest
from rich.console import Console

from evaluation.inputs.errors import BadInput
from evaluation.studies.behaviour import behaviours
from evaluation.studies.behaviour.measures import OFFICE
from native_sim.api import Decision
from native_sim.soc import spec
from native_sim.soc.policies import Adaptive, make_policy

QUIET = Console(quiet=True)


class Nightly(Adaptive):
    """The adaptive defender, but it hunts everywhere at night and nowhere in office hours."""

    def act(self, obs, mask, memory, draws):
        actions = self.choose(obs, draws)
        night = obs["hunter"][:, spec.OBSERVATIONS["hunter"]["office"].start] == 0.0
        actions["hunter"][:, :5] = np.where(night, 1.0, -1.0)[:, None]
        return Decision(actions, None)


def run(out, policies=("best-constant", "random"), **given):
    return behaviours.study(policies, out, None, True, given.get("report_only", False), QUIET)


def test_smoke_writes_everything_and_resumes_from_its_logs(tmp_path, monkeypatch):
    found = run(tmp_path)
    assert found["episodes"] == behaviours.SMOKE_EPISODES
    names = ("summary.json", "table.md", "by-hour.svg")
    before = {name: (tmp_path / name).read_text() for name in names}
    assert json.loads(before["summary.json"]) == found
    assert "best-constant" in before["table.md"] and "<svg" in before["by-hour.svg"]
    monkeypatch.setattr(behaviours, "play", None)  # it would fail if it were called
    run(tmp_path)
    run(tmp_path, report_only=True)
    assert {name: (tmp_path / name).read_text() for name in names} == before


@pytest.mark.parametrize("harm", [lambda data: b"", lambda data: data[:-200], lambda data: b"PK" + data[10:]])
def test_a_damaged_log_is_named(tmp_path, harm):
    run(tmp_path)
    file = next(tmp_path.rglob("*.npz"))
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(BadInput, match=r"\.npz is damaged .*; delete it, and the same command makes it again"):
        run(tmp_path, report_only=True)


@pytest.mark.parametrize("name", behaviours.NULLS)
def test_null_policies_show_nothing(name):
    figures = behaviours.measure(behaviours.play(make_policy(name), 24))
    behaviours.judge({name: figures})
    assert {figure["shown"] for figure in figures.values()} == {"no"}
    if name == "best-constant":
        assert figures["hours"]["difference"] == pytest.approx(0.0, abs=1e-9)
    assert figures["clock"]["difference"] == 0.0


def test_a_policy_that_hunts_at_night_shows_it():
    figures = behaviours.measure(behaviours.play(Nightly(), 24))
    behaviours.judge({"nightly": figures})
    assert figures["hours"]["shown"] == figures["clock"]["shown"] == "yes"
    assert figures["hours"]["difference"] == pytest.approx(1.0)
    assert figures["clock"]["difference"] == pytest.approx(1.0)
    profile = figures["hours"]["by_hour"]
    assert profile[int(OFFICE[0]) + 1] == 0.0 and profile[int(OFFICE[1]) + 1] == 1.0


def test_results_do_not_depend_on_the_batches(monkeypatch):
    whole = behaviours.play(make_policy("random"), 5)
    monkeypatch.setattr(behaviours, "_BATCH", 2)
    parts = behaviours.play(make_policy("random"), 5)
    assert set(whole) == set(parts)
    for name, table in whole.items():
        same = [
            part[np.lexsort(part.T)] if part.ndim == 2 and name != "effort" else part for part in (table, parts[name])
        ]
        np.testing.assert_array_equal(*same, err_msg=name)


def test_a_significant_effect_the_other_way_is_called_reverse():
    found = {"x": {"hours": {"p": 0.001, "difference": -0.1}, "clock": {"p": None, "difference": None}}}
    behaviours.judge(found)
    assert found["x"]["hours"]["shown"] == "reverse"
    assert found["x"]["clock"]["shown"] == "no" and found["x"]["clock"]["p_holm"] is None


def test_the_weights_of_a_bundle_are_played(tmp_path):
    found = run(tmp_path, ("bundle:hmarl-soc",))
    assert list(found["policies"]) == ["bundle:hmarl-soc"]


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (("nobody",), "unknown policy 'nobody'"),
        (("random", "random"), "each policy may be named once"),
        (("bundle:soc-adaptive",), "carries no trained weights"),
        (("bundle:hmarl-soc@ops-only",), "is a control, which is of CC4 alone; give bundle:hmarl-soc$"),
    ],
)
def test_what_cannot_be_played_is_refused(policies, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        run(tmp_path, policies)
    assert not list(tmp_path.iterdir())


def test_nothing_to_report_and_too_few_episodes_are_said(tmp_path):
    with pytest.raises(BadInput, match="run the study without --report-only first"):
        run(tmp_path, report_only=True)
    with pytest.raises(BadInput, match="--episodes must be at least 2; given 1"):
        behaviours.study(("random",), tmp_path, 1, False, False, QUIET)
