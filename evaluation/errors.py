"""What can go wrong for a user: bad input (exit code 2) and a policy's own failure (exit code 1)."""

from __future__ import annotations


class BadInput(ValueError):
    """Something given cannot be used; the message is one sentence saying what, what is allowed, what to do."""


class PolicyFailure(RuntimeError):
    """A policy raised or answered with something that is no action; carries the traceback for the log."""

    def __init__(self, policy: str, message: str, trace: str) -> None:
        super().__init__(policy, message, trace)  # all arguments, so that it survives the way between processes
        self.policy, self.message, self.trace = policy, message, trace

    def __str__(self) -> str:
        return f"policy {self.policy}: {self.message}"
