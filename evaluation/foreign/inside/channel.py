"""The way from a foreign process to the harness."""

from __future__ import annotations

import os
import traceback
from typing import Final

from evaluation.foreign import wire
from evaluation.inputs.errors import told

MOST_TRACE: Final = 20_000
"""Characters of a traceback that are passed on."""


class Channel:
    """The way to the harness.

    Only the process that opened it speaks: a copy that foreign code forked ends where it would.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers, self._process = requests, answers, os.getpid()

    def receive(self) -> wire.Message | None:
        """Return what the harness asks next, or None if it asks nothing more."""
        self._check()
        return wire.receive(self._requests)

    def send(self, header: wire.Header, arrays: list[wire.Array] | None = None) -> None:
        """Answer."""
        self._check()
        wire.send(self._answers, header, arrays or [])

    def fail(self, error: BaseException) -> None:
        """Answer that foreign code raised."""
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.send({"error": f"raised {told(error)}", "trace": trace[-MOST_TRACE:]})

    def refuse(self, message: str) -> None:
        """Answer that what foreign code returned cannot be used; the message is one sentence."""
        self.send({"error": message, "trace": ""})

    def _check(self) -> None:
        if os.getpid() != self._process:
            os._exit(0)
