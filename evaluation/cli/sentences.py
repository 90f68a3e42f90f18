"""How every command fails: with one sentence and an exit code instead of a traceback.

What a command did not do is said on standard error, and with ``--json`` as an object on standard output too. All
commands are members of one group, and the group is the one place where errors become sentences.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, ClassVar, Final, NoReturn

import typer
from typer.core import TyperGroup

from evaluation.cli.output import BAD_INPUT, FAILED, INTERRUPTED, KEPT, answer
from evaluation.inputs.errors import BadInput
from evaluation.inputs.names import DISTRIBUTION

_AS_JSON: Final = "--json"
_NO_COLOR: Final = "--no-color"
_COLORLESS: Final = "NO_COLOR"
"""Environment variable that rich obeys, in help texts and worker processes too."""
_WORDS: Final = "words"
"""Key of the context's ``meta``: all that was written behind the name of the program."""
_HELP: Final = ("--help", "-h")
MOST_SAID: Final = 2_000
"""Letters of a sentence, beyond which its middle is left out."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MACHINE: Final = (*_FULL, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
"""Errors of the machine, as against paths that cannot be used."""


class Group(TyperGroup):
    """A group that says which of its members exist where an unknown one was named."""

    noun: ClassVar[str] = "command"
    """What a member is called."""
    default: ClassVar[str | None] = None
    """The member that is meant where none is named; None if one must be."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the member that the first word names.

        Raises:
            BadInput: If there is none.
        """
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            from native_sim.names import shortened

            known = self.list_commands(ctx)
            meant = _meant(get_close_matches(args[0], known))
            raise BadInput(f"unknown {self.noun} {shortened(repr(args[0]))}; known: {', '.join(known)}{meant}")
        return super().resolve_command(ctx, args)


class Members(Group):
    """A group of which each member has options of its own, which may also stand before its name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the member first: the spelling ``study --workers 2 table3`` is an old one."""
        return super().parse_args(ctx, args if ctx.resilient_parsing else self._name_first(ctx, args))

    def _name_first(self, ctx: Any, args: list[str]) -> list[str]:
        options = [option for member in self.commands.values() for option in member.params]
        with_value = {name for option in options if not getattr(option, "is_flag", False) for name in option.opts}
        place = 0
        while place < len(args) and args[place].startswith("-"):
            if args[place] in _HELP:
                return args[place : place + 1]
            place += 2 if args[place] in with_value else 1
        if place < len(args):
            return [args[place], *args[:place], *args[place + 1 :]]
        if self.default is not None:
            return [self.default, *args]
        if args:
            raise BadInput(f"{_path(ctx)} needs the name of a {self.noun}; known: {', '.join(self.list_commands(ctx))}")
        return args


class Commands(Group):
    """The group of all commands, of which none ends in a traceback for what a user can mend."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run; what ``--no-color`` sets lasts as long."""
        before = os.environ.get(_COLORLESS)
        try:
            return super().main(*args, **extra)
        finally:
            os.environ.pop(_COLORLESS, None)
            if before is not None:
                os.environ[_COLORLESS] = before

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for the options that errors heed too, wherever they stand: ``--json`` and ``--no-color``."""
        if _NO_COLOR in args:
            os.environ[_COLORLESS] = "1"
        ctx.meta[_AS_JSON], ctx.meta[_WORDS] = _AS_JSON in args, list(args)
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except _USAGE_ERROR as error:
            _refuse(error, ctx)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; turn what it raises into one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except _USAGE_ERROR as error:
            _refuse(error, ctx)
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


def _refuse(error: Any, ctx: Any) -> NoReturn:
    """Refuse what Typer cannot parse.

    Raises:
        typer.Exit: Always, unless the error is a call for help.
    """
    if type(error).__name__ == "NoArgsIsHelpError":  # not in all versions of Typer
        raise error
    _tell(f"Error: {usage(error, ctx.meta[_WORDS])}", BAD_INPUT, ctx.meta[_AS_JSON])
    raise typer.Exit(BAD_INPUT) from None


def usage(error: Any, words: Sequence[str] = ()) -> str:
    """Return what to say of a command that cannot be parsed: what was given, what is allowed, where help is.

    Args:
        error: Of Typer.
        words: All that was written behind the name of the program.
    """
    where = " ".join(words[:1]) if error.ctx is None else _path(error.ctx)
    if type(error).__name__ == "NoSuchOption":
        options = [option.opts[0] for option in error.ctx.command.params if option.opts[0].startswith("-")]
        takes = ", ".join(name for name in options if not name.endswith("-completion"))
        meant = _meant(sorted(error.possibilities or ()))
        return f"{where or DISTRIBUTION} does not take {error.option_name}; it takes {takes or _HELP[0]}{meant}"
    from native_sim.names import shortened

    given = _given(getattr(error, "param", None), words)
    told = f"; given {shortened(repr(given))}" if given is not None else ""
    return f"{error.format_message().rstrip('.')}{told}; see {' '.join((DISTRIBUTION, *where.split(), _HELP[0]))}"


def _given(option: Any, words: Sequence[str]) -> str | None:
    """Return the last value that was written for an option; None if there is none."""
    values: list[str | None] = [None]
    for name in getattr(option, "opts", ()):
        if name.startswith("-"):
            values += [after for word, after in pairwise(words) if word == name]
            values += [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return values[-1]


def _meant(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _path(ctx: Any) -> str:
    """Return the command that a context is of, without the name of the program."""
    names = []
    while ctx is not None and ctx.parent is not None:
        names.append(ctx.info_name)
        ctx = ctx.parent
    return " ".join(reversed(names))


def sentence(error: BaseException) -> tuple[str, int] | None:
    """Return what to say of an error, and the exit code; None for a fault of the program, which needs its traceback."""
    from cage4.cyborg.locate import CyborgUnavailable
    from evaluation.inputs.errors import WorkerDied

    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", INTERRUPTED
    if isinstance(error, BadInput | CyborgUnavailable):
        return f"Error: {shortened(str(error))}", BAD_INPUT
    if isinstance(error, WorkerDied):
        return f"Error: {error}; try fewer --workers.", FAILED
    if _lacks_memory(error):
        return "Error: there is not enough memory for this; ask for less at once, with fewer --workers say.", FAILED
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, UnicodeError):
        return f"Error: a text cannot be read or written as UTF-8 ({error}); give names and files of UTF-8", BAD_INPUT
    return None


def shortened(text: str) -> str:
    """Return a sentence of at most :data:`MOST_SAID` letters; what was given may be a file's worth."""
    if len(text) <= MOST_SAID:
        return text
    half = MOST_SAID // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} letters ...] {text[-half:]}"


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


def run(app: typer.Typer) -> None:
    """Run the command line of this process; what its terminal cannot show is escaped, and a closed pipe is quiet."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name=DISTRIBUTION)
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
            answer({"error": text.removeprefix("Error: ")})
        except OSError:
            _let_go(sys.stdout)


def _let_go(stream: Any) -> None:
    """Send what is left for a stream that is closed or full nowhere, so that the end of the process is quiet."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # not a file of the system
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
