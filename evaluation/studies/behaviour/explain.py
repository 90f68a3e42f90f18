"""Do the attention weights of trained defenders single out what their decisions depend on? And what do they say?

Tokens of an observation are deleted and inserted in the order of attention, of gradients and of chance; the better an
attribution, the faster a decision goes and comes. Reported whichever way it falls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluation.harness import statistics
from evaluation.harness.provenance import describe_tree
from evaluation.harness.run_folder import write_atomically
from evaluation.inputs.errors import BadInput
from evaluation.studies.files import read_object, taking_apart
from evaluation.studies.training.runs import Job
from evaluation.studies.training.tables import cell
from native_sim.rollout import Episode, Moment, Observer, Rollout
from native_sim.storage.seals import sealed

if TYPE_CHECKING:
    from rich.console import Console

    from hmarl_soc.hierarchy.acting import HierarchyPolicy

NAME: Final = "explain"
SUMMARY: Final = "summary.json"
FILE: Final = "explained.json"
MEASURES: Final = ("deletion", "insertion")
_ENVS, _STEPS, _DECISIONS, _EXAMPLES = 32, 120, 256, 5


def explain(done: Sequence[Job], out: Path, smoke: bool, console: Console) -> dict[str, Any]:
    """Measure every trained run once, and write ``summary.json``, ``reports.json`` and ``table.md``.

    Returns:
        ``roles``: role -> attribution -> measure -> ``values`` (one per seed), ``mean`` and ``ci95``; ``versus``: role
        -> attribution -> measure -> attention minus it, with interval and p; beside them whose runs, which seeds, and
        the code that made this of them.

    Raises:
        BadInput: If no run is finished.
    """
    if not done:
        raise BadInput(f"no run to explain is finished in {out.parent}; run it without --report-only first")
    for job in done:
        if not (job.folder / FILE).exists():
            write_atomically(job.folder / FILE, json.dumps(sealed(_measure(job, smoke))))
    found = [_read(job.folder / FILE) for job in done]
    summary = {
        "study": NAME,
        "name": done[0].arm.method,
        "runs": done[0].folder.parent.name,
        "seeds": [job.seed for job in done],
        **_summarise([one["areas"] for one in found]),
        **describe_tree(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / SUMMARY, json.dumps(summary, indent=1))
    write_atomically(out / "reports.json", json.dumps(found[0]["reports"], indent=1))
    write_atomically(out / "table.md", markdown(summary, found[0]["reports"]))
    console.print(f"Explanations: {out / 'table.md'}", markup=False, highlight=False, soft_wrap=True)
    return summary


def _read(path: Path) -> dict[str, Any]:
    """Return what :func:`_measure` found of a run."""
    found = read_object(path)
    with taking_apart(path):
        _summarise([found["areas"]])
        _words(found["reports"])
    return found


def _measure(job: Job, smoke: bool) -> dict[str, Any]:
    """Return ``areas`` (role -> attribution -> [deletion, insertion], means over decisions) and example reports."""
    from hmarl_soc.hierarchy.acting import HierarchyPolicy
    from hmarl_soc.hierarchy.attention import faithfulness
    from hmarl_soc.registry import load_policy

    policy = load_policy(job.folder)
    if not isinstance(policy, HierarchyPolicy):
        raise BadInput(f"{job.folder} holds no hierarchy; only HMARL-SOC explains itself")
    views, reports = _watch(policy, 20 if smoke else _STEPS)
    generator = np.random.default_rng(0)
    areas = {}
    for role, seen in views.items():
        chosen = generator.permutation(len(seen))[: 16 if smoke else _DECISIONS]
        measured = faithfulness(policy, role, seen[chosen], generator)
        areas[role] = {name: [float(part.mean()) for part in pair] for name, pair in measured.items()}
    return {"areas": areas, "reports": reports}


def _watch(policy: HierarchyPolicy, steps: int) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Play held-out episodes; return what each role's network was given, and reports of some decisions."""
    from native_sim import make_vec

    env = make_vec(num_envs=_ENVS, held_out=True, threads=1)
    watch = _Watch(policy, max(1, steps // _EXAMPLES))
    rollout = Rollout(env, policy, [Episode(i, i) for i in range(_ENVS)], [watch])
    for _ in range(steps):
        if rollout.running:
            rollout.step()
    return {role: np.concatenate(parts) for role, parts in watch.seen.items()}, watch.reports


class _Watch(Observer):
    """Keeps what the networks are given, and every few steps asks for the reasons of a decision."""

    def __init__(self, policy: HierarchyPolicy, every: int) -> None:
        self._policy, self._every = policy, every
        self.seen: dict[str, list[np.ndarray]] = {}
        self.reports: list[dict[str, Any]] = []

    def deciding(self, now: Moment) -> None:
        """Look at a decision."""
        from hmarl_soc.hierarchy.attention import explain as reasons
        from hmarl_soc.hierarchy.attention import views_of

        for role, view in views_of(self._policy, now.obs, now.memory).items():
            # Between two directives the coordinator decides nothing.
            self.seen.setdefault(role, []).append(view[now.memory["age"] == 0] if role == "coordinator" else view)
        step = int(now.time[0])
        if (step + 1) % self._every == 0:
            told = reasons(self._policy, now.obs, now.memory)
            self.reports.append({"step": step, "reports": [one.to_dict() | {"words": str(one)} for one in told]})


def _summarise(areas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    roles: dict[str, Any] = {}
    versus: dict[str, Any] = {}
    for role in areas[0]:
        values = {
            name: {m: np.array([one[role][name][i] for one in areas]) for i, m in enumerate(MEASURES)}
            for name in areas[0][role]
        }
        roles[role] = {name: {m: _figure(v) for m, v in measured.items()} for name, measured in values.items()}
        versus[role] = {
            name: {m: _difference(values["attention"][m], measured[m]) for m in MEASURES}
            for name, measured in values.items()
            if name != "attention"
        }
    return {"roles": roles, "versus": versus}


def _figure(values: np.ndarray) -> dict[str, Any]:
    interval = statistics.t_interval(values) if len(values) > 1 else None
    return {"values": values.tolist(), "mean": float(values.mean()), "ci95": interval}


def _difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    found = statistics.paired_t(ours, theirs)
    return _figure(ours - theirs) | {"p": None if found is None else found.p}


def markdown(summary: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of a summary, and what the reports say, as Markdown."""
    lines = [
        "# Explanations",
        "",
        "Areas under the curves of what is left of a decision while tokens are deleted (less is better) and inserted "
        f"(more is better), in the order of each attribution; means over {len(summary['seeds'])} training seeds with "
        "95 % intervals.",
        "",
        "| role | attribution | deletion | insertion |",
        "|---|---|---|---|",
    ]
    for role, attributions in summary["roles"].items():
        lines += [
            f"| {role} | {name} | {cell(found['deletion'], 3)} | {cell(found['insertion'], 3)} |"
            for name, found in attributions.items()
        ]
    lines += ["", "## Some decisions in words", ""]
    return "\n".join([*lines, *_words(reports)]) + "\n"


def _words(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"- step {entry['step']}: {one['words']}" for entry in reports for one in entry["reports"]]
