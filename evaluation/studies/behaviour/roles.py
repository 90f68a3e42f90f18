"""Which role a policy's lead comes from: its roles put into the teacher one at a time, and the teacher's into it.

Roles that only do what the teacher does change nothing in either direction; one that learned something better lifts the
teacher, unless it has learned to rely on what the other roles do now. All variants play the same held-out episodes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluation.games.soc.policies import soc_registry
from evaluation.harness import statistics
from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import make_policy
from evaluation.policies.silenced import Grafted
from evaluation.reporting.markdown import escaped
from evaluation.studies.behaviour.soc_policies import log_file, make_policies, nothing_played
from evaluation.studies.files import damaged, read_object
from evaluation.studies.training.runs import play_held_out
from native_sim.soc.spec import AGENTS
from native_sim.storage.seals import sealed

if TYPE_CHECKING:
    from rich.console import Console

    from native_sim.api import Policy

NAME: Final = "roles"
TEACHER: Final = "adaptive"
POLICIES: Final = ("bundle:hmarl-soc",)
"""Taken apart unless others are asked for."""
EPISODES: Final = 1000
SMOKE_EPISODES: Final = 8


def study(
    policies: Sequence[str], out: Path, episodes: int | None, smoke: bool, report_only: bool, console: Console
) -> dict[str, Any]:
    """Play what was not played yet, and write ``summary.json`` and ``table.md``.

    Args:
        policies: Of the SOC simulator as ``evaluate`` names them, or ``bundle:NAME`` for the trained weights that a
            bundle carries.
        out: Folder; the returns of all episodes lie in its ``logs``.
        episodes: Held-out episodes per variant; None for 1,000.
        smoke: A few episodes, whatever ``episodes`` says: shows that everything works.
        report_only: Play nothing; report what is there.
        console: Where progress is told.

    Returns:
        ``policies``: name -> "teacher" and "policy", their rewards, and "given" and "taken": role -> the reward of the
        teacher with this role of the policy (of the policy with this role of the teacher), its difference to the
        teacher (to the policy) over the same episodes, and p of a paired t test, corrected over all of the page.

    Raises:
        BadInput: If a policy is unknown, or there is nothing to report.
    """
    episodes = SMOKE_EPISODES if smoke else EPISODES if episodes is None else episodes
    if TEACHER in policies:
        raise BadInput(f"{TEACHER} is what the roles are put into; give other policies")
    made = make_policies(policies, episodes)
    found = {}
    for name, policy in made.items():
        file = log_file(out, name, episodes, "json")
        returns = _read(file, episodes) if file.exists() else {}
        for variant, player in () if report_only else variants(policy):
            if variant not in returns:
                returns[variant] = play(player, episodes)
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, json.dumps(sealed(returns)))
                told = f"{name}: {variant}: {np.mean(returns[variant]):.2f}"
                console.print(told, markup=False, highlight=False)
        if len(returns) == 2 * (1 + len(AGENTS)):
            found[name] = _compare(returns)
    if not found:
        raise nothing_played(episodes, out)
    return _report(found, out, episodes, console)


def _read(file: Path, episodes: int) -> dict[str, list[float]]:
    """Return the returns that are kept: variant -> [episodes]."""
    returns = read_object(file)
    for variant, values in returns.items():
        listed = isinstance(values, list) and len(values) == episodes
        if not listed or not all(isinstance(v, float) and math.isfinite(v) for v in values):
            raise damaged(file, f"{variant} is not the returns of {episodes} episodes")
    return returns


def variants(policy: Policy) -> Iterator[tuple[str, Policy]]:
    """Yield name and player: teacher and policy, whole, and each with every role of the other."""
    teacher = make_policy(TEACHER, soc_registry("corrected"))
    for name, base, other in ((TEACHER, teacher, policy), ("policy", policy, teacher)):
        yield name, base
        for role in AGENTS:
            yield _exchanged(name, role), Grafted(base, other, role)


def _exchanged(name: str, role: str) -> str:
    """Return what a variant is called in which a role is the other's."""
    return f"{name}, the other's {role}"


def play(policy: Policy, episodes: int) -> list[float]:
    """Return the returns of held-out episodes, in the order of their seeds."""
    return [round(float(value), 6) for value in play_held_out(policy, episodes)["return"]]


def _compare(returns: Mapping[str, list[float]]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    compared: dict[str, Any] = {}
    for whole, parts, base in (("teacher", "given", TEACHER), ("policy", "taken", "policy")):
        before = returns[base]
        compared[whole] = _reward(before, rng)
        compared[parts] = {}
        for role in AGENTS:
            now = returns[_exchanged(base, role)]
            difference, test = statistics.paired_difference(now, before, rng), statistics.paired_t(now, before)
            compared[parts][role] = {
                **_reward(now, rng),
                "difference": difference.value,
                "difference_ci95": difference.interval,
                "p": test.p if test else None,
            }
    return compared


def _reward(values: Sequence[float], rng: np.random.Generator) -> dict[str, Any]:
    return {"mean": statistics.mean(values), "ci95": statistics.bootstrap_interval(values, rng)}


def _report(found: Mapping[str, Any], out: Path, episodes: int, console: Console) -> dict[str, Any]:
    figures = [figure for one in found.values() for parts in ("given", "taken") for figure in one[parts].values()]
    for figure, p in zip(figures, statistics.holm([figure["p"] for figure in figures]), strict=True):
        figure["p_holm"] = p
    summary = {"study": NAME, "episodes": episodes, "teacher": TEACHER, "policies": found, **describe_tree()}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "summary.json", json.dumps(summary, indent=1))
    write_atomically(out / "table.md", markdown(summary))
    console.print(f"Roles: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a table per policy as Markdown."""
    teacher = summary["teacher"]
    lines = [
        "# Roles",
        "",
        f"Rewards of {summary['episodes']:,} held-out episodes with 95 % bootstrap intervals; differences over the "
        "same episodes; p of paired t tests with Holm's correction over all of this page.",
    ]
    for name, one in summary["policies"].items():
        shown = escaped(name)
        lines += ["", f"## {shown}", "", "| who plays | reward | difference | p |", "|---|---|---|---|"]
        for whole, parts, base, other in (
            ("teacher", "given", teacher, shown),
            ("policy", "taken", shown, teacher),
        ):
            lines.append(f"| {base} | {_cell(one[whole]['mean'], one[whole]['ci95'])} | | |")
            for role, part in one[parts].items():
                lead = _cell(part["difference"], part["difference_ci95"], "+")
                chance = "-" if part["p_holm"] is None else f"{part['p_holm']:.2g}"
                lines.append(
                    f"| with the {role} of {other} | {_cell(part['mean'], part['ci95'])} | {lead} | {chance} |"
                )
    return "\n".join(lines) + "\n"


def _cell(value: float, interval: Sequence[float] | None, sign: str = "") -> str:
    told = f"{value:{sign}.2f}"
    return told if interval is None else f"{told} [{interval[0]:{sign}.2f}, {interval[1]:{sign}.2f}]"
