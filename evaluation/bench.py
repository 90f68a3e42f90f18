"""Environment steps per second, measured side by side in one run: figures that are only worth their ratio."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.errors import BadInput
from evaluation.policies import make_policy

if TYPE_CHECKING:
    from rich.console import Console

    from native_sim.api import VectorEnv

POLICIES = ("no-defense", "random", "reactive")
UNTOUCHED = "cyborg"
"""The real CybORG as it is: what the ratios refer to."""


def bench(what: str, envs: str, threads: str, seconds: float, console: Console) -> dict[str, Any]:
    """Measure every engine that is present and print a table.

    Args:
        what: Only ``cage4`` so far.
        envs: Comma-separated numbers of environments for the compiled engine; CybORG plays one.
        threads: Comma-separated numbers of threads for the compiled engine.
        seconds: Time given to each row after one warm-up episode step.
        console: Where the table goes.

    Returns:
        ``{"rows": [{"what", "policy", "num_envs", "threads", "steps_per_s"}]}``.

    Raises:
        BadInput: For an unknown subject, or numbers that are none.
    """
    import cage4

    if what != "cage4":
        raise BadInput(f"unknown subject {what!r}; bench can measure: cage4")
    if not seconds > 0:
        raise BadInput(f"--seconds must be positive; given {seconds}")
    counts, thread_counts = _numbers("--envs", envs), _numbers("--threads", threads)
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
            env = cage4.vector_env(engine, num_envs=num_envs, **options)
            speed = steps_per_second(env, policy, seconds)
            env.close()
            row = {"what": name, "policy": policy, "num_envs": num_envs, "threads": count, "steps_per_s": speed}
            rows.append(row)
    console.print(_table(rows))
    return {"rows": rows}


def steps_per_second(env: VectorEnv, policy_name: str, seconds: float) -> float:
    """Play for some seconds and return environment steps per second, observations and masks included."""
    policy = make_policy(policy_name)
    generator = np.random.default_rng(0)
    observations, infos = env.reset(seed=0)
    memory = policy.initial_memory(env.num_envs)
    steps, started = 0, 0.0
    while True:
        draws = generator.random((env.num_envs, len(env.agents), policy.draws_per_agent))
        wanted = {name: infos[name] for name in policy.wants}
        decision = policy.act({**observations, **wanted}, infos["action_mask"], memory, draws)
        batch = env.step(decision.actions, decision.messages)
        observations, infos, memory = batch.observations, batch.infos, decision.memory
        if started == 0.0:
            started = time.perf_counter()  # the first step may compile or warm caches, and does not count
            continue
        steps += env.num_envs
        if batch.terminations.any():
            observations, infos = env.reset(seed=None)
        if (elapsed := time.perf_counter() - started) >= seconds:
            return round(steps / elapsed, 1)


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise BadInput(f"{option} must be positive whole numbers separated by commas, such as 1,64; given {text!r}")
    return numbers


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
