"""How fast the simulator is: steps per second by network size, start-up time, memory. Timings vary with the machine."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from native_sim.soc import spec
from native_sim.soc.config import make_config
from native_sim.soc.env import SocVectorEnv

SIZES = (50, 100, 200, 400, 800, 1_600, 3_200, 10_000, 25_000, 50_000, 100_000)
"""Hosts of a network, a multiple of the five segments."""


_CHUNK = 10
"""Batched steps timed at once; the best chunk counts, because other work on the machine only slows."""


class Speed(NamedTuple):
    """One measurement."""

    rules: str
    hosts: int
    num_envs: int
    steps_per_s: float  # environment steps per second in the best chunk of 10 steps, resets included
    state_mb: float  # memory of the state of all environments


def measure(
    rules: str = "corrected", hosts: int = 200, num_envs: int = 200, threads: int = 1, seconds: float = 1.0
) -> Speed:
    """Measure steps per second with all four roles acting, in batches, restarting finished episodes.

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
    actions = {
        "coordinator": rng.uniform(-1, 1, (num_envs, 8)),
        "hunter": rng.uniform(-1, 0.2, (num_envs, 16)),
        "triage": rng.integers(0, 4, num_envs),
        "responder": rng.uniform(-1, 1, (num_envs, 12)),
    }
    env.reset(seed=0)
    _advance(env, actions, 60)  # compiles, and spreads the episodes over their phases
    best, started = math.inf, time.perf_counter()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        _advance(env, actions, _CHUNK)
        best = min(best, time.perf_counter() - before)
    rate = _CHUNK * num_envs / best
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


def start_seconds(rules: str = "corrected") -> float:
    """Return how long a fresh interpreter takes to import, compile or load from the cache, reset and step once."""
    code = (
        f"from native_sim import make_vec\nenv = make_vec({rules!r}, 2)\nenv.reset(seed=0)\n"
        "import numpy as np\nenv.step({'coordinator': np.zeros((2, 8)), 'hunter': np.zeros((2, 16)),"
        " 'triage': np.zeros(2, int), 'responder': np.zeros((2, 12))})"
    )
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started
