"""The terminal as an output: text is shown as it is given, whatever it contains."""

from __future__ import annotations

import errno
import os
from typing import Any

from rich.console import Console
from rich.text import Text

from native_sim.names import plain


class PlainConsole(Console):
    """A console to which brackets are no markup and ``:smile:`` is no picture, and that shows control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text to be printed, with escapes for what a terminal would obey."""
        return super().render_str(plain(text), **options)

    def on_broken_pipe(self) -> None:
        """Let the command end as it does for any other closed pipe."""
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class QuietConsole(PlainConsole):
    """A console that prints errors and notices alone, and these on standard error; it knows them by their color."""

    def __init__(self, **options: Any) -> None:
        super().__init__(quiet=True, **options)
        self._errors = PlainConsole(stderr=True)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print what is red or yellow, and nothing else."""
        if options.get("style") in ("red", "yellow"):
            self._errors.print(*objects, **options)
