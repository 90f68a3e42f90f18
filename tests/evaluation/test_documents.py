"""Tables in README and docs say what the recorded results say: no figure in them is typed in by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import evaluation
from adapters.bundle import bundle_folder
from evaluation.games.cc4.policies import CC4
from evaluation.harness.run_folder import SPEC
from evaluation.studies.behaviour import explain
from evaluation.studies.recorded import with_recorded
from evaluation.studies.training import tuning
from evaluation.studies.training.plans import FULL, PLANS, SCRIPTED
from evaluation.studies.training.runs import execute, jobs
from evaluation.studies.training.tables import summarise
from evaluation.studies.transfer import cross_simulator, zero_shot
from evaluation.studies.transfer.finetuning_report import NAME as FINE_TUNING
from evaluation.studies.transfer.finetuning_report import render
from hmarl_soc.config import read_toml
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.tuned import complete

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(evaluation.__file__).parent / "recorded"
NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")


def rows(document, heading):
    """Return first cell -> the other cells of the first table after a heading."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert heading in text, f"{document} has no {heading!r}"
    lines = text[text.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip().replace("**", "") for cell in line.strip("|").split("|")])
    return {cells[0]: cells[1:] for cells in table[2:]}


def prose(document):
    """Return the text of a document as one line."""
    return " ".join((ROOT / document).read_text(encoding="utf-8").split())


def agrees(cell, values):
    """Tell whether the numbers of a cell are these values, rounded as the cell rounds."""
    told = NUMBER.findall(cell)
    assert told, f"no number in {cell!r}"
    for text, value in zip(told, values, strict=False):
        number = float(text.replace(",", "").replace("−", "-"))
        digits = len(text.partition(".")[2])
        if abs(number - value) > 0.501 * 10.0**-digits:
            return False
    return True


def test_a_wrong_figure_would_be_found():
    assert agrees("−6,863.7 [−7,115.7, −6,614.8]", [-6863.695, -7115.7, -6614.8])
    assert not agrees("-7.98 [-8.91, -7.06]", [-7.98, -8.91, -7.08])


def recorded_scores():
    found = {}
    for spec in RECORDED.glob(f"*/{SPEC}"):
        summary = json.loads((spec.parent / "summary.json").read_text(encoding="utf-8"))
        found |= {name: [one["mean"], *one["ci95"]] for name, one in summary["policies"].items()}
    return found


@pytest.mark.parametrize("page", ["README.md", "docs/policies.md"])
def test_pages_tell_the_recorded_scores(page):
    recorded = recorded_scores()
    heading = "## What you get" if page == "README.md" else "## All registered policies"
    told = {name.partition(" ")[0]: cells for name, cells in rows(page, heading).items()}
    assert set(told) == (set(CC4.defaults) if page == "README.md" else set(recorded))
    for name, cells in told.items():
        assert agrees(cells[0], recorded[name]), f"{name}: {cells[0]}, recorded is {recorded[name]}"


ALL = ("reward", "csr", "exfiltrated", "mttd", "scan_fpr", "alert_fpr")
FALSE = ("reward", "csr", "exfiltrated", "scan_fpr", "alert_fpr")
LONG = FULL.shortened(1_200_000)
TABLES = {
    "### All methods": ("table3", FULL, 10, ALL),
    "### The paper's 10,000 episodes": ("table3", LONG, 3, ALL),
    "### Ablations": ("table4", FULL, 5, FALSE),
    "### Steps between": ("k-sweep", FULL, 5, ALL),
    "### Weights of the reward": ("reward-weights", FULL, 5, FALSE),
    "### Patient attackers": ("apt", FULL, 10, ("reward", "csr", "exfiltrated", "mttd")),
}
"""Heading -> study, size, training seeds, metrics of the columns; HMARL-SOC's lead in reward comes after these."""


def recorded_study(name, size, seeds, out, scripted):
    """Return the summary of a study from recorded runs; scripted arms, which are not recorded, play if wanted."""
    plan = PLANS[name]
    wanted = with_recorded(jobs(plan, size, seeds, out))
    learned = [job for job in wanted if job.recorded is not None]
    played = [execute(job)[0] for job in wanted if job.arm.method == SCRIPTED] if scripted else []
    return summarise(plan, [*learned, *played])


SLOW = ("### All methods", "### Patient attackers")


@pytest.mark.parametrize(
    ("heading", "scripted"),
    [*((name, False) for name in TABLES), *(pytest.param(name, True, marks=pytest.mark.slow) for name in SLOW)],
)
def test_the_tables_of_studies_tell_the_recorded_runs(heading, scripted, tmp_path):
    name, size, seeds, metrics = TABLES[heading]
    summary = recorded_study(name, size, seeds, tmp_path, scripted)
    told = rows("docs/studies.md", heading)
    plan = PLANS[name]
    unplayed = set() if scripted else {arm.label for arm in plan.arms if arm.method == SCRIPTED}
    assert set(summary["arms"]) == set(told) - unplayed
    assert {arm.label for arm in plan.learned} <= set(told)
    whole_table = not unplayed & set(told)
    for label, arm in summary["arms"].items():
        assert arm["seeds"] in ([None], list(range(seeds))), f"{label}: a run of this table is not recorded"
        for metric, cell in zip(metrics, told[label], strict=False):
            figure = arm["metrics"][metric]
            values = [figure["mean"], *(figure["ci95"] or ())]
            assert cell == "-" if figure["mean"] is None else agrees(cell, values), (
                f"{label}, {metric}: {cell}, {figure}"
            )
    leads = {test["arm"]: test for test in summary["tests"] if test["metric"] == "reward"}
    for label, test in leads.items():
        # p is corrected over all arms of a table
        assert tells(told[label][len(metrics)], test, with_p=whole_table), label


def tells(cell, test, with_p=True):
    """Tell whether a cell "difference [interval], p = ..." says what a test found."""
    difference, _, chance = cell.partition(", p ")
    if not agrees(difference, [test["difference"], *test["ci95"]]):
        return False
    if not with_p:
        return True
    bound = chance.removeprefix("< ")
    return test["p_holm"] < float(bound) if bound != chance else agrees(chance, [test["p_holm"]])


def test_the_page_on_studies_tells_what_each_set_of_seeds_shows(tmp_path):
    plan = PLANS["table3"]
    learned = [job for job in with_recorded(jobs(plan, FULL, 10, tmp_path)) if job.arm.method != SCRIPTED]
    told = rows("docs/studies.md", "**Two sets of seeds.**")
    for column, seeds in enumerate((range(5), range(5, 10), range(10))):
        tests = summarise(plan, [job for job in learned if job.seed in seeds])["tests"]
        leads = {test["arm"]: test for test in tests if test["metric"] == "reward"}
        assert set(leads) == set(told)
        for label, test in leads.items():
            assert tells(told[label][column], test), (label, column)


def test_the_page_on_studies_tells_what_doubled_weights_do_against_halved_ones(tmp_path):
    summary = recorded_study("reward-weights", FULL, 5, tmp_path, False)
    told = rows("docs/studies.md", "| double - half |")
    assert len(summary["contrasts"]) == 4 * len(told) == 16
    for test in summary["contrasts"]:
        weight = test["arm"].partition(" ")[0]
        column = PLANS["reward-weights"].tested.index(test["metric"])
        assert tells(told[weight][column], test), (weight, test)
    nearest = min(test["p_holm"] for test in summary["tests"])
    assert "is shown, in any measure (p at least 0.086)" in prose("docs/studies.md")
    assert agrees("p at least 0.086", [nearest])


def test_the_page_on_studies_tells_long_runs_of_the_hierarchy_with_ppo(tmp_path):
    summary = recorded_study("table4", LONG, 3, tmp_path, False)
    assert set(summary["arms"]) == {"hmarl-soc", "PPO for all agents"}
    (told,) = rows("docs/studies.md", "**The hierarchy itself goes on.**").values()
    for metric, cell in zip(ALL, told, strict=False):
        figure = summary["arms"]["PPO for all agents"]["metrics"][metric]
        assert len(figure["values"]) == 3 and agrees(cell, [figure["mean"], *figure["ci95"]]), (metric, cell, figure)
    (lead,) = (test for test in summary["tests"] if test["metric"] == "reward")
    assert tells(told[-1], lead), lead
    means = [
        arm["metrics"]["reward"]["mean"] for arm in recorded_study("table3", LONG, 3, tmp_path, False)["arms"].values()
    ]
    assert summary["arms"]["PPO for all agents"]["metrics"]["reward"]["mean"] > max(means)


def test_the_page_on_studies_tells_how_long_runs_end(tmp_path):
    ends = {}
    for job in with_recorded(jobs(PLANS["table3"], LONG, 3, tmp_path)):
        if job.recorded is not None:
            ends.setdefault(job.arm.label, []).append(job.recorded["curve"]["score"][-1])
    text = prose("docs/studies.md")
    for label, told in {
        "qmix": "last validations are -201 to -343",
        "iql": "-343 and -36 to -40",
        "hmarl-soc": "last validations are -7.3 to -8.2",
        "single-drl": "Single-DRL's -8.9 to -10.6",
    }.items():
        assert told in text
        best, worst = NUMBER.findall(told)[-2:]
        assert agrees(f"{best} to {worst}", [max(ends[label]), min(ends[label])]), (label, ends[label])


def test_the_page_on_training_tells_how_long_whole_runs_took():
    minutes, episodes = {}, []
    for path in (RECORDED / "studies").glob("*.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["config"]["trainer"]["steps"] == LONG.steps:
            minutes.setdefault(run["method"], []).append(run["trained"]["last_sitting_s"] / 60.0)
            episodes += [run["trained"]["episodes"]] if run["method"] == "hmarl-soc" else []
    text = prose("docs/training.md")
    assert "which are 9,200 to 9,300 episodes" in text and min(episodes) >= 9200 and max(episodes) <= 9300
    for method, told in {
        "hmarl-soc": "took it 27 to 35 minutes",
        "hmarl-soc-ppo": "HMARL-SOC with PPO for all agents 13 to 14",
        "qmix": "QMIX 24 to 26",
        "iql": "IQL 13 to 18",
        "single-drl": "Single-DRL 6 to 15",
        "mappo": "MAPPO 5 to 6",
    }.items():
        assert told in text
        assert agrees(told, [min(minutes[method]), max(minutes[method])]), (method, minutes[method])


def test_the_page_on_studies_tells_the_recorded_explanations(tmp_path):
    summary = whole(explain.NAME, "hmarl-soc")
    assert summary["dirty"] is False
    (trained,) = (job for job in jobs(PLANS["table3"], FULL, 1, tmp_path) if job.arm.label == "hmarl-soc")
    assert summary["runs"] == trained.folder.parent.name and summary["seeds"] == [0, 1, 2, 3, 4]
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    told = page[page.index("### Explanations") : page.index("## Behaviours")]
    lines = {line for line in told.splitlines() if line.startswith("|")}
    assert lines <= set(explain.markdown(summary, []).splitlines())
    assert len(lines) == 2 + 4 * 3
    triage, hunter = (summary["versus"][role]["random"] for role in ("triage", "hunter"))
    for figure, text in (
        (triage["deletion"], "0.12 [0.02, 0.22] in deletion"),
        (triage["insertion"], "0.11 [0.01, 0.20] in insertion"),
        (hunter["insertion"], "insertion (0.11 [0.05, 0.18]"),
    ):
        assert text in " ".join(told.split())
        mean, low, high = (abs(value) for value in (figure["mean"], *figure["ci95"]))
        assert agrees(text, [mean, *sorted((low, high))])


def test_the_page_on_studies_tells_the_recorded_search():
    summary = json.loads(tuning.RECORDED.read_text(encoding="utf-8"))
    told = rows("docs/studies.md", "## The search of settings")
    assert set(told) == set(summary["methods"])
    for method, tried in summary["methods"].items():
        scores = {trial["trial"]: trial["best_score"] for trial in tried["trials"]}
        found = (max(scores.values()), scores[0], np.median(list(scores.values())))
        for cell, value in zip(told[method], found, strict=True):
            assert agrees(cell, [value]), (method, cell)


def test_the_model_card_has_the_settings_of_the_shipped_defender(tmp_path):
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    settings = tmp_path / "shipped.toml"
    settings.write_text(re.search(r"```toml\n(.*?)```", card, re.DOTALL)[1], encoding="utf-8")
    manifest = bundle_folder("hmarl-soc") / "policy" / "manifest.json"
    made_with = json.loads(manifest.read_text(encoding="utf-8"))["config"]
    told = complete(HmarlConfig, read_toml(settings)).to_dict()
    assert told["trainer"].pop("averaging") == 0  # settings that are younger than the defender
    assert told["environment"].pop("engine") == "soc"
    assert told == made_with


def whole(study, name):
    """Return a study that is recorded as one file."""
    return json.loads((RECORDED / study / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("soc-adaptive", "## What the scripted policy shows"),
        ("hmarl-soc", "## What a trained HMARL-SOC shows"),
    ],
)
def test_the_page_on_transfer_tells_the_recorded_controls(name, heading):
    summary = whole(zero_shot.NAME, name)
    assert (summary["episodes"], summary["seed"], summary["engine"], summary["dirty"]) == (1000, 0, "native", False)
    told = rows("docs/transfer.md", heading)
    against = {one["other"]: one for one in summary["comparisons"]}
    assert set(told) == {row["label"].removeprefix(f"{name}: ") for row in summary["rows"]}
    for row in summary["rows"]:
        mean, lead, chance = told[row["label"].removeprefix(f"{name}: ")]
        assert agrees(mean, [row["mean"], *row["ci95"]]), (row["label"], mean)
        one = against.get(row["policy"])
        if one is None:
            assert row["kind"] == "system" and not lead and not chance
        else:
            assert agrees(lead, [one["difference"], *one["ci95"]]), (row["label"], lead)
            assert chance == f"{one['p_holm']:.2g}", row["label"]
    (claim,) = summary["claims"]
    assert not claim["holds"]
    assert "no positive claim" in section(heading)


def section(heading):
    """Return what the page on transfer says under a heading."""
    page = (ROOT / "docs" / "transfer.md").read_text(encoding="utf-8")
    begin = page.index(heading)
    end = page.find("\n## ", begin + 1)
    return page[begin:end]


HEADING = "## Do policies rank alike"


def test_the_page_on_transfer_tells_the_recorded_scores_of_both_simulators():
    summary = whole(cross_simulator.NAME, "hmarl-soc")
    assert summary["dirty"] is False and summary["episodes"].pop("soc") == 1000
    assert set(summary["episodes"].values()) == {100}
    told = rows("docs/transfer.md", HEADING)
    assert list(told) == [pair["label"] for pair in summary["pairs"]]
    for i, pair in enumerate(summary["pairs"]):
        for cell, game in zip(told[pair["label"]], summary["games"].values(), strict=True):
            assert agrees(cell, [game[i]["normalised"], game[i]["mean"]]), (pair["label"], cell)


@pytest.mark.parametrize("kind", ["spearman", "kendall"])
@pytest.mark.parametrize("name", ["hmarl-soc", "soc-adaptive"])
def test_the_page_on_transfer_tells_the_recorded_rank_correlations(name, kind):
    summary = whole(cross_simulator.NAME, name)
    told = rows("docs/transfer.md", "| rank correlation with the SOC simulator")
    cells = told[f"`{name}`: {kind.title()}"]
    for cell, found in zip(cells, summary["correlations"].values(), strict=True):
        assert agrees(cell, [found[kind]["value"], *found[kind]["ci95"]]), cell


def test_the_page_on_transfer_tells_the_recorded_fine_tuning():
    summary = whole(FINE_TUNING, "hmarl-soc")
    told = {line for line in section("### Transferred against scratch").splitlines() if line.startswith("|")}
    rendered = set(render(summary).splitlines())
    assert told <= rendered, told - rendered
    assert len(told) == 2 + 12 + 1 + 2 + 9  # two heads, two budgets of six rows, a long run, nine comparisons
    assert summary["dirty"] is False
