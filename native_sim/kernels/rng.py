"""Counter-based random numbers for kernels, and the streams they come from.

A stream is one uint64 that starts as a key made from (seed, episode, purpose) and advances by a constant per draw;
a draw is a hash of it (SplitMix64). So the n-th draw of a stream depends on its key and n alone: not on other
streams, on the row an episode plays in, or on the number of threads. The streams of an environment are a row ``r``
[P] of uint64, one per purpose ``p``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from native_sim.kernels.jit import kept

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2 to the power of -53

_BLOCKS = 128
_TAIL = 3.442619855899  # where the tail of the ziggurat starts
_AREA = 9.91256303526217e-3  # of each block


def _ziggurat() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the widths of the blocks [129] and the share of each that is inside the curve [128]."""
    width = np.zeros(_BLOCKS + 1)
    height = math.exp(-0.5 * _TAIL * _TAIL)
    width[0], width[1] = _AREA / height, _TAIL
    for i in range(2, _BLOCKS):
        width[i] = math.sqrt(-2.0 * math.log(_AREA / width[i - 1] + height))
        height = math.exp(-0.5 * width[i] * width[i])
    return width, width[1:] / width[:-1]


_WIDTH, _INSIDE = _ziggurat()


@kept()
def mix(z):  # type: ignore[no-untyped-def]
    """Hash a uint64 to a uint64; a bijection."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@kept()
def stream_key(seed, episode, purpose):  # type: ignore[no-untyped-def]
    """Return the start (uint64) of the stream of three uint64."""
    return mix(mix(mix(seed + _STEP) + episode + _STEP) + purpose + _STEP)


@kept()
def start_streams(r, seed, episode):  # type: ignore[no-untyped-def]
    """Start every stream of a row."""
    for p in range(r.shape[0]):
        r[p] = stream_key(seed, episode, np.uint64(p))


@kept()
def next64(r, p):  # type: ignore[no-untyped-def]
    """Draw 64 bits (uint64)."""
    z = r[p] + _STEP
    r[p] = z
    return mix(z)


@kept()
def hash_unit(key, index):  # type: ignore[no-untyped-def]
    """Return the ``index``-th uniform of a key without a stream: random access, nothing to store."""
    return float(mix(key + np.uint64(index + 1) * _STEP) >> _S11) * _TO_UNIT


@kept()
def uniform(r, p):  # type: ignore[no-untyped-def]
    """Draw a float in [0, 1)."""
    return float(next64(r, p) >> _S11) * _TO_UNIT


@kept()
def below(r, p, n):  # type: ignore[no-untyped-def]
    """Draw an integer in [0, n); the bias of 2^-53 n is far below anything measurable."""
    return int(uniform(r, p) * n)


@kept()
def normal(r, p):  # type: ignore[no-untyped-def]
    """Draw from N(0, 1) by the ziggurat method."""
    while True:
        bits = next64(r, p)
        i = int(bits & np.uint64(_BLOCKS - 1))
        u = 2.0 * (float(bits >> _S11) * _TO_UNIT) - 1.0
        if abs(u) < _INSIDE[i]:
            return u * _WIDTH[i]
        if i == 0:
            tail = _normal_tail(r, p)
            return tail if u > 0 else -tail
        x = u * _WIDTH[i]
        outer = math.exp(-0.5 * (_WIDTH[i] * _WIDTH[i] - x * x))
        inner = math.exp(-0.5 * (_WIDTH[i + 1] * _WIDTH[i + 1] - x * x))
        if inner + uniform(r, p) * (outer - inner) < 1.0:
            return x


@kept()
def _normal_tail(r, p):  # type: ignore[no-untyped-def]
    """Draw from N(0, 1) given that it exceeds the last block."""
    while True:
        x = -math.log(1.0 - uniform(r, p)) / _TAIL
        y = -math.log(1.0 - uniform(r, p))
        if 2.0 * y > x * x:
            return _TAIL + x


@kept()
def binomial(r, p, n, q):  # type: ignore[no-untyped-def]
    """Draw how many of ``n`` independent events of probability ``q`` happen, in time that does not grow with n."""
    if n <= 0 or q <= 0.0:
        return 0
    if q >= 1.0:
        return n
    small = min(q, 1.0 - q)
    count = _binomial_walk(r, p, n, small) if n * small < 10.0 else _binomial_reject(r, p, n, small)
    return count if q <= 0.5 else n - count


@kept()
def _binomial_walk(r, p, n, q):  # type: ignore[no-untyped-def]
    """Walk up the distribution function; n q steps on average."""
    odds = q / (1.0 - q)
    mass = math.exp(n * math.log1p(-q))
    u = uniform(r, p)
    k = 0
    while u > mass and k < n:
        u -= mass
        k += 1
        mass *= odds * (n - k + 1) / k
    return k


@kept()
def _binomial_reject(r, p, n, q):  # type: ignore[no-untyped-def]
    """Transformed rejection (Hoermann's BTRS without the squeeze), for n q >= 10 and q <= 1/2."""
    spread = math.sqrt(n * q * (1.0 - q))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * q
    centre = n * q + 0.5
    alpha = (2.83 + 5.1 / b) * spread
    mode = math.floor((n + 1) * q)
    log_odds = math.log(q / (1.0 - q))
    top = math.lgamma(mode + 1.0) + math.lgamma(n - mode + 1.0)
    while True:
        u = uniform(r, p) - 0.5
        v = uniform(r, p)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + centre) if us > 0.0 else -1.0
        if k < 0 or k > n:
            continue
        bound = math.log(max(v, 1e-300) * alpha / (a / (us * us) + b))
        if bound <= top - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0) + (k - mode) * log_odds:
            return int(k)
