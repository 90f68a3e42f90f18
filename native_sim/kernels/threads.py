"""Threads that share the rows of a batch, and what becomes of them when a process is forked.

A forked child has none of the threads of its parent. Numba's are then lost for good: the child is killed when it asks
for them. Threads of Python are started anew.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

_LEAST_ROWS = 32
"""Rows for which a thread is worth waking."""


@functools.lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of one process: a pool that was made before a fork would wait for ever."""
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")


def share(work: Callable[[int, int], object], count: int, threads: int) -> None:
    """Call ``work(start, stop)`` so that the parts cover 0 to ``count`` once, at the same time.

    For kernels that release the interpreter lock, and rows that do not touch each other. Threads rather than a parallel
    kernel, because that would multiply the time of the first compilation.
    """
    parts = max(1, min(threads, count // _LEAST_ROWS))
    if parts == 1:
        work(0, count)
        return
    edges = [count * k // parts for k in range(parts + 1)]
    pool = _pool(threads, os.getpid())
    futures = [pool.submit(work, *edges[k : k + 2]) for k in range(parts)]
    wait(futures)  # all of them before an error is raised: nobody shall write to rows behind the caller's back
    for done in futures:
        done.result()


_lost = False


def threads_lost() -> bool:
    """Return whether this process was forked from one in which Numba's threads ran: it must not ask for them."""
    return _lost


def _look_after_fork() -> None:
    global _lost  # noqa: PLW0603  # a fact about the process
    numba = sys.modules.get("numba")
    if numba is None:
        return
    try:
        numba.threading_layer()
    except ValueError:  # none was started so far
        return
    _lost = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_after_fork)
