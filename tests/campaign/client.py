"""The campaign's side of :mod:`campaign.server`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 180.0
"""After so long a command counts as hanging."""
FIRST_S = 1200.0
"""The same for commands that nothing disturbs: they may be the first, and compile everything."""


class Done(NamedTuple):
    """How a command ended."""

    code: int  # negative: the signal that ended it
    out: str
    err: str
    hung: bool
    wall_s: float
    events: int  # changes of files, or 0 where it was killed

    @property
    def said(self) -> str:
        return self.err + self.out

    @property
    def answer(self) -> Any:
        """The object of ``--json``, or None."""
        lines = self.out.splitlines()
        try:
            return json.loads(lines[-1]) if lines else None
        except ValueError:
            return None


class Server:
    """A process that runs commands one after another; used as a context."""

    def __enter__(self) -> Server:
        self._folder = Path(tempfile.mkdtemp(prefix="campaign-server-"))
        paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
        plain = {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        self._log = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **plain},
            cwd=self._folder,
        )
        if self._process.stdout.readline() != "ready\n":
            self._process.wait()
            raise RuntimeError(f"the server did not start: {(self._folder / 'log').read_text()}")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        *,
        limit_s: float = LIMIT_S,
        kill_after_s: float | None = None,
        kill_at: int | None = None,
        file_limit: int | None = None,
        setup: Sequence[str] = (),
    ) -> Done:
        """Run a command in a folder.

        Args:
            argv: Arguments of ``hmarl-transfer``.
            cwd: Where it runs; its temporary files go to ``tmp`` in there.
            limit_s: Seconds after which it hangs.
            kill_after_s: Seconds after which it is killed.
            kill_at: Number of the change of a file, from 1, before which it is killed.
            file_limit: Bytes beyond which the system refuses to write a file.
            setup: ``module:function`` or ``module:function=argument``, called in the process before the command.
        """
        (cwd / "tmp").mkdir(exist_ok=True)
        files = {name: str(self._folder / name) for name in ("out", "err", "events")}
        Path(files["events"]).write_text("0")
        job = {
            "argv": list(argv),
            "cwd": str(cwd.resolve()),
            "limit_s": limit_s,
            "kill_after_s": kill_after_s,
            "kill_at": kill_at,
            "file_limit": file_limit,
            "setup": list(setup),
            **files,
        }
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server died: {(self._folder / 'log').read_text()[-2000:]}")
        found = json.loads(line)
        out, err = (Path(files[name]).read_text(errors="replace") for name in ("out", "err"))
        return Done(found["code"], out, err, found["hung"], found["wall_s"], int(Path(files["events"]).read_text()))
