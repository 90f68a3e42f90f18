"""Record golden traces from the real CybORG: what blue did, what it cost, and a digest of everything after each step.

    CYBORG_PATH=... python tests/golden/record.py

Run it only when the reference itself, or what a snapshot covers, changes. Blue's play is drawn beside the compiled
engine (which knows masks and busy agents), but every reward and digest comes from the untouched CybORG.
"""

import dataclasses
import gzip
import importlib.metadata
import json
from pathlib import Path

import numpy as np

from cage4 import spec
from cage4.cyborg.engine import locate
from cage4.native.engine import NativeVectorEnv
from cage4.parity import lockstep as parity
from cage4.parity.drivers import DRIVERS
from cage4.parity.snapshots import snapshot_cyborg
from cage4.variants import VARIANTS, Variant

HERE = Path(__file__).parent
GAMES: tuple[tuple[str, str | None, str, int], ...] = (
    *(("base", None, driver, 150) for driver in DRIVERS),
    ("base", None, "valid", 500),
    ("base", None, "sleep", 500),
    *((name, None, "restore", 120) for name in VARIANTS if name != "base"),
    *(("base", red, "valid", 120) for red in ("discovery", "verbose", "random-select", "sleep")),
)
"""(variant, red agent if another than the variant's, how blue plays, steps)."""


def record(variant: Variant, driver: str, steps: int, seed: int) -> dict[str, object]:
    """Play one episode on CybORG and return its trace."""
    episode = parity.untouched_cyborg(variant, steps, seed)
    env = NativeVectorEnv(1, variant, steps, seed, pad_spaces=True, rich=True)
    rng = np.random.default_rng([seed, 3])
    env.reset()
    plays, rewards = [], []
    digests = [parity.digest(snapshot_cyborg(episode, episode.reset()))]
    for _ in range(spec.episode_length(steps)):
        play = DRIVERS[driver](rng, env)
        frame = parity.step_cyborg(episode, play)
        parity.step_native(env, play)
        plays.append([None if part is None else part.tolist() for part in play])
        rewards.append(frame.reward)
        digests.append(parity.digest(snapshot_cyborg(episode, frame)))
    return {
        "variant": variant.to_dict(),
        "driver": driver,
        "steps": steps,
        "seed": seed,
        "plays": plays,
        "rewards": rewards,
        "digests": digests,
    }


def main() -> None:
    made_with = {
        "cyborg": [locate().version, locate().commit],
        "numpy": importlib.metadata.version("numpy"),
        "networkx": importlib.metadata.version("networkx"),
    }
    for number, (name, red, driver, steps) in enumerate(GAMES):
        variant = VARIANTS[name] if red is None else dataclasses.replace(VARIANTS[name], red=red)
        trace = {"made_with": made_with, **record(variant, driver, steps, 1000 + number)}
        path = HERE / f"{name}-{variant.red}-{driver}-{steps}.json.gz"
        text = json.dumps(trace, separators=(",", ":")).encode()
        path.write_bytes(gzip.compress(text, mtime=0))
        print(path.name, sum(trace["rewards"]), f"{path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
