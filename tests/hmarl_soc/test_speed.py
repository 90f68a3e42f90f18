"""Speed: what is measured is there, and a run takes at least what its gradient steps take."""

from hmarl_soc.config import HmarlConfig
from hmarl_soc.speed import EPISODE_STEPS, measure
from hmarl_soc.tuned import complete


def test_a_run_is_put_together_from_its_parts():
    steps, *learning, alone, together = measure(0.01)
    assert steps["unit"] == "per second"
    assert [row["unit"] for row in learning] == ["per second", "minutes"] * 2
    assert [row["what"].split(", ")[-1] for row in learning] == ["one thread"] * 2 + ["two threads"] * 2
    assert [row["unit"] for row in (alone, together)] == ["µs per environment"] * 2
    assert all(row[clock] > 0 for row in (steps, *learning, alone, together) for clock in ("wall", "cpu"))
    ratio = complete("hmarl-soc", HmarlConfig, {}).method.updates_per_step
    count = 10_000 * EPISODE_STEPS / 60
    for updates, run in (learning[:2], learning[2:]):
        for clock in ("wall", "cpu"):
            assert run[clock] > count * (
                1.0 / steps[clock] + ratio / updates[clock]
            )  # coordinator and potential learn too
