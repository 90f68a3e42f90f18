"""How urgent a situation looks to the defender: detection confidence and response urgency, for replay priorities."""

from __future__ import annotations

import numpy as np

from hmarl_soc.interface import Interface
from native_sim.api import Array, ObservationBatch
from native_sim.soc import spec

_BELIEF = 0  # column of a case: how likely its host is held
_CONFIRMED, _ISOLATED = 3, 4  # columns of a segment: hosts confirmed, hosts isolated, as 1 - exp(-n / 4)


def measure_urgency(interface: Interface, observations: ObservationBatch) -> Array:
    """Return (detection confidence + response urgency) / 2, [N] float32 in [0, 1].

    Detection confidence is the belief of the hunter's best case; response urgency is the largest excess of confirmed
    over isolated hosts of a segment. Observations that do not name cases and segments have none.
    """
    layout = interface["hunter"].observation
    seen = observations["hunter"]
    if {field.name: field.shape for field in layout} != _SHAPES:
        return np.zeros(len(seen), np.float32)
    segments = seen[:, layout["segments"].slice].reshape(len(seen), *layout["segments"].shape)
    cases = seen[:, layout["cases"].slice].reshape(len(seen), *layout["cases"].shape)
    waiting = (segments[:, :, _CONFIRMED] - segments[:, :, _ISOLATED]).max(axis=1).clip(0.0, 1.0)
    urgency: Array = 0.5 * (cases[:, 0, _BELIEF] + waiting)
    return urgency.astype(np.float32)


_SHAPES = {field.name: field.shape for field in spec.OBSERVATIONS["hunter"]}
