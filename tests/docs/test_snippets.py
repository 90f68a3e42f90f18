"""Every block of README and docs does what it says: Python and commands run, settings load, output is what is shown.

A page is played from top to bottom in a folder and a process of its own. Commands are made small by the table of
``shrinking``; those that the slow suite plays in full are the ones whose output a page shows.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import shrinking
from pages import PAGES, ROOT, SHELLS, Block, Command, blocks, commands, indented, spans

from evaluation.harness.game import find_game
from evaluation.jobs import finetune
from evaluation.jobs.train import _resolve
from hmarl_soc.config import read_toml
from hmarl_soc.tuned import merge

HERE = Path(__file__).parent
OUTPUT = "text"
"""Language of a block that shows what the shell block before it prints."""
LISTING = ""
"""Language of a block that is neither code nor output, such as the files of a folder."""
LANGUAGES = {*SHELLS, "python", "toml", "json", OUTPUT, LISTING}
TERMINAL = ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that would colour what commands print."""


def page_commands(page):
    return [command for block in blocks(page) if block.language in SHELLS for command in commands(block)]


def runnable(page, with_cyborg):
    chosen = [command for command in page_commands(page) if not shrinking.is_not_run(command)]
    return [command for command in chosen if with_cyborg or not shrinking.needs_cyborg(command)]


def steps(page, with_cyborg=False, full=False):
    """Return what play_page plays: Python blocks and commands, in order.

    Args:
        page: The page.
        with_cyborg: Take the commands that need CybORG too.
        full: Play shell blocks whose output is shown as they stand, and compare it.
    """
    taken = set(runnable(page, with_cyborg))
    found = []
    for block, after in pairwise([*blocks(page), None]):
        if block.language == "python":
            found.append({"python": block.text, "where": str(block)})
        elif block.language in SHELLS:
            todo = [command for command in commands(block) if command in taken]
            shown = after.text.splitlines() if full and after is not None and after.language == OUTPUT else []
            for command in todo:
                played = command if shown else shrinking.shrink(command)
                output = shown if command is todo[-1] else []
                found.append({"command": list(played.words), "where": str(command), "output": output})
    return found


def lay_out(page, folder, todo):
    """Put into a folder what the page tells its reader to write, and what ``todo`` needs to be small."""
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
    for path, source in shrinking.given(page, page_commands(page)).items():
        shutil.copytree(ROOT / source, folder / path)
    for number, step in enumerate(todo):
        words = step.get("command", ())
        for i, word in enumerate(words):
            if word.partition(":")[0] == shrinking.SMALL:
                own = read_toml(folder / word.partition(":")[2]) if ":" in word else {}
                words[i] = f"small-{number}.toml"
                small = shrinking.small_settings(Command(page, 0, tuple(words)))
                (folder / words[i]).write_text(shrinking.as_toml(merge(own, small)), encoding="utf-8")
            elif word.startswith("benchmarks/"):
                words[i] = str(ROOT / word)


def play(page, folder, **how):
    todo = steps(page, **how)
    lay_out(page, folder, todo)
    perform(todo, folder)
    return todo


def perform(todo, folder):
    """Play steps in a folder, in a process of their own; what goes wrong there fails the test."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {name: value for name, value in os.environ.items() if name not in TERMINAL}
    done = subprocess.run(
        [sys.executable, str(HERE / "play_page.py")],
        check=False,
        input=json.dumps(todo),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"},
    )
    if done.returncode:
        pytest.fail(f"{done.stdout}\n{done.stderr}", pytrace=False)


def marked(page):
    return pytest.param(page, marks=pytest.mark.slow) if page in shrinking.SLOW else page


def has_code(page):
    return bool(steps(page))


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if has_code(page)])
def test_every_block_of_a_page_runs(page, tmp_path):
    play(page, tmp_path)


@pytest.mark.cyborg
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(shrinking.needs_cyborg, runnable(page, True)))])
def test_every_block_of_a_page_runs_on_cyborg(page, tmp_path):
    play(page, tmp_path, with_cyborg=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == OUTPUT for block in blocks(page))])
def test_commands_print_what_a_page_shows(page, tmp_path):
    assert any(step.get("output") for step in play(page, tmp_path, full=True))


def settings(page):
    """Return (block, command that reads it) of every block of settings of a page; None where no command does."""
    texts = [text.split() for _, text in spans(page) if text.startswith(f"{shrinking.PROGRAM} ")]
    known = [*page_commands(page), *(Command(page, 0, tuple(words)) for words in texts)]
    for block in blocks(page):
        if block.language == "toml":
            yield block, next((command for command in known if block.file in command.words), None)


@pytest.mark.parametrize(
    ("block", "command"), [pytest.param(*pair, id=str(pair[0])) for page in PAGES for pair in settings(page)]
)
def test_settings_load_as_they_stand(block, command, tmp_path):
    assert block.file, f"{block}: the first line must name the file, as in '# mine.toml'"
    assert command is not None, f"{block}: no command of the page reads {block.file}"
    path = tmp_path / block.file
    path.write_text(block.text, encoding="utf-8")
    option = {name: shrinking.option(command, f"--{name}") for name in ("method", "game", "variant")}
    if command.words[1] == "train":
        found, _ = _resolve(option["method"] or "hmarl-soc", path, None, None, option["game"])
        assert not found.trainer.tensorboard, f"{block} needs an extra that most readers do not have"
    elif command.words[1] == "finetune":
        finetune.configure(path, None, None)
    else:
        assert command.words[1] == "evaluate" and option["variant"] == block.file, (
            f"{block}: how does {command} read it?"
        )
        find_game(option["game"] or "cc4").resolve("auto", str(path), None)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_fenced_and_of_a_known_kind(page):
    assert not indented(page), f"{page}: an indented block is not tested; fence it, and say its language"
    for before, block in pairwise([None, *blocks(page)]):
        assert block.language in LANGUAGES, f"{block}: nothing tests {block.language!r}; say what does"
        if block.language == "json":
            json.loads(block.text)
            assert block.file and block.file in " ".join(text for _, text in spans(page)), f"{block}: saved as what?"
        elif block.language == OUTPUT:
            assert before is not None and before.language in SHELLS, f"{block}: which command prints that?"
        elif block.language == LISTING:
            assert not re.search(r"^\s*(?:\$ |(?:hmarl-transfer|python|pip|import|from)\b)", block.text, re.M), (
                f"{block}: this is code; say its language"
            )


def test_the_table_of_rules_has_nothing_stale():
    every = [command for page in PAGES for command in page_commands(page)]
    used = [shrinking.rule_of(command) for command in every]
    assert not [rule for rule in shrinking.RULES if rule not in used]
    for words in shrinking.NOT_RUN:
        assert any(" ".join(command.words).startswith(words) for command in every), f"no page has a command {words!r}"
    assert set(shrinking.SLOW) <= set(PAGES)
    wanted = {source for page in PAGES for source in shrinking.given(page, page_commands(page)).values()}
    assert wanted == set(shrinking.GIVEN.values())


def test_a_shell_block_is_taken_apart_as_a_shell_does():
    assert [one.words for one in commands(Block("", 1, "bash", "one &&\n  two\n"))] == [("one",), ("two",)]
    found = commands(Block("", 5, "bash", "a -x 'b c'  # why\n$ c d,\\\ne \\\n  f; g\n"))
    assert [(one.line, one.words) for one in found] == [
        (5, ("a", "-x", "b c")),
        (6, ("c", "d,e", "f")),
        (6, ("g",)),
    ]


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"python": "nothing + 1"}, "name 'nothing' is not defined"),
        ({"python": "1 + 1  # -> 3"}, "it is 2"),
        ({"python": "import numpy\nnumpy.zeros((3, 4))  # [8, F]"}, r"its shape is \(3, 4\)"),
        ({"python": "import numpy\nnumpy.zeros((8, 4, 2))  # [8, F]"}, r"its shape is \(8, 4, 2\)"),
        ({"command": ["python", "-c", "raise SystemExit(3)"], "output": []}, "exit code 3"),
        ({"command": ["hmarl-transfer", "evaluate", "--episodes", "0"], "output": []}, "exit code 2"),
        ({"command": ["python", "-c", "print('b'); print('a')"], "output": ["a", "b"]}, "it does not print 'b'"),
    ],
)
def test_a_wrong_block_would_be_found(step, sentence, tmp_path):
    with pytest.raises(pytest.fail.Exception, match=sentence):
        perform([step | {"where": "a page:1"}], tmp_path)


def test_right_blocks_pass(tmp_path):
    shown = {"command": ["python", "-c", "print('a   b'); print('-'); print('c')"], "output": ["a b", " c"]}
    python = {"python": "import numpy\n{1: 'x'}  # -> {1: 'x'}\nnumpy.zeros((8, 4))  # [8, F], a word\n[1]  # why"}
    perform([one | {"where": "a page:1"} for one in (shown, python)], tmp_path)


TUTORIAL = "docs/policies.md"
OWN = ("guard:Guard", "watch:Watch")
STUB = """
import importlib, sys, types
for name in ("CybORG", "CybORG.Agents", "CybORG.Agents.Wrappers"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["CybORG.Agents"].BaseAgent = type("BaseAgent", (), {"__init__": lambda self, name: None})
sys.modules["CybORG.Agents.Wrappers"].BlueFlatWrapper = object
sys.path.insert(0, sys.argv[1])
from submission.submission import TEAM, Submission
assert len(Submission.AGENTS) == 5 and TEAM
print(importlib.import_module(sys.argv[2]).__file__)
"""


def playing(*more):
    """Return the command that plays the tutorial's policies beside ``more``."""
    asked = ["evaluate", "--policies", ",".join((*OWN, *more)), "--episodes", "6", "--steps", "150", "--out", "run"]
    return ["hmarl-transfer", *asked]


def test_the_tutorial_ends_with_a_policy_that_beats_random_and_can_be_exported(tmp_path):
    exports = [["hmarl-transfer", "export", "--policy", name, "--out", f"{name[:5]}.zip"] for name in OWN]
    lay_out(TUTORIAL, tmp_path, [])
    todo = [playing("random"), *exports]
    perform([{"command": words, "output": [], "where": TUTORIAL} for words in todo], tmp_path)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    leads = {pair["a"]: pair["difference_ci95"] for pair in summary["comparisons"] if pair["b"] == "random"}
    assert set(leads) == set(OWN)
    assert all(low > 100 for low, _ in leads.values()), leads
    for name in OWN:
        module = name.partition(":")[0]
        loaded = [sys.executable, "-c", STUB, f"{module}.zip", module]
        done = subprocess.run(loaded, check=True, capture_output=True, text=True, cwd=tmp_path, env=alone())
        place = done.stdout.strip()  # in the zip, or where the submission unpacks its own modules
        assert f"{module}.zip" in place or Path(place).parent.name.startswith("submission-data-"), place


def alone():
    """Return an environment in which nothing of this project can be imported by its path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.cyborg
@pytest.mark.slow
def test_the_exported_tutorial_gets_the_scores_of_the_policy_itself(tmp_path):
    exports = [["hmarl-transfer", "export", "--policy", name, "--out", f"{name[:5]}.zip"] for name in OWN]
    lay_out(TUTORIAL, tmp_path, [])
    played = [*playing("guard.zip", "watch.zip"), "--engine", "cyborg"]
    played[played.index("--episodes") + 1] = "2"
    perform([{"command": words, "output": [], "where": TUTORIAL} for words in [*exports, played]], tmp_path)
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())["policies"]
    for name in OWN:
        own, exported = rows[name], rows[f"{name[:5]}.zip"]
        assert (own["mean"], own["std"]) == (exported["mean"], exported["std"]), name
