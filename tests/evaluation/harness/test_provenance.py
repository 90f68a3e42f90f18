"""Which code made the numbers: every file of our packages counts, committed or not, in a checkout or installed."""

import os
import subprocess

import pytest

from evaluation.harness import provenance

FILES = {
    "evaluation/policies/registry.py": "x = 1",
    "evaluation/templates/page.j2": "page",
    "evaluation/recorded/one.json": "{}",
    "adapters/bundles/full/tensors.safetensors": "weights",
    "hmarl_soc/tuned.json": "{}",
    "docs/page.md": "text",
    ".gitignore": "*.pyc\n",
}
COUNTING = [name for name in FILES if not name.startswith(("docs", "evaluation/recorded", "."))]


def git(folder, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder like that of our packages."""
    for name in (*FILES, *(f"{package}/__init__.py" for package in provenance.OURS)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FILES.get(name, ""))
    monkeypatch.setattr(provenance, "HOME", tmp_path)
    return tmp_path


@pytest.fixture
def checkout(home):
    git(home, "init", "-q")
    git(home, "add", "-A")
    git(home, "commit", "-q", "-m", "all")
    return home


def test_a_clean_checkout_has_a_commit_and_no_tree(checkout):
    found = provenance.describe_tree()
    assert len(found["commit"]) == 12 and found["dirty"] is False and found["tree"] is None


@pytest.mark.parametrize("name", COUNTING)
def test_a_changed_file_of_any_kind_makes_another_tree(checkout, name):
    trees = [provenance.describe_tree()]
    for content in ("one", "two"):
        (checkout / name).write_text(content)
        trees.append(provenance.describe_tree())
    git(checkout, "add", "-A")
    assert provenance.describe_tree() == trees[-1]
    (checkout / name).unlink()
    trees.append(provenance.describe_tree())
    assert [tree["dirty"] for tree in trees] == [False, True, True, True]
    assert len({tree["tree"] for tree in trees}) == 4


def test_a_new_file_counts_by_its_content(checkout):
    trees = []
    for content in ("one", "two"):
        (checkout / "evaluation" / "new.py").write_text(content)
        trees.append(provenance.describe_tree()["tree"])
    (checkout / "evaluation" / "new.py").unlink()
    (checkout / "evaluation" / os.fsdecode(b"odd\xff\n name.py")).write_text("two")
    trees.append(provenance.describe_tree()["tree"])
    assert None not in trees and len(set(trees)) == 3


@pytest.mark.parametrize("name", ["docs/page.md", "evaluation/recorded/one.json", "evaluation/x.pyc", "own.py"])
def test_what_no_result_depends_on_makes_no_other_tree(checkout, name):
    (checkout / name).write_text("changed")
    assert provenance.describe_tree()["dirty"] is False


@pytest.mark.parametrize("name", COUNTING)
def test_without_a_checkout_all_files_are_the_tree(home, name):
    before = provenance.describe_tree()
    assert before["commit"] is None and before["dirty"] is None and len(before["tree"]) == 12
    (home / "docs" / "page.md").write_text("changed")
    (home / "evaluation" / "recorded" / "one.json").write_text("changed")
    (home / "evaluation" / "__pycache__").mkdir()
    (home / "evaluation" / "__pycache__" / "x.pyc").write_text("")
    assert provenance.describe_tree() == before
    (home / name).write_text("changed")
    assert provenance.describe_tree()["tree"] != before["tree"]


def test_a_checkout_that_git_cannot_read_is_told_by_its_files(home):
    (home / ".git").mkdir()
    assert provenance.describe_tree()["commit"] is None and provenance.describe_tree()["tree"]
