"""Speed: what is measured is there, and a run takes at least what its gradient steps take."""

import pytest
import torch

from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.training.speed import EPISODE_STEPS, measure
from hmarl_soc.tuned import complete

CLOCKS = ("wall", "cpu")


def parted(rows):
    """Return the rows of deciding and acting, and those of learning."""
    steps, *learning, alone, together = rows
    assert steps["unit"] == "per second"
    assert [row["unit"] for row in (alone, together)] == ["µs per environment"] * 2
    assert all(row[clock] > 0 for row in rows for clock in CLOCKS)
    return steps, learning


def test_a_run_is_put_together_from_its_parts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    steps, learning = parted(measure(0.01))
    assert [row["unit"] for row in learning] == ["per second", "minutes"] * 2
    assert [row["what"].split(", ")[-1] for row in learning] == ["one thread"] * 2 + ["two threads"] * 2
    ratio = complete(HmarlConfig, {}).method.updates_per_step
    count = 10_000 * EPISODE_STEPS / 60
    for updates, run in (learning[:2], learning[2:]):
        for clock in CLOCKS:
            assert run[clock] > count * (
                1.0 / steps[clock] + ratio / updates[clock]
            )  # coordinator and potential learn too


@pytest.mark.gpu
def test_a_gpu_is_measured_too():
    _, learning = parted(measure(0.5))
    *_, alone, _, _, _, run, ratio = learning
    assert alone["unit"] == run["unit"] == "minutes" and ratio["unit"] == "times as fast"
    assert all(ratio[clock] == pytest.approx(alone[clock] / run[clock]) for clock in CLOCKS)
