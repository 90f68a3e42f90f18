"""Errors of this package that a caller may want to tell apart."""


class CyborgUnavailable(RuntimeError):
    """The real CybORG cannot be used; the message says what was found and how to get the right one."""
