"""What a defender does, as tables: how hard it hunts, what triage chooses, whom it throttles and isolates.

Read from observations, actions and evidence alone; nothing here looks at the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from native_sim.api import Array, Layout, ObservationBatch
from native_sim.soc import spec
from native_sim.soc.corrected.cases import SUSPECT
from native_sim.soc.corrected.state import CONFIDENCE, HOST, OPEN, SEGMENT, TECHNIQUE, TIME

if TYPE_CHECKING:
    from native_sim.soc.env import SocVectorEnv

WINDOW: Final = 5
"""Steps within which two alerts about the same host count as repeated."""


class Conduct:
    """Records one episode per row of a vector environment, under the corrected rules.

    Call :meth:`decided` between deciding and stepping, and :meth:`stepped` after each step.

    Args:
        env: Every row has just been reset.
        observations: What the reset returned.

    Raises:
        ValueError: Under the reference rules, which have neither a clock nor a throttle.
    """

    def __init__(self, env: SocVectorEnv, observations: ObservationBatch) -> None:
        if env.config.rules != "corrected":
            raise ValueError("the reference rules have neither a clock nor a throttle; record the corrected rules")
        count, steps = env.num_envs, env.config.max_steps
        self._env = env
        self._step = 0
        self._start_hour = hour_of(env.observation_layouts["hunter"], observations["hunter"])
        self._effort = np.full((count, steps), np.nan, np.float32)
        self._apart = np.zeros((count, env.config.num_hosts), np.bool_)  # hosts that are isolated
        self._chosen = np.full((count, steps, 3), -1.0, np.float32)  # host, time and technique of alerts in hand
        self._repeated = np.zeros((count, steps), np.bool_)
        self._tables: dict[str, list[Array]] = {name: [] for name in ("triage", "suspects", "isolations")}

    def decided(self, rows: Array, actions: Mapping[str, Array]) -> None:
        """Note what was decided in ``rows`` [N] on what they show now."""
        self._effort[rows, self._step] = effort_of(actions, len(rows))
        if actions.get("triage") is not None:
            self._note_choices(rows, np.asarray(actions["triage"]))

    def stepped(self, rows: Array) -> None:
        """Note what the step did in ``rows`` [N], those whose episode it ended included."""
        evidence = self._env.engine.state.evidence[rows]
        there = np.arange(evidence["host"].shape[1]) < evidence["count"][:, None]
        suspect = there & (evidence["status"] == OPEN) & (evidence["score"] >= SUSPECT)
        self._add("suspects", rows, suspect, evidence["host"], evidence["throttled"])
        apart = np.zeros((len(rows), self._apart.shape[1]), np.bool_)
        i, j = np.nonzero(there & (evidence["status"] != OPEN))
        apart[i, evidence["host"][i, j]] = True
        hosts = np.broadcast_to(np.arange(apart.shape[1]), apart.shape)
        self._add("isolations", rows, apart & ~self._apart[rows], hosts)
        self._apart[rows] = apart
        self._step += 1

    def tables(self) -> dict[str, Array]:
        """Return what was recorded; episodes are numbered by row.

        Returns:
            ``start_hour`` [E] hours at the first decision; ``effort`` [E, T] of the hunter, 0 to 1, NaN after the end;
            ``triage`` [D, 4]: episode, confidence of the alert in hand, whether it is one of several about its host
            within :data:`WINDOW` steps, choice (spec.Triage); ``suspects`` [S, 4]: episode, step, host, throttled, one
            for every step of every host that could be throttled; ``isolations`` [I, 3]: episode, step, host.
        """
        widths = {"triage": 4, "suspects": 4, "isolations": 3}
        found = {name: np.concatenate([np.zeros((0, widths[name])), *kept]) for name, kept in self._tables.items()}
        return {"start_hour": self._start_hour, "effort": self._effort, **found}

    def _add(self, table: str, rows: Array, where: Array, *columns: Array) -> None:
        """Append a line per true entry of ``where`` [N, K]: episode, step, and each column [N, K] there."""
        i, j = np.nonzero(where)
        lines = [rows[i], np.full(len(i), self._step), *(column[i, j] for column in columns)]
        self._tables[table].append(np.stack(lines, axis=1).astype(np.float64))

    def _note_choices(self, rows: Array, choices: Array) -> None:
        """Note the choices where an alert is in hand: the queue is not empty and the analyst is free."""
        evidence = self._env.engine.state.evidence[rows]
        free = (evidence["queued"] > 0) & (evidence["busy_until"] <= evidence["step"])
        rows, choices, evidence = rows[free], choices[free], evidence[free]
        if not len(rows):
            return
        queue, there = evidence["queue"], np.arange(spec.QUEUE_LENGTH) < evidence["queued"][:, None]
        head = heads(evidence)
        alert = queue[np.arange(len(rows)), head]
        name = alert[:, [HOST, TIME, TECHNIQUE]]
        waiting = there & _near(queue[:, :, HOST], queue[:, :, TIME], alert)
        waiting[np.arange(len(rows)), head] = False
        chosen = self._chosen[rows]
        same = (chosen == name[:, None]).all(axis=2)
        known = (_near(chosen[:, :, 0], chosen[:, :, 1], alert) & ~same) | (same & self._repeated[rows])
        repeated = waiting.any(axis=1) | known.any(axis=1)
        self._chosen[rows, self._step], self._repeated[rows, self._step] = name, repeated
        lines = np.stack([rows, alert[:, CONFIDENCE], repeated, choices], axis=1)
        self._tables["triage"].append(lines.astype(np.float64))


def heads(evidence: Array) -> Array:
    """Return the index [N] of the alert that triage has in hand: the highest priority of its segment, then the oldest.

    Args:
        evidence: [N] EVIDENCE (:mod:`native_sim.soc.corrected.state`), with an alert in every queue.
    """
    segments = evidence["queue"][:, :, SEGMENT].astype(np.int64).clip(0, spec.NUM_SEGMENTS - 1)
    priority = np.take_along_axis(evidence["directive"], segments, axis=1)
    priority[np.arange(spec.QUEUE_LENGTH) >= evidence["queued"][:, None]] = -np.inf
    found: Array = priority.argmax(axis=1)
    return found


def effort_of(actions: Mapping[str, Array], count: int) -> Array:
    """Return the mean hunting intensity over the segments [N], 0 (off) to 1; 0 without a hunter."""
    hunting = actions.get("hunter")
    if hunting is None:
        return np.zeros(count)
    intensity = np.asarray(hunting, np.float64)[:, spec.ACTIONS["hunter"]["intensity"].slice]
    effort: Array = (intensity.mean(axis=1) + 1.0) / 2.0
    return effort


def hour_of(layout: Layout, observations: Array) -> Array:
    """Return the time of day [N] in hours, 0 to 24, that observations [N, F] show."""
    sine, cosine = observations[:, layout["hour"].slice].T
    hours: Array = (np.arctan2(sine, cosine) * 12.0 / np.pi) % 24.0
    return hours


def set_clock(
    layouts: Mapping[str, Layout], observations: ObservationBatch, hour: float, office: Sequence[float]
) -> dict[str, Array]:
    """Return copies of observations in which all clocks show ``hour``.

    Args:
        layouts: Of the roles.
        observations: Role -> [N, F].
        hour: Time of day, 0 to 24.
        office: Hours between which it is office time.
    """
    shown = {role: np.array(values) for role, values in observations.items()}
    angle = 2.0 * np.pi * hour / 24.0
    for role, layout in layouts.items():
        shown[role][:, layout["hour"].slice] = np.sin(angle), np.cos(angle)
        shown[role][:, layout["office"].start] = office[0] <= hour < office[1]
    return shown


def _near(hosts: Array, times: Array, alert: Array) -> Array:
    """Tell which entries [N, K] are about the host of ``alert`` [N, C] and were raised within the window of it."""
    near: Array = (hosts == alert[:, HOST, None]) & (np.abs(times - alert[:, TIME, None]) <= WINDOW)
    return near
