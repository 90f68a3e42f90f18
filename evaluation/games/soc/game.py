"""The SOC simulator as a game of the harness."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from evaluation.games.soc import policies, report
from evaluation.games.soc.metrics import METRICS
from evaluation.games.soc.row_checks import contradictions
from evaluation.games.soc.schema import SocPolicySummary, SocRecord, SocSummary
from evaluation.games.soc.tally import SocTally
from evaluation.harness.game import Game, Setting
from evaluation.harness.metrics import Metric, metric_summaries
from evaluation.harness.rollout import Episode, Labels, play
from evaluation.harness.schema import EvalSpec, Row, RunSummary, VersusBaseline
from evaluation.policies.registry import Registry, make_policy
from native_sim.soc.config import SocConfig
from native_sim.soc.spec import AGENTS
from native_sim.soc.variants import get_variant

if TYPE_CHECKING:
    from rich.table import Table

    from evaluation.reporting.parts import Section
    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.runs import TrainingGame
    from native_sim.soc.env import SocVectorEnv

ENGINE: Final = "soc"
"""What specs and rows call the engine, of which there is one."""
MOST_ENVS: Final = 500
"""Environments per batch unless told otherwise; fewer where networks or episodes are large."""
MOST_HOSTS: Final = 5_000_000
"""Hosts of a batch: 140 MB under the reference rules, 15 MB under the corrected ones."""
MOST_STEPS: Final = 200_000
"""Steps of a batch: bounds what grows with the length of episodes."""


class Soc(Game):
    """Four roles defend an enterprise of five segments, under the corrected or the reference rules."""

    key = "soc"
    name = "the SOC simulator"
    engines = ("auto", "native")
    default_variant = "corrected"
    agents = AGENTS
    row_type = SocRecord
    figure_texts = report.FIGURES

    def resolve(self, engine: str, variant: str, steps: int | None) -> Setting:
        """Look up the variant; networks and campaigns are held-out ones unless a file says otherwise."""
        if engine not in (*self.engines, ENGINE):
            raise ValueError(f"the SOC simulator has no engine {engine!r}; leave --engine out")
        found = get_variant(variant, held_out=True)
        try:
            config = found.config if steps is None else replace(found.config, max_steps=steps)
        except ValueError as error:
            raise ValueError(f"--steps sets max_steps: {error}") from error
        return Setting(ENGINE, found.id, config.to_dict(), config.max_steps)

    @property
    def weights_advice(self) -> str:
        """Such weights may also be carried onto CC4."""
        return f"{super().weights_advice}, or carry them onto CC4 with hmarl-transfer calibrate"

    def variant(self, knobs: Mapping[str, Any]) -> SocConfig:
        """Return the configuration."""
        try:
            return SocConfig(**knobs)
        except TypeError as error:
            raise ValueError(f"this version of the SOC simulator has other knobs ({error})") from error

    def variant_names(self) -> tuple[str, ...]:
        """Return the rule sets, and the corrected one at its levels."""
        from native_sim.soc.config import LEVELS
        from native_sim.soc.spec import RULES

        return (*RULES, *(f"corrected:{level}" for level in LEVELS))

    def registry(self, knobs: Mapping[str, Any]) -> Registry:
        """Return the policies of the rule set."""
        return policies.soc_registry(self.variant(knobs).rules)

    def batch_size(self, spec: EvalSpec) -> int:
        """Return many, but not more than there is room for."""
        config = self.variant(spec.variant_knobs)
        return max(1, min(MOST_ENVS, MOST_HOSTS // config.num_hosts, MOST_STEPS // config.max_steps))

    def play(self, spec: EvalSpec, policy: str, episodes: Sequence[Episode], nested: bool) -> list[Row]:
        """Play a policy."""
        made = make_policy(policy, self.registry(spec.variant_knobs))
        config = self.variant(spec.variant_knobs)
        env = _environment(config, len(episodes), 1 if nested else None, "state" in made.wants, os.getpid())
        labels = Labels(policy, spec.engine, spec.variant, spec.steps)
        return list(play(env, made, episodes, labels, SocTally(env, made, labels)))

    def training(self) -> TrainingGame:
        """Train under either rule set."""
        from hmarl_soc.training import runs

        return runs.SOC

    def training_settings(self, method: str, given: Mapping[str, Any], base: str | None) -> RunConfig:
        """Start from the settings found by tuning, or from those of the paper."""
        from hmarl_soc.registry import check_agents, config_class
        from hmarl_soc.tuned import complete

        check_agents(method, self.agents, self.name)
        return complete(config_class(method), given, "tuned" if base is None else base)

    def own_metrics(self, knobs: Mapping[str, Any]) -> tuple[Metric, ...]:
        """Return the metrics of the rule set."""
        return METRICS[self.variant(knobs).rules]

    def contradiction(self, row: Row, spec: EvalSpec) -> str | None:
        """Check sums, counts and ranges."""
        return next(contradictions(row, spec), None) if isinstance(row, SocRecord) else None

    def summarise(
        self,
        spec: EvalSpec,
        rows: Mapping[str, Sequence[Row]],
        scores: Mapping[str, dict[str, Any]],
        versus: Mapping[str, VersusBaseline],
        common: dict[str, Any],
    ) -> SocSummary:
        """Add every metric."""
        summaries, config = {}, self.variant(spec.variant_knobs)
        metrics = self.metrics(spec.variant_knobs)
        for policy, played in rows.items():
            episodes = [row for row in played if isinstance(row, SocRecord)]
            summaries[policy] = SocPolicySummary(
                **scores[policy],
                sees_truth=any(row.sees_truth for row in episodes),
                metrics=metric_summaries(episodes, metrics, scores[policy]["ci95"], spec.generator("metrics", policy)),
                versus_baseline=versus.get(policy),
            )
        return SocSummary(**common, knobs={**config.to_dict(), **spec.variant_knobs}, policies=summaries)

    def title(self, summary: RunSummary) -> str:
        """Return the title of the report."""
        return report.title(_of_soc(summary))

    def lead(self, summary: RunSummary) -> str:
        """Return the first paragraph of the report."""
        return report.lead(_of_soc(summary))

    def sections(self, summary: RunSummary, provenance: Mapping[str, Any]) -> list[Section]:
        """Return the sections of the report."""
        return report.sections(_of_soc(summary), provenance)

    def terminal_table(self, summary: RunSummary) -> Table:
        """Return the scores as a table for the terminal."""
        return report.terminal_table(_of_soc(summary))

    def figures(self, summary: RunSummary, rows: Sequence[Row]) -> dict[str, str]:
        """Draw the figures of a report."""
        from evaluation.games.soc import plots

        return plots.figures(_of_soc(summary), [row for row in rows if isinstance(row, SocRecord)])


def _of_soc(summary: RunSummary) -> SocSummary:
    assert isinstance(summary, SocSummary)
    return summary


@lru_cache(maxsize=2)
def _environment(config: SocConfig, num_envs: int, threads: int | None, with_state: bool, process: int) -> SocVectorEnv:
    """Keep an environment for the next batch of the same size; ``process`` guards against a fork's inheritance."""
    from native_sim.soc.env import SocVectorEnv

    return SocVectorEnv(config, num_envs, threads, with_state)
