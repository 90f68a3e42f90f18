"""The report: honest first line, right numbers, odd names escaped, whole without network or script."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evaluation.games.cc4.schema import Summary
from evaluation.harness.summary import summarise
from evaluation.reporting import report
from tests.builders.factories import make_records, make_spec, with_scores

POLICIES = ("no-defense", "random", "full")
SPEC = make_spec(POLICIES, episodes=6)
RECORDS = make_records(SPEC)
SUMMARY = summarise(SPEC, RECORDS)
GOOD = {"commit": "abc1234", "dirty": False, "finished": "2026-01-02T03:04:05Z", "versions": {"numpy": "2.0"}}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><path id="a" style="fill: #1f2328; stroke: #ffffff"/></svg>'


def markdown(summary: Summary = SUMMARY, provenance: dict[str, Any] | None = None) -> str:
    return report.render_markdown(summary, GOOD if provenance is None else provenance, {"scores": "scores.svg"})


def html(summary: Summary = SUMMARY, provenance: dict[str, Any] | None = None) -> str:
    return report.render_html(summary, GOOD if provenance is None else provenance, {"scores": SVG})


def visible(page: str) -> list[str]:
    """Return the lines of text that a reader of the page sees."""
    body = page[page.index("<body>") :]
    return [line.strip() for line in re.sub(r"<[^>]+>", "\n", body).splitlines() if line.strip()]


class Tags(HTMLParser):
    """Checks that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# -------------------------------------------------------------------------------------- the first line
def test_a_clean_complete_run_begins_with_its_title() -> None:
    assert markdown().splitlines()[0].startswith("# Defending CAGE Challenge 4")
    assert visible(html())[0].startswith("Defending CAGE Challenge 4")


@pytest.mark.parametrize(
    ("records", "changes", "words"),
    [
        (RECORDS[:-2], {}, ["fewer episodes", "full 4 of 6"]),
        (RECORDS[:12], {}, ["fewer episodes", "full 0 of 6"]),
        ([], {}, ["fewer episodes", "no-defense 0 of 6"]),
        (RECORDS, {"dirty": True}, ["uncommitted changes"]),
        (RECORDS, {"finished": None}, ["interrupted"]),
        (RECORDS, {"status": "interrupted"}, ["interrupted"]),
        (RECORDS[:-1], {"dirty": True, "finished": None}, ["full 5 of 6", "interrupted", "uncommitted"]),
    ],
)
def test_the_first_line_says_what_is_wrong(records: Any, changes: dict[str, Any], words: list[str]) -> None:
    summary = summarise(SPEC, records)
    for first in (
        markdown(summary, {**GOOD, **changes}).splitlines()[0],
        visible(html(summary, {**GOOD, **changes}))[0],
    ):
        assert first.strip("*").startswith("Read with care")
        assert all(word in first for word in words)


def test_the_provenance_may_be_anything() -> None:
    assert "not recorded" in markdown(provenance={})
    odd = {"commit": None, "dirty": 1, "machine": {"cores": 2, "gpu": None}, "args": ["a|b", True], "n": 1}
    text = markdown(provenance=odd)
    assert "| machine | cores 2, gpu – |" in text
    assert "| args | a\\|b, yes |" in text
    assert "| n | 1 |" in text


# --------------------------------------------------------------------------------------------- content
@pytest.mark.parametrize("render", [markdown, html])
def test_numbers_scale_seeds_and_sources_are_there(render: Any) -> None:
    text = render().replace("\u2212", "-")
    found = SUMMARY.policies["full"]
    for number in (found.mean, found.iqm, found.median, found.mean_sum_over_agents):
        assert f"{number:.1f}" in text
    for words in (
        "498 of 500 steps",
        "HMARL-SOC",
        "base seed 7",
        "doi:10.1609/aaai.v39i28.35158",
        "2410.17351",
    ):
        assert words in text
    assert "of full over 6 episodes" in text


def test_published_scores_appear_only_for_the_official_game() -> None:
    assert "-113 ± 35" in markdown()
    for changes in ({"steps": 100}, {"variant": "quiet-v1"}):
        spec = make_spec(POLICIES, episodes=2, **changes)
        text = markdown(summarise(spec, make_records(spec)))
        assert "Kiely" not in text
        assert "Published" not in text


def test_every_markdown_table_is_rectangular() -> None:
    spec = make_spec(("no-defense", "odd|name", "full"), episodes=3)
    text = markdown(summarise(spec, make_records(spec)))
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(blocks) == 6
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
    assert "odd\\|name" in text


def test_fallbacks_are_told_by_reason_where_there_are_any() -> None:
    assert "Fallbacks per 500 steps" not in markdown()
    spec = make_spec(("no-defense", "full"), episodes=2, steps=250)
    rows = [
        row.model_copy(update={"fallbacks": {"no target": 6 * row.index, "not valid": 0}})
        if row.policy == "full"
        else row
        for row in make_records(spec)
    ]
    text = markdown(summarise(spec, rows))
    table = text[text.index("Fallbacks per 500 steps") :]
    assert "| policy | no target | not valid |" in table
    assert "| full | 6.0 | 0.0 |" in table  # three per episode of 250 steps
    assert "| no-defense |" not in table.split("##")[0]


def test_figures_are_linked_in_markdown_and_inlined_in_html() -> None:
    assert "![Scores of the episodes](scores.svg)" in markdown()
    page = html()
    assert '<svg role="img" aria-label="Scores of the episodes"' in page
    assert "fill: var(--ink, #1f2328); stroke: var(--paper, #ffffff)" in page
    assert "profile" not in page.lower()  # figures that were not drawn leave no trace


def test_the_page_needs_no_network_and_no_script() -> None:
    page = html()
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=|href=", page)
    assert set(re.findall(r"https?://[^\"' <]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in page
    assert page.startswith("<!doctype html>\n<html lang=")


def test_the_page_is_well_formed_and_its_tables_are_labelled() -> None:
    page = html(summarise(SPEC, RECORDS[:-2]))
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    tables = page.count("<table>")
    assert page.count("<caption>") == tables > 4
    assert page.count('<th scope="row">') == page.count("<tr>") - tables


def test_odd_names_are_escaped() -> None:
    name = "<b>&'\"[red]"
    spec = make_spec(("no-defense", name), episodes=2)
    summary = summarise(spec, make_records(spec))
    page = html(summary)
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "\\<b>" in markdown(summary)
    assert "<b>&'\"[red]" in terminal(summary)


def test_a_run_without_an_episode_still_gives_a_report() -> None:
    nothing = summarise(SPEC, [])
    assert "No episode was finished" in report.render_markdown(nothing, GOOD, {})
    assert "No episode was finished" in report.render_html(nothing, GOOD, {})


def test_one_episode_shows_no_interval_and_no_nan() -> None:
    spec = make_spec(episodes=1)
    text = markdown(summarise(spec, make_records(spec)))
    assert "1 episode." in text
    assert "nan" not in text.lower()
    assert "None" not in text
    assert "–" in text


def test_pairs_compared_in_two_ways_name_both_tests() -> None:
    rows = [row for row in RECORDS if row.policy != "full" or row.index == 0]
    text = markdown(summarise(SPEC, rows))
    assert "Wilcoxon signed-rank, paired on seeds where two seeds or more are shared, else Welch t" in text


def test_no_negative_zero() -> None:
    spec = make_spec(("no-defense", "full"), episodes=3)
    rows = [with_scores(row, -100.0 if row.policy == "full" else -100.01) for row in make_records(spec)]
    assert not re.search(r"[-+]0\.0+(?![0-9])", markdown(summarise(spec, rows)).replace("+0.0", ""))


# ------------------------------------------------------------------------------------------- terminal
def terminal(summary: Summary, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(report.terminal_table(summary))
    return console.export_text()


def test_the_terminal_table_fits_eighty_columns() -> None:
    text = terminal(SUMMARY)
    found = SUMMARY.policies["full"]
    (line,) = [line for line in text.splitlines() if line.strip().startswith("full")]
    assert f"{found.mean:.1f}" in line
    assert f"{found.mean_sum_over_agents:.1f}" in line
    assert "fewer episodes" not in text
    assert "full 5 of 6" in terminal(summarise(SPEC, RECORDS[:-1]))
    assert max(map(len, text.splitlines())) <= 80


def test_reports_load_neither_matplotlib_nor_scipy() -> None:
    code = "import evaluation.reporting.report, evaluation.harness.compare"
    code += "; import sys; print([m for m in sys.modules if m in sys.argv])"
    command = [sys.executable, "-c", code, "matplotlib", "scipy", "scipy.stats", "pandas", "jinja2", "rich"]
    root = Path(__file__).parents[3]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert shown.stdout.strip() == "[]"
