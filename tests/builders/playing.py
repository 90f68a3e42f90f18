"""Playing episodes as the harness does."""

from evaluation.games.cc4.tally import CC4Tally
from evaluation.games.soc.tally import SocTally
from evaluation.harness import rollout
from native_sim.rollout import measure


def play(env, policy, episodes, labels):
    """Play episodes of CC4, or of the SOC simulator where the labels say so, and yield their rows."""
    tally = SocTally(env, policy, labels) if labels.engine == "soc" else CC4Tally(env, labels)
    return rollout.play(env, policy, episodes, labels, tally)


def play_soc(env, policy, seeds):
    """Play an episode of the SOC simulator per seed; return metric -> [number of seeds]."""
    found = measure(env, policy, seeds, env.metric_names)
    return {name: found[name] for name in env.metric_names}
