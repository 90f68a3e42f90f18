"""What the lower agents see: their own observation, and the directive that is in force for the decision they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmarl_soc.interface import Agent, make_layout
from native_sim.api import Array, Layout


@dataclass(frozen=True)
class View:
    """How a directive is joined to an observation.

    An environment that repeats the directive in an observation repeats the one of the last step; its field "directive"
    is overwritten by the directive of this decision. Where there is no such field the directive is appended.
    """

    layout: Layout
    observed: int  # features of the observation

    def __call__(self, observations: Array, directives: Array) -> Array:
        """Return views [N, layout.size] float32 of observations [N, F] and directives [N, D]."""
        views = np.empty((len(observations), self.layout.size), np.float32)
        views[:, : self.observed] = observations
        views[:, self.layout["directive"].slice] = directives
        return views


def make_view(agent: Agent, directive_size: int) -> View:
    """Return the view of an agent that gets directives of this size."""
    shapes = {field.name: field.shape for field in agent.observation}
    if shapes.get("directive", (directive_size,)) != (directive_size,):
        raise ValueError(f"{agent.name} observes a directive of {shapes['directive']}; it must be ({directive_size},)")
    shapes["directive"] = (directive_size,)
    return View(make_layout(agent.name, shapes), agent.observation.size)
