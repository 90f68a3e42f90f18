"""Studies: numbers by hand, resuming, reports from files alone, and one real run in miniature."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from evaluation.cli import app as cli
from evaluation.inputs.errors import BadInput
from evaluation.studies import files, recorded
from evaluation.studies.training import runs, study, tables
from evaluation.studies.training.plans import PLANS, SCRIPTED, Arm, Plan, Size
from native_sim.soc.corrected.reward import METRICS
from native_sim.storage.seals import SEAL, is_intact, sealed

QUIET = Console(quiet=True)
ARMS = (Arm("hmarl-soc", "hmarl-soc"), Arm("mappo", "mappo"), Arm("no-defense", SCRIPTED))
PLAN = Plan("table3", "A small study", ARMS, ("curves", "radar", "boxes", "fpr-csr", "bars"))


def metrics(reward, episodes=4):
    values = {name: [0.5] * episodes for name in ("return", *METRICS)}
    values["reward"] = [reward - 1.0, reward + 1.0] * (episodes // 2)
    values["csr"] = [reward / 20.0] * episodes
    groups = episodes // 4
    values["mttr"] = [None, 10.0, 20.0, None] * groups
    values["false_flags"], values["clean_scans"] = [1, 0, 0, 0] * groups, [10, 0, 30, 60] * groups
    return values


def reward_of(job):
    return {"hmarl-soc": 5.0, "mappo": 2.0, "no-defense": -10.0}[job.arm.label] + 0.5 * (job.seed or 0) ** 2


@pytest.fixture
def faked(monkeypatch):
    """Studies whose runs write made-up results; returns the list of runs that were executed."""
    executed = []

    def execute(job):
        executed.append((job.arm.label, job.seed))
        job.folder.mkdir(parents=True)
        found = {"episodes": job.episodes, "level": job.level, "metrics": metrics(reward_of(job), job.episodes)}
        runs.held_out_file(job).write_text(json.dumps(found))
        if job.seed is not None:
            lines = [{"kind": "train", "steps": 5}]
            lines += [{"kind": "validation", "steps": 10 * i, "score": i + job.seed} for i in (1, 2, 3)]
            (job.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return job, runs.DONE

    monkeypatch.setattr(study, "execute", execute)
    monkeypatch.setitem(PLANS, "table3", PLAN)
    return executed


def run(out, report_only=False, seeds=3, name="table3"):
    return study.study(name, out, seeds, 1, None, True, report_only, QUIET)


def test_a_full_disk_is_one_sentence_and_what_is_finished_is_kept(faked, monkeypatch, tmp_path):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    command = ["study", "table3", "--smoke", "--seeds", "1", "--workers", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(study, "write_atomically", full)
    done = CliRunner().invoke(cli.app, command)
    said = " ".join(done.output.split())
    assert done.exit_code == 1 and "no space left at" in said and "make room" in said, said
    assert "Traceback" not in said and isinstance(done.exception, SystemExit)
    monkeypatch.undo()
    monkeypatch.setitem(PLANS, "table3", PLAN)
    monkeypatch.setattr(study, "execute", None)  # nothing is left to execute
    assert CliRunner().invoke(cli.app, command).exit_code == 0 and len(faked) == 3


def test_number_of_a_run_is_a_mean_or_a_ratio_of_sums():
    found = {name: np.array(values, float) for name, values in metrics(3.0).items()}
    assert tables.run_value(found, "reward") == 3.0
    assert tables.run_value(found, "mttr") == 15.0  # of the episodes that define it
    assert tables.run_value(found, "scan_fpr") == 0.01  # 1 of 100, not the mean of 0.1, 0 and 0
    found["clean_scans"][:] = 0
    assert np.isnan(tables.run_value(found, "scan_fpr"))


def test_summary_holds_the_numbers_worked_by_hand(faked, tmp_path):
    found = run(tmp_path)
    ours = found["arms"]["hmarl-soc"]
    assert ours["seeds"] == [0, 1, 2]
    assert ours["metrics"]["reward"]["values"] == [5.0, 5.5, 7.0]
    mean, error = 17.5 / 3, np.std([5.0, 5.5, 7.0], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(ours["metrics"]["reward"]["ci95"], [mean - 4.302653 * error, mean + 4.302653 * error])
    assert found["arms"]["no-defense"]["seeds"] == [None]
    tests = {(test["arm"], test["metric"]): test for test in found["tests"]}
    assert tests["mappo", "reward"]["difference"] == 3.0
    assert tests["mappo", "reward"]["p"] is None  # 3 for every seed: no spread to judge by
    scripted = tests["no-defense", "reward"]
    np.testing.assert_allclose(scripted["difference"], mean + 10.0)
    assert scripted["p"] == scripted["p_holm"]  # no other arm has a p for the reward
    assert scripted["p_holm_table"] >= 2.0 * scripted["p"]  # but its containment has


def test_contrasts_are_first_minus_second_and_corrected_apart_from_the_tests(faked, tmp_path, monkeypatch):
    assert run(tmp_path)["contrasts"] == []
    assert "Arm minus arm" not in (tmp_path / "table3" / "table.md").read_text()
    pairs = (("mappo", "no-defense"), ("mappo", "hmarl-soc"), ("mappo", "never trained"))
    monkeypatch.setitem(PLANS, "table3", replace(PLAN, contrasts=pairs))
    found = run(tmp_path, report_only=True)
    contrasts = {(test["arm"], test["against"], test["metric"]): test for test in found["contrasts"]}
    assert len(contrasts) == len(found["contrasts"]) == 2 * len(PLAN.tested)
    difference = contrasts["mappo", "no-defense", "reward"]
    differences = [12.0, 12.5, 14.0]
    np.testing.assert_allclose(difference["difference"], np.mean(differences))
    error = np.std(differences, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(difference["ci95"], np.mean(differences) + 4.302653 * error * np.array([-1.0, 1.0]))
    assert contrasts["mappo", "hmarl-soc", "reward"]["difference"] == -3.0
    assert difference["p_holm"] == difference["p"]  # the other pair has no spread to judge by
    assert difference["p_holm_table"] >= 2.0 * difference["p"]  # but there is containment
    told = (tmp_path / "table3" / "table.md").read_text()
    assert "| mappo - no-defense | reward | 12.83 [" in told and "## hmarl-soc minus each arm" in told


def test_finished_runs_are_not_done_again(faked, tmp_path):
    run(tmp_path, seeds=2)
    assert len(faked) == 5
    run(tmp_path, seeds=3)
    assert faked[5:] == [("hmarl-soc", 2), ("mappo", 2)]


def test_other_number_of_held_out_episodes_is_not_done(faked, tmp_path):
    run(tmp_path, seeds=1)
    job = runs.jobs(PLAN, study.SMOKE, 1, tmp_path)[0]
    assert runs.is_done(job)
    file = runs.held_out_file(job)
    file.write_text(json.dumps({"episodes": 8, "level": "default", "metrics": metrics(5.0, 8)}))
    assert not runs.is_done(job)


def changed(**changes):
    """Return the text of a held-out file with other entries."""
    return json.dumps({"episodes": 16, "level": "default", "metrics": metrics(5.0, 16)} | changes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("held-out-default.json", "", "is damaged .*; delete it, and the same command makes it again"),
        ("held-out-default.json", changed()[:-9], "held-out-default.json is damaged"),
        ("held-out-default.json", "[]", "it holds a list"),
        ("held-out-default.json", changed(metrics=None), "a metric is missing"),
        ("held-out-default.json", changed(metrics={"return": [0.0] * 16}), "a metric is missing"),
        ("held-out-default.json", changed(metrics=metrics(5.0, 16) | {"mttd": ["x"] * 16}), "a metric is no number"),
        ("held-out-default.json", changed(metrics=metrics(5.0, 16) | {"mttd": [1.0]}), "mttd has shape .1,. and not"),
        ("held-out-default.json", changed(episodes=None), "has shape .16,. and not .None,."),
        ("log.jsonl", '{"kind": "validation", "steps": 5', "log.jsonl is damaged .*; delete the folder"),
        ("log.jsonl", '{"kind": "validation", "steps": 5}', "a validation tells no steps or no score: 'score'"),
        ("log.jsonl", '{"kind": "validation", "steps": 5, "score": "x"}', "a validation tells no steps or no score"),
    ],
)
def test_damaged_files_of_a_run_are_named_in_one_sentence(faked, tmp_path, name, text, message):
    run(tmp_path, seeds=1)
    path = runs.jobs(PLAN, study.SMOKE, 1, tmp_path)[1].folder / name
    assert path.exists()
    path.write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        run(tmp_path, seeds=1, report_only=True)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_changed_result_or_log_is_told(faked, tmp_path):
    run(tmp_path, seeds=1)
    job = runs.jobs(PLAN, study.SMOKE, 1, tmp_path)[1]
    log = job.folder / "log.jsonl"
    ended = {"steps": 30, "episodes": 3, "best_score": 1.0, "log_sha256": files.log_digest(job.folder)}
    (job.folder / "trained.json").write_text(json.dumps(sealed(ended)))
    path = runs.held_out_file(job)
    path.write_text(json.dumps(sealed(json.loads(path.read_text()))))
    assert run(tmp_path, seeds=1, report_only=True)
    kept = log.read_text(), path.read_text()
    log.write_text(kept[0].replace('"score": 2', '"score": 3'))
    with pytest.raises(BadInput, match=r"log\.jsonl is damaged \(it is not what training wrote\)"):
        run(tmp_path, seeds=1, report_only=True)
    log.write_text(kept[0])
    path.write_text(kept[1].replace("0.5", "0.25", 1))
    with pytest.raises(BadInput, match=r"held-out-default\.json is damaged \(it was changed since it was written\)"):
        run(tmp_path, seeds=1, report_only=True)


def test_every_recorded_result_carries_its_seal():
    for path in recorded.FOLDER.glob("*.json"):
        found = json.loads(path.read_text())
        assert SEAL in found and is_intact(found), path


@pytest.mark.parametrize("text", ["", "5", "{}", '{"steps": 5, "episodes": 2, "best_score": null}'])
def test_a_damaged_note_of_how_training_ended_is_named(tmp_path, text):
    job = runs.jobs(PLAN, study.SMOKE, 1, tmp_path)[1]
    job.folder.mkdir(parents=True)
    (job.folder / "trained.json").write_text(text)
    with pytest.raises(BadInput, match=r"trained\.json is damaged .*; delete it, and the same command makes it again"):
        runs.read_trained(job)


def test_report_comes_from_files_alone(faked, tmp_path):
    first = run(tmp_path)
    before = {file.name: file.read_text() for file in (tmp_path / "table3").iterdir()}
    assert {"summary.json", "table.md", "curves.svg", "radar.svg", "boxes.svg", "fpr-csr.svg", "bars.svg"} == set(
        before
    )
    executed = len(faked)
    again = run(tmp_path, report_only=True)
    assert len(faked) == executed
    assert json.dumps(again) == json.dumps(first)
    assert {file.name: file.read_text() for file in (tmp_path / "table3").iterdir()} == before
    assert "| mappo | 3 |" in before["table.md"]
    assert "these numbers mean nothing" in before["table.md"]


def finish(job):
    (job.folder / runs.RUN).write_text(json.dumps({"method": job.arm.method, "seed": job.seed, "commit": "abc"}))
    (job.folder / runs.TRAINED).write_text(json.dumps({"steps": 30}))


def test_recorded_results_stand_for_runs_that_are_not_here(faked, monkeypatch, tmp_path):
    first = run(tmp_path / "there")
    for job in runs.jobs(PLAN, study.SMOKE, 3, tmp_path / "there"):
        if job.seed is not None:
            finish(job)
            recorded.record(job, tmp_path / "recorded")
    monkeypatch.setattr(study, "with_recorded", lambda wanted: recorded.with_recorded(wanted, tmp_path / "recorded"))
    executed = len(faked)
    again = study.study("table3", tmp_path / "here", 3, 1, None, True, False, QUIET, recorded=True)
    assert faked[executed:] == [("no-defense", None)], "a scripted arm is played, nothing is trained"
    assert json.dumps(again) == json.dumps(first)
    assert "6 of the runs are recorded" in (tmp_path / "here" / "table3" / "table.md").read_text()
    curves = [(tmp_path / where / "table3" / "curves.svg").read_text() for where in ("there", "here")]
    assert curves[0] == curves[1]
    study.study("table3", tmp_path / "here", 4, 1, None, True, False, QUIET, recorded=True)
    assert faked[executed + 1 :] == [("hmarl-soc", 3), ("mappo", 3)]


def test_recorded_results_of_another_size_do_not_count(faked, tmp_path):
    run(tmp_path, seeds=1)
    job = next(job for job in runs.jobs(PLAN, study.SMOKE, 1, tmp_path) if job.seed == 0)
    finish(job)
    recorded.record(job, tmp_path / "recorded")
    elsewhere = replace(job, folder=tmp_path / "elsewhere" / job.folder.parent.name / job.folder.name)
    for other in (replace(elsewhere, episodes=8), replace(elsewhere, level="apt")):
        assert recorded.with_recorded([other], tmp_path / "recorded")[0].recorded is None
    assert recorded.with_recorded([job], tmp_path / "recorded")[0].recorded is None, "the run itself goes before"
    assert recorded.with_recorded([elsewhere], tmp_path / "recorded")[0].recorded is not None


def test_levels_of_one_run_are_recorded_together_and_another_course_replaces_them(faked, tmp_path):
    run(tmp_path, seeds=1)
    job = next(job for job in runs.jobs(PLAN, study.SMOKE, 1, tmp_path) if job.seed == 0)
    finish(job)
    patient = replace(job, level="apt")
    runs.held_out_file(patient).write_text(runs.held_out_file(job).read_text())
    for one in (job, patient):
        file = recorded.record(one, tmp_path / "recorded")
    assert set(json.loads(file.read_text())["held_out"]) == {"default", "apt"}
    log = job.folder / "log.jsonl"
    log.write_text(log.read_text() + json.dumps({"kind": "validation", "steps": 40, "score": 9.0}) + "\n")
    recorded.record(job, tmp_path / "recorded")
    assert set(json.loads(file.read_text())["held_out"]) == {"default"}


def test_explanations_need_weights(tmp_path):
    with pytest.raises(BadInput, match="leave --recorded out"):
        study.study("explain", tmp_path, 1, 1, None, True, False, QUIET, recorded=True)


def test_unfinished_study_says_so(faked, tmp_path):
    run(tmp_path, seeds=1)
    run(tmp_path, report_only=True, seeds=2)
    assert "**Unfinished**: 3 of 5 runs" in (tmp_path / "table3" / "table.md").read_text()


def test_interrupted_run_stops_the_study(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(study, "execute", lambda job: (asked.append(job), (job, runs.INTERRUPTED))[1])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert len(asked) == 1


def test_run_that_diverges_is_told_and_left_out(faked, tmp_path, monkeypatch):
    told = Console(record=True, quiet=False, file=(tmp_path / "told").open("w"))
    good = study.execute

    def execute(job):
        return (job, "loss became nan after 5 environment steps") if job.arm.label == "mappo" else good(job)

    monkeypatch.setattr(study, "execute", execute)
    found = study.study("table3", tmp_path, 2, 1, None, True, False, told)
    assert "mappo" not in found["arms"]
    assert "loss became nan" in told.export_text()
    assert "**Unfinished**" in (tmp_path / "table3" / "table.md").read_text()


def test_divergence_ends_a_run_with_its_sentence(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from hmarl_soc.training.trainer import TrainingDiverged

    def diverge(job, seed):
        raise TrainingDiverged("loss became nan")

    monkeypatch.setattr(runs, "_train", diverge)
    job = runs.Job(Arm("mappo", "mappo"), 0, study.SMOKE, "default", 8, tmp_path / "seed-0")
    assert runs.execute(job) == (job, "loss became nan")
    assert not runs.is_done(job)


def test_sweep_is_drawn_over_its_axis(faked, tmp_path, monkeypatch):
    arms = (Arm("hmarl-soc", "hmarl-soc", x=5), Arm("mappo", "mappo", x=1))
    monkeypatch.setitem(PLANS, "k-sweep", Plan("k-sweep", "K", arms, ("sweep",), axis="K"))
    run(tmp_path, name="k-sweep")
    assert "<svg" in (tmp_path / "k-sweep" / "sweep.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table9", 1, 1, None), "unknown study 'table9' of training; known: table3"),
        (("table3", 0, 1, None), "at least 1"),
        (("table3", 1, 0, None), "at least 1"),
        (("table3", 1, 1, 0), "at least 1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path):
    name, seeds, workers, steps = arguments
    with pytest.raises(BadInput, match=message):
        study.study(name, tmp_path, seeds, workers, steps, True, False, QUIET)


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(BadInput, match="no run of table4 is finished"):
        run(tmp_path, report_only=True, name="table4")
    with pytest.raises(BadInput, match="nothing was measured"):
        run(tmp_path, report_only=True, name="scaling")


TINY = Size(256, 8, 128, 4, 8, study.SMOKE.settings)


def test_real_runs_are_trained_scored_and_cleaned_up(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(study, "SMOKE", TINY)
    monkeypatch.setitem(PLANS, "table3", Plan("table3", "", ARMS, ("curves",)))
    found = run(tmp_path, seeds=1)
    for label, arm in found["arms"].items():
        assert np.isfinite(arm["metrics"]["reward"]["mean"]), label
    folders = sorted((tmp_path / "runs").glob("*/seed-0"))
    assert len(folders) == 2
    for folder in folders:
        assert {"best", "held-out-default.json", "log.jsonl", "run.json", "trained.json"} <= {
            file.name for file in folder.iterdir()
        }
        assert not (folder / "last").exists()
        assert len(json.loads((folder / "held-out-default.json").read_text())["metrics"]["reward"]) == 8


def test_every_study_runs_in_miniature(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(study, "SMOKE", TINY)
    for name in study.NAMES:
        found = run(tmp_path, seeds=1, name=name)
        assert found["study"] == name
        assert (tmp_path / name / "table.md").exists()
    # Equal arms were trained once: five methods, and every ablation and sweep value beside the full system.
    folders = {folder.parent.name for folder in (tmp_path / "runs").glob("*/seed-0")}
    assert len(folders) == 5 + 6 + 4 + 8


def test_run_killed_before_its_first_checkpoint_starts_anew_and_another_resumes(tmp_path):
    pytest.importorskip("torch")
    job = runs.Job(Arm("mappo", "mappo"), 0, TINY, "default", 8, tmp_path / "seed-0")
    job.folder.mkdir()
    (job.folder / "log.jsonl").write_text("half a line")
    runs.execute(job)
    assert (job.folder / "trained.json").exists()
    before = (job.folder / "log.jsonl").read_text()
    runs.held_out_file(job).unlink()
    runs.execute(job)  # trained already: it is scored only
    assert (job.folder / "log.jsonl").read_text() == before
    assert runs.is_done(job)
