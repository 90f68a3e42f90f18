"""What defenders do: when they hunt, what triage does with repeated alerts, whether they throttle before isolating.

Every policy plays the same held-out episodes once, and what it did is kept in ``logs``; tables and the figure come from
there. The null policies show none of the behaviours by construction: if one of them seems to, the measure is at fault.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.reporting.markdown import escaped
from evaluation.studies.behaviour.measures import BEFORE, OFFICE, measure
from evaluation.studies.behaviour.soc_policies import log_file, make_policies, nothing_played
from evaluation.studies.files import damaged, taking_apart
from native_sim.rollout import Episode, Moment, Observer
from native_sim.rollout import play as play_episodes
from native_sim.soc.conduct import WINDOW
from native_sim.storage.writing import replacing

if TYPE_CHECKING:
    from rich.console import Console

    from native_sim.api import Array, Decision, Policy, StepBatch
    from native_sim.soc.env import SocVectorEnv

NAME: Final = "behaviours"
POLICIES: Final = ("adaptive", "best-constant", "random", "bundle:hmarl-soc")
"""Played unless others are asked for."""
NULLS: Final = ("best-constant", "random")
"""Policies that do not know what hour it is, what an alert names, or what they will isolate."""
EPISODES: Final = 500
SMOKE_EPISODES: Final = 8
SIGNIFICANCE: Final = 0.05
_BATCH: Final = 250
"""Episodes played side by side; changes no result."""
_PROBE_EVERY: Final = 10
"""Steps between two decisions that are taken again under other clocks."""
_NIGHT, _NOON = 3.0, 13.0  # hours, the middles of night and of office hours


def study(
    policies: Sequence[str], out: Path, episodes: int | None, smoke: bool, report_only: bool, console: Console
) -> dict[str, Any]:
    """Play what was not played yet, and write ``summary.json``, ``table.md`` and ``by-hour.svg``.

    Args:
        policies: Of the SOC simulator as ``evaluate`` names them, or ``bundle:NAME`` for the trained weights that a
            bundle carries.
        out: Folder; logs lie in it.
        episodes: Held-out episodes per policy, the same for all; None for 500.
        smoke: A few episodes, whatever ``episodes`` says: shows that everything works.
        report_only: Play nothing; report what is there.
        console: Where progress is told.

    Returns:
        ``policies``: name -> "hours", "clock", "repeats" and "throttle" (see
        :mod:`evaluation.studies.behaviour.measures`), each with ``p_holm``, corrected over all of them, and ``shown``:
        "yes", "no", or "reverse" for a significant effect the other way.

    Raises:
        BadInput: If a policy is unknown, or there is nothing to report.
    """
    episodes = SMOKE_EPISODES if smoke else EPISODES if episodes is None else episodes
    made = make_policies(policies, episodes)
    files = {name: log_file(out, name, episodes, "npz") for name in policies}
    for name, policy in made.items():
        if not report_only and not files[name].exists():
            _save(files[name], play(policy, episodes))
            console.print(f"{name}: {episodes} episodes", markup=False, highlight=False)
    found = {name: _measured(file) for name, file in files.items() if file.exists()}
    if not found:
        raise nothing_played(episodes, out)
    return _report(found, out, episodes, console)


def _measured(file: Path) -> dict[str, Any]:
    """Return the figures of a log."""
    log = _load(file)
    with taking_apart(file):
        return measure(log)


def _report(found: dict[str, dict[str, Any]], out: Path, episodes: int, console: Console) -> dict[str, Any]:
    from evaluation.studies.plots import behaviours_figure

    judge(found)
    summary = {"study": NAME, "episodes": episodes, "policies": found, **describe_tree()}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "summary.json", json.dumps(summary, indent=1))
    write_atomically(out / "by-hour.svg", behaviours_figure(summary))
    write_atomically(out / "table.md", markdown(summary))
    console.print(f"Behaviours: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def judge(found: Mapping[str, dict[str, Any]]) -> None:
    """Add to every figure ``p_holm``, corrected over all figures of all policies, and the verdict ``shown``."""
    figures = [figure for measured in found.values() for figure in measured.values()]
    for figure, p in zip(figures, statistics.holm([figure["p"] for figure in figures]), strict=True):
        sure = p is not None and p < SIGNIFICANCE
        figure["p_holm"] = p
        figure["shown"] = "no" if not sure else "yes" if figure["difference"] > 0 else "reverse"


# ---------------------------------------------------------------------------------------------------- playing
def play(policy: Policy, episodes: int) -> dict[str, Array]:
    """Play held-out episodes; return what was done in them.

    Returns:
        The tables of :class:`native_sim.soc.conduct.Conduct`, and ``clock`` [P, 3]: episode, and the hunting effort
        that the policy decides on by a night clock and by an office clock, everything else being equal.
    """
    from native_sim import make_vec

    parts = []
    for start in range(0, episodes, _BATCH):
        seeds = list(range(start, min(start + _BATCH, episodes)))
        env = make_vec(num_envs=len(seeds), held_out=True, threads=1, with_state="state" in policy.wants)
        parts.append(_number(_play_batch(policy, env, seeds), start))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _number(tables: dict[str, Array], start: int) -> dict[str, Array]:
    """Number the episodes of a batch from ``start``."""
    for name in ("triage", "suspects", "isolations", "clock"):
        tables[name][:, 0] += start
    return tables


def _play_batch(policy: Policy, env: SocVectorEnv, seeds: Sequence[int]) -> dict[str, Array]:
    log = _Log(policy, env)
    for _ in play_episodes(env, policy, [Episode(i, seed) for i, seed in enumerate(seeds)], [log]):
        pass
    return log.tables()


class _Log(Observer):
    """Notes what is done in a batch of episodes that begin together, and what other clocks would have changed."""

    def __init__(self, policy: Policy, env: SocVectorEnv) -> None:
        self._policy, self._env, self._probes = policy, env, [np.zeros((0, 3))]

    def started(
        self, rows: Array, episodes: Sequence[Episode], observations: dict[str, Array], infos: dict[str, Any]
    ) -> None:
        """Begin the tables."""
        from native_sim.soc.conduct import Conduct

        self._conduct = Conduct(self._env, observations)

    def decided(self, now: Moment, decision: Decision) -> None:
        """Note the decision, and take some of them again under other clocks."""
        if now.time[0] % _PROBE_EVERY == 0:
            self._probes.append(_probe(self._policy, self._env, now))
        self._conduct.decided(now.rows, decision.actions)

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Note what the step did."""
        self._conduct.stepped(now.rows)

    def tables(self) -> dict[str, Array]:
        """Return what was noted, episodes numbered by row."""
        return {**self._conduct.tables(), "clock": np.concatenate(self._probes)}


def _probe(policy: Policy, env: SocVectorEnv, now: Moment) -> Array:
    """Return lines [N, 3]: row, and the effort that is decided on by a night clock and by an office clock."""
    from native_sim.soc.conduct import effort_of, set_clock

    efforts = []
    for hour in (_NIGHT, _NOON):
        seen = {role: now.obs[role] for role in env.agents}
        shown = now.obs | set_clock(env.observation_layouts, seen, hour, OFFICE)
        efforts.append(effort_of(policy.act(shown, now.mask, now.memory, now.draws).actions, len(now.rows)))
    return np.stack([now.rows, *efforts], axis=1)


# ------------------------------------------------------------------------------------------------------- logs
def _save(file: Path, tables: Mapping[str, Array]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as stream:
        np.savez_compressed(stream, **tables)  # type: ignore[arg-type,unused-ignore]


def _load(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as found:
            return dict(found)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(file, str(error)) from error


# ----------------------------------------------------------------------------------------------------- report
def markdown(summary: Mapping[str, Any]) -> str:
    """Return the tables of the study as Markdown."""
    found = summary["policies"]
    lines = [
        "# Behaviours",
        "",
        f"{summary['episodes']} held-out episodes per policy; 95 % bootstrap intervals over episodes; p of "
        "permutations with Holm's correction over all tests of this page. "
        f"{' and '.join(NULLS)} show nothing by construction.",
        *_hunting(found),
        *_repeats(found),
        *_throttle(found),
        "",
        "![hunting by the hour](by-hour.svg)",
    ]
    return "\n".join(lines) + "\n"


def _hunting(found: Mapping[str, Any]) -> list[str]:
    text = (
        "Mean hunting intensity, 0 to 1. By the clock alone: the same decisions taken by a night and by an office "
        "clock, on otherwise equal observations."
    )
    head = ("office hours", "night", "night - office", "p", "more at night", "by the clock alone", "p", "more at night")
    rows = {
        name: [
            _value(one["hours"]["office"]),
            _value(one["hours"]["night"]),
            *_cells(one["hours"]),
            *_cells(one["clock"]),
        ]
        for name, one in found.items()
    }
    return _section("Hunting by the hour", text, head, rows)


def _repeats(found: Mapping[str, Any]) -> list[str]:
    text = (
        "Share of decisions that set the alert aside (suppress or correlate), for alerts that are one of several about "
        f"their host within {WINDOW} steps, and for single ones; the difference is between alerts of like confidence."
    )
    head = ("decisions: repeated, single", "repeated", "single", "difference", "p", "set aside more")
    rows = {}
    for name, one in found.items():
        part, counts = one["repeats"], one["repeats"]["decisions"]
        shares = [_value(part["repeated"]), _value(part["single"])]
        rows[name] = [f"{counts['repeated']:,}, {counts['single']:,}", *shares, *_cells(part)]
    return _section("Repeated alerts", text, head, rows)


def _throttle(found: Mapping[str, Any]) -> list[str]:
    text = (
        f"Share of isolations whose host was throttled in the {BEFORE} steps before, and the same share when as much "
        "throttling hits suspects regardless of what comes."
    )
    head = ("isolations", "throttled before", "by chance", "difference", "p", "more than chance")
    rows = {}
    for name, one in found.items():
        part = one["throttle"]
        rows[name] = [f"{part['isolations']:,}", _value(part["share"]), _value(part["chance"]), *_cells(part)]
    return _section("Throttle before isolation", text, head, rows)


def _section(title: str, text: str, head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    lines = ["", f"## {title}", "", text, "", f"| policy | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    return [*lines, *(f"| {escaped(name)} | {' | '.join(cells)} |" for name, cells in rows.items())]


def _cells(figure: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return difference with interval, corrected p, and verdict."""
    if figure["difference"] is None:
        return "-", "-", "-"
    low, high = figure["ci95"]
    return f"{figure['difference']:+.3f} [{low:+.3f}, {high:+.3f}]", f"{figure['p_holm']:.3f}", figure["shown"]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
