"""``bench native_sim``: speed of the SOC simulator, growth with the network, what it takes to start and to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evaluation.inputs.errors import BadInput
from evaluation.jobs import soc_speed as speed
from native_sim.soc import spec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

HOSTS: Final = (200, 10_000)
"""Sizes of network measured for ``--seconds`` each, with every number of environments and threads."""
LARGEST: Final = 100_000
"""Hosts of the network whose memory is measured."""
_GROWTH_SECONDS: Final = 0.3


def bench_soc(
    counts: list[int], thread_counts: list[int], seconds: float, cold: bool, console: Console
) -> dict[str, Any]:
    """Measure both rule sets with all four roles acting in batches, checks and resets included.

    Returns:
        ``{"rows": [{"rules", "hosts", "num_envs", "threads", "steps_per_s"}], "growth": {rules: {"rows": [{"hosts",
        "num_envs", "steps_per_s", "state_mb"}], "slower_per_doubling"}}, "start": {rules: {"cached_start": {"seconds",
        "processor_seconds"}, "cold_start": ...}}, "memory": {rules: {"hosts", "process_mb", "env_mb"}}}``.

    Raises:
        BadInput: If more threads or environments are asked for than this machine has room for.
    """
    rows = []
    for rules in spec.RULES:
        for hosts in HOSTS:
            for num_envs in counts:
                for threads in thread_counts:
                    rows.append(_row(rules, hosts, num_envs, threads, seconds))
    console.print(_speed_table(rows))
    grown = {rules: _growth(rules, seconds) for rules in spec.RULES}
    console.print(_growth_table(grown))
    start, memory = {}, {}
    for rules in spec.RULES:
        start[rules] = _start(rules, cold)
        memory[rules] = {"hosts": LARGEST, **speed.measure_memory(rules, LARGEST)._asdict()}
        console.print(_needs(rules, start[rules], memory[rules]), highlight=False, soft_wrap=True)
    return {"rows": rows, "growth": grown, "start": start, "memory": memory}


def _row(rules: str, hosts: int, num_envs: int, threads: int, seconds: float) -> dict[str, Any]:
    try:
        found = speed.measure(rules, hosts, num_envs, threads, seconds)
    except (ValueError, MemoryError) as error:
        raise BadInput(str(error)) from error
    return {
        "rules": rules,
        "hosts": hosts,
        "num_envs": num_envs,
        "threads": threads,
        "steps_per_s": round(found.steps_per_s, 1),
    }


def _growth(rules: str, seconds: float) -> dict[str, Any]:
    measured = speed.growth(rules, seconds=min(seconds, _GROWTH_SECONDS))
    rows = [
        {
            "hosts": found.hosts,
            "num_envs": found.num_envs,
            "steps_per_s": round(found.steps_per_s, 1),
            "state_mb": round(found.state_mb / found.num_envs, 3),
        }
        for found, _ in measured
    ]
    return {"rows": rows, "slower_per_doubling": round(measured[-1][1], 3)}


def _start(rules: str, cold: bool) -> dict[str, dict[str, float]]:
    speed.measure_start(rules)  # fills the cache
    found = {"cached_start": speed.measure_start(rules)._asdict()}
    return {**found, "cold_start": speed.measure_start(rules, cold=True)._asdict()} if cold else found


def _needs(rules: str, start: dict[str, dict[str, float]], memory: dict[str, Any]) -> str:
    times = ", ".join(
        f"{name.replace('_', ' ')} {found['seconds']:.1f} s ({found['processor_seconds']:.1f} s of processor time)"
        for name, found in start.items()
    )
    return (
        f"{rules}: {times}; {memory['hosts']:,} hosts: {memory['env_mb']:.1f} MB for the environment, "
        f"{memory['process_mb']:,.0f} MB for the whole process"
    )


def _speed_table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(
        "rules", title="Environment steps per second, in batches", caption="one thread: per second of processor time"
    )
    for name in ("hosts", "environments", "threads", "steps/s"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (f"{row[name]:,}" for name in ("hosts", "num_envs", "threads"))
        table.add_row(row["rules"], *numbers, f"{row['steps_per_s']:,.0f}")
    return table


def _growth_table(grown: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title="Growth with the network, one thread")
    for name in ("hosts", *(f"{rules}: {what}" for rules in grown for what in ("steps/s", "state of one, MB"))):
        table.add_column(name, justify="right")
    for rows in zip(*(found["rows"] for found in grown.values()), strict=True):
        cells = [cell for row in rows for cell in (f"{row['steps_per_s']:,.0f}", f"{row['state_mb']:.3f}")]
        table.add_row(f"{rows[0]['hosts']:,}", *cells)
    factors = [cell for found in grown.values() for cell in (f"x{found['slower_per_doubling']:.3f}", "")]
    table.add_section()
    table.add_row("slower per doubling", *factors)
    return table
