"""A pool plays the same in this process and in workers, and a worker's failure is told, not hung on."""

import importlib
import os
import sys

import pytest

from cage4.cyborg.workers import WorkerError, make_pool

PLAYER = """
import os, time

class Counter:
    def __init__(self, start):
        if start == "broken":
            raise RuntimeError("cannot be made")
        self.value = start

    def add(self, amount):
        if amount == "raise":
            raise KeyError("the real reason")
        if amount == "die":
            os._exit(7)
        if amount == "hang":
            time.sleep(60)
        self.value += amount
        return self.value, os.getpid()
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """A class that worker processes can import, however pytest imported this file."""
    folder = tmp_path_factory.mktemp("player")
    (folder / "counter_player.py").write_text(PLAYER)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("counter_player").Counter
    sys.path.remove(str(folder))
    del sys.modules["counter_player"]


@pytest.fixture(params=[0, 1, 3], ids=["local", "one worker", "three workers"])
def pool(request, counter):
    pool = make_pool(counter, [0, 10, 20, 30], request.param)
    yield pool
    pool.close()


def test_results_come_in_the_order_of_the_requests(pool):
    values = [value for value, _ in pool.call("add", [(3, (1,)), (0, (2,)), (2, (3,))])]
    assert values == [31, 2, 23]
    assert [value for value, _ in pool.call("add", [(n, (0,)) for n in range(4)])] == [2, 10, 23, 31]
    assert pool.call("add", []) == []


def test_workers_are_other_processes_and_leave_when_closed(counter):
    pool = make_pool(counter, [0, 10, 20], 2)
    pids = {pid for _, pid in pool.call("add", [(n, (0,)) for n in range(3)])}
    processes = list(pool._processes)
    assert len(pids) == 2 and os.getpid() not in pids
    pool.close()
    pool.close()
    assert [process.exitcode for process in processes] == [0, 0]
    with pytest.raises(WorkerError, match="have been stopped"):
        pool.call("add", [(0, (0,))])


def test_an_exception_carries_the_workers_traceback_and_stops_the_pool(counter):
    pool = make_pool(counter, [0, 10], 2)
    processes = list(pool._processes)
    with pytest.raises(WorkerError, match="worker process 1 failed: KeyError: 'the real reason'") as caught:
        pool.call("add", [(0, (1,)), (1, ("raise",))])
    assert "in add" in str(caught.value.__cause__)
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(WorkerError, match="make a new environment"):
        pool.call("add", [(0, (1,))])


def test_a_local_exception_passes_unchanged(counter):
    with pytest.raises(KeyError, match="the real reason"):
        make_pool(counter, [0], 0).call("add", [(0, ("raise",))])


def test_a_dead_worker_is_noticed(counter):
    pool = make_pool(counter, [0, 10], 2)
    with pytest.raises(WorkerError, match=r"worker process 0 died unexpectedly \(exit code 7\)"):
        pool.call("add", [(0, ("die",)), (1, (1,))])


def test_a_worker_that_cannot_start_is_told_by_the_constructor(counter):
    with pytest.raises(WorkerError, match="RuntimeError: cannot be made"):
        make_pool(counter, [0, "broken"], 2)


def test_an_interrupt_stops_the_workers(counter):
    pool = make_pool(counter, [0, 10], 2)
    processes = list(pool._processes)

    def interrupt(worker):
        raise KeyboardInterrupt

    pool._receive = interrupt
    with pytest.raises(KeyboardInterrupt):
        pool.call("add", [(0, ("hang",))])
    assert not any(process.is_alive() for process in processes)
