"""What the harness must know of a game, and how a game is found by name.

Seeds, run folders, the loop, resuming and the statistics of scores are common. A game says which engines, variants
and policies it has, how a batch of episodes is played, what is counted along the way, and what its reports show.

The harness imports no game. :data:`GAMES` names the modules of ours; installed packages add theirs by the entry point
group :data:`GROUP`, each entry ``key = "module:Class"``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from evaluation.harness.metrics import Metric, added_metrics, measure
from evaluation.inputs.errors import BadInput
from native_sim.plugins import PluginError, Plugins

if TYPE_CHECKING:
    from rich.table import Table

    from evaluation.harness.rollout import Episode
    from evaluation.harness.schema import EvalSpec, Row, RunSummary, ScoreSummary, VersusBaseline
    from evaluation.policies.registry import Registry
    from evaluation.reporting.parts import Section
    from hmarl_soc.config import RunConfig
    from hmarl_soc.training.runs import TrainingGame

GROUP: Final = "hmarl_transfer.games"
"""Entry point group of games."""
GAMES: Final = Plugins(
    "game",
    GROUP,
    {"cc4": "evaluation.games.cc4.game:CC4", "soc": "evaluation.games.soc.game:Soc"},
)
"""Key -> where the class of the game is."""


@dataclass(frozen=True)
class Setting:
    """What is played, resolved."""

    engine: str
    variant: str  # id, such as base-v1
    knobs: dict[str, Any]  # every knob of the variant
    steps: int  # step limit of an episode


class Column(NamedTuple):
    """A column of a table of episodes."""

    name: str
    unit: str
    meaning: str


COLUMNS: Final = (
    Column("policy", "name", "what played"),
    Column("index", "count", "position of the seed among those of the run"),
    Column("seed", "count", "seed of the episode"),
    Column("engine", "name", "engine that played"),
    Column("variant", "name", "variant that was played"),
    Column("score", "points", "what policies are ranked by; more is better"),
    Column("length", "steps", "steps of the episode"),
    Column("wall_s", "seconds", "share of the wall time"),
)
"""What rows of all games have."""


class Game(ABC):
    """One game; holds no state. Subclasses set the class attributes and implement the abstract methods."""

    key: ClassVar[str]
    """What ``--game`` calls it, such as ``cc4``."""
    name: ClassVar[str]
    """What sentences call it, such as ``CAGE Challenge 4``."""
    engines: ClassVar[tuple[str, ...]]
    """What ``--engine`` takes, the default first."""
    default_variant: ClassVar[str]
    agents: ClassVar[tuple[str, ...]]
    """Names of the agents that a policy decides for; trained weights belong to the game whose agents they name."""

    @property
    def weights_advice(self) -> str:
        """What to do with trained weights of this game that were given to another one."""
        return f"use --game {self.key}"

    row_type: ClassVar[type[Row]]
    """The kind of row that an episode leaves behind."""

    # ------------------------------------------------------------------------------------------------- playing
    @abstractmethod
    def resolve(self, engine: str, variant: str, steps: int | None) -> Setting:
        """Look up what was asked; ``steps`` None is the variant's own limit.

        Raises:
            ValueError: One sentence on the first thing that cannot be done.
        """

    @abstractmethod
    def variant(self, knobs: Mapping[str, Any]) -> object:
        """Return what the knobs of a spec mean; equal objects are the same game.

        Raises:
            ValueError: If this version has no such knobs.
        """

    def variant_names(self) -> tuple[str, ...]:
        """Return the names of the variants, for listings; files of knobs are beside them."""
        return (self.default_variant,)

    @abstractmethod
    def registry(self, knobs: Mapping[str, Any]) -> Registry:
        """Return the policies that can play a variant."""

    @abstractmethod
    def batch_size(self, spec: EvalSpec) -> int:
        """Return how many environments one process plays at once unless told otherwise; changes no result."""

    @abstractmethod
    def play(self, spec: EvalSpec, policy: str, episodes: Sequence[Episode], nested: bool) -> list[Row]:
        """Play episodes together in this process; ``nested`` says that it is a worker, which starts none.

        Raises:
            PolicyFailure: If the policy raises or answers with something that is no action.
        """

    def provenance(self, spec: EvalSpec) -> dict[str, Any]:
        """Return what a reader needs beside our own versions to repeat a run: JSON values, no times."""
        del spec
        return {}

    # ------------------------------------------------------------------------------------------------ training
    def training(self) -> TrainingGame | None:
        """Return how learners are trained in this game; None if they are not."""
        return None

    def training_settings(self, method: str, given: Mapping[str, Any], base: str | None) -> RunConfig:
        """Return the settings of a training run.

        Args:
            method: What learns.
            given: Any of ``environment``, ``trainer`` and ``method``; wins over the game's defaults.
            base: Settings to start from, or None for the game's own choice.

        Raises:
            ValueError: If the method cannot learn in this game, or a setting means nothing there.
        """
        del given, base
        raise ValueError(f"method {method!r} cannot be trained in {self.name}: nothing can")

    # ----------------------------------------------------------------------------------------------- measuring
    def own_metrics(self, knobs: Mapping[str, Any]) -> tuple[Metric, ...]:
        """Return the metrics of a variant beside the score that the game declares itself."""
        del knobs
        return ()

    def metrics(self, knobs: Mapping[str, Any]) -> tuple[Metric, ...]:
        """Return all metrics of a variant: the game's own, and those that installed packages add.

        Raises:
            BadInput: If a metric of another package cannot be used.
        """
        own = self.own_metrics(knobs)
        return (*own, *added_metrics(self.key, own))

    def measured(self, rows: Iterable[Row], spec: EvalSpec) -> list[Row]:
        """Return finished rows with the metrics that are functions of them."""
        metrics = [metric for metric in self.metrics(spec.variant_knobs) if metric.of is not None]
        if not metrics:
            return list(rows)
        return [row.model_copy(update={"metrics": {**row.metrics, **measure(row, metrics)}}) for row in rows]

    def contradiction(self, row: Row, spec: EvalSpec) -> str | None:
        """Return in a few words what is impossible about a row of a run, or None."""
        del row, spec
        return None

    @abstractmethod
    def summarise(
        self,
        spec: EvalSpec,
        rows: Mapping[str, Sequence[Row]],
        scores: Mapping[str, dict[str, Any]],
        versus: Mapping[str, VersusBaseline],
        common: dict[str, Any],
    ) -> RunSummary:
        """Make the summary of a run.

        Args:
            spec: What was asked.
            rows: Policy -> its rows, in the order of the seeds; none without a row.
            scores: Policy -> fields of :class:`evaluation.harness.schema.ScoreSummary`.
            versus: Policy -> its comparison with the baseline, where there is one.
            common: All other fields of :class:`evaluation.harness.schema.RunSummary`.
        """

    def has_published_scores(self, variant: str, steps: int) -> bool:
        """Return whether the literature has scores of this variant, to which ours are then normalised."""
        del variant, steps
        return False

    def columns(self, knobs: Mapping[str, Any]) -> list[Column]:
        """Return the columns of a table of episodes, those of :meth:`cells`."""
        return [*COLUMNS, *(Column(metric.name, metric.unit, metric.meaning) for metric in self.metrics(knobs))]

    def cells(self, row: Row) -> dict[str, Any]:
        """Return column -> value of an episode, for tables; nested values are left out or spread."""
        found = row.model_dump(exclude={"metrics"})
        return {name: found[name] for name in found if not isinstance(found[name], dict | list | tuple)} | row.metrics

    # ----------------------------------------------------------------------------------------------- reporting
    figure_texts: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Name of a figure -> its title and caption."""

    @abstractmethod
    def title(self, summary: RunSummary) -> str:
        """Return the title of the report."""

    @abstractmethod
    def lead(self, summary: RunSummary) -> str:
        """Return the first paragraph of the report."""

    @abstractmethod
    def sections(self, summary: RunSummary, provenance: Mapping[str, Any]) -> list[Section]:
        """Return the sections of the report."""

    @abstractmethod
    def terminal_table(self, summary: RunSummary) -> Table:
        """Return the scores as a table for the terminal."""

    def figures(self, summary: RunSummary, rows: Sequence[Row]) -> dict[str, str]:
        """Draw the figures of a report: name, a key of :attr:`figure_texts`, -> SVG text."""
        del summary, rows
        return {}

    def answer(self, found: ScoreSummary) -> dict[str, Any]:
        """Return what ``--json`` prints of one policy: its score, and its metrics if it has any."""
        answer = {"mean": found.mean, "std": found.std, "ci95": found.ci95, "n": found.n}
        return {**answer, "metrics": found.model_dump(mode="json")["metrics"]} if found.metrics else answer


_DECLARED: Final = ("key", "name", "engines", "default_variant", "agents", "row_type")
"""Class attributes that every game sets."""


@cache
def find_game(key: str) -> Game:
    """Return a game by its key.

    Raises:
        BadInput: If there is no such game, or the package that brings it is broken.
    """
    try:
        made = GAMES.load(key)
    except PluginError as error:
        raise BadInput(str(error)) from error
    try:
        game: object = made()
    except TypeError as error:
        raise BadInput(
            f"game {key!r} cannot be made ({error}); {GAMES.origin(key)} must give a complete Game"
        ) from None
    if not isinstance(game, Game):
        raise BadInput(f"game {key!r} is no evaluation.harness.game.Game; {GAMES.origin(key)} must give one")
    missing = [name for name in _DECLARED if not hasattr(game, name)]
    if missing:
        raise BadInput(f"game {key!r} lacks {', '.join(missing)}; {GAMES.origin(key)} must set it")
    return game


def game_of_weights(agents: tuple[str, ...]) -> Game | None:
    """Return the game in which weights of these agents were trained; None if no game has them."""
    for key in GAMES.names():
        try:
            game = find_game(key)
        except BadInput:
            continue  # of another package, which is broken: its weights are not known then
        if game.agents == agents:
            return game
    return None
