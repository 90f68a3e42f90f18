"""How often ``sentinel``'s Remove comes too late, and what other orders of its rules would score, on tuning seeds.

python benchmarks/sentinel_rules.py --variants base,aggressive-red
"""

import argparse

import numpy as np

import cage4
from cage4 import spec
from cage4.policies.host_memory import HostMemory
from cage4.policies.host_view import SLOT_SUBNET, look
from cage4.policies.sentinel import IMPACT_COST, Sentinel
from cage4.spec import Verb
from cage4.variants import get_variant
from evaluation.games.cc4.policies import make_policy
from evaluation.games.cc4.tally import CC4Tally
from evaluation.harness.rollout import Episode, Labels, play
from evaluation.harness.statistics import bootstrap_interval
from evaluation.jobs.evaluate import resolve

TUNING_SEED = 1000
LOST = -1000
"""A score below which at least one zone was lost."""


def stake(sight):
    return IMPACT_COST[sight.phase][:, SLOT_SUBNET[sight.agent]]


class RestoresAtOnce(Sentinel):
    """Pays a Restore for every reported exploit."""

    def command(self, orders, sight, memory):
        orders.host(Verb.RESTORE, memory.escalated | memory.intruded, stake(sight))
        super().command(orders, sight, memory)


class VerifiesFirst(Sentinel):
    """Looks whether the last Remove was in time before it begins another."""

    def command(self, orders, sight, memory):
        orders.host(Verb.RESTORE, memory.escalated, stake(sight))
        orders.host(Verb.ANALYSE, memory.unverified & ~memory.intruded, memory.age)
        super().command(orders, sight, memory)


class NeverWaits(Sentinel):
    """Looks at the next host when nothing else is to be done."""

    def command(self, orders, sight, memory):
        super().command(orders, sight, memory)
        orders.host(Verb.ANALYSE, sight.exists, memory.age)


RULES = {
    "sentinel": Sentinel,
    "Restore at once": RestoresAtOnce,
    "verify before the next Remove": VerifiesFirst,
    "never wait": NeverWaits,
    "punch": lambda: make_policy("punch"),
    "lancer": lambda: make_policy("lancer"),
}


class Watched(Sentinel):
    """Any of these policies, with a count of the exploits that it verified, and where red was root by then."""

    def __init__(self, policy):
        self.policy, self.verified, self.too_late = policy, 0, 0

    def act(self, obs, mask, memory, draws):
        for agent, name in enumerate(spec.BLUE_AGENTS):
            sight, before = look(agent, obs), HostMemory(*memory[name])
            verified = sight.analysed & before.unverified & ~before.intruded
            self.verified += verified.sum()
            self.too_late += (verified & sight.escalated).sum()
        return self.policy.act(obs, mask, memory, draws)


def line(name, variant, episodes):
    policy = Watched(RULES[name]())
    seeds = resolve("native", variant.name, None, "sentinel", episodes, TUNING_SEED).episode_seeds()
    env = cage4.vector_env("native", num_envs=episodes, variant=variant, rich=True)
    numbered = [Episode(i, seed) for i, seed in enumerate(seeds)]
    labels = Labels(name, "native", variant.id, spec.DEFAULT_STEPS)
    rows = list(play(env, policy, numbered, labels, CC4Tally(env, labels)))
    scores = np.array([row.score for row in rows])
    low, high = bootstrap_interval(scores, np.random.default_rng(0))
    late = f"{policy.too_late / policy.verified:.0%}" if policy.verified and name == "sentinel" else ""
    counts = [f"{np.mean([row.actions[verb] for row in rows]):.0f}" for verb in ("Remove", "Restore")]
    return (
        f"| {name} | {scores.mean():,.1f} [{low:,.1f}, {high:,.1f}] | {np.median(scores):,.1f} | "
        f"{(scores < LOST).mean():.0%} | {' | '.join(counts)} | {late} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=128)
    parser.add_argument("--variants", default="base,aggressive-red")
    options = parser.parse_args()
    for name in options.variants.split(","):
        variant = get_variant(name)
        print(f"\n{variant.id}, {options.episodes} episodes, base seed {TUNING_SEED}\n")
        print("| rules | mean | median | below -1,000 | Remove | Restore | too late |")
        print("|:--|--:|--:|--:|--:|--:|--:|")
        for rules in RULES:
            print(line(rules, variant, options.episodes), flush=True)


if __name__ == "__main__":
    main()
