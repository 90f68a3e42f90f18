"""Speed: what is measured is there, and a run takes at least what its gradient steps take."""

from hmarl_soc.config import HmarlConfig
from hmarl_soc.speed import EPISODE_STEPS, measure
from hmarl_soc.tuned import complete


def test_a_run_is_put_together_from_its_parts():
    steps, updates, run, *decisions = measure(0.01)
    assert [row["unit"] for row in (steps, updates, run)] == ["per second", "per second", "minutes"]
    assert [row["unit"] for row in decisions] == ["µs per environment"] * 2
    assert all(row[clock] > 0 for row in (steps, updates, run, *decisions) for clock in ("wall", "cpu"))
    ratio = complete("hmarl-soc", HmarlConfig, {}).method.updates_per_step
    count = 10_000 * EPISODE_STEPS / 60
    for clock in ("wall", "cpu"):
        assert run[clock] > count * (1.0 / steps[clock] + ratio / updates[clock])  # coordinator and potential learn too
