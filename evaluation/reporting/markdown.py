"""Markdown as an output: text that was given by users is shown as it is."""

from __future__ import annotations

import re
from typing import Final

from native_sim.names import plain

_MARKUP: Final = re.compile(
    r"[\\|*_`~$]"  # emphasis, code, cells of tables, formulas
    r"|<(?=[A-Za-z/!?])"  # HTML
    r"|&(?=#?\w+;)"  # HTML's names of characters
    r"|\](?=[(\[:])"  # links
)


def escaped(text: str) -> str:
    """Return a text in which what Markdown would take for markup is escaped, and nothing more."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", plain(text)).replace("\n", " ")
