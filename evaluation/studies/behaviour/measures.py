"""Three behaviours as numbers with a chance level: tables of :mod:`native_sim.soc.conduct` in, figures out.

Each compares what was done with what a policy that ignores the matter would have done, and each is nought for a policy
that repeats one action or draws its actions blindly. Intervals are of 2,000 bootstrap samples of whole episodes; p is
two-sided, of permutations that keep everything but the link in question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from evaluation.harness.statistics import CONFIDENCE, FloatArray
from native_sim.api import Array
from native_sim.soc.spec import EPISODE_STEPS, Triage

OFFICE: Final = (8.0, 18.0)
"""Hours between which it is office time."""
BEFORE: Final = 5
"""Steps before an isolation in which a throttle counts as its forerunner."""
RESAMPLES: Final = 2_000
PERMUTATIONS: Final = 1_000
_BINS: Final = 10
"""Alerts are compared with alerts whose confidence is in the same tenth."""
_SMALL: Final = 1e-9
Tables = Mapping[str, Array]
Statistic = Callable[[FloatArray], FloatArray]
"""Maps sums over episodes, [B, ...], to B numbers; NaN where there is nothing to say."""


def measure(tables: Tables, seed: int = 0) -> dict[str, Any]:
    """Return "hours", "clock", "repeats" and "throttle": see the functions of these names.

    Args:
        tables: What :meth:`native_sim.soc.conduct.Conduct.tables` returned, and ``clock`` (see :func:`clock`).
        seed: Of resampling and permuting.
    """
    parts = {"hours": hours, "clock": clock, "repeats": repeats, "throttle": throttle}
    return {name: part(tables, np.random.default_rng((seed, i))) for i, (name, part) in enumerate(parts.items())}


def hours(tables: Tables, rng: np.random.Generator) -> dict[str, Any]:
    """Compare hunting at night with hunting in office hours.

    Permuted: which episode had which clock. The clock of an episode starts at a uniform hour, so a policy that does not
    depend on it, be it through what it sees, hunts as much under any other episode's clock.

    Returns:
        ``office`` and ``night``, mean efforts; their ``difference`` (night minus office) with ``ci95`` and ``p``; and
        ``by_hour``, mean effort per hour of the day.
    """
    effort = tables["effort"].astype(np.float64)
    episodes, steps = effort.shape
    played = ~np.isnan(effort)
    effort = np.where(played, effort, 0.0)
    clocks = (tables["start_hour"][:, None] + 24.0 / EPISODE_STEPS * np.arange(steps)) % 24.0
    office = ((clocks >= OFFICE[0]) & (clocks < OFFICE[1])).astype(np.float64)
    # [E, E]: what an episode (first axis) did in the office hours of any episode's clock (second axis).
    done, lasted = effort @ office.T, played.astype(np.float64) @ office.T
    whole = np.stack([effort.sum(axis=1), played.sum(axis=1)], axis=1)

    def sums(clock_of: Array) -> FloatArray:
        mine = np.stack([done[np.arange(episodes), clock_of], lasted[np.arange(episodes), clock_of]], axis=1)
        return np.stack([mine, whole - mine], axis=1)  # [E, office or night, effort or steps]

    own = sums(np.arange(episodes))
    permuted = np.stack([sums(rng.permutation(episodes)).sum(axis=0) for _ in range(PERMUTATIONS)])
    found = _figure(own, _night_minus_office, permuted, rng)
    means = _ratio(own.sum(axis=0)[:, 0], own.sum(axis=0)[:, 1])
    hour = clocks.astype(np.int64)
    profile = [_mean(effort[played & (hour == h)]) for h in range(24)]
    return {"office": _plain(means[0]), "night": _plain(means[1]), **found, "by_hour": profile}


def _night_minus_office(sums: FloatArray) -> FloatArray:
    means = _ratio(sums[..., 0], sums[..., 1])
    difference: FloatArray = means[..., 1] - means[..., 0]
    return difference


def clock(tables: Tables, rng: np.random.Generator) -> dict[str, Any]:
    """Tell what the clock alone changes: decisions taken twice on the same evidence, by a night and by an office clock.

    Args:
        tables: ``clock`` [P, 3]: episode, hunting effort at night, hunting effort in office hours.
        rng: Resamples.

    Returns:
        ``difference``, mean effort at night minus in office hours, with ``ci95``; ``p``, of sign flips of whole
        episodes.
    """
    lines = tables["clock"]
    sums = _per_episode(tables, lines[:, 0], np.stack([lines[:, 1] - lines[:, 2], np.ones(len(lines))], axis=1))
    flips = rng.choice((-1.0, 1.0), size=(PERMUTATIONS, len(sums)))
    permuted = np.stack([flips @ sums[:, 0], np.full(PERMUTATIONS, sums[:, 1].sum())], axis=1)
    return _figure(sums, lambda found: _ratio(found[..., 0], found[..., 1]), permuted, rng)


def repeats(tables: Tables, rng: np.random.Generator) -> dict[str, Any]:
    """Compare how often alerts are set aside (suppressed or correlated) that are repeated with how often single ones.

    The difference is between alerts of like confidence, weighted as repeated ones are, because repeated alerts are
    not as confident as others. Permuted: choices among the decisions of an episode on alerts of like confidence.

    Returns:
        ``repeated`` and ``single``, the shares set aside; their ``difference`` at like confidence with ``ci95`` and
        ``p``; and ``decisions``, how many there were of each.
    """
    episode, confidence, repeated, choice = tables["triage"].T
    aside = np.isin(choice, (Triage.SUPPRESS, Triage.CORRELATE)).astype(np.float64)
    bins = (confidence * _BINS).astype(np.int64).clip(0, _BINS - 1)
    cell = (bins * 2 + repeated.astype(np.int64)).astype(np.int64)

    def sums(marks: Array) -> FloatArray:
        table = np.zeros((len(tables["effort"]), _BINS * 2, 2))
        np.add.at(table, (episode.astype(np.int64), cell), np.stack([marks, np.ones(len(marks))], axis=1))
        return table.reshape(len(table), _BINS, 2, 2)  # [E, confidence, single or repeated, set aside or all]

    own = sums(aside)
    shuffled = _shuffles(aside, episode * _BINS + bins, rng)
    permuted = np.stack([_total(marks, cell, _BINS * 2).reshape(_BINS, 2, 2) for marks in shuffled])
    found = _figure(own, _repeated_minus_single, permuted, rng)
    whole = own.sum(axis=(0, 1))
    shares = _ratio(whole[:, 0], whole[:, 1])
    counts = {"single": int(whole[0, 1]), "repeated": int(whole[1, 1])}
    return {"single": _plain(shares[0]), "repeated": _plain(shares[1]), **found, "decisions": counts}


def _repeated_minus_single(sums: FloatArray) -> FloatArray:
    shares = _ratio(sums[..., 0], sums[..., 1])
    both = (sums[..., 1] > 0).all(axis=-1)
    weights = np.where(both, sums[..., 1, 1], 0.0)
    gaps = np.where(both, shares[..., 1] - shares[..., 0], 0.0)
    return _ratio((weights * gaps).sum(axis=-1), weights.sum(axis=-1))


def throttle(tables: Tables, rng: np.random.Generator) -> dict[str, Any]:
    """Compare how many isolations follow a throttle of the host with how many would by chance.

    Whoever throttles at all throttles some hosts before isolating them. Permuted: which of the steps of suspects of
    an episode were throttled ones. So chance is as much throttling, regardless of what comes.

    Returns:
        ``share`` of isolations whose host was throttled in one of the :data:`BEFORE` steps before; ``chance``, the
        same share permuted; their ``difference`` with ``ci95`` and ``p``; and ``isolations``, how many there were.
    """
    episode, _, _, throttled = tables["suspects"].T
    isolation, suspect = _forerunners(tables["suspects"], tables["isolations"])
    count = len(tables["isolations"])

    def preceded(marks: Array) -> FloatArray:
        return (np.bincount(isolation, marks[suspect], count) > 0).astype(np.float64)

    chance, totals = np.zeros(count), []
    for marks in _shuffles(throttled, episode, rng):
        hits = preceded(marks)
        chance += hits / PERMUTATIONS
        totals.append(hits.sum())
    lines = np.stack([preceded(throttled), chance, np.ones(count)], axis=1)
    sums = _per_episode(tables, tables["isolations"][:, 0], lines)
    whole = sums.sum(axis=0)
    permuted = np.stack([[total, whole[1], count] for total in totals])
    found = _figure(sums, lambda s: _ratio(s[..., 0] - s[..., 1], s[..., 2]), permuted, rng)
    shares = _ratio(whole[:2], np.full(2, whole[2]))
    return {"share": _plain(shares[0]), "chance": _plain(shares[1]), **found, "isolations": count}


def _forerunners(suspects: Array, isolations: Array) -> tuple[Array, Array]:
    """Return pairs (index of an isolation, index of a step of the same host as a suspect shortly before)."""
    steps: dict[tuple[float, float], list[int]] = {}
    for index, (episode, _, host, _) in enumerate(suspects.tolist()):
        steps.setdefault((episode, host), []).append(index)
    pairs = [
        (number, index)
        for number, (episode, step, host) in enumerate(isolations.tolist())
        for index in steps.get((episode, host), ())
        if step - BEFORE <= suspects[index, 1] < step
    ]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


# -------------------------------------------------------------------------------------------------- resampling
def _figure(
    sums: FloatArray, statistic: Statistic, permuted: FloatArray, rng: np.random.Generator
) -> dict[str, float | list[float] | None]:
    """Return "difference", "ci95" and "p" of a statistic of sums over episodes [E, ...]; None where undefined.

    Args:
        sums: Per episode.
        statistic: Of their totals.
        permuted: Totals under permutations, [P, ...].
        rng: Resamples.
    """
    value = float(statistic(sums.sum(axis=0)[None])[0])
    if np.isnan(value):
        return {"difference": None, "ci95": None, "p": None}
    episodes = len(sums)
    times = rng.multinomial(episodes, np.full(episodes, 1.0 / episodes), size=RESAMPLES).astype(np.float64)
    resampled = statistic(np.tensordot(times, sums, axes=1))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.nanquantile(resampled, (tail, 1.0 - tail))
    others = statistic(permuted)
    others = others[~np.isnan(others)]
    centre = float(others.mean())
    extreme = int((np.abs(others - centre) >= abs(value - centre) - _SMALL).sum())
    return {"difference": value, "ci95": [float(low), float(high)], "p": (1 + extreme) / (1 + len(others))}


def _shuffles(marks: Array, group: Array, rng: np.random.Generator) -> Any:
    """Yield ``marks`` [N] shuffled among equal numbers of ``group`` [N], :data:`PERMUTATIONS` times."""
    order = np.argsort(group, kind="stable")
    number = np.unique(group[order], return_inverse=True)[1].astype(np.float64)
    for _ in range(PERMUTATIONS):
        shuffled = np.empty(len(marks))
        # Numbers of groups are whole, draws below 1: sorting mixes within groups only.
        shuffled[order] = marks[order][np.argsort(number + rng.random(len(marks)))]
        yield shuffled


def _total(marks: Array, cell: Array, cells: int) -> FloatArray:
    """Return sum of marks and count per cell, [cells, 2]."""
    return np.stack([np.bincount(cell, marks, cells), np.bincount(cell, minlength=cells)], axis=1).astype(np.float64)


def _per_episode(tables: Tables, episode: Array, lines: FloatArray) -> FloatArray:
    """Return sums of lines [N, K] per episode, [E, K]."""
    sums = np.zeros((len(tables["effort"]), lines.shape[1]))
    np.add.at(sums, episode.astype(np.int64), lines)
    return sums


def _ratio(part: Any, whole: Any) -> FloatArray:
    """Return part / whole, NaN where the whole is nought."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    ratio: FloatArray = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratio


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None


def _plain(value: float) -> float | None:
    """Return a number as JSON holds it."""
    return None if np.isnan(value) else float(value)
