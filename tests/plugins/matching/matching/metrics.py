"""A metric that this package adds to CAGE Challenge 4."""

from evaluation.harness.metrics import Metric

QUIET = Metric(
    "quiet_steps",
    "count",
    "more",
    "steps without any loss",
    of=lambda row: sum(reward == 0 for reward in row.step_rewards),
    game="cc4",
)
