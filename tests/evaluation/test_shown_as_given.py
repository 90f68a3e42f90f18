"""Names are shown as they are given: in terminals, figures, HTML and Markdown, whatever they contain."""

import html
import io
import json
import re
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from cage4.variants import Variant, get_variant
from evaluation.cli.app import app
from evaluation.reporting import canvas
from evaluation.reporting.markdown import escaped
from evaluation.reporting.terminal import PlainConsole
from native_sim.soc.variants import get_variant as get_soc_variant

WILD = r"_a:smile:$\frac{$[red]|`<b>&lt;~~x~~[u](v).json"
"""Mathtext that cannot be set, a picture, markup of the terminal, of Markdown and of HTML, and a hidden legend."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wild")
    (folder / WILD).write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["--game", "soc", "--steps", "8", "--episodes", "6", "--policies", f"constant:{WILD},no-defense"]
        done = CliRunner().invoke(app, ["evaluate", *arguments, "--out", "run"])
        assert done.exit_code == 0, done.output
        studied = ["study", "behaviours", "--smoke", "--policies", f"constant:{WILD}", "--out", "study"]
        assert CliRunner().invoke(app, studied).exit_code == 0
    return folder, done.output


def test_the_terminal_shows_the_name(run):
    _, output = run
    assert f"constant:{WILD}" in output.splitlines()[0]
    assert "smile:" in output.partition("policy")[2]


def test_every_figure_shows_the_name(run):
    folder, _ = run
    figures = [*(folder / "run" / "figures").glob("*.svg"), folder / "study" / "behaviours" / "by-hour.svg"]
    assert len(figures) >= 3
    texts = [" ".join(ElementTree.fromstring(path.read_text()).itertext()) for path in figures]
    labels = [canvas.labels_of([f"constant:{WILD}"], limit)[0] for limit in (1_000, 30, 24, 22)]
    assert labels[0] in texts[-1]
    for text in texts:
        assert any(label in text for label in labels)


def test_html_shows_the_name(run):
    folder, _ = run
    page = (folder / "run" / "report.html").read_text()
    assert html.escape(f"constant:{WILD}") in page
    assert "<b>" not in page


def test_markdown_shows_the_name(run):
    folder, _ = run
    for file in (folder / "run" / "report.md", folder / "study" / "behaviours" / "table.md"):
        rows = [line for line in file.read_text().splitlines() if line.startswith("| constant")]
        assert rows
        heads = [line for line in file.read_text().splitlines() if line.startswith("| policy")]
        cells = {len(re.split(r"(?<!\\)\|", line)) for line in heads}
        for row in rows:
            assert escaped(f"constant:{WILD}") in row
            assert len(re.split(r"(?<!\\)\|", row)) in cells


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a|b", r"a\|b"),
        ("$x$", r"\$x\$"),
        ("`x`", r"\`x\`"),
        ("<b>", r"\<b>"),
        ("a < b", "a < b"),
        ("&lt;", r"\&lt;"),
        ("a & b", "a & b"),
        ("[a](b)", r"[a\](b)"),
        ("-1.0 [-2.0, 0.0]", "-1.0 [-2.0, 0.0]"),
        ("a\nb", "a b"),
        ("\x1b", r"\\x1b"),
    ],
)
def test_markdown_escapes_what_would_be_markup_and_nothing_more(text, markdown):
    assert escaped(text) == markdown


def test_the_terminal_obeys_no_text():
    screen = io.StringIO()
    console = PlainConsole(file=screen, width=200)
    console.print("[red]x[/red] :smile: \x1b[31m \udcff [/nothing]")
    assert screen.getvalue() == "[red]x[/red] :smile: \\x1b[31m \\udcff [/nothing]\n"


def test_a_broken_name_does_not_stop_a_figure():
    def draw():
        figure = canvas.new_figure(2)
        axes = figure.add_subplot()
        for number, label in enumerate(canvas.labels_of([r"$\frac{$", "_hidden", "\x1b\udcff", "$$"])):
            axes.plot([0, 1], [0, number], label=label)
        canvas.add_legend(figure, *axes.get_legend_handles_labels())
        return figure

    texts = list(ElementTree.fromstring(canvas.to_svg("x", draw)).itertext())
    found = "".join(texts)
    for name in (r"$\frac{$", "_hidden", r"\x1b\udcff", "$$"):
        assert name in found


BAD_NAMES = ["../../x", "a b", "$x$", ":smile:", "[red]", "a" * 5_000, "", "a\0b"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("load", [get_variant, get_soc_variant])
def test_the_name_of_a_variant_is_safe_in_a_path(name, load, tmp_path):
    path = tmp_path / "variant.toml"
    path.write_text(f"name = {json.dumps(name)}\n")
    with pytest.raises(ValueError, match="name must consist of 1 to 100 letters") as error:
        load(str(path))
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("version", [-1, 0, 10_000, 10**30])
def test_the_version_of_a_variant_has_a_range(version):
    with pytest.raises(ValueError, match="version must lie in 1 to 9999"):
        Variant("custom", version)


@pytest.mark.parametrize("name", ["a b", "$x$", "[red]"])
def test_the_name_of_a_bundle_is_checked_before_anything_is_played(name, tmp_path):
    done = CliRunner().invoke(app, ["calibrate", "adaptive", "--out", str(tmp_path / name)])
    assert done.exit_code == 2
    assert "becomes that of the bundle, must consist of" in " ".join(done.stderr.split())


@pytest.mark.parametrize("option", ["name", "team", "technique"])
def test_labels_of_a_submission_are_text(option, tmp_path):
    out = tmp_path / "s.zip"
    done = CliRunner().invoke(app, ["export", "--policy", "random", "--out", str(out), f"--{option}", "a\x1bb"])
    assert done.exit_code == 2
    assert f"--{option} must be at most 1,000 characters" in " ".join(done.stderr.split())
    assert not out.exists()


@pytest.mark.parametrize("name", ["a\x1bb:P", "a\nb:P", "x" * 2_000])
def test_the_name_of_a_policy_can_be_shown(name, tmp_path):
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["evaluate", "--engine", "native", "--policies", name, "--out", str(out)])
    assert done.exit_code == 2
    assert "on one line" in " ".join(done.stderr.split())
    assert not out.exists()
