"""What can go wrong for a user: bad input (exit code 2) and a policy's own failure (exit code 1)."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator


class BadInput(ValueError):
    """Something given cannot be used; the message is one sentence saying what, what is allowed, what to do."""


def split_list(option: str, text: str) -> list[str]:
    """Return the entries of an option that takes several, separated by commas.

    Args:
        option: As the user wrote it.
        text: What was given.

    Raises:
        BadInput: If an entry is blank, or there twice.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entries):
        raise BadInput(f"{option} has a blank entry; separate its entries by single commas; given {text!r}")
    twice = next((entry for number, entry in enumerate(entries) if entry in entries[:number]), None)
    if twice is not None:
        what = "policy" if option == "--policies" else f"entry of {option}"
        raise BadInput(f"each {what} may be named once, and {twice!r} is there twice; given {text!r}")
    return entries


class PolicyFailure(RuntimeError):
    """A policy raised or answered with something that is no action; carries the traceback for the log."""

    def __init__(self, policy: str, message: str, trace: str) -> None:
        super().__init__(policy, message, trace)  # all arguments, so that it survives the way between processes
        self.policy, self.message, self.trace = policy, message, trace

    def __str__(self) -> str:
        return f"policy {self.policy}: {self.message}"


class WorkerDied(RuntimeError):
    """A worker process ended without an answer: killed by the system, for lack of memory for example."""


MOST_TOLD = 500
"""Characters of a message that are passed on."""


def told(error: BaseException) -> str:
    """Return the type and message of an exception in one line, whatever foreign code made of it."""
    try:
        text = " ".join(str(error).split())
    except BaseException:  # noqa: BLE001  # even its message may raise anything
        text = "its message cannot be shown"
    if len(text) > MOST_TOLD:
        text = f"{text[:MOST_TOLD]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class InvalidAnswer(ValueError):
    """A policy answered, but not with what was asked for; the message is one sentence."""


class ForeignFailure(RuntimeError):
    """Foreign code failed; the message is what a sentence says of it, such as "raised KeyError: 3".

    Attributes:
        message: The message.
        trace: Traceback of the foreign process, if it raised.
        unusable: It did not raise: what it returned is not what was asked for.
    """

    def __init__(self, message: str, trace: str = "", unusable: bool = False) -> None:
        super().__init__(message, trace, unusable)
        self.message, self.trace, self.unusable = message, trace, unusable

    def __str__(self) -> str:
        return self.message


@contextlib.contextmanager
def blaming(policy: str) -> Iterator[None]:
    """Turn whatever a policy's code raises inside the block into its failure; only Ctrl-C passes.

    Raises:
        PolicyFailure: If anything is raised, be it an exit.
    """
    try:
        yield
    except (KeyboardInterrupt, PolicyFailure):
        raise
    except BaseException as error:  # code that is not ours may raise SystemExit, or anything
        trace = error.trace if isinstance(error, ForeignFailure) else traceback.format_exc()
        is_sentence = isinstance(error, InvalidAnswer | BadInput | ForeignFailure)
        raise PolicyFailure(policy, str(error) if is_sentence else f"raised {told(error)}", trace) from error
