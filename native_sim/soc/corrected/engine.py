"""The corrected rules as the vector environment drives them."""

from __future__ import annotations

import numpy as np

from native_sim.kernels.threads import share
from native_sim.soc import spec
from native_sim.soc.config import SocConfig
from native_sim.soc.corrected import kernel, reward
from native_sim.soc.corrected.state import allocate, make_knobs
from native_sim.soc.frames import Array, Commands, Frame, allocate_frame


class CorrectedEngine:
    """State and kernels of E environments under the corrected rules."""

    metric_names: tuple[str, ...] = reward.METRICS
    observation_layouts = spec.OBSERVATIONS
    action_layouts = spec.ACTIONS

    def __init__(self, config: SocConfig, num_envs: int, threads: int) -> None:
        self.config, self._threads = config, threads
        self.state = allocate(num_envs, config.hosts_per_segment)
        self._knobs = make_knobs(config)

    def reset(self, rows: Array, seeds: Array, episodes: Array, networks: Array) -> Frame:
        """Start an episode in each of ``rows`` [N]; seeds and episodes are [N] uint64, networks [N, 2]."""
        frame = allocate_frame(len(rows), len(self.metric_names))

        def work(start: int, stop: int) -> None:
            kernel.reset_batch(self.state, self._knobs, rows, seeds, episodes, networks, start, stop, frame)

        share(work, len(rows), self._threads)
        return frame

    def step(self, rows: Array, commands: Commands) -> Frame:
        """Advance ``rows`` [N] by one step."""
        frame = allocate_frame(len(rows), len(self.metric_names))

        def work(start: int, stop: int) -> None:
            kernel.step_batch(self.state, self._knobs, commands, rows, start, stop, frame)

        share(work, len(rows), self._threads)
        return frame

    def truth(self, rows: Array) -> Array:
        """Return the state vectors [N, 48] float32 (spec.STATE) of some rows."""
        out = np.zeros((len(rows), spec.STATE.size), np.float32)
        kernel.read_truth(self.state, self._knobs, rows, out)
        return out
