"""The same policies in both games: pairs, figures with a known answer, and a tiny run from the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cage4.variants import VARIANTS
from evaluation.cli.app import app
from evaluation.games.cc4.policies import CC4, make_policy
from evaluation.games.soc.policies import soc_registry
from evaluation.inputs.errors import BadInput
from evaluation.policies import registry
from evaluation.policies.silenced import Silenced
from evaluation.studies import plots as plots_studies
from evaluation.studies.transfer import cross_simulator
from evaluation.studies.transfer.cross_simulator import pairs_of, render, summarise
from native_sim.soc.policies import Adaptive
from native_sim.soc.spec import AGENTS, OBSERVATION_SIZES
from tests.builders.figure_checks import check_layout


@pytest.mark.parametrize(("bundle", "own", "count"), [("soc-adaptive", "adaptive", 9), ("hmarl-soc", "hmarl-soc", 9)])
def test_every_pair_exists_in_both_games(bundle, own, count):
    pairs = pairs_of(bundle)
    assert [pair.label for pair in pairs[:2]] == ["no-defense", own]
    assert len({pair.soc for pair in pairs}) == len({pair.cc4 for pair in pairs}) == len(pairs) == count
    for pair in pairs:
        registry.make_policy(pair.soc, soc_registry("corrected"))
        registry.make_policy(pair.cc4, CC4)


@pytest.mark.parametrize("role", AGENTS)
def test_a_silenced_role_is_the_ablation_of_the_policy(role):
    generator = np.random.default_rng(0)
    shown = {name: generator.random((4, n)) for name, n in zip(AGENTS, OBSERVATION_SIZES, strict=True)}
    silenced = registry.make_policy(f"without:{role}/adaptive", soc_registry("corrected"))
    found = silenced.act(shown, {}, silenced.initial_memory(4), np.zeros((4, 4, 0))).actions
    expected = Adaptive(without=(role,)).act(shown, {}, None, np.zeros((4, 4, 0))).actions
    assert found.keys() == expected.keys() == set(AGENTS) - {role}
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    carried = make_policy(f"bundle:soc-adaptive@without-{role}").carried
    assert isinstance(carried, Silenced) and carried.role == role


def test_unknown_roles_and_games_are_refused():
    with pytest.raises(BadInput, match="unknown role 'cook'; roles are coordinator"):
        registry.make_policy("without:cook/adaptive", soc_registry("corrected"))
    with pytest.raises(BadInput, match="use bundle:PATH@without-ROLE"):
        make_policy("without:hunter/adaptive")


def games(order, noise=0.0):
    """Scores of four policies in two games: the second ranks them in the order given, at another scale."""
    generator = np.random.default_rng(1)
    here = np.array([0.0, 10.0, 4.0, 6.0])[:, None] + noise * generator.normal(size=(4, 50))
    there = 7.0 * np.array(order, float)[:, None] - 100.0 + noise * generator.normal(size=(4, 50))
    return {"soc": here, "base": there}


def test_equal_order_is_one_and_the_scale_runs_from_no_defence_to_the_bundle():
    found = summarise(games((0, 10, 4, 6)), np.random.default_rng(0))
    for kind in ("spearman", "kendall"):
        assert found["correlations"]["base"][kind]["value"] == pytest.approx(1.0)
    for game in ("soc", "base"):
        assert [row["normalised"] for row in found["games"][game]] == pytest.approx([0.0, 1.0, 0.4, 0.6])
    assert found["games"]["base"][1]["mean"] == pytest.approx(-30.0)


def test_another_order_and_noise_show():
    reversed_order = summarise(games((10, 0, 6, 4)), np.random.default_rng(0))
    assert reversed_order["correlations"]["base"]["spearman"]["value"] == pytest.approx(-1.0)
    assert all(row["normalised"] is None for row in reversed_order["games"]["base"])  # the bundle is worse than nothing
    noisy = summarise(games((0, 10, 4.2, 4.0), noise=20.0), np.random.default_rng(0))
    low, high = noisy["correlations"]["base"]["spearman"]["ci95"]
    assert -1.0 <= low < high <= 1.0 and high - low > 0.3
    json.dumps([reversed_order, noisy], allow_nan=False)


def test_redrawn_episodes_are_the_same_for_all_policies_of_a_game():
    scores = games((0, 10, 4, 6))
    luck = 1000.0 * np.random.default_rng(2).normal(size=50)  # shared by all policies
    found = summarise({name: values + luck for name, values in scores.items()}, np.random.default_rng(0))
    assert found["correlations"]["base"]["kendall"]["ci95"] == pytest.approx([1.0, 1.0])
    assert found["games"]["soc"][2]["normalised_ci95"] == pytest.approx([0.4, 0.4])
    low, high = found["games"]["soc"][2]["ci95"]
    assert high - low > 200


def test_the_report_says_where_a_role_matters():
    pairs = [{"label": label} for label in ("no-defense", "adaptive", "without hunter", "without triage")]
    rest = {"study": "s", "engine": "native", "seed": 0, "episodes": {"soc": 50, "base": 50}, "pairs": pairs}
    text = render({**rest, **summarise(games((0, 10, 4, 12)), np.random.default_rng(0))})
    assert "Worse without hunter: soc, base." in text and "Worse without triage: soc." in text
    assert "| without triage | 0.60 (0.60 to 0.60) | 1.20 (1.20 to 1.20) |" in text
    assert "| without triage | 6.0 (6.0 to 6.0) | -16.0 (-16.0 to -16.0) |" in text


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_figure_of_any_number_of_variants_has_room_for_its_texts(count, monkeypatch):
    scores, names = games((0, 10, 4, 6), noise=1.0), list(VARIANTS)[:count]
    found = summarise({"soc": scores["soc"], **dict.fromkeys(names, scores["base"])}, np.random.default_rng(0))
    pairs = [{"label": label} for label in ("no-defense", "adaptive", "without hunter", "without triage")]
    figures = []

    def draw():
        figures.append(plots_studies._cross_simulator({**found, "pairs": pairs}))
        return figures[-1]

    check_layout(draw, monkeypatch)
    assert [axes.get_title().partition(":")[0] for axes in figures[0].axes] == names


def test_a_tiny_study_runs_resumes_and_reports_from_its_rows_alone(tmp_path):
    command = ["study", cross_simulator.NAME, "--smoke", "--variant", "base,phishing", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    folder = tmp_path / cross_simulator.NAME
    first = {name: (folder / name).read_bytes() for name in ("study.json", "study.md", "study.svg")}
    summary = json.loads(first["study.json"])
    assert summary["episodes"] == {"soc": 3, "base": 2, "phishing": 2}
    assert set(summary["correlations"]) == {"base", "phishing"}
    for name in first:
        (folder / name).unlink()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0 and "episodes are there already" in again.output
    assert {name: (folder / name).read_bytes() for name in first} == first


def test_one_variant_twice_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["study", cross_simulator.NAME, "--variant", "base,base", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "each entry of --variant may be named once" in " ".join(done.output.split())
