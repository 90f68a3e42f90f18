"""Playing episodes of CC4 as the harness does."""

from evaluation.games.cc4.tally import CC4Tally
from evaluation.harness import rollout


def play(env, policy, episodes, labels):
    """Play episodes of CC4 and yield their rows."""
    return rollout.play(env, policy, episodes, labels, CC4Tally(env, labels))
