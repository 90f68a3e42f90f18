import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import cage4
from adapters.bundle import bundle_folder, load_bundle
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from evaluation.cli.app import app
from evaluation.games.cc4 import policies
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import BadInput
from evaluation.jobs import calibrate as calibrating
from evaluation.jobs.calibrate import collect, episode_seeds, make_bundle, soc_rows
from native_sim.soc import policies as soc_policies
from tests.builders.playing import play

QUIET = Console(file=io.StringIO())


def test_samples_pair_what_is_seen_with_what_is_so():
    found = collect(policies.make_policy("random"), [7, 8], 40, first_episode=5)
    hosts, zones = found.hosts, found.zones
    assert hosts.known.shape == (len(hosts.so), features.HOST.size) and hosts.so.shape[1] == terms.HOST_TERMS.size
    assert zones.known.shape == (len(zones.so), features.ZONE.size) and zones.so.shape[1] == terms.ZONE_TERMS.size
    assert set(hosts.episode) == set(zones.episode) == {5, 6} and len(found.directives) == 0
    assert len(zones.so) == 7 * 5 * 2  # steps 5, 10 ... 35; agents; episodes
    for samples in (hosts, zones):
        assert np.isfinite(samples.known).all() and samples.so.min() >= 0 and samples.so.max() <= 1
    assert np.allclose(hosts.known[:, features.HOST["proof"].start], hosts.so[:, terms.HOST_TERMS["flagged"].start])


def test_samples_depend_on_the_seeds_alone():
    first, again, other = (collect(policies.make_policy("random"), seeds, 30) for seeds in ([7, 8], [7, 8], [8, 7]))
    assert np.array_equal(first.hosts.so, again.hosts.so)
    for one in (0, 1):
        rows, same = first.zones.episode == one, other.zones.episode == 1 - one
        assert np.array_equal(first.zones.known[rows], other.zones.known[same])


def test_rows_of_the_soc_simulator_have_the_same_terms():
    hosts, zones = soc_rows(soc_policies.Adaptive(), 4, 1)
    assert hosts.shape[1] == terms.HOST_TERMS.size and zones.shape[1] == terms.ZONE_TERMS.size
    assert hosts.min() >= 0 and hosts.max() <= 1 and hosts.any()


def test_seeds_are_spawned_from_the_base_seed():
    assert episode_seeds(1000, 3) == episode_seeds(1000, 5)[:3] != episode_seeds(1001, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 0}, "--seed must be at least 1000: lower base seeds are for reporting; given 0"),
        ({"episodes": 1}, "--episodes must be at least 2; given 1"),
        ({"steps": 3}, "--steps must be at least 20; given 3"),
        ({"mapper": "magic"}, "unknown mapper 'magic'; known: table, learned"),
        ({"carry": "magic"}, "unknown SOC policy 'magic'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_played(changes, message):
    wanted = {"carry": "adaptive", "name": "x", "episodes": 2, "seed": 1000, "steps": 60, "mapper": "table"}
    with pytest.raises(BadInput, match=message):
        make_bundle(**{**wanted, **changes}, console=QUIET)


@pytest.mark.parametrize("carry", ["bundle", "run", "run/best"])
def test_a_bundle_takes_nothing_along_but_the_weights(tmp_path, monkeypatch, carry):
    packaged = bundle_folder("hmarl-soc")
    shutil.copytree(packaged, tmp_path / "bundle")
    shutil.copytree(packaged / "policy", tmp_path / "run" / "best")
    (tmp_path / "run" / "best" / "notes.txt").write_text("")
    made = replace(load_bundle(packaged), name="new")
    monkeypatch.setattr(calibrating, "make_bundle", lambda *asked: made)
    calibrating.calibrate_command(str(tmp_path / carry), tmp_path / "new", 2, 1000, 60, "table", QUIET)
    copied = {file.name: file.read_bytes() for file in (tmp_path / "new" / "policy").iterdir()}
    assert copied == {file.name: file.read_bytes() for file in (packaged / "policy").iterdir()}
    policies.make_policy(f"bundle:{tmp_path / 'new'}")


def test_the_carried_policy_is_the_one_that_is_named(tmp_path):
    for name in ("mine", "policy"):
        shutil.copytree(bundle_folder("hmarl-soc") / "policy", tmp_path / name)
    (tmp_path / "policy" / "manifest.json").write_text("{}")
    described = {"kind": "trained", "name": "mine"}
    assert calibrating._make_own(described, tmp_path / "mine").draws_per_agent >= 0
    with pytest.raises(BadInput, match="it looks like an empty folder"):
        (tmp_path / "empty").mkdir()
        calibrating._make_own(described, tmp_path / "empty")


@pytest.mark.slow
@pytest.mark.parametrize("mapper", ["table", "learned"])
def test_the_command_writes_a_bundle_that_plays(tmp_path, mapper):
    out = tmp_path / "made"
    asked = [
        "calibrate",
        "adaptive",
        "--out",
        str(out),
        "--episodes",
        "2",
        "--steps",
        "150",
        "--mapper",
        mapper,
        "--json",
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    bundle = load_bundle(out)
    calibration = json.loads(done.stdout.splitlines()[-1])["provenance"]["calibration"]
    assert calibration == bundle.provenance["calibration"] and calibration["rewards used"] is False
    assert calibration["episodes"] == 8 and (bundle.mapper_weights is None) == (mapper == "table")
    env = cage4.vector_env("native", num_envs=2, steps=60, rich=True)
    labels = Labels("x", "native", "base-v1", 60)
    records = list(play(env, policies.make_policy(f"bundle:{out}"), [Episode(0, 1), Episode(1, 2)], labels))
    assert all(record.invalid == 0 and record.busy == 0 for record in records)
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 2 and "exists already" in again.output
