"""Kills: a command is killed, at a random time or before a random change of a file, and then run to its end."""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from campaign.cases import Case, Store
from campaign.client import FIRST_S, Server
from campaign.outcome import SURVIVED, WRONG, Verdict, content, differences

AGAIN = 0.3
"""Chance that what goes on after a kill is killed too."""
TRIES = 5
"""Commands that are begun until one is killed before its end."""


class Reference(NamedTuple):
    """The command without a kill."""

    content: dict[str, Any]
    wall_s: float
    events: int


def reference(server: Server, case: Case, store: Store, folder: Path) -> Reference:
    """Run a command undisturbed.

    Raises:
        RuntimeError: If it fails.
    """
    store.provide(server, case.needs)
    case.begin(store.folder, folder)
    done = server.run(case.argv, folder, limit_s=FIRST_S)
    if done.code != 0:
        raise RuntimeError(f"{case.name} ended with exit code {done.code}: {done.said[-2000:]}")
    return Reference(content(folder), done.wall_s, done.events)


def attempt(
    server: Server,
    case: Case,
    expected: Reference,
    store: Store,
    folder: Path,
    draw: Random,
    setup: tuple[str, ...] = (),
) -> Verdict:
    """Kill a command once or more, run it to its end, and compare."""
    what = ""
    for number in range(TRIES):
        work = folder / str(number)
        case.begin(store.folder, work)
        how = _draw(expected, draw)
        done = server.run(case.argv, work, setup=setup, **how)
        if done.code == -signal.SIGKILL:
            what = _said(how)
            break
    if not what:
        return Verdict(case.name, WRONG, f"{TRIES} tries", "no kill came before the end")
    if draw.random() < AGAIN:
        how = _draw(expected, draw)
        done = server.run((*case.argv, *case.resume), work, setup=setup, **how)
        if done.code == -signal.SIGKILL:
            what += f", and again {_said(how)}"
    done = case.go_on(server, work)
    wrong = differences(content(work), expected.content)
    if done.code == 2 and not wrong:
        return Verdict(case.name, SURVIVED, f"{what}, when all was done already")
    if done.code != 0 or done.hung:
        end = "hung" if done.hung else f"exit code {done.code}"
        return Verdict(case.name, WRONG, what, f"could not go on: {end}: {done.said.strip()[-300:]}")
    if wrong:
        return Verdict(case.name, WRONG, what, "; ".join(wrong[:3]))
    return Verdict(case.name, SURVIVED, what)


def _draw(expected: Reference, draw: Random) -> dict[str, Any]:
    """Draw when to kill: half of the kills come between two changes of files, where the danger is."""
    if draw.random() < 0.5 and expected.events:
        return {"kill_at": draw.randint(1, expected.events)}
    return {"kill_after_s": draw.uniform(0.0, 0.9 * expected.wall_s)}


def _said(how: dict[str, Any]) -> str:
    if "kill_at" in how:
        return f"killed before change {how['kill_at']} of files"
    return f"killed after {how['kill_after_s']:.2f} s"
