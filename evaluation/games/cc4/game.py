"""CAGE Challenge 4 as a game of the harness."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cage4.spec import BLUE_AGENTS
from evaluation.games.cc4 import policies, report
from evaluation.games.cc4.row_checks import contradictions
from evaluation.games.cc4.schema import (
    EPISODE_COLUMNS,
    EpisodeRecord,
    PolicySummary,
    Summary,
    episode_cells,
    has_published_scores,
)
from evaluation.games.cc4.submissions import play_submission
from evaluation.games.cc4.tally import CC4Tally
from evaluation.harness.game import Column, Game, Setting
from evaluation.harness.metrics import metric_summaries
from evaluation.harness.rollout import Episode, Labels, play
from evaluation.harness.schema import EvalSpec, Row, RunSummary, VersusBaseline
from evaluation.inputs import ranges
from evaluation.policies.registry import Registry, program_of

if TYPE_CHECKING:
    from rich.table import Table

    from cage4.variants import Variant
    from evaluation.reporting.parts import Section
    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.runs import TrainingGame
    from native_sim.api import VectorEnv

NATIVE_ENVS: Final = 128
"""Environments of the compiled engine per batch unless told otherwise; CybORG plays one at a time per process."""
NUM_AGENTS: Final = 5
"""Blue agents, each of whom receives the team's reward; HMARL-SOC reports their sum."""
STEPS: Final = 500


class CC4(Game):
    """Five blue agents on CybORG, or on the compiled engine that equals it."""

    key = "cc4"
    name = "CAGE Challenge 4"
    engines = ("auto", "native", "cyborg")
    default_variant = "base"
    agents = BLUE_AGENTS
    row_type = EpisodeRecord
    figure_texts = report.FIGURES

    def resolve(self, engine: str, variant: str, steps: int | None) -> Setting:
        """Look up engine and variant."""
        from cage4.engines import resolve_engine
        from cage4.variants import get_variant

        length = STEPS if steps is None else steps
        ranges.check("--steps", length, ranges.EPISODE_STEPS)
        chosen = resolve_engine(engine)
        knobs = get_variant(variant)
        return Setting(chosen, knobs.id, knobs.to_dict(), length)

    def variant(self, knobs: Mapping[str, Any]) -> Variant:
        """Return the scenario."""
        from cage4.variants import Variant

        return Variant.from_dict(knobs)

    def variant_names(self) -> tuple[str, ...]:
        """Return the named scenarios."""
        from cage4.variants import VARIANTS

        return tuple(VARIANTS)

    def registry(self, knobs: Mapping[str, Any]) -> Registry:
        """Return the same policies for every variant."""
        del knobs
        return policies.CC4

    def batch_size(self, spec: EvalSpec) -> int:
        """Return many for the compiled engine, one for CybORG."""
        return NATIVE_ENVS if spec.engine == "native" else 1

    def play(self, spec: EvalSpec, policy: str, episodes: Sequence[Episode], nested: bool) -> list[Row]:
        """Play a policy, or let a submission drive CybORG."""
        variant = self.variant(spec.variant_knobs)
        labels = Labels(policy, spec.engine, spec.variant, spec.steps)
        if program_of(policy, policies.CC4):
            return list(play_submission(policy, episodes, labels, variant))
        made = policies.make_policy(policy)
        rich = "rich" in made.wants
        env = _environment(spec.engine, variant, spec.steps, len(episodes), rich, nested, os.getpid())
        return list(play(env, made, episodes, labels, CC4Tally(env, labels)))

    def training(self) -> TrainingGame:
        """Train on the compiled engine."""
        from evaluation.games.cc4 import training

        return training.GAME

    def training_settings(self, method: str, given: Mapping[str, Any], base: str | None) -> RunConfig:
        """Start from the settings of CC4."""
        from evaluation.games.cc4 import training

        if base is not None:
            raise ValueError(
                f"--base {base} was given, but CAGE Challenge 4 has settings of its own to start from; leave --base out"
            )
        return training.settings(given, method)

    def provenance(self, spec: EvalSpec) -> dict[str, Any]:
        """Say which CybORG played."""
        if spec.engine != "cyborg":
            return {}
        from cage4.cyborg.engine import locate

        found = locate()
        return {"cyborg": found.version, "cyborg_commit": found.commit}

    def contradiction(self, row: Row, spec: EvalSpec) -> str | None:
        """Check sums and counts."""
        return next(contradictions(row, spec), None) if isinstance(row, EpisodeRecord) else None

    def columns(self, knobs: Mapping[str, Any]) -> list[Column]:
        """Add phases, causes, costs and submissions."""
        return [*super().columns(knobs), *EPISODE_COLUMNS]

    def cells(self, row: Row) -> dict[str, Any]:
        """Spread phases, causes and submissions over columns of their own."""
        assert isinstance(row, EpisodeRecord)
        return super().cells(row) | episode_cells(row)

    def has_published_scores(self, variant: str, steps: int) -> bool:
        """Return whether this is the official game."""
        return has_published_scores(variant, steps)

    def summarise(
        self,
        spec: EvalSpec,
        rows: Mapping[str, Sequence[Row]],
        scores: Mapping[str, dict[str, Any]],
        versus: Mapping[str, VersusBaseline],
        common: dict[str, Any],
    ) -> Summary:
        """Add means by phase, subnet, cause and verb."""
        metrics = self.metrics(spec.variant_knobs)
        found = {}
        for policy, played in rows.items():
            measured = metric_summaries(played, metrics, scores[policy]["ci95"], spec.generator("metrics", policy))
            figures = {**scores[policy], "metrics": measured}
            found[policy] = _policy_summary(_episodes(played), figures, versus.get(policy))
        return Summary(**common, policies=found)

    def title(self, summary: RunSummary) -> str:
        """Return the title of the report."""
        return report.title(_of_cc4(summary))

    def lead(self, summary: RunSummary) -> str:
        """Return the first paragraph of the report."""
        return report.lead(_of_cc4(summary))

    def sections(self, summary: RunSummary, provenance: Mapping[str, Any]) -> list[Section]:
        """Return the sections of the report."""
        return report.sections(_of_cc4(summary), provenance, self.metrics({}))

    def terminal_table(self, summary: RunSummary) -> Table:
        """Return the scores as a table for the terminal."""
        return report.terminal_table(_of_cc4(summary))

    def figures(self, summary: RunSummary, rows: Sequence[Row]) -> dict[str, str]:
        """Draw the figures of a report."""
        from evaluation.games.cc4 import plots

        return plots.figures(_of_cc4(summary), _episodes(rows))


def _of_cc4(summary: RunSummary) -> Summary:
    assert isinstance(summary, Summary)
    return summary


def _episodes(rows: Sequence[Row]) -> list[EpisodeRecord]:
    return [row for row in rows if isinstance(row, EpisodeRecord)]


def _policy_summary(
    rows: Sequence[EpisodeRecord], scores: dict[str, Any], versus: VersusBaseline | None
) -> PolicySummary:
    verbs = sorted({verb for row in rows for verb in row.actions})
    reasons = sorted({name for row in rows for name in row.fallbacks})
    return PolicySummary(
        **scores,
        phase_means=_mean_over([row.phase_scores for row in rows]),
        mean_sum_over_agents=NUM_AGENTS * scores["mean"],
        parts=_mean_over([row.parts for row in rows]),
        action_costs=_mean_over([row.action_costs for row in rows]),
        actions={verb: _mean_over([row.actions.get(verb, 0) for row in rows]) for verb in verbs},
        invalid=_mean_over([row.invalid for row in rows]),
        busy=_mean_over([row.busy for row in rows]),
        fallbacks={name: _mean_over([row.fallbacks.get(name, 0) for row in rows]) for name in reasons},
        versus_baseline=versus,
    )


def _mean_over(values: Sequence[Any]) -> Any:
    """Return the mean over episodes, nested as one value is."""
    return np.mean(np.asarray(values, dtype=np.float64), axis=0).tolist()


@lru_cache(maxsize=2)
def _environment(
    engine: str, variant: Variant, steps: int, num_envs: int, rich: bool, nested: bool, process: int
) -> VectorEnv:
    """Keep an environment for the next batch of the same size; ``process`` guards against a fork's inheritance."""
    import cage4

    options: dict[str, Any] = {"processes": 0} if engine == "cyborg" and nested else {}
    return cage4.vector_env(engine, num_envs=num_envs, variant=variant, steps=steps, rich=rich, **options)
