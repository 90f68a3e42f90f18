"""Why a decision was taken: the attention weights of the acting networks, in words, and a test of their worth.

The weights are those of the decision itself (see :class:`hmarl_soc.nn.networks.FeatureAttention`): nothing reaches a
network but through them. Whether they single out what the decision depends on is another question, which
:func:`faithfulness` answers by deleting and inserting tokens.

Letters: N decisions, T tokens, F features, U outputs of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.hierarchy.roles import LOWER
from hmarl_soc.nn.tokens import Tokens, make_tokens
from native_sim.api import Array, FloatArray, ObservationBatch
from native_sim.soc import spec

ATTRIBUTIONS: Final = ("attention", "gradient", "random")
_STRONG: Final = 0.5  # of an output from -1 to 1 that is worth mentioning


@dataclass(frozen=True)
class Reason:
    """One token and its share of the attention."""

    token: str
    weight: float
    """0 to 1; the weights of a decision's tokens sum to 1."""
    words: str


@dataclass(frozen=True)
class Report:
    """One role's decision and what it attended to, the most first."""

    role: str
    decision: str
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.role}: {self.decision} because of {'; '.join(reason.words for reason in self.reasons)}"


def views_of(policy: HierarchyPolicy, obs: ObservationBatch, memory: Any) -> dict[str, Array]:
    """Return role -> [N, F]: exactly what each acting network is given in this decision."""
    directives = policy.direct(obs, memory)
    views = {name: policy.views[name](obs[name], directives) for name in LOWER}
    return {"coordinator": np.asarray(obs["coordinator"], np.float32), **views}


def tokens_of(policy: HierarchyPolicy, role: str) -> Tokens:
    """Return the tokens of a role's network."""
    layout = policy.interface["coordinator"].observation if role == "coordinator" else policy.views[role].layout
    return make_tokens(layout)


def attention_of(policy: HierarchyPolicy, role: str, views: Array) -> Array:
    """Return attention weights [N, T] of views [N, F], mean over the heads.

    Raises:
        ValueError: If the policy was trained without attention.
    """
    weights: Array = policy.nets[role].attend(views).mean(axis=0)
    return weights


def explain(
    policy: HierarchyPolicy, obs: ObservationBatch, memory: Any, row: int = 0, most: int = 3
) -> tuple[Report, ...]:
    """Report the decision that ``policy.act`` takes in one row: one report per role that decides now.

    Args:
        policy: Trained with attention.
        obs: Agent -> [N, F].
        memory: What the policy is handed with them.
        row: Which of the N.
        most: Reasons per report.
    """
    one = {name: np.asarray(obs[name])[row : row + 1] for name in policy.nets}
    kept = {name: value[row : row + 1] for name, value in memory.items()}
    actions = policy.act(one, {}, kept, np.zeros((1, len(one), 0))).actions
    reports = []
    for role, view in views_of(policy, one, kept).items():
        if role == "coordinator" and (kept["age"][0] != 0 or not policy.config.coordinator.enabled):
            continue
        tokens, weights = tokens_of(policy, role), attention_of(policy, role, view)[0]
        reasons = [
            Reason(tokens.names[i], float(weights[i]), _describe(tokens, i, view[0]))
            for i in np.argsort(-weights, kind="stable")[:most]
        ]
        reports.append(Report(role, _decision(role, actions[role][0]), tuple(reasons)))
    return tuple(reports)


def _decision(role: str, action: Array) -> str:
    """Say in words what an action does."""
    if role == "triage":
        return ("escalated", "suppressed", "correlated", "enriched")[int(action)]
    layout = spec.ACTIONS[role]
    if len(action) != layout.size:
        return f"chose {np.round(action, 2).tolist()}"
    said = []
    for field in layout:
        values = np.atleast_1d(action[field.slice])
        strong = values >= _STRONG if role == "coordinator" else values >= 0.0
        if field.shape and strong.any():
            said.append(f"{field.name} in {_names(np.flatnonzero(strong))}")
        elif not field.shape and (strong[0] or (role == "coordinator" and values[0] <= -_STRONG)):
            said.append(f"{field.name} {values[0]:+.1f}" if role == "coordinator" else field.name)
    return ", ".join(said) or "held back"


def _names(segments: Sequence[int] | Array) -> str:
    return " and ".join(spec.SEGMENTS[int(segment)].name for segment in segments)


def _describe(tokens: Tokens, token: int, view: Array) -> str:
    """Say in words what a token shows."""
    name, _, rest = tokens.names[token].partition("[")
    values = view[tokens.gather[token][tokens.gather[token] < tokens.size]]
    number = int(rest.rstrip("]")) if rest else 0
    if name == "segments" and number < spec.NUM_SEGMENTS and len(values) >= 8:
        counts = np.maximum(-4.0 * np.log(np.maximum(1.0 - values[[0, 3, 4]], 1e-6)), 0.0) + 0.0  # never -0
        shown = f"{counts[0]:.1f} recent alerts, {counts[1]:.0f} confirmed, {counts[2]:.0f} isolated"
        return f"{spec.SEGMENTS[number].name} ({shown})"
    if name == "cases" and len(values) >= 2:
        where = round(5 * float(values[1])) - 1
        return (
            f"case {number + 1} ({spec.SEGMENTS[where].name}, belief {values[0]:.2f})"
            if where >= 0
            else "no more cases"
        )
    if name == "alerts" and len(values) >= 4:
        where = round(5 * float(values[3])) - 1
        there = values[0] > 0 and where >= 0
        shown = f"({spec.SEGMENTS[where].name}, confidence {values[2]:.2f}, severity {values[1]:.2f})"
        return f"alert {number + 1} {shown}" if there else f"no alert {number + 1}"
    return f"{tokens.names[token].replace('_', ' ')} ({', '.join(f'{value:.2f}' for value in values[:4])})"


def faithfulness(
    policy: HierarchyPolicy, role: str, views: Array, generator: np.random.Generator
) -> Mapping[str, tuple[FloatArray, FloatArray]]:
    """Delete and insert tokens in the order of each attribution, and see how fast the decision goes and comes.

    A deleted token shows its mean over ``views``. What is left of a decision is the projection of the network's outputs
    on the way from the outputs for the mean view to those for the view: 1 for the view itself, 0 for the mean.

    Args:
        policy: Trained with attention.
        role: Whose network.
        views: [N, F], N at least 2.
        generator: Orders the tokens of the random attribution.

    Returns:
        Attribution -> (deletion [N], insertion [N]): areas under the curves over the share of tokens. The better an
        attribution, the smaller is deletion and the larger insertion.
    """
    tokens = tokens_of(policy, role)
    scores = {
        "attention": attention_of(policy, role, views),
        "gradient": _gradients(policy, role, views, tokens),
        "random": generator.random((len(views), len(tokens.names))),
    }
    areas = {}
    for name in ATTRIBUTIONS:
        order = np.argsort(-scores[name], axis=1, kind="stable")
        areas[name] = tuple(_area(policy, role, views, tokens, order, insert) for insert in (False, True))
    return areas  # type: ignore[return-value]


def _outputs(policy: HierarchyPolicy, role: str, views: Array) -> Array:
    """Return what is decided on, [N, U]: choices by their advantage, numbers after squashing."""
    outputs: Array = policy.nets[role](np.ascontiguousarray(views, np.float32))
    if role == "triage":
        outputs = outputs - outputs.mean(axis=1, keepdims=True)
    else:
        outputs = np.tanh(outputs[:, : policy.interface[role].actions] if role == "hunter" else outputs)
    return outputs


def _way(policy: HierarchyPolicy, role: str, views: Array) -> tuple[Array, Array]:
    """Return the outputs for the mean view [1, U], and the way from there to those of the views [N, U]."""
    base = _outputs(policy, role, views.mean(axis=0, keepdims=True))
    return base, _outputs(policy, role, views) - base


def _area(policy: HierarchyPolicy, role: str, views: Array, tokens: Tokens, order: Array, insert: bool) -> FloatArray:
    """Return the area [N] under the curve of what is left of each decision while tokens go (or come)."""
    base, way = _way(policy, role, views)
    mean = views.mean(axis=0, keepdims=True)
    now = np.repeat(mean, len(views), axis=0) if insert else views.copy()
    source = views if insert else np.broadcast_to(mean, views.shape)
    length = np.maximum((way * way).sum(axis=1), 1e-12)
    curve = []
    for step in range(order.shape[1] + 1):
        if step:
            changed = tokens.member[order[:, step - 1]] > 0  # [N, F]
            now = np.where(changed, source, now)
        curve.append(((_outputs(policy, role, now) - base) * way).sum(axis=1) / length)
    heights = np.stack(curve)
    area: FloatArray = (0.5 * (heights[1:] + heights[:-1])).mean(axis=0)
    return area


def _gradients(policy: HierarchyPolicy, role: str, views: Array, tokens: Tokens, step: float = 1e-2) -> Array:
    """Return |gradient times distance from the mean|, summed per token, [N, T]; gradients by central differences."""
    _, way = _way(policy, role, views)
    gradients = np.zeros(views.shape)
    for feature in range(views.shape[1]):
        up, down = views.copy(), views.copy()
        up[:, feature] += step
        down[:, feature] -= step
        slope = (_outputs(policy, role, up) - _outputs(policy, role, down)) / (2.0 * step)
        gradients[:, feature] = (slope * way).sum(axis=1)
    moved = np.abs(gradients * (views - views.mean(axis=0)))
    scores: Array = moved @ tokens.member.T
    return scores
