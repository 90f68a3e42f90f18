"""Size: a step does not walk over hosts that nothing happens to, and large networks stay small in memory."""

import time

import numpy as np
import pytest

from evaluation.jobs.soc_speed import growth, measure
from native_sim import make_vec
from native_sim.soc import spec


def step_seconds(rules, hosts_per_segment, steps=40):
    """Return the processor time of the fastest step of four environments."""
    env = make_vec(rules, 4, hosts_per_segment=hosts_per_segment, threads=1)
    env.reset(seed=0)
    actions = {
        "coordinator": np.zeros((4, 8)),
        "hunter": np.full((4, 16), 0.2),
        "triage": np.zeros(4, int),
        "responder": np.full((4, 12), 0.2),
    }
    best = np.inf
    for _ in range(steps):
        started = time.thread_time()
        batch = env.step(actions)
        best = min(best, time.thread_time() - started)
        done = np.flatnonzero(batch.terminations | batch.truncations)
        if len(done):
            env.reset(rows=done.tolist())
    return best


@pytest.mark.parametrize("rules", spec.RULES)
def test_a_step_costs_about_the_same_with_a_thousand_times_the_hosts(rules):
    """A walk over hosts would cost a thousand times as much."""
    step_seconds(rules, 20)  # compiles
    assert step_seconds(rules, 20_000) < 8 * step_seconds(rules, 20)


def test_measurements_name_what_was_measured():
    row = measure(hosts=50, num_envs=4, seconds=0.01)
    assert (row.rules, row.hosts, row.num_envs) == ("corrected", 50, 4)
    assert row.steps_per_s > 0 and 0 < row.state_mb < 1
    with pytest.raises(ValueError, match="hosts must be a multiple of 5; given 52"):
        measure(hosts=52)
    assert growth(sizes=(50,), seconds=0.01)[0][1] == 1.0
