"""The learned mapper: a linear score for every verb and host, fitted to what the table would do if it knew the truth.

Each option of an agent (Analyse, Remove, Restore or DeployDecoy of a host; Monitor, Block or Allow) is described by
what is known of its host, times what the roles want. The scores are linear in these products; the best legal option
is played. No reward takes part: the teacher is the table of :mod:`adapters.actions`, whose beliefs the true state of
the calibration episodes has put right, and the scorer sees the evidence only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

import cage4.actions as actions
import native_sim.soc.spec as soc
from adapters.actions import (
    Bid,
    Mapped,
    Mapper,
    MapperConfig,
    Orders,
    Situation,
    TableMapper,
    attention,
    handled_alert,
    host_indices,
    settle,
    traffic_indices,
)
from adapters.features import HOST
from adapters.terms import HOST_TERMS
from cage4.spec import Verb
from native_sim.api import Array, FloatArray

HOST_VERBS: Final = (Verb.ANALYSE, Verb.REMOVE, Verb.RESTORE, Verb.DEPLOY_DECOY)
ZONE_VERBS: Final = (Verb.MONITOR, Verb.ALLOW_TRAFFIC, Verb.BLOCK_TRAFFIC)
_BELIEF: Final = HOST_TERMS["belief"].start
WISHES: Final = 12
HOST_FACTS: Final = HOST.size + 3
ZONE_FACTS: Final = 4
HOST_WIDTH: Final = HOST_FACTS * WISHES
ZONE_WIDTH: Final = ZONE_FACTS * WISHES
SIZE: Final = len(HOST_VERBS) * HOST_WIDTH + len(ZONE_VERBS) * ZONE_WIDTH


def wishes(orders: Orders, agent: int) -> Array:
    """Return [N, 12] what the roles want, as numbers; the first is always 1."""
    share, barrier = attention(orders.directive, agent), orders.directive[:, 7]
    return np.stack(
        [
            np.ones(len(share)),
            orders.intensity * share,
            orders.intensity * orders.scope * share,
            orders.telemetry,
            orders.isolate * share,
            orders.remediate * share,
            orders.throttle,
            orders.release,
            np.maximum(barrier, 0.0),
            np.maximum(-barrier, 0.0),
            (orders.triage == soc.Triage.ESCALATE).astype(np.float64),
            (orders.triage == soc.Triage.ENRICH).astype(np.float64),
        ],
        axis=1,
    )


def host_facts(now: Situation) -> Array:
    """Return [N, H, 31] what is known of each host."""
    head = np.arange(now.known.exists.shape[1]) == now.alert[:, None]
    more = np.stack([now.known.exists, now.terms[..., _BELIEF], head], axis=-1)
    return np.concatenate([now.known.hosts, more], axis=-1)


def zone_facts(now: Situation) -> Array:
    """Return [N, 4] what is known of the zone."""
    belief = np.where(now.known.exists, now.terms[..., _BELIEF], 0.0)
    wrong, missing = wrong_traffic(now)
    return np.stack([np.ones(len(belief)), belief.max(axis=1), wrong.any(axis=1), missing.any(axis=1)], axis=1)


def host_options(now: Situation, wanted: Array) -> Array:
    """Return [N, H, 372] the description of each host's options."""
    products = host_facts(now)[..., :, None] * wanted[:, None, None, :]
    return np.asarray(products.reshape(*now.known.exists.shape, HOST_WIDTH))


def zone_options(now: Situation, wanted: Array) -> Array:
    """Return [N, 48] the description of the options without a host."""
    products = zone_facts(now)[:, :, None] * wanted[:, None, :]
    return np.asarray(products.reshape(len(products), ZONE_WIDTH))


def wrong_traffic(now: Situation) -> tuple[Array, Array]:
    """Return [N, Z * 9] pairs blocked against the mission's policy, and pairs that it forbids and are open."""
    allow, block = (table.reshape(-1) for table in traffic_indices(now.agent))
    count = len(now.free)
    blocked, forbidden = now.blocked.reshape(count, -1) > 0, now.forbidden.reshape(count, -1) > 0
    return blocked & ~forbidden & (allow >= 0), forbidden & ~blocked & (block >= 0)


class Lessons(NamedTuple):
    """Situations of calibration episodes, and the option that the table took, knowing the truth."""

    hosts: Array  # [n, H, 372] descriptions of each host's options
    zone: Array  # [n, 48] description of the options without a host
    allowed: Array  # [n, 4 * H + 3] bool, options that were legal
    taken: Array  # [n] the option taken, in the order of ``allowed``


class LinearMapper(Mapper):
    """Plays the option of the highest score, or draws one by a softmax of the scores.

    Args:
        weights: [1632], of the host verbs first, then of the others.
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
        values = scores(self._weights, host_options(now, wanted), zone_options(now, wanted))
        values = np.where(allowed, values, -np.inf)
        chosen = values.argmax(axis=1) if self.config.temperature == 0 else self._draw(values, draws[:, 0])
        bid = Bid(np.ones(len(rows), bool), indices[rows, chosen])
        return settle(now, (bid,), handled_alert(now, orders, np.zeros(len(rows), bool)))

    def _draw(self, values: FloatArray, draws: Array) -> Array:
        """Return [N] options, each as likely as the softmax of scores [N, O] has it."""
        chances = np.exp((values - values.max(axis=1, keepdims=True)) / self.config.temperature)
        below = chances.cumsum(axis=1)
        return np.asarray((below <= draws[:, None] * below[:, -1:]).sum(axis=1))


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


def scores(weights: FloatArray, hosts: Array, zone: Array) -> FloatArray:
    """Return [N, 4 * H + 3] the score of every option."""
    of_host, of_zone = _split(weights)
    values = np.swapaxes(hosts @ of_host.T, 1, 2).reshape(len(hosts), -1)
    return np.concatenate([values, zone @ of_zone.T], axis=1)


def _split(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    border = len(HOST_VERBS) * HOST_WIDTH
    return weights[:border].reshape(len(HOST_VERBS), HOST_WIDTH), weights[border:].reshape(len(ZONE_VERBS), ZONE_WIDTH)


def lessons(now: Situation, truth: Array, orders: Orders, draws: Array, config: MapperConfig) -> Lessons:
    """Return what the free agents of a situation could do, and what the table would do knowing the truth.

    Args:
        now: What the agent knows.
        truth: [N, H, 9] the true terms of its hosts.
        orders: What the roles want.
        draws: [N, 4] for the table.
        config: Of the table.
    """
    wanted = wishes(orders, now.agent)
    indices, allowed = options(now)
    taught = TableMapper(config)(now._replace(terms=truth), orders, draws).action
    same = (indices == taught[:, None]) & allowed
    kept = now.free & same.any(axis=1)
    return Lessons(
        host_options(now, wanted)[kept], zone_options(now, wanted)[kept], allowed[kept], same[kept].argmax(axis=1)
    )


def fit_scorer(taught: Sequence[Lessons], penalty: float = 1e-4, rounds: int = 150) -> FloatArray:
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
    values = np.where(taught.allowed, scores(weights, taught.hosts, taught.zone), -np.inf)
    values = values - values.max(axis=1, keepdims=True)
    chances = np.exp(values)
    total = chances.sum(axis=1)
    likelihood = float((values[rows, taught.taken] - np.log(total)).sum())
    surprise = -chances / total[:, None]
    surprise[rows, taught.taken] += 1.0
    border = len(HOST_VERBS) * taught.hosts.shape[1]
    of_host = surprise[:, :border].reshape(len(rows), len(HOST_VERBS), -1)
    gradient = np.tensordot(of_host, taught.hosts, axes=([0, 2], [0, 1]))
    return likelihood, np.concatenate([gradient.ravel(), (surprise[:, border:].T @ taught.zone).ravel()])
