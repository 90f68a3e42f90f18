"""Plays one page from top to bottom in the current folder: ``python play_page.py < steps.json``.

Python blocks share one namespace, as if typed one after another; commands of this project run in this process, others
in their own. It stops at the first step that fails, with exit code 1 and the page and line on standard error.

A comment after an expression is compared with its value: ``# -> text`` with its repr, ``# [8, F]`` with its shape, in
which letters stand for any number.
"""

import ast
import contextlib
import io
import json
import linecache
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

VALUE = re.compile(r"#\s*->\s*(.+)$")
SHAPE = re.compile(r"#\s*\[([\w, ]+)\]")
PROGRAM = "hmarl-transfer"


class Wrong(Exception):
    """A step of the page does not do what the page says."""


def main():
    """Play the steps that standard input holds, and print what each command said."""
    namespace = {"__name__": "__page__"}
    for step in json.load(sys.stdin):
        try:
            if "python" in step:
                run_python(step["python"], step["where"], namespace)
            else:
                compare(run_command(step["command"]), step["output"])
        except Exception:  # noqa: BLE001 -- whatever a block does wrong is told with its place
            traceback.print_exc()
            sys.exit(f"{step['where']}: {' '.join(step.get('command', ['this Python block']))} fails")


def run_python(text, where, namespace):
    """Run a block, statement by statement, and compare what its comments say."""
    name = f"<{where}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    for statement in ast.parse(text).body:
        last_line = text.splitlines()[statement.end_lineno - 1]
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), name, "exec"), namespace)
            continue
        found = eval(compile(ast.Expression(statement.value), name, "eval"), namespace)
        check(found, last_line)


def check(found, line):
    """Compare a value with the comment of its line."""
    told = VALUE.search(line)
    if told and repr(found) != told[1].strip():
        raise Wrong(f"{line.strip()!r}: it is {found!r}")
    shape = SHAPE.search(line)
    if shape:
        sizes = [size.strip() for size in shape[1].split(",")]
        fits = len(sizes) == len(found.shape) and all(
            size == str(actual) or not size.isdigit() for size, actual in zip(sizes, found.shape, strict=True)
        )
        if not fits:
            raise Wrong(f"{line.strip()!r}: its shape is {found.shape}")


def run_command(words):
    """Run a command and return what it printed; raise Wrong if its exit code is not 0."""
    if words[0] == PROGRAM:
        code, output = run_ours(words[1:])
    else:
        words = [sys.executable, *words[1:]] if words[0] == "python" else words
        done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        code, output = done.returncode, done.stdout
    print(output)
    if code:
        raise Wrong(f"exit code {code}")
    return output


def run_ours(arguments):
    """Run a command of this project in this process, which has imported it once; return its exit code and output."""
    from evaluation.cli.app import main as command

    said = io.StringIO()
    sys.argv = [PROGRAM, *arguments]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            command()
            code = 0
        except SystemExit as stopped:
            code = stopped.code
        except Exception:
            print(said.getvalue(), file=sys.__stderr__)
            raise
    return code, said.getvalue()


def compare(output, told):
    """Find the lines that a page shows, in order, among those that a command printed; spaces do not count."""
    printed = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in told:
        wanted = " ".join(line.split())
        if wanted not in printed:
            raise Wrong(f"it does not print {wanted!r}, or not in this order; it printed\n{output}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    os.environ.setdefault("MPLBACKEND", "agg")
    main()
