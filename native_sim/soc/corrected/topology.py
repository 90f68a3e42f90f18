"""Random enterprise networks: the vulnerability of a host is a hash of the network's key, so nothing is stored."""

from __future__ import annotations

import math

import numpy as np

from native_sim.kernels.jit import inner
from native_sim.kernels.rng import hash_unit
from native_sim.soc import spec

_MEANS = np.array([segment.vulnerability for segment in spec.SEGMENTS])
_LOW, _HIGH = spec.VULNERABILITY_RANGE
_SPREAD = spec.VULNERABILITY_SPREAD
_PATCHED = 0.3
"""Share of a host's vulnerability that remediation leaves."""
_NOISY_SHARE = 0.1
"""Share of hosts that raise background alerts again and again."""

VALUE = np.array([segment.value for segment in spec.SEGMENTS])


@inner
def vulnerability(s, k, host):  # type: ignore[no-untyped-def]
    """Return a host's present vulnerability: drawn once per network, lowered by remediation."""
    key = s.truth.network
    radius = math.sqrt(-2.0 * math.log(1.0 - hash_unit(key, 2 * host)))
    drawn = _MEANS[host // k.hosts_per_segment] + _SPREAD * radius * math.cos(
        2.0 * math.pi * hash_unit(key, 2 * host + 1)
    )
    weakness = min(max(drawn, _LOW), _HIGH)
    return weakness * _PATCHED if s.hosts[host].patched else weakness


@inner
def noisy_host(k, segment, u):  # type: ignore[no-untyped-def]
    """Return one of the chronically noisy hosts of a segment, chosen by ``u`` in [0, 1)."""
    noisy = max(1, int(_NOISY_SHARE * k.hosts_per_segment))
    return segment * k.hosts_per_segment + int(u * noisy) * (k.hosts_per_segment // noisy)
