"""Names that people give: what may stand in a path, a table and a figure alike, and how other text is shown there."""

from __future__ import annotations

import re
from typing import Final

MOST_LETTERS: Final = 100
"""Characters of a name at most: with what is added to it, it is still the name of a file everywhere."""
MOST_SHOWN: Final = 1_000
"""Characters of a text at most that is shown beside a number, such as the path of a submission."""
_UNSHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_NAME: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MOST_LETTERS - 1}}}")


def check_name(what: str, given: object) -> str:
    """Return a name that is safe in paths, tables and figures.

    Args:
        what: What is named, for the message, such as "the name of a variant".
        given: One to 100 ASCII letters, digits, dots, dashes and underscores; a letter, digit or underscore first.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise ValueError(
            f"{what} must consist of 1 to {MOST_LETTERS} letters, digits, dots, dashes and underscores, and begin with "
            f"none of '.' and '-'; given {shortened(repr(given))}"
        )
    return given


def shortened(text: str, most: int = 200) -> str:
    """Return a text of ``most`` characters at most, its middle left out, for messages about what was given."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[len(text) - half :]}"


def plain(text: str) -> str:
    """Return a text in which what no output can show is written as an escape, such as ``\\x1b`` or ``\\udcff``.

    That is control characters, lone surrogates (from paths that are not UTF-8) and marks that turn the direction of
    writing; lines and tabs stay.
    """
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_shown(what: str, given: str) -> str:
    """Return a text that every output can show as it is, such as the name of a policy.

    Raises:
        ValueError: If it is longer than 1,000 characters, or :func:`plain` would change it, or it has several lines.
    """
    if len(given) > MOST_SHOWN or plain(given) != given or set("\n\t") & set(given):
        raise ValueError(
            f"{what} must be at most {MOST_SHOWN:,} characters of UTF-8 text on one line, none of them a control "
            f"character; given {shortened(ascii(given))}"
        )
    return given
