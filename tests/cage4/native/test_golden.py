"""Golden traces: the compiled engine repeats what the real CybORG did, where CybORG is absent.

``tests/golden/record.py`` made them. A digest covers the observations, masks, reward parts, generator, and every
session, process, service, file, port, event, memory, queue and firewall entry, the rich
observations and the true state.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from cage4 import spec
from cage4.native.engine import NativeVectorEnv
from cage4.parity import lockstep as parity
from cage4.parity.drivers import DRIVERS, Play
from cage4.parity.snapshots import snapshot_native
from cage4.variants import VARIANTS, Variant

TRACES = sorted((Path(__file__).parents[2] / "golden").glob("*.json.gz"))


def load(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def test_every_variant_red_and_way_of_playing_has_a_trace():
    traces = [load(path) for path in TRACES]
    assert {trace["variant"]["name"] for trace in traces} == set(VARIANTS)
    assert {trace["variant"]["red"] for trace in traces} == {
        "finite-state",
        "discovery",
        "verbose",
        "random-select",
        "sleep",
    }
    assert {trace["driver"] for trace in traces} == set(DRIVERS)
    assert any(trace["steps"] == spec.DEFAULT_STEPS for trace in traces)


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_trace(path):
    trace = load(path)
    variant = Variant.from_dict(trace["variant"])
    env = NativeVectorEnv(1, variant, trace["steps"], trace["seed"], pad_spaces=True, rich=True)
    assert parity.digest(snapshot_native(env, *env.reset())) == trace["digests"][0], "differs after reset"
    for number, (indices, commands, messages) in enumerate(trace["plays"]):
        play = Play(
            None if indices is None else np.array(indices),
            None if commands is None else np.array(commands),
            None if messages is None else np.array(messages, np.int8),
        )
        found = parity.digest(parity.step_native(env, play))
        assert found == trace["digests"][number + 1], f"differs after step {number + 1}"
    assert len(trace["plays"]) == spec.episode_length(trace["steps"])
