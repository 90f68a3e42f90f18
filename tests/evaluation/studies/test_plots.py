"""Figures of studies: what they show of the arms, and that all of it can be read."""

import numpy as np
import pytest

from evaluation.studies import plots as plots_studies
from evaluation.studies.training.tables import COLUMNS
from tests.builders.figure_checks import check_layout, check_svg

SCRIPTED = {"no-defense": -34.2, "random": -85.8, "adaptive": -9.7}


def arms(seeds=5, nothing=()):
    """Return arms of a summary: three learned ones that differ little, scripted ones far away and near."""
    generator = np.random.default_rng(0)
    found = {}
    for label in ("hmarl-soc", "qmix", "mappo"):
        values = {
            column.name: [None] * seeds if column.name in nothing else generator.uniform(0.1, 0.2, seeds).tolist()
            for column in COLUMNS
        }
        values["reward"] = generator.uniform(-9.0, -6.0, seeds).tolist()
        found[label] = {"seeds": list(range(seeds)), "metrics": {name: figure(v) for name, v in values.items()}}
    for label, reward in SCRIPTED.items():
        values = {column.name: [0.15] for column in COLUMNS} | {"reward": [reward]}
        found[label] = {"seeds": [None], "metrics": {name: figure(v) for name, v in values.items()}}
    return found


def figure(values):
    known = [value for value in values if value is not None]
    return {"values": values, "mean": float(np.mean(known)) if known else None, "ci95": None}


@pytest.mark.parametrize("name", ["_radar", "_boxes", "_fpr_csr", "_bars"])
@pytest.mark.parametrize("seeds", [1, 5])
def test_everything_in_a_figure_can_be_read(name, seeds, monkeypatch):
    check_layout(lambda: getattr(plots_studies, name)(arms(seeds)), monkeypatch)


@pytest.mark.parametrize("nothing", [(), ("mttd", "alert_fpr")])
def test_figures_are_well_formed_also_where_no_episode_defines_a_metric(nothing):
    summary = {"study": "table3", "arms": arms(nothing=nothing)}
    for name, svg in plots_studies.figures(["radar", "boxes", "bars", "fpr-csr"], summary, {}).items():
        check_svg(f"table3-{name}", svg)


def test_boxes_are_as_wide_as_the_seeds_need_and_tell_what_lies_beyond():
    reward = plots_studies._boxes(arms()).axes[0]
    shown = [value for arm in list(arms().values())[:3] for value in arm["metrics"]["reward"]["values"]]
    low, high = reward.get_xlim()
    assert low < min(shown) and max(shown) < high < max(shown) + (max(shown) - min(shown))
    assert low < SCRIPTED["adaptive"] < min(shown)  # near enough to be shown as a point
    assert [text.get_text() for text in reward.texts] == ["← -34.20", "← -85.80"]


def test_something_far_better_than_all_runs_is_told_at_the_other_end():
    with_oracle = arms() | {"oracle": {"seeds": [None], "metrics": {c.name: figure([30.0]) for c in COLUMNS}}}
    (told,) = (text for text in plots_studies._boxes(with_oracle).axes[0].texts if "→" in text.get_text())
    assert told.get_text() == "30.00 →" and told.get_horizontalalignment() == "right"


def test_a_radar_says_what_its_axes_run_from_and_to():
    shown = arms(nothing=("mttd",))
    labels = {label.get_text() for label in plots_studies._radar(shown).axes[0].get_xticklabels()}
    rewards, scans = (
        [shown[label]["metrics"][name]["mean"] for label in ("hmarl-soc", "qmix", "mappo")]
        for name in ("reward", "scan_fpr")
    )
    assert f"reward\n{min(rewards):.2f} to {max(rewards):.2f}" in labels
    assert f"scan fpr\n{max(scans):.4f} to {min(scans):.4f}" in labels  # fewer are better
    assert "mttd" in labels  # nobody has a figure


@pytest.mark.parametrize("scripted", [(), SCRIPTED])
def test_no_two_arms_of_a_scatter_look_the_same(scripted):
    learned = arms()["hmarl-soc"]
    many = {f"arm {number}": learned for number in range(9)} | {name: arms()[name] for name in scripted}
    panel = plots_studies._fpr_csr(many).axes[0]
    assert len({(line.get_color(), line.get_marker()) for line in panel.lines}) == len(many)


def test_bars_set_off_the_arm_that_the_others_are_compared_with():
    bars = plots_studies._bars(arms()).axes[0].patches
    assert [bar.get_alpha() for bar in bars].count(bars[0].get_alpha()) == 1
    assert len({bar.get_facecolor()[:3] for bar in bars}) == 1


@pytest.mark.parametrize(("worst", "scale"), [(-30.0, "linear"), (-300.0, "symlog")])
def test_one_method_that_diverges_does_not_flatten_the_curves_of_the_others(worst, scale, monkeypatch):
    steps = np.arange(0.0, 1.2e6, 2e4)
    curves = {
        "steady": [{"steps": steps, "score": np.full_like(steps, -7.0 - seed)} for seed in range(3)],
        "diverging": [{"steps": steps, "score": np.linspace(-8.0, worst + seed, len(steps))} for seed in range(3)],
    }
    (axes,) = plots_studies._curves(curves).axes
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    shown = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert len(shown) >= 4
    told = axes.yaxis.get_major_formatter().format_ticks(shown)
    assert [float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in told] == shown
    check_layout(lambda: plots_studies._curves(curves), monkeypatch)
