"""What is counted along the way in an episode of CC4, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cage4 import actions, score, spec
from cage4.spec import Verb
from evaluation.games.cc4.schema import EpisodeRecord
from evaluation.harness.rollout import Episode, Labels, Tally
from evaluation.inputs.errors import InvalidAnswer
from native_sim.api import ActionBatch, Array, Decision, FloatArray, StepBatch, VectorEnv


class CC4Tally(Tally):
    """Rewards by step, phase, subnet and cause; submissions by verb, invalid and busy ones. E rows, T steps."""

    def __init__(self, env: VectorEnv, labels: Labels) -> None:
        count = env.num_envs
        self.agents, self.labels = env.agents, labels
        self.max_steps = spec.episode_length(labels.steps)
        self.busy = np.zeros((count, spec.NUM_BLUE), np.int64)  # ticks left before the coming step
        self.rewards = np.zeros((count, self.max_steps))
        self.parts = np.zeros((count, spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        self.costs = np.zeros((count, spec.NUM_PHASES))
        self.verbs = np.zeros((count, spec.NUM_VERBS), np.int64)
        self.invalid = np.zeros(count, np.int64)
        self.dropped = np.zeros(count, np.int64)

    def start(self, rows: Array) -> None:
        """Forget what the rows held."""
        for array in (self.rewards, self.parts, self.costs, self.verbs, self.invalid, self.dropped):
            array[rows] = 0

    def check(self, decision: Decision, count: int) -> None:
        """Refuse a decision that is not one legal index per agent and row."""
        check_decision(decision, count)

    def before(self, rows: Array, submitted: ActionBatch, mask: ActionBatch) -> None:
        """Count submissions."""
        chosen = np.stack([submitted[name] for name in self.agents], axis=1)  # [N, A]
        verbs = actions.VERB[np.arange(spec.NUM_BLUE), chosen]  # [N, A]
        np.add.at(self.verbs, (rows[:, None], verbs), 1)
        place = np.arange(len(rows))
        for i, name in enumerate(self.agents):
            self.invalid[rows] += mask[name][place, chosen[:, i]] == 0
        self.dropped[rows] += ((self.busy[rows] > 0) & (verbs != Verb.SLEEP)).sum(axis=1)

    def after(self, rows: Array, time: Array, batch: StepBatch, done: Array) -> None:
        """Add up rewards."""
        self.rewards[rows, time] = batch.rewards
        kept = rows[~done]  # the step that ends an episode does not count
        phase = np.asarray(batch.infos["phase"])[~done]
        self.parts[kept, phase] += np.asarray(batch.infos["reward_parts"])[~done]
        self.costs[kept, phase] += np.asarray(batch.infos["action_cost"])[~done]

    def see(self, rows: Array, infos: Mapping[str, Any]) -> None:
        """Note which agents are busy."""
        self.busy[rows] = infos["busy"]

    def record(self, row: int, episode: Episode, length: int, wall_s: float) -> EpisodeRecord:
        """Score the episode."""
        return make_record(
            episode,
            self.labels,
            rewards=self.rewards[row, :length],
            parts=self.parts[row],
            costs=self.costs[row],
            actions={verb.cyborg_name: int(self.verbs[row, verb]) for verb in Verb},
            invalid=int(self.invalid[row]),
            busy=int(self.dropped[row]),
            wall_s=wall_s,
        )


def make_record(
    episode: Episode,
    labels: Labels,
    *,
    rewards: FloatArray,
    parts: FloatArray,
    costs: FloatArray,
    actions: dict[str, int],
    invalid: int,
    busy: int,
    wall_s: float,
) -> EpisodeRecord:
    """Score a finished episode and make its row.

    Args:
        episode: What was played.
        labels: What the rows of this rollout have in common.
        rewards: [T] team reward of every step call, the one that returned done included.
        parts: [3 phases, 9 subnets, 3 parts] of the counted steps.
        costs: [3 phases] cost of blue's own actions in the counted steps.
        actions: Submissions by verb.
        invalid: Submissions under a zero of the mask.
        busy: Submissions other than Sleep while an action was in progress.
        wall_s: Seconds.
    """
    result = score.official_score(rewards, labels.steps)
    first, second, third = (float(cost) for cost in costs)
    return EpisodeRecord(
        policy=labels.policy,
        index=episode.index,
        seed=episode.seed,
        engine=labels.engine,
        variant=labels.variant,
        score=result.score,
        phase_scores=result.phase_scores,
        parts=parts.tolist(),
        action_costs=(first, second, third),
        length=len(rewards),
        actions=actions,
        invalid=invalid,
        busy=busy,
        step_rewards=result.step_rewards.tolist(),
        wall_s=round(wall_s, 4),
    )


def check_decision(decision: Decision, count: int) -> None:
    """Refuse a decision that is not one legal index per agent and row.

    Raises:
        InvalidAnswer: One sentence naming the agent, what it returned and what is allowed.
    """
    for i, name in enumerate(spec.BLUE_AGENTS):
        if name not in decision.actions:
            raise InvalidAnswer(f"returned no action for {name}; every blue agent needs one")
        chosen = np.asarray(decision.actions[name])
        if chosen.shape != (count,) or chosen.dtype.kind not in "iu":
            raise InvalidAnswer(
                f"returned actions of shape {chosen.shape} and type {chosen.dtype} for {name}; "
                f"allowed are integers of shape ({count},)"
            )
        wrong = chosen[(chosen < 0) | (chosen >= spec.NUM_ACTIONS[i])]
        if wrong.size:
            raise InvalidAnswer(
                f"returned action {wrong[0]} for {name}; its actions are 0 to {spec.NUM_ACTIONS[i] - 1}"
            )
    if decision.messages is not None:
        bits = np.asarray(decision.messages)
        if bits.shape != (count, spec.NUM_BLUE, spec.MESSAGE_BITS) or not np.isin(bits, (0, 1)).all():
            raise InvalidAnswer(
                f"returned messages of shape {bits.shape}; allowed are bits (0 or 1) of shape "
                f"({count}, {spec.NUM_BLUE}, {spec.MESSAGE_BITS}), or None"
            )
    unknown = sorted(set(decision.actions) - set(spec.BLUE_AGENTS))
    if unknown:
        raise InvalidAnswer(f"returned an action for {unknown[0]}; the agents are {', '.join(spec.BLUE_AGENTS)}")
