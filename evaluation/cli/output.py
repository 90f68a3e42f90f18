"""What a command answers: a console for humans, one JSON object, an exit code; and the options that all commands have.

A command is a function whose first argument is an :class:`Output`. :func:`command` gives it the options ``--json``,
``--quiet`` and ``--no-color``.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, get_type_hints

import typer

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
KEPT: Final = "what is kept"
"""Key of the context's ``meta``: a sentence on what is kept if the command ends early."""
_QUIET: Final = "quiet"


def _set_quiet(context: typer.Context, value: bool) -> bool:
    if value:
        context.meta[_QUIET] = True
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=_set_quiet, help="Print errors only: no progress and no table."),
]
NoColor = Annotated[
    bool,
    typer.Option("--no-color", help="Print without colors; so does the environment variable NO_COLOR."),
]
COMMON: Final = {"as_json": Json, "quiet": Quiet, "no_color": NoColor}
"""Parameter -> option, of every command."""


@dataclass(frozen=True)
class Output:
    """Where one call of a command prints, and how it ends."""

    context: typer.Context
    as_json: bool = False

    def console(self) -> Console:
        """Return the console for humans: standard output, or standard error if ``--json`` needs the other."""
        return make_console(self.as_json, _QUIET in self.context.meta)

    def notice(self, sentence: str) -> None:
        """Print a sentence on standard error."""
        make_console(True).print(f"Notice: {sentence}", style="yellow", soft_wrap=True)

    def keep(self, sentence: str) -> None:
        """Set what an error says about results that exist already."""
        self.context.meta[KEPT] = sentence

    def finish(self, value: dict[str, Any], code: int = OK) -> NoReturn:
        """End the command with its answer.

        Raises:
            typer.Exit: Always.
        """
        if self.as_json:
            answer(value)
        raise typer.Exit(code)

    def finish_run(self, result: dict[str, Any]) -> NoReturn:
        """End a command that trained: the exit code says whether it was interrupted or failed.

        Raises:
            typer.Exit: Always.
        """
        self.finish(result, INTERRUPTED if result["interrupted"] else FAILED if result["failure"] else OK)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function for Typer that makes the :class:`Output` and adds the common options at the end."""

    @functools.wraps(function)
    def run(context: typer.Context, **options: Any) -> None:
        for name in COMMON:
            if name != "as_json":  # the others are heard before the command runs
                options.pop(name)
        function(Output(context, options.pop("as_json")), **options)

    hints = get_type_hints(function, include_extras=True)
    _, *own = inspect.signature(function).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(one.replace(kind=keyword, annotation=hints[one.name]) for one in own),
        *(inspect.Parameter(name, keyword, default=False, annotation=kind) for name, kind in COMMON.items()),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def make_console(as_json: bool, quiet: bool = False) -> Console:
    """Return where humans are spoken to: standard output, or standard error when it is kept for JSON.

    Everything is shown as it is: brackets are no markup, ``:smile:`` is no picture, control characters are escapes.
    """
    from evaluation.reporting.terminal import PlainConsole, QuietConsole

    return QuietConsole() if quiet else PlainConsole(stderr=as_json)


def answer(value: dict[str, Any]) -> None:
    """Write one object as a line of standard output."""
    if sys.stdout is not None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()
