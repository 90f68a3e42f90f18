"""How long a decision takes, and how long a step of the simulator takes, from 50 to 10,000 hosts: measured apart.

What a network computes does not depend on its weights, so untrained ones are timed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from evaluation.harness.run_folder import write_atomically
from evaluation.harness.statistics import FloatArray
from evaluation.inputs.errors import BadInput
from evaluation.studies.files import read_object, taking_apart
from native_sim.rollout import Episode, Moment, Observer, Rollout

if TYPE_CHECKING:
    from rich.console import Console

    from native_sim.api import Array, Decision, Policy, StepBatch
    from native_sim.soc.env import SocVectorEnv

HOSTS: Final = (50, 200, 500, 1_000, 2_000, 5_000, 10_000)
METHODS: Final = ("hmarl-soc", "mappo", "single-drl")
BATCHES: Final = (1, 256)
"""Environments decided for at once."""
_SEGMENTS: Final = 5


def scaling(out: Path, smoke: bool, report_only: bool, console: Console) -> dict[str, Any]:
    """Measure, or with ``report_only`` read what was measured, and write ``summary.json`` and ``table.md``.

    Returns:
        ``rows``: one per method, number of hosts and batch with ``decision_us`` and ``step_us``, microseconds per
        environment on the clock, and ``decision_cpu_us`` and ``step_cpu_us``, those of this process alone: what an idle
        machine would take. All are medians over repeated calls.

    Raises:
        BadInput: If there is nothing to report.
    """
    file = out / "summary.json"
    if report_only:
        if not file.exists():
            raise BadInput(f"nothing was measured in {out}; run the study without --report-only first")
        summary = read_object(file)
    else:
        hosts, repeats = (HOSTS[:2], 5) if smoke else (HOSTS, 60)
        summary = {"study": "scaling", "rows": _measure(hosts, repeats, console)}
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(summary, indent=1))
    with taking_apart(file):
        table = _markdown(summary["rows"])
    write_atomically(out / "table.md", table)
    console.print(f"Decision latency: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def _measure(hosts: Sequence[int], repeats: int, console: Console) -> list[dict[str, Any]]:
    from hmarl_soc.interface import describe
    from hmarl_soc.registry import config_class, make_learner
    from native_sim import make_vec
    from native_sim.soc.spec import STATE

    rows: list[dict[str, Any]] = []
    for count in hosts:
        for batch in BATCHES:
            env = make_vec(num_envs=batch, threads=1, hosts_per_segment=count // _SEGMENTS)
            for method in METHODS:
                config = config_class(method)()
                policy = make_learner(method, config, describe(env, STATE.size), batch, seed=0).policy()
                with threadpool_limits(1, user_api="blas"):  # as policies are played
                    times = _time(env, policy, repeats)
                rows.append({"method": method, "hosts": count, "batch": batch, **times})
        console.print(f"{count} hosts measured", highlight=False)
    return rows


def _time(env: SocVectorEnv, policy: Policy, repeats: int) -> dict[str, float]:
    """Return median microseconds per environment of a decision and of a step, all rows playing all the time."""
    clock = _Clock()
    enough = [Episode(0, seed) for seed in range(repeats * env.num_envs)]
    rollout = Rollout(env, policy, enough, [clock])
    for _ in range(repeats):
        rollout.step()
    (decision_us, decision_cpu_us), (step_us, step_cpu_us) = (
        (1e6 * np.median(taken, axis=0) / env.num_envs).round(3).tolist() for taken in (clock.decisions, clock.steps)
    )
    return {
        "decision_us": decision_us,
        "decision_cpu_us": decision_cpu_us,
        "step_us": step_us,
        "step_cpu_us": step_cpu_us,
    }


class _Clock(Observer):
    """Times decisions and steps."""

    def __init__(self) -> None:
        self.decisions: list[FloatArray] = []
        self.steps: list[FloatArray] = []
        self._last = np.zeros(2)

    def deciding(self, now: Moment) -> None:
        """Start."""
        self._last = _now()

    def decided(self, now: Moment, decision: Decision) -> None:
        """Take the time of a decision."""
        self.decisions.append(_now() - self._last)
        self._last = _now()

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Take the time of a step."""
        self.steps.append(_now() - self._last)


def _now() -> FloatArray:
    """Return seconds on the clock and of CPU time, [2]."""
    return np.array([time.perf_counter(), time.process_time()])


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["# Decision latency and simulator time", ""]
    lines += ["Median microseconds per environment and step, on the clock (by CPU time).", ""]
    lines += ["| method | hosts | environments at once | decision | simulator |", "|---|---|---|---|---|"]
    for row in rows:
        times = (f"{row[f'{what}_us']:.1f} ({row[f'{what}_cpu_us']:.1f})" for what in ("decision", "step"))
        lines.append(f"| {row['method']} | {row['hosts']:,} | {row['batch']} | {' | '.join(times)} |")
    return "\n".join(lines) + "\n"
