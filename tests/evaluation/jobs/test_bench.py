"""The speed table: a row per engine, policy and batch, and the single environment as PettingZoo users step it."""

import io

import pytest
from rich.console import Console

import cage4
from evaluation.jobs import bench as bench_module
from evaluation.jobs.bench import FACE, POLICIES, bench, face_steps_per_second


@pytest.fixture
def only_native(monkeypatch):
    monkeypatch.setattr(cage4, "available_engines", lambda: ("native",), raising=False)
    monkeypatch.setattr(bench_module, "_start_up", lambda cold: {"cached_start": 1.0})
    monkeypatch.setattr(bench_module, "_memory", lambda n: {"num_envs": n, "process_mb": 1.0, "kb_per_env": 1.0})


def test_every_policy_has_a_row_per_batch_and_one_of_the_pettingzoo_face(only_native):
    text = io.StringIO()
    result = bench("cage4", "1,3", "1", 0.02, False, Console(file=text, width=120))
    rows = [(row["what"], row["policy"], row["num_envs"], row["threads"]) for row in result["rows"]]
    expected = [("native", 1, 1), ("native", 3, 1), (FACE, 1, 1)]
    assert sorted(rows) == sorted((what, policy, n, t) for policy in POLICIES for what, n, t in expected)
    assert all(row["steps_per_s"] > 0 for row in result["rows"])
    assert FACE in text.getvalue()


@pytest.mark.parametrize("policy", POLICIES)
def test_the_face_plays_on_through_the_end_of_episodes(policy):
    env = cage4.parallel_env("native", steps=4)
    resets = []
    reset = env.reset
    env.reset = lambda *args, **kwargs: (resets.append(kwargs), reset(*args, **kwargs))[1]
    assert face_steps_per_second(env, policy, 0.05) > 0
    assert resets[0] == {"seed": 0} and len(resets) > 3
