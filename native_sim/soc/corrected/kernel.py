"""The order of a step under the corrected rules, on one page, and the loops over rows that threads share."""

from __future__ import annotations

from typing import Any

import numpy as np

from native_sim.kernels.jit import fingerprint, inner, kept
from native_sim.kernels.rng import start_streams, stream_key, uniform
from native_sim.soc import spec
from native_sim.soc.corrected.alerts import deliver, raise_background, read_meters
from native_sim.soc.corrected.attacker import act_attacker, plan_campaign
from native_sim.soc.corrected.cases import dismiss_cases
from native_sim.soc.corrected.hunting import hunt
from native_sim.soc.corrected.observe import write_observations, write_truth
from native_sim.soc.corrected.response import charge_disruption, finish_remediations, respond
from native_sim.soc.corrected.reward import settle
from native_sim.soc.corrected.state import CAMPAIGN, clear_evidence, clear_truth, row_of
from native_sim.soc.corrected.triage import assemble, triage

_NETWORK = np.uint64(1 << 32)
"""Purpose of the key of a network; beyond those of the streams."""


@inner
def step_one(s, k, commands, i, out):  # type: ignore[no-untyped-def]
    """Advance one environment by one step with command row ``i`` and write row ``i`` of the frame."""
    v = s.evidence
    v.step += 1
    s.ledger.parts[:] = 0.0
    finish_remediations(s)

    act_attacker(s, k)
    raise_background(s, k)
    read_meters(s, k)

    if commands.supplied[spec.COORDINATOR] and not np.isnan(commands.coordinator[i, 0]):
        v.directive[:] = commands.coordinator[i]
    deliver(s, k)
    v.power[:], v.verbose[:] = 0.0, 0.0
    if commands.supplied[spec.HUNTER]:
        hunt(s, k, commands.hunter[i])
    if commands.supplied[spec.TRIAGE]:
        triage(s, k, commands.triage[i])
    assemble(s, k)
    if commands.supplied[spec.RESPONDER]:
        respond(s, k, commands.responder[i])
    else:
        v.throttled[:] = False
    dismiss_cases(s)

    charge_disruption(s, k)
    settle(s, k, out, i)
    write_observations(s, k, out, i)


@inner
def reset_one(s, k, i, seed, episode, network, out):  # type: ignore[no-untyped-def]
    """Start an episode: one tree of streams grows from (seed, episode), and one key names the network."""
    start_streams(s.rng, seed, episode)
    clear_truth(s.truth)
    clear_evidence(s.evidence)
    for host in range(s.hosts.shape[0]):
        s.hosts[host].foothold, s.hosts[host].case, s.hosts[host].patched = 0, 0, False
    s.truth.network = stream_key(network[0], network[1], _NETWORK)
    s.evidence.start_hour = 24.0 * uniform(s.rng, CAMPAIGN)
    s.ledger.parts[:], s.ledger.part_sums[:], s.ledger.total = 0.0, 0.0, 0.0
    s.ledger.tally[:] = 0
    plan_campaign(s, k)
    write_observations(s, k, out, i)


def _compile_loops(fingerprint: int) -> Any:
    """Return the loops that Python calls: the only functions cached on disk, see :mod:`native_sim.kernels.jit`."""

    @kept(nogil=True)
    def step_batch(state, knobs, commands, rows, start, stop, out):  # type: ignore[no-untyped-def]
        """Advance ``rows[start:stop]`` by one step each; threads may work on disjoint parts at once."""
        _ = fingerprint
        for i in range(start, stop):
            step_one(row_of(state, rows[i]), knobs[0], commands, i, out)

    @kept(nogil=True)
    def reset_batch(state, knobs, rows, seeds, episodes, networks, start, stop, out):  # type: ignore[no-untyped-def]
        """Start an episode in each of ``rows[start:stop]``, seeded by [N] uint64 and ``networks`` [N, 2]."""
        _ = fingerprint
        for i in range(start, stop):
            reset_one(row_of(state, rows[i]), knobs[0], i, seeds[i], episodes[i], networks[i], out)

    @kept(nogil=True)
    def read_truth(state, knobs, rows, out):  # type: ignore[no-untyped-def]
        """Write the state vectors [N, 48] (spec.STATE) of ``rows`` [N], for centralised critics and the oracle."""
        _ = fingerprint
        for i in range(rows.shape[0]):
            write_truth(row_of(state, rows[i]), knobs[0], out[i])

    return step_batch, reset_batch, read_truth


step_batch, reset_batch, read_truth = _compile_loops(fingerprint(__name__))
