"""The one place that says how commands of the pages are made small, and which are not run at all, and why."""

import re
from typing import NamedTuple

from pages import Command

from evaluation.studies.training.plans import SMOKE

PROGRAM = "hmarl-transfer"
FLAG = None
"""Value of an option that takes none."""
SMALL = "small.toml"
"""Stands for settings of a training run that takes seconds, put on top of those that the command names."""
SMALL_RUN = {
    "soc": {"environment": {"num_envs": 16}, "trainer": {"validate_every": 512, "validation_episodes": 8}},
    "cc4": {
        "environment": {"num_envs": 4, "knobs": {"steps": 20}},
        "trainer": {"validate_every": 80, "validation_episodes": 2},
    },
}
"""What SMALL means, by game; the settings of the method are those of ``study --smoke``."""
SMALL_FINETUNING = {
    "environment": {"num_envs": 4, "knobs": {"steps": 20}},
    "trainer": {"validate_every": 80, "validation_episodes": 2},
    "method": {"rollout": 80, "minibatch": 40, "epochs": 1},
}
"""The same for ``finetune``."""


class Rule(NamedTuple):
    """How commands that begin with these words are made small: options that are set, whether given or not."""

    begins: str
    options: dict[str, str | None]


RULES = (
    Rule("hmarl-transfer evaluate", {"--episodes": "2", "--steps": "30", "--workers": "1"}),
    Rule("hmarl-transfer train --game cc4", {"--config": SMALL, "--steps": "160"}),
    Rule("hmarl-transfer train", {"--config": SMALL, "--steps": "1024"}),
    Rule("hmarl-transfer finetune", {"--config": SMALL, "--steps": "160"}),
    Rule("hmarl-transfer calibrate", {"--episodes": "2", "--steps": "60"}),
    Rule("hmarl-transfer study table", {"--smoke": FLAG, "--seeds": "1", "--workers": "1"}),
    Rule("hmarl-transfer study transfer-zero-shot", {"--episodes": "2"}),
    Rule("hmarl-transfer study fine-tuning", {"--smoke": FLAG}),
    Rule("hmarl-transfer study cross-simulator", {"--smoke": FLAG}),
    Rule("python benchmarks/heuristics.py", {"--episodes": "2", "--variants": "base"}),
)
"""The first rule whose words fit counts. Commands that none fits are run as they stand."""

NOT_RUN = {
    "python3 -m venv": "makes an environment; the tests run in one",
    ". .venv/bin/activate": "the same",
    "pip install": "a test installs nothing",
    "pytest": "it is what runs this test",
    "pre-commit install": "changes the checkout",
    "ruff": "checks the whole project, which is no business of a page",
    "mypy": "the same",
    "git clone": "needs the network",
    "git -C": "the same",
    "export CYBORG_PATH": "whoever runs the tests sets it",
    "python -m CybORG.Evaluation.evaluation": "tests/evaluation/export/test_submission.py runs it",
}
"""First words of commands that are not run -> why."""

GIVEN = {
    r"runs/studies/runs/hmarl-soc-\w+/seed-0": "adapters/bundles/hmarl-soc/policy",
}
"""Path that a command of a page reads and no command makes -> what ships with the package is put there. (Made by a
study over hours.)"""

SLOW = ("docs/studies.md", "docs/training.md", "docs/transfer.md", "docs/model-card.md", "docs/heuristics.md")
"""Pages whose commands take longer than a few seconds, however small."""


def is_not_run(command):
    """Return whether a command is one of NOT_RUN."""
    return any(_begins(command, words) for words in NOT_RUN)


def needs_cyborg(command):
    """Return whether a command plays the real CybORG."""
    text = " ".join(command.words)
    return text.startswith(f"{PROGRAM} parity") or "--engine cyborg" in text


def rule_of(command):
    """Return the rule that makes a command small, or None."""
    return next((rule for rule in RULES if _begins(command, rule.begins)), None)


def shrink(command):
    """Return the command made small."""
    rule = rule_of(command)
    if rule is None:
        return command
    words = list(command.words)
    for option, value in rule.options.items():
        if option == "--config" and option in words:
            value = f"{SMALL}:{words[words.index(option) + 1]}"
        if option in words and value is not FLAG:
            words[words.index(option) + 1] = value
        elif option not in words:
            words += [option] if value is FLAG else [option, value]
    return command._replace(words=tuple(words))


def small_settings(command):
    """Return the settings that SMALL stands for in a training command."""
    if command.words[1] == "finetune":
        return SMALL_FINETUNING
    method = option(command, "--method") or "hmarl-soc"
    return SMALL_RUN[option(command, "--game") or "soc"] | {"method": dict(SMOKE.settings.get(method, {}))}


def option(command, name):
    """Return the value of an option of a command, or None."""
    return command.words[command.words.index(name) + 1] if name in command.words else None


def as_toml(settings):
    """Write nested settings as TOML, each section on a line of its own."""

    def value(found):
        if isinstance(found, dict):
            return "{" + ", ".join(f"{name} = {value(inner)}" for name, inner in found.items()) + "}"
        if isinstance(found, bool):
            return str(found).lower()
        return repr(found)  # of a text or a number: TOML reads these as Python writes them

    return "".join(f"{name} = {value(section)}\n" for name, section in settings.items())


def given(page, commands):
    """Return path -> what to put there, for paths of GIVEN that commands of a page name."""
    named = {word for command in commands for word in command.words}
    return {word: source for word in named for pattern, source in GIVEN.items() if re.fullmatch(pattern, word)}


def _begins(command: Command, words: str) -> bool:
    return f"{' '.join(command.words)} ".startswith(words)
