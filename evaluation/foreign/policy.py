"""A policy that plays in a foreign process, seen from the harness: it is asked like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.foreign import wire
from evaluation.foreign.process import ForeignProcess
from evaluation.inputs.errors import ForeignFailure
from native_sim.api import ActionBatch, Array, Decision, FloatArray, ObservationBatch, Policy

MOST_DRAWS = 10_000
"""Draws per agent and step that a policy may ask for."""


class ForeignPolicy(Policy):
    """Asks a process for every decision; what the policy remembers stays there.

    Args:
        name: ``module:object``.
        exact: Ask for the policy's :meth:`native_sim.Policy.exact`.

    Raises:
        ForeignFailure: If the policy cannot be loaded.
    """

    def __init__(self, name: str, exact: bool = False) -> None:
        self._name = name
        module, _, attribute = name.partition(":")
        self._process = ForeignProcess({"kind": "policy", "module": module, "attribute": attribute, "exact": exact})
        self._operations: list[list[Any]] = []
        self._memories = 0
        try:
            self._learn(self._process.hear(self._process.limits.load_s, "loading").header)
        except BaseException:
            self._process.close()
            raise

    def _learn(self, about: wire.Header) -> None:
        """Take over what the process says of the policy."""
        wants, draws = about.get("wants"), about.get("draws")
        if not isinstance(wants, list) or type(draws) is not int or not 0 <= draws <= MOST_DRAWS:
            sentence = f"has draws_per_agent {draws!r}; allowed are whole numbers from 0 to {MOST_DRAWS}"
            raise ForeignFailure(sentence, unusable=True)
        self.wants, self.draws_per_agent = tuple(str(name) for name in wants), draws
        self._counts_fallbacks = bool(about.get("fallbacks"))

    def initial_memory(self, num_envs: int) -> RemoteMemory:
        """Return the handle of a new memory."""
        return self._operate("new", int(num_envs))

    def act(self, obs: ObservationBatch, mask: ActionBatch, memory: Any, draws: FloatArray) -> Decision:
        """Ask for a decision.

        Raises:
            ForeignFailure: If the policy raises, takes too long, ends its process, or returns no decision.
        """
        arrays: list[Array] = []
        shown = {"obs": obs, "mask": mask, "draws": draws}
        described = {name: wire.describe(value, arrays) for name, value in shown.items()}
        new = self._handle()
        answer = self._ask("act", memory, arrays, new=new.number, **described)
        return Decision(_tree(answer, "actions", dict), new, _tree(answer, "messages", np.ndarray | None))

    def exact(self) -> ForeignPolicy:
        """Return the policy with actions in double precision, in another process."""
        return ForeignPolicy(self._name, exact=True)

    def fallbacks(self, memory: Any) -> Mapping[str, Array]:
        """Ask for the counts."""
        if not self._counts_fallbacks:
            return {}
        counted: dict[str, Array] = _tree(self._ask("fallbacks", memory, []), "fallbacks", dict)
        return counted

    def _ask(self, what: str, memory: Any, arrays: list[Array], **more: Any) -> wire.Message:
        """Ask; ``memory`` is a handle, or a memory that was not made here and is sent along."""
        number = memory.number if isinstance(memory, RemoteMemory) else None
        given = None if number is not None else wire.describe(memory, arrays)
        operations, self._operations = self._operations, []
        header = {"ask": what, "operations": operations, "memory": number, "given": given, **more}
        return self._process.ask(header, arrays, f"{what}()")

    def _handle(self) -> RemoteMemory:
        self._memories += 1
        return RemoteMemory(self, self._memories)

    def _operate(self, name: str, *arguments: Any) -> RemoteMemory:
        """Note an operation that makes a memory; it is sent along with the next question."""
        handle = self._handle()
        self._operations.append([name, handle.number, *arguments])
        return handle


class RemoteMemory:
    """A memory that a foreign process keeps; :mod:`native_sim.memory` handles it like an array."""

    def __init__(self, policy: ForeignPolicy, number: int) -> None:
        self._policy, self.number = policy, number

    def __getitem__(self, rows: Sequence[int] | Array) -> RemoteMemory:
        return self._policy._operate("take", self.number, _numbers(rows))

    def copy(self) -> RemoteMemory:
        """Return a second handle, which may be given other rows."""
        return self._policy._operate("same", self.number)

    def __setitem__(self, rows: Sequence[int] | Array, given: RemoteMemory) -> None:
        self._policy._operations.append(["put", self.number, self.number, _numbers(rows), given.number])

    def __del__(self) -> None:
        self._policy._operations.append(["free", self.number])


def _tree(answer: wire.Message, name: str, kind: Any) -> Any:
    try:
        tree = answer.tree(name)
    except (wire.BadMessage, ValueError, TypeError, RecursionError) as error:
        raise ForeignFailure(f"answered with {name} that cannot be read ({error})") from error
    if not isinstance(tree, kind):
        raise ForeignFailure(f"answered with {name} that are a {type(tree).__name__}")
    return tree


def _numbers(rows: Sequence[int] | Array) -> list[int]:
    """Return row numbers as plain integers, of a list, an array, or a mask."""
    array = np.asarray(rows)
    return [int(row) for row in (np.flatnonzero(array) if array.dtype == np.bool_ else array)]
