"""How every command ends: with its answer, or with one sentence and an exit code instead of a traceback.

What a command did not do is said on standard error, and with ``--json`` as an object on standard output too. All
commands are members of one group, and the group is the one place where errors become sentences.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
KEPT: Final = "what is kept"
"""Key of the context's ``meta``: a sentence on what is kept if the command ends early."""
_AS_JSON: Final = "--json"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MACHINE: Final = (*_FULL, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
"""Errors of the machine, as against paths that cannot be used."""


class Commands(TyperGroup):
    """A group of commands of which none ends in a traceback for what a user can mend."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember whether an object was asked for, which an error must answer with too."""
        ctx.meta[_AS_JSON] = _AS_JSON in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; turn what it raises into one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except _USAGE_ERROR as error:  # Typer tells it on standard error, and what is allowed
            if ctx.meta[_AS_JSON]:
                _answer({"error": error.format_message()})  # type: ignore[attr-defined]
            raise
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            _let_go(sys.stdout)
            raise typer.Exit(FAILED) from None
        except (Exception, KeyboardInterrupt) as error:
            told = sentence(error)
            if told is None:
                raise
            text, code = told
            _tell(text if code == BAD_INPUT else " ".join((text, *_kept(ctx))), code, ctx.meta[_AS_JSON])
            raise typer.Exit(code) from None


_USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""Newer versions of Typer have it from another place than older ones."""


def sentence(error: BaseException) -> tuple[str, int] | None:
    """Return what to say of an error, and the exit code; None for a fault of the program, which needs its traceback."""
    from cage4.cyborg.locate import CyborgUnavailable
    from evaluation.inputs.errors import BadInput, WorkerDied

    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", INTERRUPTED
    if isinstance(error, BadInput | CyborgUnavailable):
        return f"Error: {error}", BAD_INPUT
    if isinstance(error, WorkerDied):
        return f"Error: {error}; try fewer --workers.", FAILED
    if _lacks_memory(error):
        return "Error: there is not enough memory for this; ask for less at once, with fewer --workers say.", FAILED
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, UnicodeError):
        return f"Error: a text cannot be read or written as UTF-8 ({error}); give names and files of UTF-8", BAD_INPUT
    return None


def _lacks_memory(error: BaseException) -> bool:
    """Tell whether memory ran out; the tensor library says so in words alone."""
    words = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in words or "allocate memory" in words


def _of_the_system(error: OSError) -> tuple[str, int]:
    place = f" at {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _FULL:
        return f"Error: no space left{place}; make room and repeat the command: what is finished is kept.", FAILED
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno is None or error.errno in _MACHINE:
        return f"Error: the system reports {reason}{place}.", FAILED
    return f"Error: the system reports {reason}{place}; give a path that can be used", BAD_INPUT


def _kept(ctx: Any) -> list[str]:
    return [ctx.meta[KEPT]] if KEPT in ctx.meta else []


def make_console(as_json: bool) -> Console:
    """Return where humans are spoken to: standard output, or standard error when it is kept for JSON.

    Everything is shown as it is: brackets are no markup, ``:smile:`` is no picture, control characters are escapes.
    """
    from evaluation.reporting.terminal import PlainConsole

    return PlainConsole(stderr=as_json)


def finish(as_json: bool, value: dict[str, Any], code: int = OK) -> NoReturn:
    """End a command with its answer.

    Raises:
        typer.Exit: Always.
    """
    if as_json:
        _answer(value)
    raise typer.Exit(code)


def finish_run(as_json: bool, result: dict[str, Any]) -> NoReturn:
    """End a command that trained: by what ``result`` says of interruption and failure."""
    finish(as_json, result, INTERRUPTED if result["interrupted"] else FAILED if result["failure"] else OK)


def run(app: typer.Typer) -> None:
    """Run the command line of this process; what its terminal cannot show is escaped, and a closed pipe is quiet."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:  # before or after the command itself
        raise SystemExit(INTERRUPTED) from None
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError):
            _let_go(sys.stdout)


def _tell(text: str, code: int, as_json: bool) -> None:
    """Say an error on standard error, and answer with it."""
    from evaluation.reporting.terminal import PlainConsole

    style = None if code == INTERRUPTED else "red"
    try:
        PlainConsole(stderr=True).print(text, style=style, soft_wrap=True)
    except OSError:  # nobody listens; the exit code tells
        _let_go(sys.stderr)
    if as_json:
        try:
            _answer({"error": text.removeprefix("Error: ")})
        except OSError:
            _let_go(sys.stdout)


def _answer(value: dict[str, Any]) -> None:
    """Write one object as a line of standard output."""
    if sys.stdout is not None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def _let_go(stream: Any) -> None:
    """Send what is left for a stream that is closed or full nowhere, so that the end of the process is quiet."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # not a file of the system
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
