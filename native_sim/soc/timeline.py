"""An episode as text and as a figure: attacker phase, alerts, confirmed hosts and containment over time.

The figure is an SVG file written here, so that looking at an episode needs no plotting library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from native_sim.soc import spec

if TYPE_CHECKING:
    from native_sim.soc.env import SocVectorEnv

_PHASE_COLOURS: Final = ("#d9d9d9", "#fdd49e", "#fdbb84", "#ef6548", "#b30000")
_LANES: Final = (
    ("live", "live footholds", "#b30000"),
    ("queued", "alerts queued", "#8c6bb1"),
    ("confirmed", "confirmed hosts", "#2171b5"),
    ("isolated", "isolated hosts", "#238b45"),
)


@dataclass
class Moment:
    """What is shown of one step; live and phase are the truth, shown to people and not to policies."""

    step: int
    phase: int
    live: int
    queued: int
    confirmed: int
    isolated: int
    total: float


@dataclass
class Timeline:
    """The steps of one episode, recorded from a row of a vector environment."""

    moments: list[Moment] = field(default_factory=list)

    def record(self, env: SocVectorEnv, row: int = 0) -> None:
        """Append the present state of a row."""
        self.moments.append(_corrected(env, row) if env.config.rules == "corrected" else _reference(env, row))

    def text(self) -> str:
        """Return the latest step in one line, or a note that nothing happened yet."""
        if not self.moments:
            return "step 0: nothing has happened yet"
        now = self.moments[-1]
        phase = spec.Phase(now.phase).name.lower().replace("_", " ")
        return (
            f"step {now.step}: attacker in {phase} with {now.live} live footholds; {now.queued} alerts queued, "
            f"{now.confirmed} hosts confirmed, {now.isolated} isolated; reward so far {now.total:.2f}"
        )

    def svg(self, width: int = 900) -> str:
        """Return the episode as an SVG figure: a band of phases above one lane per count."""
        if not self.moments:
            raise ValueError("the timeline is empty: record the steps of an episode first")
        lane, left, top = 60, 130, 30
        scale = (width - left - 20) / max(1, len(self.moments))
        height = top + 30 + lane * len(_LANES) + 30
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        ]
        parts.append(f'<text x="5" y="{top + 15}">attacker phase</text>')
        for i, moment in enumerate(self.moments):
            parts.append(
                f'<rect x="{left + i * scale:.1f}" y="{top}" width="{scale + 0.2:.1f}" height="20" '
                f'fill="{_PHASE_COLOURS[moment.phase]}"><title>step {moment.step}: '
                f"{spec.TECHNIQUES[moment.phase]}</title></rect>"
            )
        for j, (name, label, colour) in enumerate(_LANES):
            base = top + 30 + lane * (j + 1) - 8
            values = [getattr(moment, name) for moment in self.moments]
            points = " ".join(
                f"{left + (i + 0.5) * scale:.1f},{base - (lane - 20) * value / max(1, *values):.1f}"
                for i, value in enumerate(values)
            )
            parts.append(f'<text x="5" y="{base - 15}">{label}</text><text x="5" y="{base}">max {max(values)}</text>')
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        last = self.moments[-1]
        parts.append(f'<text x="{left}" y="{height - 8}">steps 1 to {last.step}; reward {last.total:.2f}</text></svg>')
        return "\n".join(parts)

    def save(self, path: str | Path) -> None:
        """Write the figure to an SVG file."""
        Path(path).write_text(self.svg(), encoding="utf-8")


def _corrected(env: SocVectorEnv, row: int) -> Moment:
    state = env.engine.state
    truth, evidence = state.truth[row], state.evidence[row]
    cases = int(evidence["count"])
    status = evidence["status"][:cases]
    held = truth["host"][: int(truth["count"])]
    apart = set(evidence["host"][:cases][status > 0].tolist())
    return Moment(
        step=int(evidence["step"]),
        phase=int(truth["phase"]),
        live=sum(int(host) not in apart for host in held),
        queued=int(evidence["queued"]),
        confirmed=int((evidence["confirmed"][:cases] > 0).sum()),
        isolated=int((status > 0).sum()),
        total=float(state.ledger[row]["total"]),
    )


def _reference(env: SocVectorEnv, row: int) -> Moment:
    state = env.engine.state
    hosts, scalars = state.hosts[row], state.rows[row]
    return Moment(
        step=int(scalars["step"]),
        phase=int(scalars["phase"]),
        live=int(np.sum(hosts["compromised"] & ~hosts["isolated"])),
        queued=int(scalars["queued"]),
        confirmed=int(hosts["detected"].sum()),
        isolated=int(hosts["isolated"].sum()),
        total=float(scalars["total"]),
    )
