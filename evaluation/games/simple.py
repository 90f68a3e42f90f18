"""A game of which an environment, its policies and its metrics are all there is to say.

A subclass sets the class attributes and makes environments; rows, summaries, reports, resuming, comparisons and
training come from here. ``docs/own-game.md`` shows one of a few files.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from gymnasium.spaces import Box, Discrete

from evaluation.harness.game import Game, Setting
from evaluation.harness.metrics import Metric, metric_summaries
from evaluation.harness.rollout import Episode, Labels, Tally, play
from evaluation.harness.schema import EvalSpec, MeasuredRow, Row, RunSummary, ScoreSummary, VersusBaseline
from evaluation.inputs import ranges
from evaluation.inputs.errors import InvalidAnswer
from evaluation.policies import weights
from evaluation.policies.registry import Players, Registry, make_policy
from evaluation.reporting import parts
from evaluation.reporting.parts import Section
from native_sim.api import Array, Decision, Policy, StepBatch, VectorEnv

if TYPE_CHECKING:
    from rich.table import Table

    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.runs import TrainingGame


class SimpleGame(Game):
    """A game with one engine, named variants of keyword arguments, and episodes of at most a number of steps."""

    engines = ("native",)
    default_variant = "base"
    row_type = MeasuredRow
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"base": {}}
    """Name -> keyword arguments of :meth:`make_env`."""
    steps: ClassVar[int]
    """Step limit of an episode unless told otherwise."""
    num_envs: ClassVar[int] = 64
    """Environments per batch unless told otherwise; changes no result."""
    named_policies: ClassVar[Mapping[str, Callable[[], Policy]]]
    """Name -> factory; ``no-defense`` is what the others are compared with, if it is there."""
    declared_metrics: ClassVar[tuple[Metric, ...]] = ()
    """One without a function is read from ``infos[NAME]`` of the step that ends the episode."""

    @abstractmethod
    def make_env(self, num_envs: int, steps: int, **knobs: Any) -> VectorEnv:
        """Make environments of a variant.

        Raises:
            ValueError: If a knob is wrong.
        """

    # ------------------------------------------------------------------------------------------------- playing
    def resolve(self, engine: str, variant: str, steps: int | None) -> Setting:
        """Look up the variant."""
        if variant not in self.variants:
            raise ValueError(f"unknown variant {variant!r} of {self.name}; known variants: {', '.join(self.variants)}")
        length = self.steps if steps is None else steps
        ranges.check("--steps", length, ranges.EPISODE_STEPS)
        return Setting(engine, variant, dict(self.variants[variant]), length)

    def variant(self, knobs: Mapping[str, Any]) -> object:
        """Return the knobs."""
        return dict(knobs)

    def variant_names(self) -> tuple[str, ...]:
        """Return the named variants."""
        return tuple(self.variants)

    def registry(self, knobs: Mapping[str, Any]) -> Registry:
        """Return the named policies; trained weights, a user's own objects and ``all`` work too."""
        del knobs
        return Registry(
            named=self.named_policies,
            defaults=tuple(self.named_policies),
            players=Players(self.agents),
            kinds={"weights": weights.KIND},
            others="weights:DIR or module:object",
        )

    def batch_size(self, spec: EvalSpec) -> int:
        """Return the same for every variant."""
        del spec
        return self.num_envs

    def play(self, spec: EvalSpec, policy: str, episodes: Sequence[Episode], nested: bool) -> list[Row]:
        """Play a policy."""
        del nested
        made = make_policy(policy, self.registry(spec.variant_knobs))
        env = self.make_env(len(episodes), spec.steps, **spec.variant_knobs)
        labels = Labels(policy, spec.engine, spec.variant, spec.steps)
        names = [metric.name for metric in self.own_metrics(spec.variant_knobs) if metric.of is None]
        return list(play(env, made, episodes, labels, _SimpleTally(env, labels, names)))

    # ------------------------------------------------------------------------------------------------ training
    def training(self) -> TrainingGame:
        """Train with the environments that are played."""
        from hmarl_soc.training.runs import TrainingGame

        def make(config: Any, num_envs: int) -> VectorEnv:
            knobs = dict(config.knobs)
            variant = self.resolve(
                self.engines[0], knobs.pop("variant", self.default_variant), knobs.pop("steps", None)
            )
            return self.make_env(num_envs, variant.steps, **{**variant.knobs, **knobs})

        return TrainingGame(make)

    def training_settings(self, method: str, given: Mapping[str, Any], base: str | None) -> RunConfig:
        """Start from the defaults of the method, without a teacher."""
        from hmarl_soc.config import parse
        from hmarl_soc.registry import check_agents, config_class
        from hmarl_soc.tuned import merge

        if base is not None:
            raise ValueError(f"--base {base} was given, but {self.name} has no such settings; leave --base out")
        check_agents(method, self.agents, self.name)
        kind = config_class(method)
        mine = {"environment": {"engine": self.key, "teacher": "none"}, "method": kind.in_game.get(self.key, {})}
        return parse(merge(merge(mine, given), {"environment": {"engine": self.key}}), kind)

    # ----------------------------------------------------------------------------------------------- measuring
    def own_metrics(self, knobs: Mapping[str, Any]) -> tuple[Metric, ...]:
        """Return the declared ones."""
        del knobs
        return self.declared_metrics

    def summarise(
        self,
        spec: EvalSpec,
        rows: Mapping[str, Sequence[Row]],
        scores: Mapping[str, dict[str, Any]],
        versus: Mapping[str, VersusBaseline],
        common: dict[str, Any],
    ) -> RunSummary:
        """Add every metric."""
        metrics = self.metrics(spec.variant_knobs)
        found = {}
        for policy, played in rows.items():
            measured = metric_summaries(played, metrics, scores[policy]["ci95"], spec.generator("metrics", policy))
            found[policy] = ScoreSummary(**scores[policy], metrics=measured, versus_baseline=versus.get(policy))
        return RunSummary(**common, policies=found)

    # ----------------------------------------------------------------------------------------------- reporting
    def title(self, summary: RunSummary) -> str:
        """Return the title of the report."""
        return f"{self.name}: {summary.variant}"

    def lead(self, summary: RunSummary) -> str:
        """Return the first paragraph of the report."""
        if not summary.policies:
            return "No episode was finished, so there is nothing to report yet."
        best = max(summary.policies, key=lambda name: summary.policies[name].mean)
        found = summary.policies[best]
        mean = parts.interval(found.mean, found.ci95, 2)
        return f"The best mean score is {mean}, of {best} over {found.n} episodes. Brackets are 95 % intervals."

    def sections(self, summary: RunSummary, provenance: Mapping[str, Any]) -> list[Section]:
        """Return scores, metrics, comparisons and where they come from."""
        metrics = self.metrics({})
        versus = {name: found.versus_baseline for name, found in summary.policies.items()}
        found = [
            Section("Scores", table=parts.score_table(summary)),
            Section("Metrics", text=parts.metrics_note(metrics), table=parts.metric_table(summary, metrics)),
            Section("Against the baseline", table=parts.versus_table(versus, digits=2)),
            Section("All pairs", text=parts.pairs_note(summary), table=parts.pair_table(summary, 2)),
        ]
        made = Section("Where this comes from", table=parts.provenance_table(summary, provenance))
        return [section for section in found if section.table] + [made]

    def terminal_table(self, summary: RunSummary) -> Table:
        """Return mean, interval and metrics as a table."""
        metrics = [m for m in self.metrics({}) if any(m.name in f.metrics for f in summary.policies.values())]
        rows = [
            [
                name,
                parts.interval(found.mean, found.ci95, 2),
                str(found.n),
                *(parts.number(found.metrics[metric.name].shown[0], 2) for metric in metrics),
            ]
            for name, found in summary.policies.items()
        ]
        columns = ["score [95 %]", "n", *map(parts.metric_heading, metrics)]
        return parts.terminal_scores(self.title(summary), parts.caveats(summary, {}), columns, rows, 8)


class _SimpleTally(Tally):
    """Adds up rewards, and keeps the metrics that the step gives that ends an episode. E rows."""

    def __init__(self, env: VectorEnv, labels: Labels, names: Sequence[str]) -> None:
        self.env, self.labels, self.names, self.max_steps = env, labels, list(names), labels.steps
        self.scores = np.zeros(env.num_envs)
        self.metrics = np.full((env.num_envs, len(self.names)), np.nan)

    def start(self, rows: Array) -> None:
        """Forget what the rows held."""
        self.scores[rows] = 0.0
        self.metrics[rows] = np.nan

    def check(self, decision: Decision, count: int) -> None:
        """Refuse what is no action of an agent."""
        unknown = sorted(set(decision.actions) - set(self.env.agents))
        if unknown:
            raise InvalidAnswer(f"returned an action for {unknown[0]}; the agents are {', '.join(self.env.agents)}")
        spaces = cast(Any, self.env.single_action_space)
        for name in self.env.agents:
            if name not in decision.actions:
                raise InvalidAnswer(f"returned no action for {name}; every agent needs one")
            _check_action(name, np.asarray(decision.actions[name]), spaces[name], count)

    def after(self, rows: Array, time: Array, batch: StepBatch, done: Array) -> None:
        """Add up rewards."""
        self.scores[rows] += batch.rewards
        if done.any() and self.names:
            values = np.stack([np.asarray(batch.infos[name], np.float64) for name in self.names], axis=1)
            self.metrics[rows[done]] = values[done]

    def record(self, row: int, episode: Episode, length: int, wall_s: float) -> MeasuredRow:
        """Return the score and the metrics, with None for NaN."""
        values = dict(zip(self.names, self.metrics[row].tolist(), strict=True))
        return MeasuredRow(
            policy=self.labels.policy,
            index=episode.index,
            seed=episode.seed,
            engine=self.labels.engine,
            variant=self.labels.variant,
            score=float(self.scores[row]),
            metrics={name: value if np.isfinite(value) else None for name, value in values.items()},
            length=length,
            wall_s=round(wall_s, 4),
        )


def _check_action(name: str, action: Array, space: object, count: int) -> None:
    """Refuse actions of one agent that its space does not hold.

    Raises:
        InvalidAnswer: One sentence naming the agent, what it returned and what is allowed.
    """
    if isinstance(space, Discrete):
        if action.shape != (count,) or action.dtype.kind not in "iu":
            raise InvalidAnswer(
                f"returned actions of shape {action.shape} and type {action.dtype} for {name}; "
                f"allowed are integers of shape ({count},)"
            )
        wrong = action[(action < space.start) | (action >= space.start + space.n)]
        if wrong.size:
            raise InvalidAnswer(f"returned action {wrong[0]} for {name}; its actions are {space}")
    elif isinstance(space, Box):
        shape = (count, *space.shape)
        if action.shape != shape or not ((action >= space.low) & (action <= space.high)).all():
            raise InvalidAnswer(f"returned actions of shape {action.shape} for {name}; allowed are {shape} in {space}")
