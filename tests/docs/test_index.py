"""Every page of docs can be found from docs/index.md, in one place."""

from collections import Counter

import pytest
from pages import PAGES, ROOT, links

INDEX = "docs/index.md"
KINDS = ("Tutorial", "How-to", "Reference", "Explanation", "Results", "About the project")


def targets(page):
    """Return how often a page links to each file of ours, by its path from the root; anchors do not count."""
    found = Counter()
    for link in links(page):
        path = link.target.partition("#")[0]
        if path and ":" not in path and not link.image:
            found[((ROOT / page).parent / path).resolve().relative_to(ROOT).as_posix()] += 1
    return found


def missing_or_repeated(found, pages):
    return sorted(page for page in pages if found[page] != 1)


def test_the_index_links_every_page_once():
    assert missing_or_repeated(targets(INDEX), set(PAGES) - {INDEX}) == []


def test_a_page_that_is_missing_or_repeated_would_be_found():
    found = targets(INDEX)
    assert missing_or_repeated(found, ["docs/new.md"]) == ["docs/new.md"]
    assert missing_or_repeated(found + Counter(["docs/python.md"]), ["docs/python.md"]) == ["docs/python.md"]


def entries():
    """Return kind -> the entries of the index below that heading."""
    found, kind = {}, None
    for line in (ROOT / INDEX).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            kind = line.removeprefix("## ")
            found[kind] = []
        elif line.startswith("* "):
            found[kind].append(line)
        elif line.startswith("  "):
            found[kind][-1] += line
    return found


def test_the_index_is_by_kind():
    assert tuple(entries()) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_of_the_index_says_what_is_there(kind):
    assert entries()[kind]
    for entry in entries()[kind]:
        name, colon, told = entry.partition("): ")
        assert name.startswith("* [") and colon and len(told) > 20, entry


def test_the_readme_links_the_index_and_few_pages_beside_it():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    further = text[text.index("## Going further") :]
    assert "(docs/index.md)" in further
    assert sum(line.startswith("* ") for line in further.splitlines()) <= 6
