"""Environment steps per second, measured side by side in one run: figures that are only worth their ratio."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.games.cc4.policies import make_policy
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from cage4.faces import CageParallelEnv
    from native_sim.api import VectorEnv

POLICIES = ("no-defense", "random", "reactive")
FACE = "native, PettingZoo"
SUBJECTS = {"cage4": ("1,64,1024", "1,2"), "native_sim": ("200", "1")}
"""Subject -> numbers of environments and of threads that are measured unless others are asked for."""
UNTOUCHED = "cyborg"
"""The real CybORG as it is: what the ratios refer to."""


def bench(
    what: str, envs: str | None, threads: str | None, seconds: float, cold: bool, console: Console
) -> dict[str, Any]:
    """Measure a simulator and print tables.

    Args:
        what: One of :data:`SUBJECTS`.
        envs: Comma-separated numbers of environments; None for those that suit the subject.
        threads: Comma-separated numbers of threads; None for those that suit the subject.
        seconds: Time given to each row after a warm-up.
        cold: Whether to time a first start as well, which compiles everything anew.
        console: Where the tables go.

    Returns:
        What :func:`bench_cage4` or :func:`evaluation.jobs.bench_soc.bench_soc` returns.

    Raises:
        BadInput: For an unknown subject, or numbers that are none.
    """
    if what not in SUBJECTS:
        raise BadInput(f"unknown subject {what!r}; bench can measure: {', '.join(SUBJECTS)}, train")
    ranges.check("--seconds", seconds, ranges.SECONDS)
    default_envs, default_threads = SUBJECTS[what]
    counts = ranges.numbers("--envs", default_envs if envs is None else envs, ranges.ENVS)
    thread_counts = ranges.numbers("--threads", default_threads if threads is None else threads, ranges.THREADS)
    if what == "native_sim":
        from evaluation.jobs.bench_soc import bench_soc

        return bench_soc(counts, thread_counts, seconds, cold, console)
    return bench_cage4(counts, thread_counts, seconds, cold, console)


def bench_cage4(
    counts: list[int], thread_counts: list[int], seconds: float, cold: bool, console: Console
) -> dict[str, Any]:
    """Measure every CC4 engine that is present; CybORG and the PettingZoo face play one environment on one thread.

    Returns:
        ``{"rows": [{"what", "policy", "num_envs", "threads", "steps_per_s"}], "start": {...}, "memory": {...}}``.
    """
    import cage4

    settings: list[tuple[str, str, int, int, dict[str, Any]]] = []
    for engine in cage4.available_engines():
        if engine == "native":
            settings += [("native", "native", n, t, {"threads": t}) for n in counts for t in thread_counts]
        else:
            settings.append((engine, "cyborg, our shortcuts", 1, 1, {}))
            settings.append((engine, UNTOUCHED, 1, 1, {"shortcuts": False}))
    rows = []
    for policy in POLICIES:
        for engine, name, num_envs, count, options in settings:
            try:
                env = cage4.vector_env(engine, num_envs=num_envs, **options)
            except ValueError as error:  # more threads or environments than this machine has room for
                raise BadInput(str(error)) from error
            speed = steps_per_second(env, policy, seconds)
            env.close()
            row = {"what": name, "policy": policy, "num_envs": num_envs, "threads": count, "steps_per_s": speed}
            rows.append(row)
        if "native" in cage4.available_engines():
            speed = face_steps_per_second(cage4.parallel_env("native"), policy, seconds)
            rows.append({"what": FACE, "policy": policy, "num_envs": 1, "threads": 1, "steps_per_s": speed})
    console.print(_table(rows))
    start, memory = _start_up(cold), _memory(max(1024, *counts))
    for name, value in start.items():
        console.print(f"{name.replace('_', ' ')}: {value:.1f} s", highlight=False)
    used, number = memory["process_mb"], memory["num_envs"]
    each = memory["kb_per_env"]
    console.print(f"memory: {used:,.0f} MB for {number:,} environments, {each:,.0f} kB each", highlight=False)
    return {"rows": rows, "start": start, "memory": memory}


_START = """
import time
started = time.perf_counter()
import cage4
env = cage4.vector_env("native", num_envs=2, seed=0)
env.reset(seed=0)
env.step({name: [0, 0] for name in env.agents})
print(time.perf_counter() - started)
"""
_MEMORY = """
import os, resource, sys
import cage4
import numpy as np
def used():
    try:
        with open("/proc/self/statm") as file:  # the peak that getrusage tells may be the parent's
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
small = cage4.vector_env("native", num_envs=1, seed=0)
small.reset(seed=0)
before, number = used(), int(sys.argv[1])
env = cage4.vector_env("native", num_envs=number, seed=0)
env.reset(seed=0)
for _ in range(30):
    env.step({name: np.zeros(number, int) for name in env.agents})
print(used(), used() - before)
"""


def _start_up(cold: bool) -> dict[str, float]:
    """Time fresh processes from import to the first step: with compiled code on disk, and without."""
    times = {"cached_start": float(_fresh(_START)[0])}
    if cold:
        with tempfile.TemporaryDirectory() as empty:
            times["cold_start"] = float(_fresh(_START, NUMBA_CACHE_DIR=empty)[0])
    return times


def _memory(num_envs: int) -> dict[str, float]:
    """Return what a fresh process holds with many environments, after 30 steps of each."""
    total, added = (float(word) for word in _fresh(_MEMORY, str(num_envs)))
    return {"num_envs": num_envs, "process_mb": round(total, 1), "kb_per_env": round(1024 * added / num_envs, 1)}


def _fresh(code: str, *arguments: str, **environment: str) -> list[str]:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return done.stdout.split()


def steps_per_second(env: VectorEnv, policy_name: str, seconds: float) -> float:
    """Play for some seconds and return environment steps per second of engine time.

    Engine time is what reset and step take, observations and masks included; the policy's own time is left out.
    """
    policy = make_policy(policy_name)
    generator = np.random.default_rng(0)
    observations, infos = env.reset(seed=0)
    memory = policy.initial_memory(env.num_envs)
    steps, spent = -env.num_envs, 0.0  # the first step may compile or warm caches, and does not count
    while spent < seconds:
        draws = generator.random((env.num_envs, len(env.agents), policy.draws_per_agent))
        wanted = {name: infos[name] for name in policy.wants}
        decision = policy.act({**observations, **wanted}, infos["action_mask"], memory, draws)
        started = time.perf_counter()
        batch = env.step(decision.actions, decision.messages)
        observations, infos, memory = batch.observations, batch.infos, decision.memory
        if batch.terminations.any():
            observations, infos = env.reset(seed=None)
        spent = 0.0 if steps < 0 else spent + time.perf_counter() - started
        steps += env.num_envs
    return round(steps / spent, 1)


def face_steps_per_second(env: CageParallelEnv, policy_name: str, seconds: float) -> float:
    """Do the same for one environment agent by agent, with the dictionaries that PettingZoo asks for."""
    policy = make_policy(policy_name)
    generator = np.random.default_rng(0)
    observations, infos = env.reset(seed=0)
    memory = policy.initial_memory(1)
    steps, spent = -1, 0.0
    while spent < seconds:
        draws = generator.random((1, len(env.possible_agents), policy.draws_per_agent))
        shown: dict[str, Any] = {agent: vector[None] for agent, vector in observations.items()}
        shown["busy"] = np.array([[infos[agent]["busy"] for agent in env.possible_agents]])
        masks = {agent: infos[agent]["action_mask"][None] for agent in env.possible_agents}
        decision = policy.act(shown, masks, memory, draws)
        actions = {agent: int(chosen[0]) for agent, chosen in decision.actions.items()}
        started = time.perf_counter()
        observations, _, _, _, infos = env.step(actions)
        if not env.agents:
            observations, infos = env.reset()
        spent = 0.0 if steps < 0 else spent + time.perf_counter() - started
        memory = decision.memory
        steps += 1
    return round(steps / spent, 1)


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    base_speed = {row["policy"]: row["steps_per_s"] for row in rows if row["what"] == UNTOUCHED}
    table = Table("engine", "policy", title="Environment steps per second")
    for name in ("environments", "threads", "steps/s", "times CybORG"):
        table.add_column(name, justify="right")
    for row in rows:
        base = base_speed.get(row["policy"])
        ratio = f"{row['steps_per_s'] / base:,.1f}" if base else "-"
        cells = (f"{row['num_envs']:,}", str(row["threads"]), f"{row['steps_per_s']:,.0f}", ratio)
        table.add_row(row["what"], row["policy"], *cells)
    return table
