"""Environments of both games play the same in forked, spawned and forkserver children, and in several threads at once.

Each case runs in a process of its own with a time limit, so that a killed or hanging child fails the test.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("fork", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "forkserver")))
GAMES = ("cc4", "soc")
SECONDS = 400
"""Enough for children that compile everything on a busy machine."""

PLAYERS = '''
import concurrent.futures, hashlib, multiprocessing, sys

import gymnasium
import numpy as np

import cage4
import native_sim
from native_sim.soc.faces import SocEnv

ONE, ROWS = (1, 1), [(1, 1), (1, 2), (64, 1), (64, 2)]  # environments, threads


def make(game, num_envs, threads):
    if game == "cc4":
        return cage4.vector_env("native", num_envs=num_envs, threads=threads, steps=20)
    return native_sim.make_vec(num_envs=num_envs, threads=threads)


def drawn(space, draws, count):
    if isinstance(space, gymnasium.spaces.Discrete):
        return draws.integers(space.n, size=count)
    return draws.uniform(space.low, space.high, (count, *space.shape)).astype(np.float32)


def play(game, num_envs, threads, env=None):
    """Return a digest of all that a short episode shows and pays."""
    env = env or make(game, num_envs, threads)
    digest, draws = hashlib.sha256(), np.random.default_rng(0)
    observations, _ = env.reset(seed=5)
    for _ in range(8):
        batch = env.step({agent: drawn(env.single_action_space[agent], draws, num_envs) for agent in env.agents})
        for agent in env.agents:
            digest.update(np.ascontiguousarray(batch.observations[agent]).tobytes())
        digest.update(batch.rewards.tobytes())
    return digest.hexdigest()


def play_all(game):
    return [play(game, *one) for one in ROWS]


INHERITED = {}


def play_inherited(game):
    """Play on with environments of the parent."""
    return [play(game, *one, env=INHERITED[game, one]) for one in ROWS]


class Team(gymnasium.Env):
    """All five agents of CC4 as one."""

    def __init__(self):
        self.env = cage4.vector_env("native", steps=20)
        self.action_space = gymnasium.spaces.MultiDiscrete([82] * 4 + [242])
        self.observation_space = gymnasium.spaces.Box(-128, 127, (4 * 92 + 210,), np.int8)

    def _shown(self, observations):
        return np.concatenate([observations[agent][0] for agent in self.env.agents])

    def reset(self, seed=None, options=None):
        return self._shown(self.env.reset(seed=[seed])[0]), {}

    def step(self, action):
        batch = self.env.step({agent: action[i : i + 1] for i, agent in enumerate(self.env.agents)})
        return self._shown(batch.observations), float(batch.rewards[0]), bool(batch.terminations[0]), False, {}


def vector_digest(envs):
    digest = hashlib.sha256()
    envs.action_space.seed(0)
    observations, _ = envs.reset(seed=11)
    for _ in range(8):
        observations, rewards, *_ = envs.step(envs.action_space.sample())
        parts = observations.values() if isinstance(observations, dict) else [observations]
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(rewards.tobytes())
    envs.close()
    return digest.hexdigest()
'''

CHILDREN = """
def main(game, method):
    INHERITED.update({(game, one): make(game, *one) for one in ROWS})
    expected = play_all(game)
    assert len(set(expected[2:])) == 1, "threads change results"
    context = multiprocessing.get_context(method)
    jobs = [play_all, play_inherited] if method == "fork" else [play_all]
    for job in jobs:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            for done in [pool.submit(job, game) for _ in range(2)]:
                assert done.result() == expected, job
    assert play_all(game) == expected, "the parent goes on"
"""
ASYNC = """
def main(game, method):
    maker = Team if game == "cc4" else SocEnv
    play_all(game)
    expected = vector_digest(gymnasium.vector.SyncVectorEnv([maker] * 2))
    assert vector_digest(gymnasium.vector.AsyncVectorEnv([maker] * 2, context=method)) == expected
"""
THREADS = """
def main(game, method):
    expected = play_all(game)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(play_all, game) for _ in range(8)]:
            assert done.result() == expected
"""
NO_LAYER = """
def main(game, method):
    import numba
    for one in ROWS[:3] if game == "cc4" else ROWS:
        play(game, *one)
    try:
        raise SystemExit(f"a threading layer was started: {numba.threading_layer()}")
    except ValueError:
        pass  # none
"""
START = """
if __name__ == "__main__":
    main(*sys.argv[1:])
    print("same")
"""


def run(folder, main, game, method="fork"):
    """Run a script in a process group of its own, which is stopped when its time is up."""
    script = folder / "players.py"  # a file: spawned children import it
    script.write_text(PLAYERS + main + START)
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(script), game, method],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        pytest.fail(f"{game}, {method}: no end after {SECONDS} s")
    assert (process.returncode, out) == (0, "same\n"), errors[-3000:]


def needs(method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("method", METHODS)
def test_children_play_after_the_parent_used_threads(tmp_path, game, method):
    needs(method)
    run(tmp_path, CHILDREN, game, method)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("method", METHODS)
def test_gymnasium_plays_them_in_processes(tmp_path, game, method):
    needs(method)
    run(tmp_path, ASYNC, game, method)


@pytest.mark.parametrize("game", GAMES)
def test_threads_play_different_environments_at_once(tmp_path, game):
    run(tmp_path, THREADS, game)


@pytest.mark.parametrize("game", GAMES)
def test_one_thread_starts_no_others(tmp_path, game):
    run(tmp_path, NO_LAYER, game)
