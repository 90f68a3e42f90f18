"""Is there something to learn in the SOC simulator? Scripted defenders, ablations, and the best constant action.

Prints the table of docs/soc-simulator.md. The constant action comes from a cross-entropy search with at least 10,000
evaluations on training networks; every row of the table is scored on held-out networks, on paired seeds.

    python benchmarks/soc_evidence.py --search best-constant.json
    python benchmarks/soc_evidence.py --constant best-constant.json --episodes 2000
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from native_sim.soc import spec
from native_sim.soc.config import make_config
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.episodes import play
from native_sim.soc.policies import POLICIES, Adaptive, ConstantActions

POPULATION, EPISODES, ELITES, FINAL_EPISODES = 256, 16, 24, 400
NUMBERS = 8 + 16 + 12
CHOICES = 5  # the four of triage, and leaving triage out
COLUMNS = (
    "reward", "csr", "exfiltrated", "length", "mttd", "mttr", "detected_share", "scan_fpr", "alert_fpr",
    "isolation_precision",
)  # fmt: skip


def split(numbers: np.ndarray, choice: np.ndarray) -> dict[str, np.ndarray]:
    """Return the actions of rows [N, 36] and choices [N]; all rows share whether triage acts."""
    actions = {"coordinator": numbers[:, :8], "hunter": numbers[:, 8:24], "responder": numbers[:, 24:]}
    return actions if choice[0] == 4 else {**actions, "triage": choice}


def score(env: SocVectorEnv, numbers: np.ndarray, choices: np.ndarray, seeds: list[int]) -> np.ndarray:
    """Return the mean reward of each candidate [P] over the seeds, all candidates on the same seeds."""
    total = np.zeros(len(numbers))
    for choice in np.unique(choices):
        chosen = np.flatnonzero(choices == choice)
        table = np.repeat(numbers[chosen], len(seeds), axis=0)
        rows = np.arange(len(table))
        env.reset(seed=seeds * len(chosen), rows=rows)
        rewards = np.zeros(len(table))
        while len(rows):
            batch = env.step(split(table[rows], np.full(len(rows), choice)), rows=rows)
            rewards[rows] += batch.rewards
            rows = rows[~(batch.terminations | batch.truncations)]
        total[chosen] = rewards.reshape(len(chosen), len(seeds)).mean(axis=1)
    return total


def search(env: SocVectorEnv, generations: int, rng: np.random.Generator, mean: np.ndarray) -> list:
    """Cross-entropy search from a start; return the means and the likeliest choices of the last generations."""
    spread, chances = np.full(NUMBERS, 0.7), np.full(CHOICES, 1 / CHOICES)
    found = []
    for generation in range(generations):
        numbers = np.clip(mean + spread * rng.standard_normal((POPULATION, NUMBERS)), -1, 1)
        choices = rng.choice(CHOICES, size=POPULATION, p=chances)
        seeds = [int(seed) for seed in rng.integers(0, 2**62, EPISODES)]
        rewards = score(env, numbers, choices, seeds)
        best = np.argsort(rewards)[-ELITES:]
        mean = 0.3 * mean + 0.7 * numbers[best].mean(axis=0)
        spread = np.maximum(0.3 * spread + 0.7 * numbers[best].std(axis=0), 0.04)
        counts = np.bincount(choices[best], minlength=CHOICES) / ELITES
        chances = 0.98 * (0.4 * chances + 0.6 * counts) + 0.02 / CHOICES
        chances /= chances.sum()
        found.append((mean.copy(), int(chances.argmax())))
        if generation % 5 == 4:
            print(
                f"  generation {generation + 1}: elites {rewards[best].mean():.2f}, all {rewards.mean():.2f}",
                flush=True,
            )
    return found[-5:]


def find_constant(level: str, evaluations: int, seed: int) -> dict:
    """Search from three starts, compare the finalists on fresh training seeds, return the best as a policy file."""
    rng = np.random.default_rng(seed)
    env = SocVectorEnv(make_config(level), max(POPULATION * EPISODES, 15 * FINAL_EPISODES))
    starts = [np.zeros(NUMBERS), np.full(NUMBERS, -0.5), np.r_[np.zeros(8), np.full(16, -0.8), np.full(12, 0.9)]]
    generations = -(-evaluations // (POPULATION * len(starts)))
    finalists = []
    for number, start in enumerate(starts):
        print(f"start {number + 1}")
        finalists += search(env, generations, rng, start)
    seeds = [int(s) for s in rng.integers(0, 2**62, FINAL_EPISODES)]
    numbers = np.stack([mean for mean, _ in finalists])
    rewards = score(env, numbers, np.array([choice for _, choice in finalists]), seeds)
    best, choice = finalists[int(rewards.argmax())]
    print(f"finalists {np.round(np.sort(rewards), 2)}; {generations * POPULATION * len(starts)} evaluations")
    actions = {role: value[0].round(3).tolist() for role, value in split(best[None], np.array([4])).items()}
    return actions if choice == 4 else {**actions, "triage": choice}


def table(level: str, episodes: int, constant: dict | None) -> None:
    """Print a row per policy, on held-out networks and paired seeds."""
    env = SocVectorEnv(make_config(level, held_out=True), min(episodes, 1000), with_state=True)
    policies = {name: make() for name, make in POLICIES["corrected"].items()}
    if constant is not None:
        policies["best-constant"] = ConstantActions(constant)
    policies |= {f"adaptive without {role}": Adaptive((role,)) for role in spec.AGENTS}
    base = play(env, policies["adaptive"], range(episodes))["reward"]
    print(f"\n| policy | {' | '.join(COLUMNS)} | reward - adaptive |\n|---|{'---|' * (len(COLUMNS) + 1)}")
    for name, policy in policies.items():
        result = play(env, policy, range(episodes))
        gap = result["reward"] - base
        error = 1.96 * gap.std(ddof=1) / np.sqrt(episodes)
        cells = [f"{np.nanmean(result[c]):.3f}" if np.isfinite(result[c]).any() else "-" for c in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} | {gap.mean():+.2f} ± {error:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="default")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--evaluations", type=int, default=23_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", type=Path, help="search the best constant action and write it here")
    parser.add_argument("--constant", type=Path, help="a constant action to put in the table")
    given = parser.parse_args()
    started = time.perf_counter()
    if given.search:
        found = find_constant(given.level, given.evaluations, given.seed)
        given.search.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        given.constant = given.search
    constant = json.loads(given.constant.read_text(encoding="utf-8")) if given.constant else None
    table(given.level, given.episodes, constant)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
