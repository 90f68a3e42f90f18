"""list: every name that another command takes is there, in the table and in the object."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cage4.variants import VARIANTS
from evaluation.cli import options
from evaluation.cli.app import app
from evaluation.games.cc4.policies import CC4
from evaluation.games.soc.policies import soc_registry
from evaluation.studies.command import STUDIES
from hmarl_soc.registry import METHODS
from native_sim.soc.config import LEVELS
from native_sim.soc.variants import get_variant

ROOT = Path(__file__).resolve().parents[3]


def listed(kind, *more):
    done = CliRunner().invoke(app, ["list", kind, "--json", *more])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)[kind]


def test_policies():
    rows = listed("policies")
    assert {row["policy"] for row in rows if row["game"] == "cc4"} == set(CC4.named)
    assert {row["policy"] for row in rows if row["game"] == "soc"} == set(soc_registry("corrected").named)
    assert all(row["what it does"].strip() for row in rows)
    shown = {(row["game"], row["policy"]): row["played by default"] for row in rows}
    assert not shown["soc", "oracle"] and shown["cc4", "no-defense"]
    assert {row["game"] for row in listed("policies", "--game", "soc")} == {"soc"}


def test_variants():
    rows = {(row["game"], row["variant"]): row for row in listed("variants")}
    assert {name for game, name in rows if game == "cc4"} == set(VARIANTS) == set(options.CC4_VARIANTS)
    soc = {name for game, name in rows if game == "soc"}
    assert soc == {"corrected", "reference", *(f"corrected:{level}" for level in LEVELS)} == set(options.SOC_VARIANTS)
    assert rows["cc4", "base"]["changes"] == {} == rows["soc", "corrected"]["changes"]
    assert rows["cc4", "phishing"]["changes"] == {"phishing_rate": 0.75}
    for (game, name), row in rows.items():
        assert row["id"] == (VARIANTS[name] if game == "cc4" else get_variant(name)).id
        assert (row["changes"] == {}) == (name in ("base", "corrected", "corrected:default"))


def test_games():
    rows = {row["game"]: row for row in listed("games")}
    assert set(rows) == {"cc4", "soc"}
    assert rows["cc4"]["engines"] == ["auto", "native", "cyborg"]
    assert {"auto", "native"} <= set(rows["cc4"]["usable here"]) <= set(rows["cc4"]["engines"])
    assert (rows["cc4"]["default variant"], rows["soc"]["default variant"]) == ("base", "corrected")


def test_methods():
    rows = {row["method"]: row for row in listed("methods")}
    assert list(rows) == list(METHODS.ours) == list(options.METHODS)
    assert {name for name, row in rows.items() if "cc4" in row["games"]} == {
        "ippo",
        "mappo",
        "iql",
        "qmix",
        "single-drl",
    }
    assert all(row["what learns"].endswith(".") for row in rows.values())


def test_studies():
    rows = listed("studies")
    assert [row["study"] for row in rows] == list(STUDIES)


@pytest.mark.parametrize("kind", ["policies", "variants", "games", "methods", "studies"])
def test_the_table_shows_every_name_whole(kind):
    """Also in a narrow terminal."""
    done = CliRunner().invoke(app, ["list", kind], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0, done.output
    words = set(done.output.split())
    for row in listed(kind):
        assert {value for value in list(row.values())[:2] if isinstance(value, str) and " " not in value} <= words, row


def test_a_game_that_does_not_exist_is_refused():
    done = CliRunner().invoke(app, ["list", "policies", "--game", "moon"])
    assert done.exit_code == 2 and "unknown game 'moon'; known are cc4, soc" in done.stderr


def test_options_may_stand_before_the_kind():
    done = CliRunner().invoke(app, ["list", "--json", "methods"])
    assert done.exit_code == 0 and json.loads(done.stdout)["methods"] == listed("methods")


def in_a_process(*arguments, path):
    """Run a command where another package is installed."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(path)])}
    command = [sys.executable, "-m", "evaluation.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=120)


def test_a_game_of_another_package_is_listed(tmp_path):
    package = ROOT / "tests" / "plugins" / "matching"
    for kind, column in (("games", "game"), ("policies", "policy"), ("variants", "variant")):
        done = in_a_process("list", kind, "--json", path=package)
        found = [row for row in json.loads(done.stdout)[kind] if row["game"] == "matching"]
        assert done.stderr.count("Notice") == 0 and found and all(row[column] for row in found)
    found = json.loads(in_a_process("list", "methods", "--json", path=package).stdout)["methods"]
    assert "matching" in {row["method"]: row["games"] for row in found}["ippo"]


def test_a_broken_game_is_told_and_the_others_are_listed(tmp_path):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    entries = "[hmarl_transfer.games]\nx = nowhere:Game\n"
    (tmp_path / "broken-1.0.dist-info" / "entry_points.txt").write_text(entries)
    done = in_a_process("list", "games", "--json", path=tmp_path)
    assert [row["game"] for row in json.loads(done.stdout)["games"]] == ["cc4", "soc"]
    assert "Notice: game 'x' of package broken" in done.stderr and "Traceback" not in done.stderr
    done = in_a_process("list", "policies", "--game", "x", path=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("Error: game 'x' of package broken")
