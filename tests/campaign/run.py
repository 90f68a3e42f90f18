"""Runs the parts of the campaign side by side on several servers, and prints what came of them."""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from campaign import disk, kills, mutations
from campaign.cases import KILLED, Store, writers
from campaign.client import Server
from campaign.outcome import Verdict, table, wrongs

T = TypeVar("T")
R = TypeVar("R")
PARTS = ("kills", "disks", "mutations")


class Campaign(NamedTuple):
    """How much, of what, with which seed; everything random follows from the seed alone."""

    kills: int = 50
    sizes: int = 10  # per command that writes
    mutations: int = 300
    seed: int = 0
    servers: int = 2
    only: tuple[str, ...] = PARTS
    cases: tuple[str, ...] | None = None  # names of commands, for kills and disks
    kinds: tuple[str, ...] | None = None  # of files, for mutations
    folder: Path | None = None  # for all files, and kept; None for a temporary one
    setup: tuple[str, ...] = ()  # called in every process that is tried, to see whether a fault is found


class Field:
    """Servers, the store and a folder for every attempt."""

    def __init__(self, folder: Path, servers: Sequence[Server]) -> None:
        self.store = Store(folder / "store")
        self.folder = Path(tempfile.mkdtemp(prefix="attempts-", dir=folder))
        self._servers: queue.Queue[Server] = queue.Queue()
        for server in servers:
            self._servers.put(server)
        self._count = len(servers)
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()
        self._known: dict[Any, Any] = {}

    def fresh(self) -> Path:
        """Return a folder that is not there yet."""
        with self._lock:
            return self.folder / f"{next(self._numbers)}"

    @contextlib.contextmanager
    def server(self) -> Iterator[Server]:
        server = self._servers.get()
        try:
            yield server
        finally:
            self._servers.put(server)

    def provide(self, needs: Sequence[str]) -> None:
        with self.server() as server:
            self.store.provide(server, needs)

    def map(self, call: Callable[[Server, Path, T], R], items: Sequence[T]) -> list[R]:
        """Call a function for every item on whatever server is free; results in the order of the items."""

        def one(item: T) -> R:
            with self.server() as server:
                return call(server, self.fresh(), item)

        with ThreadPoolExecutor(self._count) as pool:
            return list(pool.map(one, items))

    def references(self, part: str, call: Callable[[Server, Path, T], R], items: Sequence[T]) -> list[R]:
        """Return what the undisturbed commands come to, each run once."""
        missing = [item for item in items if (part, item) not in self._known]
        found = self.map(call, missing)
        self._known.update(zip(((part, item) for item in missing), found, strict=True))
        return [self._known[part, item] for item in items]


def run(campaign: Campaign, say: Callable[[str], None] = print) -> dict[str, list[Verdict]]:
    """Run a campaign.

    Returns:
        Part -> the verdict on every attempt.
    """
    found: dict[str, list[Verdict]] = {}
    folder = campaign.folder or Path(tempfile.mkdtemp(prefix="campaign-"))
    try:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(Server()) for _ in range(campaign.servers)]
            field = Field(folder, servers)
            for part in PARTS:
                if part in campaign.only:
                    started = time.monotonic()
                    title, found[part] = PLAYED[part](field, campaign)
                    say(f"{table(title, found[part])}\n({time.monotonic() - started:.0f} s)\n")
    finally:
        if campaign.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def _draw(campaign: Campaign, part: str, number: int) -> Random:
    return Random(f"{campaign.seed} {part} {number}")


def play_kills(field: Field, campaign: Campaign) -> tuple[str, list[Verdict]]:
    chosen = writers(campaign.cases or KILLED)
    for case in chosen:
        field.provide(case.needs)
    references = field.references(
        "kills", lambda server, folder, case: kills.reference(server, case, field.store, folder), chosen
    )

    def attempt(server: Server, folder: Path, number: int) -> Verdict:
        which = number % len(chosen)
        draw = _draw(campaign, "kill", number)
        how = (field.store, folder, draw, campaign.setup)
        return _swept(folder, kills.attempt(server, chosen[which], references[which], *how))

    return "kills of", field.map(attempt, range(campaign.kills))


def play_disks(field: Field, campaign: Campaign) -> tuple[str, list[Verdict]]:
    kind = disk.kind_of_disk()
    chosen = writers(campaign.cases)
    for case in chosen:
        field.provide(case.needs)
    references = field.references(
        f"disks, {kind.name}",
        lambda server, folder, case: disk.reference(server, case, field.store, folder, kind),
        chosen,
    )

    def attempt(server: Server, folder: Path, number: int) -> Verdict:
        which, size = divmod(number, campaign.sizes)
        share = (size + _draw(campaign, "size", number).random()) / campaign.sizes
        how = (field.store, folder, share, kind, campaign.setup)
        return _swept(folder, disk.attempt(server, chosen[which], references[which], *how))

    title = f"full disks ({kind.name})"
    return title, field.map(attempt, range(campaign.sizes * len(chosen)))


def play_mutations(field: Field, campaign: Campaign) -> tuple[str, list[Verdict]]:
    chosen = [victim for victim in mutations.VICTIMS if campaign.kinds is None or victim.kind in campaign.kinds]
    if not mutations.has_cyborg():
        chosen = [victim for victim in chosen if "cyborg" not in victim.argv]
    for victim in chosen:
        field.provide(victim.needs)
    references = field.references(
        "mutations", lambda server, at, victim: mutations.reference(server, victim, field.store, at), chosen
    )

    def attempt(server: Server, folder: Path, number: int) -> Verdict:
        which = number % len(chosen)
        draw = _draw(campaign, "mutation", number)
        how = (field.store, folder, draw, campaign.setup)
        return _swept(folder, mutations.attempt(server, chosen[which], references[which], *how))

    title = "mutations of" if mutations.has_cyborg() else "mutations of (no CybORG: no submissions)"
    return title, field.map(attempt, range(campaign.mutations))


PLAYED: dict[str, Callable[[Field, Campaign], tuple[str, list[Verdict]]]] = dict(
    zip(PARTS, (play_kills, play_disks, play_mutations), strict=True)
)


def _swept(folder: Path, verdict: Verdict) -> Verdict:
    for wrong in wrongs([verdict]):
        print(f"WRONG {wrong}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign as the command line says; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=run.__doc__)
    for name, default in Campaign()._asdict().items():
        if isinstance(default, int):
            parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in writers()], help="default: all")
    parser.add_argument(
        "--kinds", nargs="+", choices=sorted({one.kind for one in mutations.VICTIMS}), help="default: all"
    )
    parser.add_argument("--folder", type=Path, help="for all files, and kept; default: a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file of all verdicts")
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    out = given.pop("out")
    found = run(Campaign(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}))
    if out is not None:
        out.write_text(
            json.dumps({part: [one._asdict() for one in verdicts] for part, verdicts in found.items()}, indent=1)
        )
    count = sum(len(wrongs(verdicts)) for verdicts in found.values())
    print(f"wrong: {count}", file=sys.stderr if count else sys.stdout)
    return 1 if count else 0
