"""Our rule-based defenders beside the published scores they imitate, as a Markdown table.

python benchmarks/heuristics.py --episodes 100
python benchmarks/heuristics.py --episodes 1000 --variants base
"""

import argparse

import numpy as np

from evaluation.harness.game import find_game
from evaluation.harness.rollout import Episode
from evaluation.harness.statistics import Moments, bootstrap_interval, welch_interval
from evaluation.jobs.evaluate import resolve

VARIANTS = ("base", "const-size", "phishing", "stealthy-red", "aggressive-red")
PUBLISHED = {
    "punch": ((-142, 44), (-94, 20), (-205, 78), (-158, 46), (-837, 203)),
    "lancer": ((-118, 40), (-71, 23), (-232, 79), (-871, 627), (-801, 236)),
    "uc": ((-113, 35), (-101, 36), (-534, 347), (-153, 112), (-508, 277)),
    "hmarl-expert": ((-129.53, 44.6),),
    "sentinel": (),
}
"""Policy -> (mean, standard deviation between episodes) per variant; Kiely et al. and Singh et al., see the docs."""
PUBLISHED_EPISODES = 100
BATCH = 128


def scores(policy, variant, episodes, seed):
    spec = resolve("native", variant, None, policy, episodes, seed)
    todo = [Episode(i, one) for i, one in enumerate(spec.episode_seeds())]
    batches = [todo[i : i + BATCH] for i in range(0, episodes, BATCH)]
    return np.array([row.score for batch in batches for row in find_game("cc4").play(spec, policy, batch, False)])


def cell(ours, published):
    low, high = bootstrap_interval(ours, np.random.default_rng(0))
    text = f"{ours.mean():,.1f} [{low:,.1f}, {high:,.1f}]"
    if published is None:
        return text
    mean, std = published
    apart = welch_interval(ours, Moments(PUBLISHED_EPISODES, mean, std))
    differs = "" if apart[0] <= 0 <= apart[1] else " ≠"
    return f"{text} ({mean:g} ± {std:g}{differs})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policies", default=",".join(PUBLISHED))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    options = parser.parse_args()
    variants = options.variants.split(",")
    print("| policy |", " | ".join(variants), "|")
    print("|:--|", "--:|" * len(variants), sep="")
    for policy in options.policies.split(","):
        row = []
        for variant in variants:
            column = VARIANTS.index(variant)
            known = PUBLISHED[policy][column] if column < len(PUBLISHED[policy]) else None
            row.append(cell(scores(policy, variant, options.episodes, options.seed), known))
        print(f"| {policy} |", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
