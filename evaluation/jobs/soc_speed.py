"""How fast the simulator is: steps per second by network size, start-up time, memory. Timings vary with the machine."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np

from native_sim.soc import spec
from native_sim.soc.config import make_config
from native_sim.soc.env import SocVectorEnv

SIZES = (50, 100, 200, 400, 800, 1_600, 3_200, 10_000, 25_000, 50_000, 100_000)
"""Hosts of a network, a multiple of the five segments."""


class Speed(NamedTuple):
    """One measurement."""

    rules: str
    hosts: int
    num_envs: int
    steps_per_s: float  # environment steps per second, resets included: of processor time for one thread, else of time
    state_mb: float  # memory of the state of all environments


def measure(
    rules: str = "corrected", hosts: int = 200, num_envs: int = 200, threads: int = 1, seconds: float = 1.0
) -> Speed:
    """Measure steps per second with all four roles acting, in batches, restarting finished episodes.

    One thread is timed by the processor time it takes, so that other work on the machine does not count.

    Args:
        rules: Rule set.
        hosts: Hosts of the network, a multiple of 5.
        num_envs: Environments in the batch.
        threads: Threads that share the rows.
        seconds: How long to measure, after a warm-up.
    """
    if hosts % spec.NUM_SEGMENTS:
        raise ValueError(f"hosts must be a multiple of {spec.NUM_SEGMENTS}; given {hosts}")
    config = make_config(rules=rules, hosts_per_segment=hosts // spec.NUM_SEGMENTS)
    env = SocVectorEnv(config, num_envs, threads)
    rng = np.random.default_rng(0)
    sizes = {role: layout.size for role, layout in spec.ACTIONS.items()}
    actions = {
        "coordinator": rng.uniform(-1, 1, (num_envs, sizes["coordinator"])),
        "hunter": rng.uniform(-1, 0.2, (num_envs, sizes["hunter"])),
        "triage": rng.integers(0, 4, num_envs),
        "responder": rng.uniform(-1, 1, (num_envs, sizes["responder"])),
    }
    env.reset(seed=0)
    _advance(env, actions, 60)  # compiles, and spreads the episodes over their phases
    clock = time.thread_time if threads == 1 else time.perf_counter
    steps, started = 0, clock()
    while (spent := clock() - started) < seconds or not steps:
        _advance(env, actions, 1)
        steps += num_envs
    rate = steps / spent
    memory = sum(array.nbytes for array in env.engine.state) / 1e6
    return Speed(rules, hosts, num_envs, rate, memory)


def _advance(env: SocVectorEnv, actions: dict[str, np.ndarray], steps: int) -> None:
    for _ in range(steps):
        batch = env.step(actions)
        done = np.flatnonzero(batch.terminations | batch.truncations)
        if len(done):
            env.reset(rows=done.tolist())


def growth(rules: str = "corrected", sizes: tuple[int, ...] = SIZES, seconds: float = 0.5) -> list[tuple[Speed, float]]:
    """Measure every size; return each with the factor by which a step got slower per doubling since the first."""
    rows: list[tuple[Speed, float]] = []
    for hosts in sizes:
        row = measure(rules, hosts, num_envs=max(4, min(200, 1_000_000 // hosts)), seconds=seconds)
        doublings = math.log2(hosts / sizes[0])
        slower = rows[0][0].steps_per_s / row.steps_per_s if rows else 1.0
        rows.append((row, slower ** (1 / doublings) if doublings else 1.0))
    return rows


class Start(NamedTuple):
    """How long a fresh interpreter takes to import, compile or load from the cache, reset and step once."""

    seconds: float
    processor_seconds: float  # of it spent computing; less where other work is on the machine


def measure_start(rules: str = "corrected", *, cold: bool = False) -> Start:
    """Start once in a process of its own.

    Args:
        rules: Rule set.
        cold: Compile everything anew, into a cache folder that is thrown away.
    """
    code = (
        f"from native_sim import make_vec\nenv = make_vec({rules!r}, 2)\nenv.reset(seed=0)\n"
        "import numpy as np\nenv.step({'coordinator': np.zeros((2, 8)), 'hunter': np.zeros((2, 16)),"
        " 'triage': np.zeros(2, int), 'responder': np.zeros((2, 12))})"
    )
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "NUMBA_CACHE_DIR": empty} if cold else None
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        after = os.times()
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(round(after.elapsed - before.elapsed, 2), round(computed, 2))


_MEMORY = """
import os, resource, sys
from native_sim import make_vec
def used():
    try:
        with open("/proc/self/statm") as file:  # the peak that getrusage tells may be the parent's
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
rules, hosts = sys.argv[1], int(sys.argv[2])
make_vec(rules, 1, threads=1).reset(seed=0)
before = used()
env = make_vec(rules, 1, threads=1, hosts_per_segment=hosts // 5)
env.reset(seed=0)
for _ in range(200):
    batch = env.step({"hunter": [[1.0] * 16], "responder": [[1.0] * 12]})
    if batch.terminations[0] or batch.truncations[0]:
        env.reset()
print(used(), used() - before)
"""


class Memory(NamedTuple):
    """What a fresh process holds with one environment that has played 200 steps."""

    process_mb: float  # all of it: interpreter, libraries and compiled code included
    env_mb: float  # what the environment added


def measure_memory(rules: str = "corrected", hosts: int = 100_000) -> Memory:
    """Measure the memory of one environment, in a process of its own."""
    command = [sys.executable, "-c", _MEMORY, rules, str(hosts)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    total, added = (float(word) for word in done.stdout.split())
    return Memory(round(total, 1), round(added, 2))
