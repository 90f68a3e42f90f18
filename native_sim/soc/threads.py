"""Share the rows of a batch among threads: kernels release the interpreter lock, and rows do not touch each other.

Threads rather than a parallel kernel, because that would multiply the time of the first compilation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_LEAST_ROWS = 32
"""Rows for which a thread is worth waking."""


@functools.lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="soc")


def share(work: Callable[[int, int], object], count: int, threads: int) -> None:
    """Call ``work(start, stop)`` so that the parts cover 0 to ``count`` once."""
    parts = max(1, min(threads, count // _LEAST_ROWS))
    if parts == 1:
        work(0, count)
        return
    edges = [count * k // parts for k in range(parts + 1)]
    for done in [_pool(threads).submit(work, *edges[k : k + 2]) for k in range(parts)]:
        done.result()
