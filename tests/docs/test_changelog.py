"""The changelog is by version and kind, and its newest version is that of the package."""

import re

import pytest
from pages import ROOT

from hmarl_soc.config import read_toml

KINDS = ["What you must do", "Added", "Changed", "Fixed", "Removed"]
UNRELEASED = "Unreleased"


def parse(text):
    """Return version -> its kinds, in order."""
    found = {}
    for level, title in re.findall(r"^(##+) (.+)$", text, re.MULTILINE):
        if level == "##":
            assert title not in found, f"{title} is there twice"
            found[title] = []
        else:
            found[list(found)[-1]].append(title)
    return found


def check(text, version):
    """Refuse a changelog whose headings are not those of the house, or whose newest version is another."""
    found = parse(text)
    versions = [title for title in found if title != UNRELEASED]
    assert UNRELEASED not in list(found)[1:], "what is unreleased stands first"
    assert versions[0] == version
    assert versions == sorted(versions, key=lambda one: [int(part) for part in one.split(".")], reverse=True)
    for title, kinds in found.items():
        assert kinds == [kind for kind in KINDS if kind in kinds], f"{title} has {kinds}; allowed, once each: {KINDS}"


def test_the_changelog_is_by_version_and_kind():
    version = read_toml(ROOT / "pyproject.toml")["project"]["version"]
    check((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)


@pytest.mark.parametrize(
    "text",
    [
        "## 0.1.0\n### Added\n",
        "## 0.2.0\n### New\n",
        "## 0.2.0\n### Fixed\n### Added\n",
        "## 0.2.0\n### Fixed\n### Fixed\n",
        "## 0.2.0\n## Unreleased\n",
        "## 0.2.0\n## 0.10.0\n",
    ],
)
def test_a_wrong_changelog_would_be_found(text):
    with pytest.raises(AssertionError):
        check(text, "0.2.0")


def test_right_changelogs_pass():
    check("## Unreleased\n### Added\n### Fixed\n## 0.10.0\n### What you must do\n## 0.2.0\n", "0.10.0")
