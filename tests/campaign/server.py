"""Runs commands, each in a process of its own that is forked from one that has imported everything.

So a command is a real process, which can be killed, and starts at once. Nothing compiled runs before the fork. The
protocol is one JSON object a line, a job on standard input and how it ended on standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

PRELOADED = (
    "evaluation.cli.app",
    "evaluation.jobs.evaluate",
    "evaluation.export.submission",
    "evaluation.jobs.finetune",
    "evaluation.games.cc4.plots",
    "evaluation.reporting.report",
    "evaluation.harness.runner",
    "evaluation.studies.command",
    "evaluation.jobs.train",
    "evaluation.games.cc4.training",
    "hmarl_soc.finetuning.learner",
    "hmarl_soc.training.runs",
    "pyarrow.parquet",
    "safetensors.numpy",
    "torch",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
MOST_MEMORY = 6 * 2**30
"""Bytes that a command may hold, so that a damaged size ends as a failure of the command and not of the machine."""
POLL_S = 0.003


class Events:
    """Counts what a process changes in a folder, and kills it before the change of a given number."""

    def __init__(self, folder: str, kill_at: int | None) -> None:
        self.folder, self.kill_at, self.count = f"{folder}/", kill_at, 0
        self.spared = f"{folder}/tmp/"

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_change = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)
        if not is_change or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.path.abspath(os.fspath(arguments[0]))  # noqa: PTH100  # resolve() would ask the file system
        if path.startswith(self.folder) and not path.startswith(self.spared):
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    for name in PRELOADED:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            return play(job)
        code, hung = wait(child, job)
        wall = time.monotonic() - started
        print(json.dumps({"code": code, "hung": hung, "wall_s": wall}), flush=True)
    return 0


def play(job: dict[str, Any]) -> int:
    """Be the command: what becomes of this process is its exit code."""
    os.setsid()
    os.chdir(job["cwd"])
    for number, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    os.environ["TMPDIR"] = f"{job['cwd']}/tmp"
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    if job["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"], job["file_limit"]))
    events = Events(job["cwd"], job["kill_at"])
    try:
        for setup in job["setup"]:
            module, _, call = setup.partition(":")
            name, _, argument = call.partition("=")
            getattr(importlib.import_module(module), name)(*([argument] if argument else []))
        sys.addaudithook(events)
        code = command(job["argv"])
    finally:
        if job["file_limit"] is None:
            Path(job["events"]).write_text(str(events.count))
    return code


def command(argv: list[str]) -> int:
    """Run ``hmarl-transfer`` with these arguments; a traceback and exit code 1 where Python itself would end so."""
    from evaluation.cli.app import main

    sys.argv = ["hmarl-transfer", *argv]
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001  # as Python itself ends
        traceback.print_exc()
        return 1
    return 0


def wait(child: int, job: dict[str, Any]) -> tuple[int, bool]:
    """Wait for a command, kill it when its time has come, and sweep up what it left running."""
    started, hung = time.monotonic(), False
    kill_after = job["kill_after_s"]
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            break
        spent = time.monotonic() - started
        hung = spent > job["limit_s"]
        if hung or (kill_after is not None and spent > kill_after):
            end(child)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(POLL_S)
    end(child)
    return os.waitstatus_to_exitcode(status), hung


def end(child: int) -> None:
    """Kill a command, and what it started and left."""
    for kill in (os.killpg, os.kill):  # before it leads a group it is alone
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
