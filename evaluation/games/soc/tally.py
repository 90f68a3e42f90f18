"""What is counted along the way in an episode of the SOC simulator, and its record."""

from __future__ import annotations

import math

import numpy as np

from evaluation.games.soc.schema import SocRecord
from evaluation.harness.rollout import Episode, Labels, Tally
from evaluation.inputs.errors import InvalidAnswer
from native_sim.api import Array, Decision, Policy, StepBatch
from native_sim.soc.env import SocVectorEnv
from native_sim.soc.validate import check_actions


class SocTally(Tally):
    """The metrics that the simulator gives when an episode ends."""

    def __init__(self, env: SocVectorEnv, policy: Policy, labels: Labels) -> None:
        self.labels, self.names = labels, env.metric_names
        self.sees_truth = "state" in policy.wants
        self.max_steps = env.config.max_steps
        self.metrics = np.full((env.num_envs, len(self.names)), np.nan)  # [E, M], of the last episode of each row

    def start(self, rows: Array) -> None:
        """Forget what the rows held."""
        self.metrics[rows] = np.nan

    def check(self, decision: Decision, count: int) -> None:
        """Refuse what is no action of a role; a role may be left out."""
        if decision.messages is not None:
            raise InvalidAnswer("returned messages; the roles of the SOC send none, so give None")
        try:
            check_actions(decision.actions, count)
        except ValueError as error:
            raise InvalidAnswer(str(error)) from error

    def after(self, rows: Array, time: Array, batch: StepBatch, done: Array) -> None:
        """Keep the metrics of the episodes that ended."""
        if done.any():
            values = np.stack([batch.infos[name] for name in self.names], axis=1)
            self.metrics[rows[done]] = values[done]

    def record(self, row: int, episode: Episode, length: int, wall_s: float) -> SocRecord:
        """Return the metrics, with None for NaN."""
        values = dict(zip(self.names, self.metrics[row].tolist(), strict=True))
        return SocRecord(
            policy=self.labels.policy,
            index=episode.index,
            seed=episode.seed,
            engine=self.labels.engine,
            variant=self.labels.variant,
            score=values["reward"],
            length=length,
            sees_truth=self.sees_truth,
            metrics={name: value if math.isfinite(value) else None for name, value in values.items()},
            wall_s=round(wall_s, 4),
        )
