"""The main job, from a question to a report: prepare, play, publish; and the comparison of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evaluation.foreign.limits import Limits
from evaluation.foreign.process import Surroundings, scope
from evaluation.harness.game import GAMES, find_game
from evaluation.harness.run_folder import RunFolder, write_atomically
from evaluation.harness.schema import EvalSpec, Row, RunSummary
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput, PolicyFailure, split_list
from evaluation.policies.registry import ALL, check_policies, fingerprint
from native_sim.storage.writing import sweep

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.harness.compare import Comparison


@dataclass
class Result:
    """What an evaluation or a rebuilt report comes to."""

    summary: RunSummary
    path: Path
    failures: list[PolicyFailure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints; scores of CC4 are on the official scale."""
        game = find_game(self.summary.game)
        return {
            "policies": {name: game.answer(row) for name, row in self.summary.policies.items()},
            "engine": self.summary.engine,
            "variant": self.summary.variant,
            "run": str(self.path),
            **({"failures": [str(failure) for failure in self.failures]} if self.failures else {}),
        }


def game_and_engine(game: str | None, engine: str) -> tuple[str, str]:
    """Return game and engine of what was asked; engines that are the name of a game mean that game.

    Args:
        game: Key of a game, or None for the one that the engine tells, else CC4.
        engine: One of the game's.

    Raises:
        BadInput: If the game has no such engine.
    """
    if engine in GAMES.names() and game in (None, engine):
        game, engine = engine, "auto"
    found = find_game("cc4" if game is None else game)
    if engine == "auto" and engine not in found.engines:
        engine = found.engines[0]
    if engine not in found.engines:
        raise BadInput(f"unknown engine {engine!r} of {found.name}; choose {' or '.join(found.engines)}")
    return found.key, engine


def resolve(
    engine: str, variant: str, steps: int | None, policies: str, episodes: int, seed: int, game: str | None = None
) -> EvalSpec:
    """Turn what was asked into a full specification, or refuse it.

    Raises:
        BadInput: One sentence on the first thing that cannot be done.
        CyborgUnavailable: If CybORG is asked for, or needed, and is not there.
    """
    ranges.check("--episodes", episodes, ranges.EPISODES)
    ranges.check("--seed", seed, ranges.SEED)
    key, engine = game_and_engine(game, engine)
    found = find_game(key)
    try:
        setting = found.resolve(engine, variant, steps)
    except ValueError as error:
        raise BadInput(str(error)) from error
    registry = found.registry(setting.knobs)
    names = tuple(split_list("--policies", policies)) if policies else registry.defaults
    names = registry.all_names() if names == (ALL,) else names
    check_policies(names, setting.engine, registry)
    try:
        return EvalSpec(
            game=key,
            engine=setting.engine,
            variant=setting.variant,
            variant_knobs=setting.knobs,
            steps=setting.steps,
            policies=names,
            episodes=episodes,
            seed=seed,
        )
    except ValidationError as error:
        raise BadInput(f"the evaluation asked for is not possible: {error.errors()[0]['msg']}") from error


def prepare(
    engine: str,
    variant: str | None,
    steps: int | None,
    policies: str,
    episodes: int,
    seed: int,
    workers: int,
    envs: int | None,
    out: Path | None,
    limits: Limits | None = None,
    game: str | None = None,
) -> RunFolder:
    """Check everything and open the run folder for writing; nothing is played yet.

    What is None is left to the game: its own variant, the variant's steps, as many environments as suit it.
    ``limits`` are those of policies that are not ours; each of them is loaded once, in a process of its own.

    Raises:
        BadInput: One sentence on the first thing that cannot be done.
        CyborgUnavailable: If CybORG is asked for, or needed, and is not there.
    """
    from evaluation.harness.provenance import describe

    ranges.check("--workers", workers, ranges.WORKERS)
    ranges.check("--envs", envs, ranges.ENVS)
    key, engine = game_and_engine(game, engine)
    variant = find_game(key).default_variant if variant is None else variant
    with scope(Surroundings.here(limits)):
        spec = resolve(engine, variant, steps, policies, episodes, seed, key)
        registry = find_game(key).registry(spec.variant_knobs)
        digests = {name: fingerprint(name, registry) for name in spec.policies}
        provenance = describe(spec, {name: digest for name, digest in digests.items() if digest})
    path = out or Path("runs") / f"{spec.engine}-{spec.variant}-{spec.id}"
    asked = {"game": key, "engine": engine, "variant": variant, "policies": policies or "the default ones"}
    return RunFolder.create(path, spec, {"asked": asked, **provenance})


def evaluate(
    folder: RunFolder, workers: int, envs: int | None, console: Console, limits: Limits | None = None
) -> Result:
    """Play what the folder is missing, with a progress bar, and publish the results."""
    from evaluation.harness.summary import summarise

    spec, done = folder.spec, folder.read()
    total = spec.episodes * len(spec.policies)
    console.print(
        f"Run {spec.id}: {spec.episodes} episodes of {', '.join(spec.policies)} on {spec.engine}, {spec.variant}, "
        f"{spec.steps} steps -> {folder.path}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for notice in folder.notices:
        console.print(notice, style="yellow", markup=False)
    if done:
        console.print(f"{len(done)} of {total} episodes are there already.")
    failures = play_missing(folder, done, workers, envs, console, limits)
    if failures and not folder.read():  # nothing to publish, but the reasons are to be told
        return Result(summarise(spec, []), folder.path, failures)
    result = publish(folder, console)
    result.failures = failures
    return result


def play_missing(
    folder: RunFolder,
    done: Sequence[Row],
    workers: int,
    envs: int | None,
    console: Console,
    limits: Limits | None = None,
) -> list[PolicyFailure]:
    """Play what a run folder is missing beside the rows that are done, and return the policies that failed."""
    from evaluation.harness.progress import episodes_bar
    from evaluation.harness.runner import run

    with episodes_bar(console, folder.spec, done) as advance:
        return run(folder, workers, envs, advance, Surroundings.here(limits)).failures


def publish(folder: RunFolder, console: Console) -> Result:
    """Write summary.json, figures and reports from the rows alone, and print the table.

    Raises:
        BadInput: If there is no finished episode yet, or the rows are corrupt.
    """
    from evaluation.harness.summary import summary_json
    from evaluation.reporting.report import figures, render_html, render_markdown, terminal_table

    records = folder.read()
    if not records:
        raise BadInput(f"{folder.path} holds no finished episode yet; run the evaluation first")
    summary = summary_of(folder.spec, records, folder.path)
    drawn = figures(summary, records)
    sweep(folder.path)  # of what a killed report left half-written
    (folder.path / "figures").mkdir(exist_ok=True)
    for name, svg in drawn.items():
        write_atomically(folder.path / "figures" / f"{name}.svg", svg)
    paths = {name: f"figures/{name}.svg" for name in drawn}
    write_atomically(folder.path / "summary.json", summary_json(summary))
    write_atomically(folder.path / "report.md", render_markdown(summary, folder.provenance, paths))
    write_atomically(folder.path / "report.html", render_html(summary, folder.provenance, drawn))
    console.print(terminal_table(summary))
    console.print(f"Report: {folder.path / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    return Result(summary, folder.path)


def summary_of(spec: EvalSpec, records: Sequence[Row], where: Path | str) -> RunSummary:
    """Summarise the rows of a run, which messages say to lie ``where``.

    Raises:
        BadInput: If they are not what an episode of the run can come to.
    """
    from evaluation.harness.summary import summarise

    try:
        return summarise(spec, records)
    except ValueError as error:
        raise BadInput(
            f"the rows of {where} are not of its run ({error}); restore the folder, or evaluate again into "
            "another --out"
        ) from error


def compare_runs(run_a: Path, run_b: Path, margin: float, console: Console) -> Comparison:
    """Compare two run folders and print the differences.

    Raises:
        BadInput: If either cannot be read, or the two have nothing to compare.
    """
    from evaluation.harness.compare import Run, compare, comparison_table

    ranges.check("--margin", margin, ranges.MARGIN)
    runs = []
    folders = [RunFolder.open(path) for path in (run_a, run_b)]
    check_same_game([(str(folder.path), folder.spec) for folder in folders])
    for path, folder in zip((run_a, run_b), folders, strict=True):
        records = folder.read()
        if not records:
            raise BadInput(f"{path} holds no finished episode yet; run the evaluation first")
        runs.append(Run(summary_of(folder.spec, records, folder.path), records, str(path)))
    try:
        result = compare(runs[0], runs[1], margin)
    except ValueError as error:
        raise BadInput(str(error)) from error
    console.print(comparison_table(result))
    return result


def check_same_game(runs: Sequence[tuple[str, EvalSpec]]) -> None:
    """Refuse two runs whose scores have nothing to do with each other, whatever their variants are called.

    Args:
        runs: What to call each of the two, and what it asked.

    Raises:
        BadInput: If they are of different games or settings.
    """
    (a, first), (b, second) = runs
    games = [find_game(spec.game) for spec in (first, second)]
    if games[0].key != games[1].key:
        raise BadInput(f"{a} is of {games[0].name} and {b} of {games[1].name}; only runs of one game can be compared")
    try:
        settings = [game.variant(spec.variant_knobs) for game, (_, spec) in zip(games, runs, strict=True)]
    except ValueError as error:
        raise BadInput(f"these runs cannot be compared by this version: {error}") from error
    if first.variant == second.variant and settings[0] != settings[1]:
        raise BadInput(
            f"{a} and {b} call two different settings {first.variant}; only runs of the same game can be compared"
        )
