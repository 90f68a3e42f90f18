"""The Python face: values instead of files, the same checks as the command line, and tables with units."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation
from cage4.policies.baselines import NoDefense, RandomValid
from evaluation.inputs.errors import BadInput, PolicyFailure
from evaluation.jobs.evaluate import prepare

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"steps": 12, "episodes": 3, "seed": 4, "progress": False}


class Mine(RandomValid):
    """A policy of a notebook."""


class Fails(NoDefense):
    def act(self, *_):
        raise ValueError("on purpose")


@pytest.fixture(scope="module")
def run():
    return evaluation.evaluate(policies=["no-defense", "random", Mine()], **SHORT)


def test_nothing_is_written_unless_a_folder_is_given(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    again = evaluation.evaluate(policies=["no-defense", "random", Mine()], **SHORT)
    assert list(tmp_path.iterdir()) == [] and again.path is None and again.failures == []
    pd.testing.assert_frame_equal(again.episodes.drop(columns="wall_s"), run.episodes.drop(columns="wall_s"))


def test_an_object_plays_as_its_class_does_by_name(run):
    frame = run.episodes
    assert run.spec.policies == ("no-defense", "random", "Mine")
    drop = ["policy", "wall_s"]
    mine, named = (frame[frame.policy == name].drop(columns=drop).reset_index(drop=True) for name in ("Mine", "random"))
    pd.testing.assert_frame_equal(mine, named)


def test_episodes_are_a_typed_table_with_units(run):
    frame = run.episodes
    assert len(frame) == 9 and list(frame.policy.cat.categories) == ["no-defense", "random", "Mine"]
    assert frame.score.dtype == np.float64 and frame.seed.dtype == np.int64
    assert set(frame.attrs["units"]) == set(frame.columns) == set(frame.attrs["meanings"])
    parts = frame[["lwf", "asf", "ria", "action_cost"]].sum(axis=1)
    assert np.allclose(parts, frame.score) and np.allclose(frame[["phase_0", "phase_1", "phase_2"]].sum(axis=1), parts)
    verbs = frame[[name for name in frame if name.startswith("actions_")]].sum(axis=1)
    assert (verbs == 5 * frame.length).all()


def test_the_soc_has_its_metrics_as_columns():
    run = evaluation.evaluate(game="soc", policies=["adaptive"], episodes=3, steps=40, progress=False)
    assert {"csr", "mttd", "fpr"} <= set(run.episodes) and run.episodes.csr.isin([0.0, 1.0]).all()
    assert run.episodes.attrs["units"]["csr"] == "yes or no"
    assert run.table.loc["adaptive", "csr"] == run.episodes.csr.mean()


def test_summary_table_figures_and_report(run, tmp_path):
    assert run.table.loc["random", "mean"] == pytest.approx(run.episodes[run.episodes.policy == "random"].score.mean())
    assert run.plot().svg.startswith("<svg") or "<svg" in run.plot()._repr_svg_()
    assert run.plot("steps").save(tmp_path / "steps.svg").read_text() == run.plot("steps").svg
    with pytest.raises(BadInput, match="unknown figure 'pie' of this run; there is scores"):
        run.plot("pie")
    assert "no-defense" in run.report(tmp_path / "r.html")._repr_html_()
    assert (tmp_path / "r.html").read_text() == run.report().html
    with pytest.raises(BadInput, match="cannot write"):
        run.plot().save(tmp_path / "none" / "x.svg")
    assert repr(run).startswith("Run of CAGE Challenge 4 (base-v1, native), 9 episodes: no-defense 0.0")


def test_a_folder_is_written_resumed_and_read_as_the_command_line_does(tmp_path):
    out = tmp_path / "run"
    first = evaluation.evaluate(policies="no-defense,random", out=out, **SHORT)
    again = evaluation.evaluate(policies=["no-defense", "random"], out=out, **SHORT)
    loaded = evaluation.load_run(out)
    assert first.path == again.path == loaded.path == out
    pd.testing.assert_frame_equal(first.episodes, loaded.episodes)
    pd.testing.assert_frame_equal(again.episodes, loaded.episodes)  # nothing was played again: the same wall times
    assert loaded.summary == first.summary
    words = [sys.executable, "-m", "evaluation.cli", "report", str(out), "--json"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_a_run_of_an_object_is_not_gone_on_with_by_another(tmp_path):
    evaluation.evaluate(policies=Mine(), out=tmp_path / "run", **SHORT)
    with pytest.raises(BadInput, match="was started with policies"):
        evaluation.evaluate(policies=Mine(), out=tmp_path / "run", **SHORT)


def test_runs_are_compared(run, tmp_path):
    evaluation.evaluate(policies=["no-defense"], out=tmp_path / "run", **SHORT)
    found = evaluation.compare(run, tmp_path / "run")
    assert [(entry.policy, entry.verdict) for entry in found.policies] == [("no-defense", "identical")]
    assert not found.worse
    other = evaluation.evaluate(policies=["no-defense"], **{**SHORT, "steps": 13})
    with pytest.raises(BadInput, match="steps differs: 12 and 13"):
        evaluation.compare(run, other)
    with pytest.raises(BadInput, match="--margin must be"):
        evaluation.compare(run, run, margin=-1.0)


def test_lists():
    assert set(evaluation.list_games()) >= {"cc4", "soc"}
    assert "phishing" in evaluation.list_variants() and "sentinel" in evaluation.list_policies()
    assert "adaptive" in evaluation.list_policies("soc") and "reference" in evaluation.list_variants("soc")
    with pytest.raises(BadInput, match="unknown game 'chess'; known are cc4, soc"):
        evaluation.list_policies("chess")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"policies": "nobody"}, "unknown policy 'nobody'"),
        ({"policies": [3]}, "a policy must be a name or an object of a native_sim.Policy; given 3"),
        ({"policies": [Mine]}, "give an object of the class, not the class"),
        ({"policies": {"a": "random"}}, "policy 'random' is given under the name 'a'"),
        ({"policies": ["random", "random"]}, "each policy may be named once"),
        ({"episodes": 0}, "--episodes must be at least 1; given 0"),
        ({"variant": "moon"}, "unknown variant 'moon'"),
        ({"game": "chess"}, "unknown game 'chess'"),
        ({"engine": "quantum"}, "unknown engine 'quantum'"),
        ({"policies": Mine(), "workers": 2}, "give workers=1 with them"),
        ({"seed": -1}, "--seed must be"),
    ],
)
def test_bad_input_is_one_sentence(wrong, sentence, tmp_path):
    with pytest.raises(BadInput) as caught:
        evaluation.evaluate(**{"policies": "no-defense", **SHORT, **wrong}, out=tmp_path / "run")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_policy_that_fails_is_told_and_the_others_stay():
    run = evaluation.evaluate(policies=[Fails(), "no-defense"], **SHORT)
    assert [failure.policy for failure in run.failures] == ["Fails"] and list(run.table.index) == ["no-defense"]
    with pytest.raises(PolicyFailure, match="on purpose"):
        evaluation.evaluate(policies=Fails(), **SHORT)


def test_names_given_to_objects_are_forgotten_afterwards(tmp_path):
    evaluation.evaluate(policies={"mine": Mine(), "again": Mine()}, **SHORT)
    with pytest.raises(BadInput, match="unknown policy 'mine'"):
        prepare("auto", None, 12, "mine", 1, 0, 1, None, tmp_path / "run")


def test_importing_the_face_loads_nothing_heavy():
    code = "import sys, evaluation; print(sorted({'numpy', 'pandas', 'numba', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
