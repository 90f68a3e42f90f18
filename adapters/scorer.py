"""The learned mapper: a linear score for every verb and host, fitted to what the table would do if it knew the truth.

Each option of an agent (Analyse, Remove, Restore or DeployDecoy of a host; Monitor, Block or Allow) is described by
what is known of its host, times what the roles want. The scores are linear in these products; the best legal option
is played. No reward takes part: the teacher is the table of :mod:`adapters.actions`, shown the true terms of the
calibration episodes, and the scorer sees the evidence only.
"""

from __future__ import annotations

from typing import Final

import numpy as np

import cage4.actions as actions
import native_sim.soc.spec as soc
from adapters.actions import (
    DRAWS,
    Bid,
    Mapped,
    Mapper,
    MapperConfig,
    Orders,
    Situation,
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
_WISHES: Final = 12
_HOST_FACTS: Final = HOST.size + 3
_ZONE_FACTS: Final = 4
HOST_WIDTH: Final = _HOST_FACTS * _WISHES
ZONE_WIDTH: Final = _ZONE_FACTS * _WISHES
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


def host_options(now: Situation, wanted: Array) -> Array:
    """Return [N, H, 372] the description of each host's options."""
    head = np.arange(now.known.exists.shape[1]) == now.alert[:, None]
    facts = np.concatenate(
        [now.known.hosts, np.stack([now.known.exists, now.terms[..., _BELIEF], head], axis=-1)], axis=-1
    )
    products = facts[..., :, None] * wanted[:, None, None, :]
    return np.asarray(products.reshape(*facts.shape[:2], HOST_WIDTH))


def zone_options(now: Situation, wanted: Array) -> Array:
    """Return [N, 48] the description of the options without a host."""
    belief = np.where(now.known.exists, now.terms[..., _BELIEF], 0.0)
    wrong, missing = wrong_traffic(now)
    facts = np.stack([np.ones(len(belief)), belief.max(axis=1), wrong.any(axis=1), missing.any(axis=1)], axis=1)
    return np.asarray((facts[:, :, None] * wanted[:, None, :]).reshape(len(belief), ZONE_WIDTH))


def wrong_traffic(now: Situation) -> tuple[Array, Array]:
    """Return [N, Z * 9] pairs blocked against the mission's policy, and pairs that it forbids and are open."""
    allow, block = (table.reshape(-1) for table in traffic_indices(now.agent))
    count = len(now.free)
    blocked, forbidden = now.blocked.reshape(count, -1) > 0, now.forbidden.reshape(count, -1) > 0
    return blocked & ~forbidden & (allow >= 0), forbidden & ~blocked & (block >= 0)


class LinearMapper(Mapper):
    """Plays the option of the highest score.

    Args:
        weights: [1632] of host verbs, then of the others.
    """

    name = "learned"
    SHAPE: Final = (SIZE,)

    def __init__(self, config: MapperConfig, weights: FloatArray) -> None:
        self.config = config
        split = len(HOST_VERBS) * HOST_WIDTH
        self._host = weights[:split].reshape(len(HOST_VERBS), HOST_WIDTH)
        self._zone = weights[split:].reshape(len(ZONE_VERBS), ZONE_WIDTH)

    def __call__(self, now: Situation, orders: Orders, draws: Array) -> Mapped:
        """Choose one action per row; the draws [N, 4] are not needed."""
        assert draws.shape[1] == DRAWS
        rows, wanted = np.arange(len(now.free)), wishes(orders, now.agent)
        table = host_indices(now.agent)[list(HOST_VERBS)]  # [4, H]
        scores = np.einsum("nhf,vf->nvh", host_options(now, wanted), self._host)
        legal = (now.mask[:, table] == 1) & now.known.exists[:, None]
        options = np.where(legal, scores, -np.inf).reshape(len(rows), -1)
        others = zone_options(now, wanted) @ self._zone.T  # [N, 3]
        wrong, missing = wrong_traffic(now)
        allow, block = (indices.reshape(-1) for indices in traffic_indices(now.agent))
        others[:, 1] = np.where(wrong.any(axis=1), others[:, 1], -np.inf)
        others[:, 2] = np.where(missing.any(axis=1), others[:, 2], -np.inf)
        indices = np.concatenate(
            [
                np.broadcast_to(table.reshape(-1), options.shape),
                np.full((len(rows), 1), actions.MONITOR[now.agent]),
                allow[wrong.argmax(axis=1)][:, None],
                block[missing.argmax(axis=1)][:, None],
            ],
            axis=1,
        )
        best = np.concatenate([options, others], axis=1).argmax(axis=1)
        bid = Bid(np.ones(len(rows), bool), indices[rows, best])
        return settle(now, (bid,), handled_alert(now, orders, np.zeros(len(rows), bool)))
