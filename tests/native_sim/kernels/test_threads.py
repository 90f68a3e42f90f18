"""Sharing rows among threads: every row once, nobody left working, errors told. Forks: tests/test_processes.py."""

import threading
import time

import pytest

from native_sim.kernels.threads import share, threads_lost


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 31, 64, 100, 500])
def test_parts_cover_every_row_once(threads, count):
    parts = []
    share(lambda start, stop: parts.append((start, stop)), count, threads)
    assert sorted(row for start, stop in parts for row in range(start, stop)) == list(range(count))
    assert len(parts) <= threads


def test_few_rows_or_one_thread_stay_with_the_caller():
    callers = []
    for count, threads in ((500, 1), (40, 8)):
        share(lambda start, stop: callers.append(threading.current_thread()), count, threads)
    assert callers == [threading.current_thread()] * 2


def test_an_error_is_raised_once_all_parts_have_ended():
    ended = []

    def work(start, stop):
        if start == 0:
            raise RuntimeError("row 0 is broken")
        time.sleep(0.2)
        ended.append(start)

    with pytest.raises(RuntimeError, match="row 0 is broken"):
        share(work, 96, 3)
    assert sorted(ended) == [32, 64]


def test_threads_of_this_process_are_its_own():
    assert threads_lost() is False
