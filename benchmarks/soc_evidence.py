"""Is there something to learn in the SOC simulator? Scripted defenders, ablations, and the best constant action.

Prints the table of docs/soc-simulator.md. The constant action comes from an evolution strategy (CMA-ES) with more than
10,000 evaluations on training networks; every row of the table is scored on held-out networks, on paired seeds.

    python benchmarks/soc_evidence.py --search best-constant.json
    python benchmarks/soc_evidence.py --constant best-constant.json --episodes 2000
    python benchmarks/soc_evidence.py --by-level --episodes 1000
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from native_sim.api import ObservationBatch
from native_sim.rollout import measure
from native_sim.soc import spec
from native_sim.soc.config import LEVELS, make_config
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.policies import POLICIES, Adaptive, ConstantActions, Oracle

POPULATION, FINAL_EPISODES = 48, 1000
FIRST = (16, 16)  # generations and episodes per candidate, for each choice of triage
SECOND = (45, 24)  # for the best choices
NUMBERS = 8 + 16 + 12
CHOICES = 5  # the four of triage, and leaving triage out
COLUMNS = (
    "reward", "csr", "exfiltrated", "footholds", "length", "mttd", "mttr", "detected_share", "scan_fpr", "alert_fpr",
    "isolation_precision",
)  # fmt: skip


class Filtered(Oracle):
    """The oracle with the boundary filter held at one setting: does it pay to let the attacker spread?"""

    def __init__(self, setting: float) -> None:
        self.setting = setting

    def choose(self, obs: ObservationBatch, draws: np.ndarray) -> dict[str, np.ndarray]:
        """Decide as the oracle, but for the filter."""
        actions = super().choose(obs, draws)
        actions["coordinator"][:, 7] = self.setting
        return actions


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


class Evolution:
    """CMA-ES in the unit box [-1, 1]^36 with full covariance, written out (Hansen's default parameters)."""

    def __init__(self, mean: np.ndarray, sigma: float, rng: np.random.Generator) -> None:
        self.mean, self.sigma, self.rng, n = mean.copy(), sigma, rng, len(mean)
        weights = np.log(POPULATION / 2 + 0.5) - np.log(np.arange(1, POPULATION // 2 + 1))
        self.weights = weights / weights.sum()
        self.mass = 1 / (self.weights**2).sum()
        self.c_path, self.c_sigma = 4 / (n + 4), (self.mass + 2) / (n + self.mass + 5)
        self.c_one = 2 / ((n + 1.3) ** 2 + self.mass)
        self.c_mu = min(1 - self.c_one, 2 * (self.mass - 2 + 1 / self.mass) / ((n + 2) ** 2 + self.mass))
        self.damping = 1 + self.c_sigma
        self.norm = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        self.covariance, self.path, self.path_sigma = np.eye(n), np.zeros(n), np.zeros(n)

    def ask(self) -> np.ndarray:
        """Return candidates [P, 36]."""
        values, self.axes = np.linalg.eigh(self.covariance)
        self.scales = np.sqrt(np.maximum(values, 1e-12))
        steps = self.rng.standard_normal((POPULATION, len(self.mean))) * self.scales
        return np.clip(self.mean + self.sigma * steps @ self.axes.T, -1, 1)

    def tell(self, candidates: np.ndarray, rewards: np.ndarray) -> None:
        """Move towards the better half."""
        best = candidates[np.argsort(-rewards)[: POPULATION // 2]]
        steps = (best - self.mean) / self.sigma
        move = self.weights @ steps
        self.mean = self.mean + self.sigma * move
        whitened = self.axes @ ((self.axes.T @ move) / self.scales)
        self.path_sigma = (1 - self.c_sigma) * self.path_sigma + np.sqrt(
            self.c_sigma * (2 - self.c_sigma) * self.mass
        ) * whitened
        self.path = (1 - self.c_path) * self.path + np.sqrt(self.c_path * (2 - self.c_path) * self.mass) * move
        self.covariance = (
            (1 - self.c_one - self.c_mu) * self.covariance
            + self.c_one * np.outer(self.path, self.path)
            + self.c_mu * (steps.T * self.weights) @ steps
        )
        length = np.linalg.norm(self.path_sigma) / self.norm
        self.sigma = float(np.clip(self.sigma * np.exp(self.c_sigma / self.damping * (length - 1)), 0.02, 0.6))


def climb(env: SocVectorEnv, evolution: Evolution, choice: int, generations: int, episodes: int) -> None:
    """Run some generations, each on fresh seeds that its candidates share."""
    for _ in range(generations):
        candidates = evolution.ask()
        seeds = [int(seed) for seed in evolution.rng.integers(0, 2**62, episodes)]
        evolution.tell(candidates, score(env, candidates, np.full(POPULATION, choice), seeds))
    print(f"  triage {choice}: sigma {evolution.sigma:.2f}", flush=True)


def find_constant(level: str, seed: int, starts: list[dict]) -> dict:
    """Search per choice of triage, go on with the best three, return the best on fresh seeds as a policy file."""
    rng = np.random.default_rng(seed)
    env = SocVectorEnv(make_config(level), max(POPULATION * SECOND[1], FINAL_EPISODES * 8))
    neutral = np.r_[np.zeros(8), np.full(16, -0.5), np.full(12, 0.5)]
    runs = [(Evolution(neutral, 0.4, rng), choice) for choice in range(CHOICES)]
    for evolution, choice in runs:
        climb(env, evolution, choice, *FIRST)
    evaluations = CHOICES * FIRST[0] * POPULATION
    for given in starts:
        numbers = np.r_[given["coordinator"], given["hunter"], given["responder"]]
        runs.append((Evolution(numbers, 0.2, rng), given.get("triage", 4)))
    ranks = np.argsort(-rate(env, runs, rng))[:3]
    finalists = [runs[i] for i in ranks]
    for evolution, choice in finalists:
        climb(env, evolution, choice, *SECOND)
    evaluations += len(finalists) * SECOND[0] * POPULATION
    rewards = rate(env, finalists, rng)
    evolution, choice = finalists[int(rewards.argmax())]
    print(f"finalists {np.round(rewards, 2)}; {evaluations} evaluations")
    best = np.clip(evolution.mean, -1, 1)[None]
    actions = {role: value[0].round(3).tolist() for role, value in split(best, np.array([4])).items()}
    return actions if choice == 4 else {**actions, "triage": choice}


def rate(env: SocVectorEnv, runs: list, rng: np.random.Generator) -> np.ndarray:
    """Return the mean reward of the means of some runs on fresh training seeds."""
    seeds = [int(seed) for seed in rng.integers(0, 2**62, FINAL_EPISODES)]
    numbers = np.clip(np.stack([evolution.mean for evolution, _ in runs]), -1, 1)
    rewards = score(env, numbers, np.array([choice for _, choice in runs]), seeds)
    print("  means", [(choice, round(float(r), 2)) for (_, choice), r in zip(runs, rewards, strict=True)], flush=True)
    return rewards


def table(level: str, episodes: int, constant: dict | None) -> None:
    """Print a row per policy, on held-out networks and paired seeds."""
    env = SocVectorEnv(make_config(level, held_out=True), min(episodes, 1000), with_state=True)
    policies = {name: make() for name, make in POLICIES["corrected"].items()}
    if constant is not None:
        policies["constant given"] = ConstantActions(constant)
    policies |= {f"adaptive without {role}": Adaptive((role,)) for role in spec.AGENTS}
    policies |= {"oracle, filter open": Filtered(-1.0), "oracle, filter shut": Filtered(1.0)}
    base = measure(env, policies["adaptive"], range(episodes), env.metric_names)["reward"]
    print(f"\n| policy | {' | '.join(COLUMNS)} | reward with footholds, r | reward - adaptive |")
    print(f"|---|{'---|' * (len(COLUMNS) + 2)}")
    rewards = {}
    for name, policy in policies.items():
        result = measure(env, policy, range(episodes), env.metric_names)
        rewards[name] = result["reward"]
        cells = [f"{np.nanmean(result[c]):.3f}" if np.isfinite(result[c]).any() else "-" for c in COLUMNS]
        cells.append(f"{np.corrcoef(result['reward'], result['footholds'])[0, 1]:+.2f}")
        print(f"| {name} | {' | '.join(cells)} | {gap(result['reward'], base)} |", flush=True)
    print(f"\noracle, filter open - shut: {gap(rewards['oracle, filter open'], rewards['oracle, filter shut'])}")


def gap(one: np.ndarray, other: np.ndarray) -> str:
    """Return the mean of paired differences with its 95 % interval."""
    difference = one - other
    return f"{difference.mean():+.2f} ± {1.96 * difference.std(ddof=1) / np.sqrt(len(difference)):.2f}"


def by_level(episodes: int) -> None:
    """Print a row per complexity level."""
    shown = {"no-defense": ("exfiltrated", "length"), **dict.fromkeys(("adaptive", "oracle"), COLUMNS[:3])}
    titles = [f"{name}: {', '.join(columns)}" for name, columns in shown.items()]
    print(f"| level | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}")
    for level in LEVELS:
        env = SocVectorEnv(make_config(level, held_out=True), min(episodes, 1000), with_state=True)
        cells = []
        for name, columns in shown.items():
            result = measure(env, POLICIES["corrected"][name](), range(episodes), env.metric_names)
            cells.append(", ".join(f"{result[column].mean():.3g}" for column in columns))
        print(f"| `{level}` | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="default")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", type=Path, help="search the best constant action and write it here")
    parser.add_argument("--start", type=Path, nargs="*", default=[], help="constant actions to start from as well")
    parser.add_argument("--constant", type=Path, help="a constant action to put in the table")
    parser.add_argument("--by-level", action="store_true", help="print a row per level and stop")
    given = parser.parse_args()
    started = time.perf_counter()
    if given.by_level:
        by_level(given.episodes)
        return
    if given.search:
        starts = [json.loads(path.read_text(encoding="utf-8")) for path in given.start]
        found = find_constant(given.level, given.seed, starts)
        given.search.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        given.constant = given.search
    constant = json.loads(given.constant.read_text(encoding="utf-8")) if given.constant else None
    table(given.level, given.episodes, constant)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
