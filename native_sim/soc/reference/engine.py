"""The reference rules as the vector environment drives them."""

from __future__ import annotations

import numpy as np

from native_sim.kernels.threads import share
from native_sim.soc import spec
from native_sim.soc.config import SocConfig
from native_sim.soc.frames import Array, Commands, Frame, allocate_frame
from native_sim.soc.reference import kernel as rules
from native_sim.soc.reference.state import allocate


class ReferenceEngine:
    """State and kernels of E environments under the reference rules."""

    metric_names: tuple[str, ...] = rules.METRICS
    observation_layouts = spec.REFERENCE_OBSERVATIONS
    action_layouts = spec.REFERENCE_ACTIONS

    def __init__(self, config: SocConfig, num_envs: int, threads: int) -> None:
        self.config, self._threads = config, threads
        self.state = allocate(num_envs, config.hosts_per_segment)
        self._has_network: Array = np.zeros(num_envs, np.bool_)  # [E], a fixed network is drawn once

    def reset(self, rows: Array, seeds: Array, episodes: Array, networks: Array) -> Frame:
        """Start an episode in each of ``rows`` [N]; seeds and episodes are [N] uint64, networks [N, 2]."""
        frame = allocate_frame(len(rows), len(self.metric_names))
        redraw = ~self._has_network[rows] | (self.config.networks == "episode")
        limit = self.config.max_steps

        def work(start: int, stop: int) -> None:
            rules.reset_batch(self.state, limit, rows, seeds, episodes, networks, redraw, start, stop, frame)

        share(work, len(rows), self._threads)
        self._has_network[rows] = True
        return frame

    def step(self, rows: Array, commands: Commands) -> Frame:
        """Advance ``rows`` [N] by one step."""
        frame = allocate_frame(len(rows), len(self.metric_names))
        limit = self.config.max_steps

        def work(start: int, stop: int) -> None:
            rules.step_batch(self.state, limit, commands, rows, start, stop, frame)

        share(work, len(rows), self._threads)
        return frame

    def truth(self, rows: Array) -> Array:
        """Raise ValueError: there is no state vector under these rules."""
        raise ValueError("the reference rules have no state vector: their observations show the truth")
