"""What README and docs hold: blocks of code, code spans, links and headings, as a Markdown parser sees them."""

import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAGES = ("README.md", "CONTRIBUTING.md", *DOCS, "cage4/parity/PARITY.md")
"""Every page, by its path from the root: a new one under docs is tested without being named anywhere."""
SHELLS = ("bash", "sh", "shell", "console")
FILE_NAME = re.compile(r"#\s*([\w.-]+\.(?:toml|py))\b")
_PARSER = MarkdownIt("commonmark").enable("table")


class Block(NamedTuple):
    """A fenced block."""

    page: str
    line: int  # of its first line of code, from 1
    language: str
    text: str
    title: str = ""  # what stands behind the language

    @property
    def file(self):
        """Name of the file that a reader saves it as: its first line or its title says so; or None."""
        found = FILE_NAME.match(self.text)
        return found[1] if found else self.title or None

    def __str__(self):
        return f"{self.page}:{self.line}"


class Command(NamedTuple):
    """One command of a block or of a code span."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self):
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


class Link(NamedTuple):
    """A link or an image."""

    page: str
    target: str
    image: bool


@cache
def _tokens(page):
    return _PARSER.parse((ROOT / page).read_text(encoding="utf-8"))


def blocks(page):
    """Return every fenced block of a page, in order."""
    found = []
    for token in _tokens(page):
        if token.type == "fence":
            language, _, title = token.info.strip().partition(" ")
            found.append(Block(page, token.map[0] + 2, language, token.content, title))
    return found


def indented(page):
    """Return the lines of blocks of code that are indented instead of fenced."""
    return [token.map[0] + 1 for token in _tokens(page) if token.type == "code_block"]


def spans(page):
    """Return (line, text) of every code span of a page, in order; the line is that of the paragraph or table row."""
    return [
        (token.map[0] + 1, child.content)
        for token in _tokens(page)
        if token.type == "inline"
        for child in token.children
        if child.type == "code_inline"
    ]


def links(page):
    """Return every link and image of a page."""
    found = []
    for token in _tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                found.append(Link(page, child.attrs["href"], False))
            elif child.type == "image":
                found.append(Link(page, child.attrs["src"], True))
    return found


def anchors(page):
    """Return the anchors that GitHub gives the headings of a page."""
    tokens, found = _tokens(page), set()
    for heading, inline in pairwise(tokens):
        if heading.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children if child.type in ("text", "code_inline"))
        name = plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = 0
        while name in found:
            count += 1
            name = f"{plain}-{count}"
        found.add(name)
    return found


def commands(block):
    """Return the commands of a shell block, in order: comments left out, continued lines joined, ``&&`` taken apart."""
    found, begun, line = [], "", block.line
    for number, text in enumerate(block.text.splitlines(), block.line):
        line = line if begun else number
        begun += text.removesuffix("\\") if text.endswith("\\") else f"{text} "
        if not text.endswith(("\\", "&&")):
            found += [Command(block.page, line, tuple(words)) for words in _split(begun)]
            begun = ""
    assert not begun, f"{block} ends in the middle of a command"
    return found


def _split(text):
    reader = shlex.shlex(text.removeprefix("$ "), posix=True, punctuation_chars=";&|")
    reader.whitespace_split = True
    parts = [[]]
    for word in reader:
        if word in ("&&", ";"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [words for words in parts if words]


def first_column(page, header):
    """Return the code spans in the first column of the table whose header line begins with ``header``, in order."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(header)]
    assert len(starts) == 1, f"{page} has {len(starts)} tables that begin with {header!r}"
    found = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        found += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found
