"""What the roles want, and how options are scored by it, with gradients: twins of NumPy code that plays.

Letters: D decisions, H host slots, V verbs on hosts, Z options without a host, W = 13 wishes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

import native_sim.soc.spec as soc
from hmarl_soc.hierarchy.responder import emit
from hmarl_soc.hierarchy.roles import OUTPUTS, TYPES
from hmarl_soc.hierarchy.views import View
from native_sim.api import Array, Layout

WISHES: Final = soc.WISHES.size
HOST_VERBS, ZONE_VERBS = 4, 3
_FOCUS: Final = math.log(4.0)


class Scorer(nn.Module):
    """Linear scores of options; see :class:`adapters.cc4.mapper_linear.LinearMapper`, which plays by the same weights.

    Args:
        weights: [V * F * 13 + Z * G * 13].
        facts: F, known of each host.
        zone_facts: G, known of the zone.

    Raises:
        ValueError: If the number of weights is another.
    """

    def __init__(self, weights: Array, facts: int, zone_facts: int) -> None:
        super().__init__()
        self.wishes = WISHES
        border = HOST_VERBS * facts * WISHES
        if weights.shape != (border + ZONE_VERBS * zone_facts * WISHES,):
            raise ValueError(f"a mapper of {weights.shape} weights does not fit {facts} and {zone_facts} facts")
        given = torch.from_numpy(weights.astype("float32"))
        self.of_host = nn.Parameter(given[:border].view(HOST_VERBS, facts, WISHES).clone())
        self.of_zone = nn.Parameter(given[border:].view(ZONE_VERBS, zone_facts, WISHES).clone())

    def log_probs(self, wishes: Tensor, facts: Tensor, zone_facts: Tensor, allowed: Tensor) -> Tensor:
        """Return log-probabilities [D, V * H + Z], minus infinity nearly where an option is not allowed.

        Args:
            wishes: [D, 13].
            facts: [D, H, F].
            zone_facts: [D, G].
            allowed: [D, V * H + Z], 1 where legal.
        """
        by_verb = torch.einsum("vfw,dw->dvf", self.of_host, wishes)
        hosts = torch.bmm(by_verb, facts.transpose(1, 2)).flatten(1)
        zone = torch.einsum("zgw,dw,dg->dz", self.of_zone, wishes, zone_facts)
        scores = torch.cat([hosts, zone], dim=1)
        return torch.where(allowed > 0, scores, -1e9).log_softmax(dim=1)

    def weights(self) -> Array:
        """Return all weights in one vector, [W] float64, a copy."""
        joined = torch.cat([self.of_host.detach().flatten(), self.of_zone.detach().flatten()])
        return joined.cpu().numpy().astype("float64")


def want(
    roles: nn.ModuleDict,
    views: Mapping[str, View],
    seen: Mapping[str, Tensor],
    directive: Tensor,
    triage: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what the roles want of an agent.

    Args:
        roles: Networks of hunter, triage and responder.
        views: How each role's observation takes in the directive.
        seen: Observations of the roles, and "heard", "leads", "segment" [D, ...].
        directive: [D, 8] of the agent's own coordinator. It counts where ``leads`` is 1; elsewhere what was heard does.
        triage: [D] what triage chose at the time, where that is over; None to let it choose.

    Returns:
        Wishes [D, 13], with gradients, and the choice of triage [D].
    """
    force = torch.where(seen["leads"].unsqueeze(1) > 0, directive.clamp(-1.0, 1.0), seen["heard"])
    hunter = torch.tanh(roles["hunter"](_view(views["hunter"], seen["hunter"], force))[0])
    logits = roles["triage"](_view(views["triage"], seen["triage"], force))[0]
    each = roles["responder"](_view(views["responder"], seen["responder"], force))[0].unflatten(1, (-1, OUTPUTS))
    response = emit(each.transpose(0, 1), each[..., : len(TYPES)].softmax(dim=2).transpose(0, 1))
    segment, count = seen["segment"], seen["segment"].shape[1]
    focus, barrier = (_FOCUS * force[:, :count]).exp(), force[:, soc.Directive.FILTER]
    share = (count * (focus * segment).sum(dim=1) / focus.sum(dim=1)).clamp_min(1.0)
    intensity, scope, telemetry = (
        _level((hunter[:, first : first + count] * segment).sum(dim=1))
        for first in (soc.Hunting.INTENSITY, soc.Hunting.SCOPE, soc.Hunting.TELEMETRY)
    )
    isolate, remediate = (
        _level((response[:, first : first + count] * segment).sum(dim=1))
        for first in (soc.Response.ISOLATE, soc.Response.REMEDIATE)
    )
    chances, choice = logits.softmax(dim=1), logits.argmax(dim=1) if triage is None else triage
    taken = nn.functional.one_hot(choice, logits.shape[1]) + chances - chances.detach()
    wishes = {
        "always": torch.ones_like(share),
        "intensity": intensity * share,
        "scope": intensity * scope * share,
        "telemetry": telemetry,
        "isolate": isolate * share,
        "remediate": remediate * share,
        "throttle": _level(response[:, soc.Response.THROTTLE]),
        "release": _level(response[:, soc.Response.RELEASE]),
        "close": barrier.clamp_min(0.0),
        "reopen": (-barrier).clamp_min(0.0),
        "escalate": taken[:, soc.Triage.ESCALATE],
        "enrich": taken[:, soc.Triage.ENRICH],
        "posture": force[:, soc.Directive.POSTURE],
    }
    return columns(soc.WISHES, wishes), choice


def columns(layout: Layout, values: Mapping[str, Tensor]) -> Tensor:
    """Return numbers [D] of every field of a layout as one tensor [D, layout.size], in the order of the layout.

    Raises:
        ValueError: If the fields given are others.
    """
    names = [field.name for field in layout]
    if set(values) != set(names):
        raise ValueError(f"{layout.name} has the fields {', '.join(names)}; given {', '.join(values)}")
    return torch.stack([values[field.name] for field in layout], dim=1)


def _level(number: Tensor) -> Tensor:
    return ((number + 1.0) / 2.0).clamp(0.0, 1.0)


def _view(view: View, observed: Tensor, directive: Tensor) -> Tensor:
    """Return an observation with the directive in its place, [D, view.layout.size]."""
    place = view.layout["directive"].slice
    whole = observed.new_zeros(len(observed), view.layout.size)
    whole[:, : view.observed] = observed
    whole[:, place] = directive
    return whole
