"""Exports: a policy as a CC4 submission, and the rehearsal of that submission in a fresh interpreter."""
