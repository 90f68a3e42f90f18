"""The Python face: what the command line does, as functions that return values.

``from evaluation import evaluate, load_run, compare, list_policies, list_variants, list_games``. Arguments get the
checks of the command line, and a wrong one raises :class:`evaluation.inputs.errors.BadInput`, a ``ValueError`` with one
sentence. Nothing is written unless a folder is given.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.foreign.limits import TIME_LIMIT, Limits
from evaluation.harness.compare import Comparison
from evaluation.harness.compare import Run as Side
from evaluation.harness.compare import compare as compare_sides
from evaluation.harness.game import GAMES, Game, find_game
from evaluation.harness.run_folder import RunFolder
from evaluation.harness.schema import EvalSpec, Row, RunSummary
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput, PolicyFailure
from evaluation.jobs.evaluate import check_same_game, play_missing, prepare, summary_of
from evaluation.policies.registry import given_policies
from native_sim.api import Policy
from native_sim.storage.writing import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


@dataclass(frozen=True)
class Figure:
    """A figure as SVG text; a notebook shows it."""

    name: str
    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the figure as an SVG file and return its path."""
        return _write(path, self.svg)


@dataclass(frozen=True)
class Report:
    """A report as one HTML page without scripts; a notebook shows it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> Path:
        """Write the page and return its path."""
        return _write(path, self.html)


@dataclass(frozen=True)
class Run:
    """An evaluation: what was asked, every episode, and what they come to."""

    spec: EvalSpec
    rows: Sequence[Row]
    """The finished episodes, sorted by policy (in the order asked) and index."""
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    path: Path | None = None
    """Run folder; None if nothing was written."""
    failures: Sequence[PolicyFailure] = ()
    """Policies that failed; each plays no further episode."""

    @cached_property
    def game(self) -> Game:
        """The game that was played."""
        return find_game(self.spec.game)

    @cached_property
    def summary(self) -> RunSummary:
        """Mean, intervals, metrics and comparisons of every policy."""
        return summary_of(self.spec, self.rows, self.path or "this run")

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """One row per episode, [episodes, columns].

        ``policy`` is categorical in the order asked; ``index`` (position of the seed), ``seed`` and counts are whole
        numbers; ``score`` and metrics are floats, NaN where a metric is not defined. ``attrs["units"]`` has the unit of
        every column, and ``attrs["meanings"]`` a sentence.
        """
        import pandas as pd

        cells = [self.game.cells(row) for row in self.rows]
        frame = pd.DataFrame(cells, columns=list(cells[0]) if cells else None)
        columns = {column.name: column for column in self.game.columns(self.spec.variant_knobs)}
        if cells:
            frame["policy"] = pd.Categorical(frame["policy"], categories=list(self.spec.policies), ordered=True)
            whole = [name for name, column in columns.items() if column.unit == "count" and name in frame]
            frame = frame.astype(dict.fromkeys([name for name in whole if frame[name].notna().all()], "int64"))
            floats = [name for name, column in columns.items() if column.unit != "count" and name in frame]
            frame = frame.astype({name: "float64" for name in floats if name not in ("policy", "engine", "variant")})
        frame.attrs["units"] = {name: column.unit for name, column in columns.items() if name in frame}
        frame.attrs["meanings"] = {name: column.meaning for name, column in columns.items() if name in frame}
        return frame

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per policy: n, mean, std, low and high of the 95 % interval, median, interquartile mean, metrics."""
        import pandas as pd

        found = {}
        for name, one in self.summary.policies.items():
            low, high = one.ci95 or (float("nan"), float("nan"))
            found[name] = {
                "n": one.n,
                "mean": one.mean,
                "std": one.std,
                "ci95_low": low,
                "ci95_high": high,
                "median": one.median,
                "iqm": one.iqm,
                **{metric: value.shown[0] for metric, value in one.metrics.items()},
            }
        return pd.DataFrame.from_dict(found, orient="index").rename_axis("policy")

    def plot(self, name: str | None = None) -> Figure:
        """Return one figure of the report.

        Args:
            name: One of :meth:`figure_names`; None for the first.

        Raises:
            BadInput: If there is no such figure.
        """
        names = self.figure_names()
        chosen = names[0] if name is None and names else name
        if chosen not in names:
            raise BadInput(f"unknown figure {name!r} of this run; there is {', '.join(names) or 'none'}")
        return Figure(chosen, self._figures[chosen])

    def figure_names(self) -> list[str]:
        """Return the names of the figures."""
        return list(self._figures)

    @cached_property
    def _figures(self) -> dict[str, str]:
        from evaluation.reporting.report import figures

        return figures(self.summary, self.rows)

    def report(self, path: str | Path | None = None) -> Report:
        """Return the report as a page; write it too if a path is given."""
        from evaluation.reporting.report import render_html

        report = Report(render_html(self.summary, self.provenance, self._figures))
        if path is not None:
            report.save(path)
        return report

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {one.mean:.1f}" for name, one in self.summary.policies.items())
        return f"Run of {self.game.name} ({self.spec.variant}, {self.spec.engine}), {len(self.rows)} episodes: {means}"


def evaluate(
    *,
    policies: str | Policy | Sequence[str | Policy] | Mapping[str, Policy | str] | None = None,
    game: str | None = None,
    engine: str = "auto",
    variant: str | None = None,
    episodes: int = 100,
    steps: int | None = None,
    seed: int = 0,
    workers: int = 1,
    envs: int | None = None,
    out: str | Path | None = None,
    time_limit: float = TIME_LIMIT,
    memory_limit: float | None = None,
    progress: bool = True,
) -> Run:
    """Play episodes with several policies on the same seeds.

    Args:
        policies: Names as the command line takes them, policy objects, or a mapping from a name to either; None for
            the game's default ones. An object is called as its class is, and plays in this process.
        game: Key of the game, see :func:`list_games`; None for CC4.
        engine: One of the game's; ``auto`` for its default.
        variant: Name of a variant, see :func:`list_variants`, or the path of a TOML file; None for the game's own.
        episodes: Episodes of every policy, at least 1.
        steps: Step limit of an episode; None for the variant's.
        seed: Base seed of which all episode seeds are spawned.
        workers: Processes; changes no result. Policy objects play in this process only.
        envs: Environments per process; None for as many as suit the game; changes no result.
        out: Run folder to write and to resume; None writes nothing.
        time_limit: Seconds that a policy named ``module:object`` may take for one decision.
        memory_limit: GiB that such a policy may use; None for three quarters of the machine's memory.
        progress: Show a progress bar, in a terminal and in a notebook.

    Raises:
        BadInput: One sentence on the first thing that cannot be done.
        CyborgUnavailable: If CybORG is asked for, or needed, and is not there.
        PolicyFailure: If no policy finished an episode.
    """
    names, objects = _named(policies)
    if objects and workers != 1:
        raise BadInput(f"policy objects play in this process; give workers=1 with them; given workers={workers}")
    limits = Limits(time_limit, memory_limit)
    with tempfile.TemporaryDirectory(prefix="hmarl-transfer-") as scratch, given_policies(objects):
        place = Path(scratch) / "run" if out is None else Path(out)
        asked = ",".join(names)
        folder = prepare(engine, variant, steps, asked, episodes, seed, workers, envs, place, limits, game)
        try:
            failures = play_missing(folder, folder.read(), workers, envs, _console(progress), limits)
            rows = folder.read()
        finally:
            folder.close()
    if failures and not rows:
        raise failures[0]
    return Run(folder.spec, rows, folder.provenance, None if out is None else folder.path, failures)


def load_run(path: str | Path) -> Run:
    """Read a run folder without playing or changing anything.

    Raises:
        BadInput: If there is no run, or a file of it is damaged.
    """
    folder = RunFolder.open(Path(path))
    return Run(folder.spec, folder.read(), folder.provenance, folder.path)


def compare(run_a: Run | str | Path, run_b: Run | str | Path, *, margin: float = 0.0) -> Comparison:
    """Compare run B with run A, policy by policy, paired on the seeds that both have played.

    Args:
        run_a: The run compared with; a run or its folder.
        run_b: The run in question.
        margin: Difference that does not matter, in units of score, at least 0.

    Raises:
        BadInput: If a run cannot be read, or the two have nothing to compare.
    """
    ranges.check("--margin", margin, ranges.MARGIN)
    runs = [run if isinstance(run, Run) else load_run(run) for run in (run_a, run_b)]
    labels = [str(run.path) if run.path else f"run {letter}" for run, letter in zip(runs, "AB", strict=True)]
    check_same_game([(label, run.spec) for label, run in zip(labels, runs, strict=True)])
    for label, run in zip(labels, runs, strict=True):
        if not run.rows:
            raise BadInput(f"{label} holds no finished episode yet; run the evaluation first")
    sides = [Side(run.summary, run.rows, label) for label, run in zip(labels, runs, strict=True)]
    try:
        return compare_sides(sides[0], sides[1], margin)
    except ValueError as error:
        raise BadInput(str(error)) from error


def list_games() -> list[str]:
    """Return the keys of all games, those of installed packages too."""
    return list(GAMES.names())


def list_variants(game: str = "cc4") -> list[str]:
    """Return the names of the variants of a game.

    Raises:
        BadInput: If there is no such game.
    """
    return list(find_game(game).variant_names())


def list_policies(game: str = "cc4", variant: str | None = None) -> list[str]:
    """Return the registered policies of a game.

    Args:
        game: Key of the game.
        variant: Name of a variant; None for the game's own.

    Raises:
        BadInput: If there is no such game or variant.
    """
    found = find_game(game)
    try:
        setting = found.resolve(found.engines[0], found.default_variant if variant is None else variant, None)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return list(found.registry(setting.knobs).named)


# --------------------------------------------------------------------------------------------------------- helpers
def _named(policies: object) -> tuple[list[str], dict[str, Policy]]:
    """Return the names to play, and the objects among them by name.

    Raises:
        BadInput: If something given is neither a name nor a policy.
    """
    if policies is None:
        return [], {}
    if isinstance(policies, str):
        return [policies], {}
    entries: Iterable[tuple[str | None, object]]
    if isinstance(policies, Mapping):
        entries = policies.items()
    else:
        entries = [(None, one) for one in ([policies] if not isinstance(policies, Sequence) else policies)]
    names: list[str] = []
    objects: dict[str, Policy] = {}
    for given, one in entries:
        if isinstance(one, str):
            if given not in (None, one):
                raise BadInput(f"policy {one!r} is given under the name {given!r}; give a name of the registry alone")
            names.append(one)
            continue
        if isinstance(one, type) or not isinstance(one, Policy):
            raise BadInput(
                f"a policy must be a name or an object of a native_sim.Policy; given {one!r:.100}"
                + ("; give an object of the class, not the class" if isinstance(one, type) else "")
            )
        name = _free(given or type(one).__name__, objects)
        names.append(name)
        objects[name] = one
    return names, objects


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Return a name with a number behind it if it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _console(progress: bool) -> Console:
    """Return where bars go: a terminal or a notebook, or nowhere; what is told beside bars stays untold."""
    from rich.console import Console

    return Console(stderr=True) if progress else Console(file=io.StringIO())


def _write(path: str | Path, text: str) -> Path:
    """Write text.

    Raises:
        BadInput: If that is not possible.
    """
    try:
        write_atomically(Path(path), text)
    except OSError as error:
        raise BadInput(f"cannot write {path} ({error.strerror or error}); give a path that can be written") from error
    return Path(path)
