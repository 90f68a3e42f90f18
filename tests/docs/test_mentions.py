"""What README and docs name exists: commands and options, policies, variants, methods, modules, files, links."""

import importlib
import re
import shlex
from itertools import pairwise

import pytest
import typer
from pages import PAGES, ROOT, SHELLS, Command, anchors, blocks, commands, first_column, links, spans
from shrinking import PROGRAM
from typer.main import get_command

from adapters.bundle import PACKAGED
from cage4 import variants
from cage4.parity.drivers import DRIVERS
from cage4.policies.rule_based import HostDefender
from cage4.spec import REFERENCE_COMMIT
from evaluation.cli.app import app
from evaluation.cli.game import ENGINES
from evaluation.games.cc4.policies import CC4, POLICIES, make_policy
from evaluation.games.soc.policies import soc_registry
from evaluation.jobs.finetune import METHOD as FINETUNE
from evaluation.policies.registry import ALL, Registry
from evaluation.studies.command import STUDIES
from evaluation.studies.transfer.finetuning import PARTS, STARTS
from evaluation.transfer.carried import CONTROLS, OWN_DRAWS, PAPER, SCRIPTED
from hmarl_soc.config import read_toml
from hmarl_soc.registry import METHODS
from native_sim.soc.config import LEVELS
from native_sim.soc.variants import get_variant as soc_variant
from tests.builders.commands import find, parsers

GROUP = get_command(app).commands
COMMANDS = dict(parsers())
MEMBERS = {path[0] for path in COMMANDS if len(path) > 1}
"""Commands that are groups."""
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|\.\.\.")
"""A word in capitals stands for what the reader puts there."""
OTHERS = {"--max-eps": "the challenge's script", "--frames": "benchmarks/benchmarl_cross_check.py"}
"""Options of scripts that are not ours, or that a page names without their script."""
PACKAGES = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
FILE = re.compile(rf"(?:{'|'.join(PACKAGES)}|benchmarks|docs|tests)(?:/[\w.-]+)*/?(?:\.\w+)?")


def mentioned(page):
    """Return the commands of code spans: those of the program, and those that begin with one of its commands."""
    found = []
    for line, text in spans(page):
        words = text.removeprefix(f"{PROGRAM} ").split()
        asked = text.startswith(f"{PROGRAM} -")
        if words and (asked or words[0] in GROUP) and (len(words) > 1 or text.startswith(f"{PROGRAM} ")):
            found.append(Command(page, line, tuple(words)))
    return found


def written(page):
    """Return the commands of this program in the shell blocks of a page."""
    found = [command for block in blocks(page) if block.language in SHELLS for command in commands(block)]
    return [command._replace(words=command.words[1:]) for command in found if command.words[0] == PROGRAM]


def names_of(command):
    """Return the options of a command."""
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


def parse(words, whole):
    """Parse a command as the program does, and call nothing.

    Args:
        words: The command, without the name of the program.
        whole: Refuse it if something is missing, too.
    """
    if not whole and words[0] in MEMBERS and (len(words) == 1 or words[1].startswith("-")):
        known = set().union(*(names_of(command) for path, command in COMMANDS.items() if path[0] == words[0]))
        assert {word for word in words if word.startswith("-")} <= known, f"{PROGRAM} {' '.join(words)}"
        return
    if words[0].startswith("-"):
        assert set(words) <= names_of(get_command(app)) | {"--help", "-h"}, f"{PROGRAM} {' '.join(words)}"
        return
    command, rest = find(words)
    takes_value = {name for option in command.params for name in option.opts if not getattr(option, "is_flag", False)}
    filled = ["1" if PLACEHOLDER.fullmatch(word) else word for word in rest]
    if filled and filled[-1] in takes_value and filled[-1].startswith("-") and not whole:
        filled.append("1")
    try:
        command.make_context(command.name, filled)
    except typer.Exit as ended:  # of --help
        assert ended.exit_code == 0
    except Exception as error:
        if whole or type(error).__name__ != "MissingParameter":
            raise AssertionError(f"{PROGRAM} {' '.join(words)}: {error}") from error


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page):
    for command in written(page):
        assert "..." not in " ".join(command.words), f"{command}: a reader cannot run it as it stands"
        parse(command.words, whole=True)
    for command in mentioned(page):
        parse(command.words, whole=False)


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --episode 3",
        "evaluate --episodes few",
        "train --seeds 1 --out x",
        "play",
        "study table9",
        "study table3 --policies x",
        "study --polices x",
        "list nothing",
        "bench train --envs 8",
        "--install-complaint",
    ],
)
def test_a_wrong_command_would_be_found(words):
    with pytest.raises((AssertionError, KeyError)):
        parse(words.split(), whole=False)


def known_policy(page, name, registry: Registry):
    """Tell whether a policy of a command can be played once its files are there."""
    kind, colon, path = name.partition(":")
    if re.search(r"\b[A-Z_]{2,}\b", name) or name in registry.named or name in ("module:object", ALL):
        return True
    if kind == "bundle":
        folder, at, control = path.partition("@")
        if not (PACKAGED / folder).is_dir():
            assert folder in made(page), f"no command of {page} makes the bundle {folder}"
        packaged = folder if (PACKAGED / folder).is_dir() else "hmarl-soc"
        make_policy(f"bundle:{packaged}{at}{control}")
        return True
    if kind in CC4.kinds:
        return path in made(page) or (PACKAGED / path / "policy").is_dir()
    return f"{kind}.py" in made(page) if colon else name in made(page)


def made(page):
    """Return the paths that blocks and commands of a page make: files to save, runs, bundles and zips."""
    found = {block.file for block in blocks(page)}
    for command in [*written(page), *mentioned(page)]:
        if "--out" in command.words:
            out = command.words[command.words.index("--out") + 1]
            found |= {out, f"{out}/bundle"}
    return found | EXAMPLES


EXAMPLES = {"runs/first", "submission.zip"}
"""Paths of other pages' examples that a page may name."""


def registry_of(command):
    words = command.words
    variant = words[words.index("--variant") + 1] if "--variant" in words else "corrected"
    on_soc = "soc" in words or bool({"behaviours", "roles"} & set(words[:2]))
    return soc_registry("reference" if variant == "reference" else "corrected") if on_soc else CC4


def check_value(command, option, value):
    """Refuse a value that names nothing."""
    page, words = command.page, command.words
    each = [one for one in value.split(",") if not PLACEHOLDER.fullmatch(one)]
    if option in ("--policies", "--policy"):
        for name in each:
            assert known_policy(page, name, registry_of(command)), f"{command}: no policy {name}"
    elif option in ("--variant", "--variants"):
        for name in each:
            look_up = soc_variant if "soc" in words else variants.get_variant
            assert name in made(page) or name == "all" or look_up(name)
    elif option == "--method" and ":" in value:
        assert f"{value.partition(':')[0]}.py" in made(page) or value == "module:object", f"{command}: no {value}"
    elif option in KNOWN:
        assert set(each) <= {*KNOWN[option], "all"}, f"{command}: {option} {value}"


KNOWN = {
    "--method": METHODS,
    "--game": ENGINES,
    "--engine": ENGINES["cc4"],
    "--base": ("tuned", "table2"),
    "--drivers": DRIVERS,
    "--reds": variants.RED_AGENTS,
    "--parts": PARTS,
    "--starts": STARTS,
    "--mapper": ("table", "learned"),
}


@pytest.mark.parametrize("page", PAGES)
def test_names_in_commands_exist(page):
    for command in [*written(page), *mentioned(page)]:
        words = command.words
        for option, value in pairwise(words):
            check_value(command, option, value)
        first = words[1] if len(words) > 1 and not words[1].startswith("-") else None
        if first is not None and words[0] == "calibrate":
            assert first in SCRIPTED or first.startswith("runs/"), str(command)
        bundles = [value for option, value in pairwise(words) if option == "--bundle"]
        for name in [*bundles, *([first] if first is not None and words[0] == "finetune" else [])]:
            assert (PACKAGED / name).is_dir() or name in made(page) or PLACEHOLDER.fullmatch(name), str(command)


@pytest.mark.parametrize(
    "name", ["nobody", "bundle:nothing", "bundle:hmarl-soc@magic", "nobody:Nobody", "nothing.zip", "weights:nothing"]
)
def test_a_policy_that_is_not_there_would_be_found(name):
    try:
        found = known_policy("docs/policies.md", name, CC4)
    except (AssertionError, ValueError):
        found = False
    assert not found


@pytest.mark.parametrize("page", PAGES)
def test_names_of_policies_in_the_text_exist(page):
    """KIND:PATH in a code span, in whichever game: bundle:hmarl-soc, weights:hmarl-soc, bundle:PATH@CONTROL."""
    for _, text in spans(page):
        if re.fullmatch(r"[a-z]+:[\w./@+-]+", text) and text.partition(":")[0] in CC4.kinds:
            assert known_policy(page, text, CC4), f"{page}: {text}"


@pytest.mark.parametrize("page", PAGES)
def test_options_in_the_text_exist(page):
    ours = {"--help", "-h"}.union(*map(names_of, COMMANDS.values()), names_of(get_command(app)))
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    for _, text in spans(page):
        if text.startswith("--"):
            for option in re.findall(r"--[\w-]+", text):
                assert option in ours or f'"{option}"' in scripts or option in OTHERS, f"{page}: {text}"


@pytest.mark.parametrize("page", PAGES)
def test_scripts_and_their_options_exist(page):
    texts = [text for _, text in spans(page)]
    texts += [" ".join(one.words) for block in blocks(page) if block.language in SHELLS for one in commands(block)]
    for text in texts:
        found = re.match(r"python (benchmarks/\w+\.py)", text)
        if found:
            source = (ROOT / found[1]).read_text(encoding="utf-8")
            for option in re.findall(r"--[\w-]+", text):
                assert f'"{option}"' in source, f"{page}: {text}"


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_files_in_the_text_exist(page):
    for _, text in spans(page):
        name = re.sub(r"\(.*\)(?:\..*)?$", "", text)
        if DOTTED.fullmatch(name) and not name.endswith(".py"):
            resolve(name)
        elif "/" in text and FILE.fullmatch(text):
            assert (ROOT / text).exists(), f"{page}: there is no {text}"


def resolve(name):
    """Import a dotted name of ours: a module, or what hangs on one."""
    module, *rest = name.split(".")
    found = importlib.import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        if not hasattr(found, part):
            importlib.import_module(module)
        found = getattr(found, part)
    return found


def test_tests_in_the_text_exist():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {text for page in PAGES for _, text in spans(page) if re.fullmatch(r"test_\w+", text)}
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_resolve(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link.target):
            continue
        path, _, anchor = link.target.partition("#")
        there = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert there.exists(), f"{page} links to {link.target}"
        if anchor:
            assert anchor in anchors(there.relative_to(ROOT).as_posix()), f"{page}: no heading for {link.target}"
        if link.image:
            assert there.stat().st_size > 0 and there.suffix == ".svg"


TABLES = {
    ("docs/variants.md", "| name | what changes"): set(variants.VARIANTS),
    ("docs/studies.md", "| study | what is compared"): set(STUDIES)
    - {"transfer-zero-shot", "fine-tuning", "cross-simulator"},
    ("docs/studies.md", "| name | what it is"): set(METHODS) - {"hmarl-soc", FINETUNE},
    ("docs/soc-simulator.md", "| level | what differs"): set(LEVELS),
    ("docs/command-line.md", "| option | what it does"): {
        *("--json", "--quiet", "-q", "--no-color", "--help", "-h"),
    },
    ("docs/heuristics.md", "| policy | file"): {
        name for name, made in POLICIES.items() if isinstance(made, type) and issubclass(made, HostDefender)
    },
}
"""Page and header of a table that names everything of its kind -> those names."""


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table[0]} {table[1]}")
def test_tables_of_names_are_whole(table):
    assert set(first_column(*table)) == TABLES[table]


def test_the_page_on_the_command_line_names_every_command():
    named = {text for _, text in spans("docs/command-line.md")}
    assert set(GROUP) <= named


def test_the_table_of_controls_is_whole():
    named = first_column("docs/transfer.md", "| control | what is different")
    roles = ("coordinator", "hunter", "triage", "responder")
    whole = {name.replace("ROLE", role) for name in named for role in (roles if "ROLE" in name else ("",))}
    assert whole - {OWN_DRAWS, PAPER} == set(CONTROLS)


def installs(page):
    """Return the arguments of every ``pip install`` of a page."""
    known = [command.words for block in blocks(page) if block.language in SHELLS for command in commands(block)]
    known += [tuple(shlex.split(text)) for _, text in spans(page) if text.startswith("pip install ")]
    return [words[2:] for words in known if words[:2] == ("pip", "install")]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_installs_is_there(page):
    """The package is on no index: pages install a checkout, with extras that it has."""
    extras = read_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]
    for words in installs(page):
        for option, value in pairwise(words):
            if option == "-c":
                assert (ROOT / value).is_file(), f"{page}: {words}"
            if option == "-e":
                asked = re.fullmatch(r"\.(?:\[([\w,]+)\])?", value)
                assert asked and set((asked[1] or "dev").split(",")) <= set(extras), f"{page}: {words}"
        assert not [word for word in words if word.startswith("hmarl")], f"{page}: {words} asks an index"


def test_pages_name_the_commit_that_is_compared_with():
    named = {text for page in PAGES for _, text in spans(page) if re.fullmatch(r"[0-9a-f]{7}", text)}
    for page in PAGES:
        for block in blocks(page):
            named |= set(re.findall(r"checkout ([0-9a-f]{7,})\b", block.text))
    assert named == {REFERENCE_COMMIT}


def test_the_page_on_the_simulator_names_every_policy():
    named = {text for _, text in spans("docs/soc-simulator.md")}
    assert set(soc_registry("corrected").named) <= named
