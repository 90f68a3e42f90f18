"""The learned mapper: a linear score for every verb and host, fitted to what the table does, and tuned by fine-tuning.

Each option of an agent (Analyse, Remove, Restore or DeployDecoy of a host; Monitor, Block or Allow) is described by
what is known of its host, times what the roles want. The scores are linear in these products, and options are drawn by
a softmax of the scores, or the best is played. The first weights make the draws as likely as the table of
:mod:`adapters.cc4.mapper_table` made them on calibration episodes; no reward takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

import cage4.actions as actions
import native_sim.soc.spec as soc
from adapters.cc4.features import HOST
from adapters.cc4.mapper_table import (
    CONFIRMED_ODDS,
    Bid,
    Mapped,
    Mapper,
    MapperConfig,
    Orders,
    Situation,
    attention,
    belief_at,
    handled_alert,
    host_indices,
    settle,
    traffic_indices,
)
from adapters.cc4.soc_terms import HOST_TERMS
from cage4.spec import HOST_VERBS, TRAFFIC_VERBS, Verb
from native_sim.api import Array, FloatArray

ZONE_VERBS: Final = (Verb.MONITOR, *TRAFFIC_VERBS)
_BELIEF: Final = HOST_TERMS["belief"].start
_UNWATCHED: Final = HOST["unwatched"].start
WISHES: Final = soc.WISHES.size
HOST_FACTS: Final = HOST.size + 7
ZONE_FACTS: Final = 6
SIZE: Final = (len(HOST_VERBS) * HOST_FACTS + len(ZONE_VERBS) * ZONE_FACTS) * WISHES


def wishes(orders: Orders, agent: int) -> Array:
    """Return [N, 13] what the roles want, as numbers: see :data:`native_sim.soc.spec.WISHES`."""
    share, barrier = attention(orders.directive, agent), orders.directive[:, soc.Directive.FILTER]
    values = {
        "always": np.ones(len(share)),
        "intensity": orders.intensity * share,
        "scope": orders.intensity * orders.scope * share,
        "telemetry": orders.telemetry,
        "isolate": orders.isolate * share,
        "remediate": orders.remediate * share,
        "throttle": orders.throttle,
        "release": orders.release,
        "close": np.maximum(barrier, 0.0),
        "reopen": np.maximum(-barrier, 0.0),
        "escalate": orders.triage == soc.Triage.ESCALATE,
        "enrich": orders.triage == soc.Triage.ENRICH,
        "posture": orders.directive[:, soc.Directive.POSTURE],
    }
    return soc.WISHES.pack(values, np.float64)


def host_facts(now: Situation, config: MapperConfig) -> Array:
    """Return [N, H, 35] what is known of each host: its features, and what the table asks of it."""
    belief, confirmed, suspect = _judge(now, config)
    slots = np.arange(belief.shape[1])
    head = slots == now.alert[:, None]
    worst = confirmed & (slots == belief.argmax(axis=1)[:, None])
    due = belief * now.known.hosts[..., _UNWATCHED]
    more = np.stack([now.known.exists, belief, head, confirmed, worst, suspect, due], axis=-1)
    return np.concatenate([now.known.hosts, more], axis=-1)


def zone_facts(now: Situation, config: MapperConfig) -> Array:
    """Return [N, 6] what is known of the zone."""
    belief, confirmed, suspect = _judge(now, config)
    wrong, missing = wrong_traffic(now)
    flags = [flag.any(axis=1) for flag in (wrong, missing, confirmed, suspect)]
    return np.stack([np.ones(len(belief)), belief.max(axis=1), *flags], axis=1)


def _judge(now: Situation, config: MapperConfig) -> tuple[Array, Array, Array]:
    """Return [N, H] belief, and which hosts are confirmed, and suspects, under a neutral posture."""
    belief = np.where(now.known.exists, now.terms[..., _BELIEF], 0.0)
    confirmed = belief >= belief_at(CONFIRMED_ODDS)
    return belief, confirmed, (belief >= config.suspect_from) & ~confirmed


def wrong_traffic(now: Situation) -> tuple[Array, Array]:
    """Return [N, Z * 9] pairs that are blocked and not forbidden, and pairs that are forbidden and open."""
    allow, block = (table.reshape(-1) for table in traffic_indices(now.agent))
    count = len(now.free)
    blocked, forbidden = now.blocked.reshape(count, -1) > 0, now.forbidden.reshape(count, -1) > 0
    return blocked & ~forbidden & (allow >= 0), forbidden & ~blocked & (block >= 0)


class Lessons(NamedTuple):
    """Situations of calibration episodes, and the option that was taken."""

    hosts: Array  # [n, H, 35] host_facts
    zone: Array  # [n, 6] zone_facts
    wanted: Array  # [n, 13] wishes
    allowed: Array  # [n, 4 * H + 3] bool, options that were legal
    taken: Array  # [n] the option taken, in the order of ``allowed``


class LinearMapper(Mapper):
    """Plays the option of the highest score, or draws one by a softmax of the scores.

    Args:
        weights: [2054], of the host verbs first, then of the others.
    """

    name = "learned"
    SHAPE: Final = (SIZE,)

    def __init__(self, config: MapperConfig, weights: FloatArray) -> None:
        self.config = config
        self._weights = weights

    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one action per row; of the draws [N, 4] the first is used, if any."""
        rows, wanted = np.arange(len(now.free)), wishes(orders, now.agent)
        indices, allowed = options(now)
        values = scores(self._weights, host_facts(now, self.config), zone_facts(now, self.config), wanted)
        values = np.where(allowed, values, -np.inf)
        chosen = values.argmax(axis=1) if self.config.temperature == 0 else self._draw(values, draws[:, 0])
        bid = Bid(np.ones(len(rows), bool), indices[rows, chosen])
        return settle(now, (bid,), handled_alert(now, orders, np.zeros(len(rows), bool)))

    def _draw(self, values: FloatArray, draws: Array) -> Array:
        """Return [N] options, each as likely as the softmax of scores [N, O] has it."""
        chances = np.exp((values - values.max(axis=1, keepdims=True)) / self.config.temperature)
        below = chances.cumsum(axis=1)
        total = below[:, -1:]
        target = np.minimum(draws[:, None] * total, np.nextafter(total, 0.0))  # a product may round up to the total
        return np.asarray((below <= target).sum(axis=1))


def options(now: Situation) -> tuple[Array, Array]:
    """Return [N, 4 * H + 3] index of every option, and whether it may be taken: host verbs first, then the others."""
    table = host_indices(now.agent)[list(HOST_VERBS)]  # [4, H]
    count = len(now.free)
    legal = (now.mask[:, table] == 1) & now.known.exists[:, None]
    wrong, missing = wrong_traffic(now)
    allow, block = (indices.reshape(-1) for indices in traffic_indices(now.agent))
    others = np.full(count, actions.MONITOR[now.agent]), allow[wrong.argmax(axis=1)], block[missing.argmax(axis=1)]
    indices = np.concatenate(
        [np.broadcast_to(table.reshape(-1), (count, table.size)), np.stack(others, axis=1)], axis=1
    )
    may = np.stack([np.ones(count, bool), wrong.any(axis=1), missing.any(axis=1)], axis=1)
    return indices, np.concatenate([legal.reshape(count, -1), may], axis=1)


def scores(weights: FloatArray, hosts: Array, zone: Array, wanted: Array) -> FloatArray:
    """Return [N, 4 * H + 3] the score of every option: of host facts, zone facts and wishes."""
    of_host, of_zone = _split(weights)
    by_fact = np.tensordot(wanted, of_host, (1, 2))  # [N, 4, 35]
    values = (by_fact @ np.swapaxes(hosts, 1, 2)).reshape(len(hosts), -1)
    others = (np.tensordot(wanted, of_zone, (1, 2)) * zone[:, None]).sum(axis=2)
    return np.concatenate([values, others], axis=1)


def _split(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return [4, 35, 13] weights of the host verbs and [3, 6, 13] of the others."""
    border = len(HOST_VERBS) * HOST_FACTS * WISHES
    shapes = (len(HOST_VERBS), HOST_FACTS, WISHES), (len(ZONE_VERBS), ZONE_FACTS, WISHES)
    return weights[:border].reshape(shapes[0]), weights[border:].reshape(shapes[1])


def lessons(now: Situation, orders: Orders, taken: Array, config: MapperConfig) -> Lessons:
    """Return what the free agents of a situation could do, and what was done.

    Args:
        now: What the agent knows.
        orders: What the roles want.
        taken: [N] index of the action.
        config: Of the mapper.
    """
    wanted = wishes(orders, now.agent)
    indices, allowed = options(now)
    same = (indices == taken[:, None]) & allowed
    kept = now.free & same.any(axis=1)
    known = host_facts(now, config)[kept], zone_facts(now, config)[kept]
    return Lessons(*known, wanted[kept], allowed[kept], same[kept].argmax(axis=1))


def fit_scorer(taught: Sequence[Lessons], penalty: float = 1e-4, rounds: int = 800) -> FloatArray:
    """Return the weights under which the options taken are likeliest (a conditional logit, by L-BFGS).

    Args:
        taught: Lessons; those of one element have the same number of hosts.
        penalty: Of the squared weights, per lesson.
        rounds: Iterations at most.

    Raises:
        ValueError: If there is no lesson.
    """
    from scipy.optimize import minimize  # not needed to play

    count = sum(len(one.taken) for one in taught)
    if not count:
        raise ValueError("a scorer needs at least one lesson; given none")

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        total, slope = penalty / 2 * float(weights @ weights), penalty * weights
        for one in taught:
            value, gradient = _likelihood(weights, one)
            total, slope = total - value / count, slope - gradient / count
        return total, slope

    found = minimize(loss, np.zeros(SIZE), jac=True, method="L-BFGS-B", options={"maxiter": rounds})
    return np.asarray(found.x, np.float64)


def _likelihood(weights: FloatArray, taught: Lessons) -> tuple[float, FloatArray]:
    """Return the log-likelihood of the options taken, and its gradient."""
    rows = np.arange(len(taught.taken))
    values = scores(weights, taught.hosts, taught.zone, taught.wanted)
    values = np.where(taught.allowed, values, -np.inf)
    values = values - values.max(axis=1, keepdims=True)
    chances = np.exp(values)
    total = chances.sum(axis=1)
    likelihood = float((values[rows, taught.taken] - np.log(total)).sum())
    surprise = -chances / total[:, None]
    surprise[rows, taught.taken] += 1.0
    border = len(HOST_VERBS) * taught.hosts.shape[1]
    by_fact = surprise[:, :border].reshape(len(rows), len(HOST_VERBS), -1) @ taught.hosts  # [n, 4, 35]
    of_host = np.tensordot(by_fact, taught.wanted, (0, 0))
    of_zone = np.tensordot(surprise[:, border:, None] * taught.zone[:, None], taught.wanted, (0, 0))
    return likelihood, np.concatenate([of_host.ravel(), of_zone.ravel()])
