"""Things by name: those of this project, and those that installed packages bring as entry points."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any


class PluginError(ValueError):
    """A name that nothing can be loaded for; one sentence."""


class Plugins:
    """A table from a name to an object that is imported when it is asked for.

    Args:
        what: What the names stand for, for messages: ``game``, ``method`` ...
        group: Entry point group in which installed packages give theirs as ``name = "module:object"``.
        ours: Name -> ``module:object`` of this project. Nobody else may take one of these names.
    """

    def __init__(self, what: str, group: str, ours: Mapping[str, str]) -> None:
        self.what, self.group, self.ours = what, group, dict(ours)

    @cached_property
    def _theirs(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            found.setdefault(entry.name, []).append(entry)
        return found

    def names(self) -> tuple[str, ...]:
        """Return all names, ours first; nothing is imported."""
        return (*self.ours, *(name for name in sorted(self._theirs) if name not in self.ours))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def origin(self, name: str) -> str:
        """Return who gives a name, for messages."""
        if name in self.ours:
            return self.ours[name]
        entry = self._theirs[name][0]
        package = f"package {entry.dist.name}" if entry.dist else "an installed package"
        return f"{package} ({entry.value})"

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            PluginError: If the name is unknown, is given by two packages, or cannot be imported.
        """
        self._check_taken(name)
        if name in self.ours:
            module, _, attribute = self.ours[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name not in self._theirs:
            raise PluginError(f"unknown {self.what} {name!r}; known are {', '.join(self.names())}")
        try:
            return self._theirs[name][0].load()
        except (Exception, SystemExit) as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise PluginError(
                f"{self.what} {name!r} of {self.origin(name)} cannot be imported ({type(error).__name__}: {told}); "
                f"repair or remove that package"
            ) from error

    def _check_taken(self, name: str) -> None:
        givers = self._theirs.get(name, [])
        if givers and (name in self.ours or len(givers) > 1):
            who = " and ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in givers))
            also = " beside this project" if name in self.ours else ""
            raise PluginError(f"the name of {self.what} {name!r} is taken twice: by {who}{also}; remove or rename one")
