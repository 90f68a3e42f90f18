"""Full disks: a command runs where there is too little room, and then again with room.

The disk is real where this process may mount one (a memory disk of a given size); elsewhere the system refuses to write
any file beyond a given size, which is the nearest to it that needs no right.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from campaign.cases import Case, Store
from campaign.client import FIRST_S, Server
from campaign.outcome import REFUSED, SURVIVED, WRONG, Verdict, check_refusal, content, differences

ROOMY = 2**30
PAGE = 4096


class Mounted:
    """A disk of its own."""

    name = "a memory disk of that size"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        _call("mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "campaign", str(folder))

    def used(self) -> int:
        """Bytes in use."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def leave(self, room: int) -> int | None:
        """Leave so much room; return the limit on a file, which there is none of."""
        _call("mount", "-o", f"remount,size={max(PAGE, self.used() + room)}", str(self.folder))
        return None

    def make_room(self) -> None:
        _call("mount", "-o", f"remount,size={ROOMY}", str(self.folder))

    def close(self) -> None:
        _call("umount", "--lazy", str(self.folder))


class Limited:
    """A folder in which files may have a size at most."""

    name = "a limit on the size of files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def used(self) -> int:
        """Bytes of the largest file."""
        return max((path.stat().st_size for path in self.folder.rglob("*") if path.is_file()), default=0)

    def leave(self, room: int) -> int | None:
        return max(1, room)

    def make_room(self) -> None:
        pass

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


Disk = Mounted | Limited


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def kind_of_disk() -> type[Mounted] | type[Limited]:
    """Return the most real disk that this process may have."""
    if os.geteuid() == 0 and shutil.which("mount"):
        folder = Path(tempfile.mkdtemp(prefix="campaign-disk-"))
        try:
            Mounted(folder / "disk").close()
            return Mounted
        except (OSError, subprocess.CalledProcessError):
            pass
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return Limited


class Reference(NamedTuple):
    """The command with room enough."""

    content: dict[str, Any]
    room: int  # bytes that it needs
    temporary: tuple[str, ...]  # what it leaves in the folder for temporary files, such as a library's cache


def reference(server: Server, case: Case, store: Store, folder: Path, kind: type[Disk]) -> Reference:
    """Run a command with room and see how much it takes.

    Raises:
        RuntimeError: If it fails.
    """
    store.provide(server, case.needs)
    disk = kind(folder)
    try:
        case.begin(store.folder, disk.folder)
        (disk.folder / "tmp").mkdir()
        before = disk.used() if kind is Mounted else 0
        done = server.run(case.argv, disk.folder, limit_s=FIRST_S)
        if done.code != 0:
            raise RuntimeError(f"{case.name} ended with exit code {done.code}: {done.said[-2000:]}")
        return Reference(content(disk.folder), disk.used() - before, _temporary(disk.folder))
    finally:
        disk.close()


def attempt(
    server: Server,
    case: Case,
    expected: Reference,
    store: Store,
    folder: Path,
    share: float,
    kind: type[Disk],
    setup: tuple[str, ...] = (),
) -> Verdict:
    """Run a command with a share of the room that it needs, then with enough, and compare."""
    disk = kind(folder)
    room = int(share * expected.room)
    what = f"{room:,} bytes of room"
    try:
        case.begin(store.folder, disk.folder)
        (disk.folder / "tmp").mkdir()
        done = server.run(case.argv, disk.folder, file_limit=disk.leave(room), setup=setup)
        if done.code != 0:
            wrong = check_refusal(done)
            if wrong:
                return Verdict(case.name, WRONG, what, wrong)
            disk.make_room()
            again = case.go_on(server, disk.folder)
            if again.code != 0:
                said = again.said.strip()[-300:]
                return Verdict(case.name, WRONG, what, f"could not go on: exit code {again.code}: {said}")
        left = [f"tmp/{name} is left over" for name in _temporary(disk.folder) if name not in expected.temporary]
        wrongs = differences(content(disk.folder), expected.content) + left
        if wrongs:
            return Verdict(case.name, WRONG, what, "; ".join(wrongs[:3]))
        return Verdict(case.name, SURVIVED if done.code == 0 else REFUSED, what)
    finally:
        disk.close()


def _temporary(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (folder / "tmp").iterdir()))
