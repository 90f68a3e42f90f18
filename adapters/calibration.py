"""From calibration samples to projections: fit, choose, and set the two thresholds of belief. No reward takes part."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from adapters import projection
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import LinearMap
from adapters.cc4.mapper_table import CONFIRMED_ODDS, MapperConfig, belief_at
from adapters.codec import Codec, fit_codec
from native_sim.api import Array, FloatArray, Layout

CONFIRMED_PRECISION: Final = 0.98
"""Share of confirmed hosts that are held: as sure as an isolation of the SOC simulator's adaptive defender."""
SUSPECT_RECALL: Final = 0.99
"""Share of held hosts that are suspects."""
HELD_OUT_EVERY: Final = 4
"""Every fourth episode is kept to choose by."""
_BELIEF: Final = terms.HOST_TERMS["belief"].start


class Samples(NamedTuple):
    """Rows of calibration episodes: what an agent knew, and what was so."""

    known: Array  # [n, F]
    so: Array  # [n, K]
    episode: Array  # [n] number of the episode

    def split(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Return (known, so) to fit on and (known, so) of the held-out episodes.

        Raises:
            ValueError: If there are fewer than two episodes.
        """
        episodes = np.unique(self.episode)
        if len(episodes) < 2:
            raise ValueError(f"calibration needs at least two episodes; given {len(episodes)}")
        out = np.isin(
            self.episode, episodes[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] if len(episodes) > 3 else episodes[-1:]
        )
        return (self.known[~out], self.so[~out]), (self.known[out], self.so[out])


class Calibration(NamedTuple):
    """What was learned from the samples."""

    hosts: LinearMap
    zones: LinearMap
    mapper: MapperConfig
    segment_codec: Codec
    report: dict[str, Any]  # how every method did, and the thresholds


def calibrate(
    hosts: Samples, zones: Samples, foreign_hosts: Array, foreign_zones: Array, methods: tuple[str, ...] = ()
) -> Calibration:
    """Learn both projections, each by the method that explains most of the held-out episodes.

    Args:
        hosts: features.HOST -> terms.HOST_TERMS, one row per host and step.
        zones: features.ZONE -> terms.ZONE_TERMS, one row per agent and step.
        foreign_hosts: [m, 9] rows of the SOC simulator, for the methods that use no pairs.
        foreign_zones: [m, 14] likewise.
        methods: Projections to choose from; all if empty.
    """
    by_host, host_report = _project(hosts, foreign_hosts, terms.HOST_TERMS, methods)
    by_zone, zone_report = _project(zones, foreign_zones, terms.ZONE_TERMS, methods)
    known, so = hosts.split()[1]
    sure, unsure = belief_thresholds(by_host(known)[:, _BELIEF], so[:, _BELIEF] > 0)
    gain = float(belief_at(CONFIRMED_ODDS)) / sure
    by_host = scale_term(by_host, _BELIEF, gain)
    report = {
        "hosts": host_report,
        "zones": zone_report,
        "belief": {
            "precision": CONFIRMED_PRECISION,
            "recall": SUSPECT_RECALL,
            "gain": gain,
            "suspect_from": unsure * gain,
        },
    }
    shown = terms.settle_zone(by_zone(zones.known))[:, : len(terms.SEGMENT_FIELDS)]
    return Calibration(by_host, by_zone, MapperConfig(suspect_from=unsure * gain), fit_codec(shown), report)


def _project(
    samples: Samples, foreign: Array, layout: Layout, methods: tuple[str, ...]
) -> tuple[LinearMap, dict[str, Any]]:
    fit, held_out = samples.split()
    choice = projection.choose(fit, held_out, foreign, np.ones(layout.size), methods)
    by_term = dict(zip([field.name for field in layout], choice.fields[choice.method], strict=True))
    report = {"method": choice.method, "held-out R2": choice.scores, "by term": by_term, "rows": len(fit[0])}
    return LinearMap(choice.coef, choice.intercept), report


def belief_thresholds(belief: FloatArray, held: Array) -> tuple[float, float]:
    """Return the lowest belief at which hosts are held with the stated precision, and the highest with the recall.

    Raises:
        ValueError: If no host is held, or none is believed in: there is nothing to calibrate on.
    """
    if not held.any() or belief.max() <= 0:
        raise ValueError("no held host in the calibration episodes; use more episodes or longer ones")
    order = np.argsort(-belief, kind="stable")
    precision = np.cumsum(held[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= CONFIRMED_PRECISION)
    sure = belief[order[enough[-1]]] if len(enough) else belief.max()
    suspects = np.sort(belief[held])
    unsure = suspects[int((1.0 - SUSPECT_RECALL) * len(suspects))]
    return max(float(sure), 1e-3), float(np.clip(unsure, 0.0, sure))


def scale_term(linear: LinearMap, term: int, gain: float) -> LinearMap:
    """Return the map with one of its terms multiplied."""
    factors = np.ones(len(linear.intercept))
    factors[term] = gain
    return LinearMap(linear.coef * factors, linear.intercept * factors)
