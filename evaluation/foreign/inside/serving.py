"""In a foreign process: one policy, which answers decision by decision and keeps its memories here."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from evaluation.foreign import wire
from evaluation.foreign.inside.channel import Channel
from evaluation.foreign.inside.imports import settle
from native_sim.api import Policy
from native_sim.memory import put, take


class Unusable(TypeError):
    """What foreign code returned is not what was asked for; the message is one sentence."""


def serve(channel: Channel, start: wire.Header, finder: Any) -> None:
    """Load a policy and answer for it.

    The harness sends operations on memories along with its questions, in their order:

    * ``["new", number, count]`` makes a memory of ``count`` environments,
    * ``["take", number, of, rows]`` and ``["put", number, of, rows, given]`` do what :mod:`native_sim.memory` does,
    * ``["same", number, of]`` gives a memory a second number, and ``["free", number]`` takes one away.
    """
    settle(finder, os.getcwd(), start["module"])  # noqa: PTH109  # a plain string, as sys.path holds
    try:
        policy = load(start["module"], start["attribute"])
        policy = policy.exact() if start["exact"] else policy
        about = {
            "wants": [str(name) for name in policy.wants],
            "draws": int(policy.draws_per_agent),
            "fallbacks": type(policy).fallbacks is not Policy.fallbacks,
        }
    except Unusable as error:
        channel.refuse(str(error))
        return
    except BaseException as error:  # noqa: BLE001  # an import may exit
        channel.fail(error)
        return
    channel.send(about)
    server = _Server(policy)
    while (message := channel.receive()) is not None:
        try:
            header, arrays = server.answer(message)
        except Unusable as error:
            channel.refuse(str(error))
        except BaseException as error:  # noqa: BLE001  # whatever it is, the policy raised it
            channel.fail(error)
        else:
            channel.send(header, arrays)


def load(module: str, attribute: str) -> Policy:
    """Import a module, and return the policy that one of its attributes is or makes.

    Raises:
        Unusable: If that is no policy.
    """
    found = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    policy: object = found if isinstance(found, Policy) else found()  # type: ignore[operator]
    if not isinstance(policy, Policy):
        raise Unusable(f"is a {type(policy).__name__}; it must be a native_sim.Policy (see docs/policies.md)")
    return policy


class _Server:
    """Calls the policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.memories: dict[int, Any] = {}
        self.operations: dict[str, Callable[..., None]] = {
            "new": self._new,
            "take": self._take,
            "put": self._put,
            "same": self._same,
            "free": self._free,
        }

    def answer(self, message: wire.Message) -> tuple[wire.Header, list[wire.Array]]:
        """Answer one question."""
        for name, *arguments in message.header["operations"]:
            self.operations[name](*arguments)
        arrays: list[wire.Array] = []
        number = message.header["memory"]
        memory = message.tree("given") if number is None else self.memories[number]
        if message.header["ask"] == "fallbacks":
            counted = self.policy.fallbacks(memory)
            return {"fallbacks": wire.describe(counted, arrays)}, arrays
        obs, mask, draws = (message.tree(name) for name in ("obs", "mask", "draws"))
        decision = self.policy.act(obs, mask, memory, draws)
        if not isinstance(decision, tuple) or not hasattr(decision, "actions"):
            raise Unusable(f"act() must return a native_sim.Decision; it returned {type(decision).__name__}")
        if not isinstance(decision.actions, Mapping):
            raise Unusable(f"returned actions that are a {type(decision.actions).__name__}; allowed is a dict")
        self.memories[message.header["new"]] = decision.memory
        described = {name: wire.describe(getattr(decision, name), arrays) for name in ("actions", "messages")}
        return described, arrays

    def _new(self, number: int, count: int) -> None:
        self.memories[number] = self.policy.initial_memory(count)

    def _take(self, number: int, of: int, rows: list[int]) -> None:
        self.memories[number] = take(self.memories[of], rows)

    def _put(self, number: int, of: int, rows: list[int], given: int) -> None:
        self.memories[number] = put(self.memories[of], rows, self.memories[given])

    def _same(self, number: int, of: int) -> None:
        self.memories[number] = self.memories[of]

    def _free(self, number: int) -> None:
        self.memories.pop(number, None)
