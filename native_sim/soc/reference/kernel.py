"""The published rules, quirks included: attacker, alerts, the four roles, reward, and the order of a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from native_sim.kernels.jit import fingerprint, inner, kept
from native_sim.kernels.rng import below, binomial, start_streams, uniform
from native_sim.soc import spec
from native_sim.soc.reference.observe import write_observations
from native_sim.soc.reference.state import (
    ALERTS,
    ATTACKER,
    CONFIDENCE,
    HUNTER,
    LABEL,
    NOISE,
    RESPONDER,
    SEGMENT,
    SEVERITY,
    TIME,
    clean,
    clear,
    compromise,
    draw_network,
    hosts_per_segment,
    isolate,
    set_stage,
    view_of,
)

METRICS = (
    "mttd",
    "mttr",
    "fpr",
    "csr",
    "length",
    "exfiltrated",
    "compromised",
    "reward",
    "true_positives",
    "false_positives",
    "scans",
    "phase",
)
"""Of an episode: steps (mttd, mttr, length), fractions (fpr, csr, exfiltrated), hosts (compromised), counts."""

_STEALTH = 0.7
_PHASE_NOISE = np.array([0.1, 0.3, 0.5, 0.4, 0.6])
_P_ACCESS, _P_EXECUTE, _P_MOVE, _P_STEAL = 0.5, 0.6, 0.4, 0.3
_MIN_PHASE_STEPS = 3
_NUM_TARGETS = 5
_VALUE = np.array([segment.value for segment in spec.SEGMENTS])
_REACH = np.zeros((spec.NUM_SEGMENTS, spec.NUM_SEGMENTS), np.bool_)
for _i, _segment in enumerate(spec.SEGMENTS):
    _REACH[_i, list(_segment.reaches)] = True
_SEGMENTS = spec.NUM_SEGMENTS
_LENGTH = spec.QUEUE_LENGTH
_SCALE = spec.STAGE_SCALE
_SCAN_BOOST, _SCOPE_BOOST = int(spec.ReferenceDirective.SCAN_BOOST), int(spec.ReferenceDirective.SCOPE_BOOST)
_URGENCY_BOOST = int(spec.ReferenceDirective.URGENCY_BOOST)
_INTENSITY, _SCOPE = int(spec.Hunting.INTENSITY), int(spec.Hunting.SCOPE)
_ISOLATE, _REMEDIATE = int(spec.Response.ISOLATE), int(spec.Response.REMEDIATE)


@inner
def step_one(s, limit, commands, i, out):  # type: ignore[no-untyped-def]
    """Advance one environment by one step with command row ``i`` and write row ``i`` of the frame."""
    s.row.step += 1
    s.row.detection, s.row.response, s.row.cost = 0.0, 0.0, 0.0
    s.row.false_scans, s.row.suppressed = 0, 0
    before = s.row.phase
    act_attacker(s)
    raise_alerts(s, before)
    if commands.supplied[spec.COORDINATOR] and not np.isnan(commands.coordinator[i, 0]):
        s.row.directive[:] = commands.coordinator[i]
    if commands.supplied[spec.HUNTER]:
        hunt(s, commands.hunter[i])
    if commands.supplied[spec.TRIAGE]:
        triage(s, commands.triage[i])
    contained = commands.supplied[spec.RESPONDER] and respond(s, commands.responder[i])
    settle(s, contained, limit, out, i)
    write_observations(s, limit, out, i)


@inner
def act_attacker(s):  # type: ignore[no-untyped-def]
    """Let the attacker act and perhaps change phase."""
    s.row.phase_steps += 1
    phase = s.row.phase
    if phase == 0:
        success = _scout(s)
    elif phase == 1:
        success = _access(s)
    elif phase == 2:
        success = _execute(s)
    elif phase == 3:
        success = _move(s)
    else:
        success = _steal(s)
    if success and s.row.phase_steps >= _MIN_PHASE_STEPS and phase < 4:
        s.row.phase = phase + 1
        s.row.phase_steps = 0
    s.row.visibility = _PHASE_NOISE[s.row.phase] * (1.0 - _STEALTH)


@inner
def _scout(s):  # type: ignore[no-untyped-def]
    """Choose the most vulnerable free hosts of the DMZ, by insertion into a short sorted list."""
    count = 0
    for place in range(s.row.free[0]):
        host = s.hosts[place].order
        weakness = s.hosts[host].vulnerability
        if count == _NUM_TARGETS and weakness <= s.hosts[s.row.targets[count - 1]].vulnerability:
            continue
        count = min(count + 1, _NUM_TARGETS)
        j = count - 1
        while j > 0 and s.hosts[s.row.targets[j - 1]].vulnerability < weakness:
            s.row.targets[j] = s.row.targets[j - 1]
            j -= 1
        s.row.targets[j] = host
    s.row.num_targets = count
    return count > 0


@inner
def _access(s):  # type: ignore[no-untyped-def]
    success = False
    for j in range(s.row.num_targets):
        host = s.row.targets[j]
        if not s.hosts[host].isolated and uniform(s.rng, ATTACKER) < _P_ACCESS * s.hosts[host].vulnerability:
            compromise(s, host, 1)  # also a host already held: its stage falls back to 1, it is listed again
            success = True
    return success


@inner
def _execute(s):  # type: ignore[no-untyped-def]
    success = False
    for j in range(s.row.num_victims):
        host = s.hosts[j].victims
        if s.hosts[host].isolated or s.hosts[host].stage >= 2:
            continue
        # Every entry of the list rolls by itself, and clean hosts still listed roll too.
        if uniform(s.rng, ATTACKER) < 1.0 - (1.0 - _P_EXECUTE) ** s.hosts[host].victim:
            set_stage(s, host, 2)
            success = True
    return success


@inner
def _move(s):  # type: ignore[no-untyped-def]
    success = False
    hosts = hosts_per_segment(s)
    source = s.row.sources.copy()  # new victims are sources only from the next step on
    for origin in range(_SEGMENTS):
        if source[origin] == 0:
            continue
        for segment in range(_SEGMENTS):
            if not _REACH[origin, segment] or s.row.free[segment] == 0:
                continue
            host = s.hosts[segment * hosts + below(s.rng, ATTACKER, s.row.free[segment])].order
            if uniform(s.rng, ATTACKER) < _P_MOVE * s.hosts[host].vulnerability:
                compromise(s, host, 3)
                success = True
    return success


@inner
def _steal(s):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    ready = False
    for j in range(s.row.num_victims):
        host = s.hosts[j].victims
        valuable = _VALUE[host // hosts] >= spec.OBJECTIVE_VALUE
        if valuable and not s.hosts[host].isolated and s.hosts[host].stage >= 3:
            set_stage(s, host, 4)
            ready = True
    if ready and uniform(s.rng, ATTACKER) < _P_STEAL:
        s.row.stolen = True
    return s.row.stolen


@inner
def raise_alerts(s, before):  # type: ignore[no-untyped-def]
    """Queue the alerts of this step; ``before`` is the phase at its start."""
    visibility = s.row.visibility
    if before >= 1 and uniform(s.rng, ALERTS) < 2.0 * visibility:
        # The DMZ is named wherever the attack is.
        _append(s, min(1.0, before / 4.0), 0.5 + visibility / 2.0, 0, 1.0, visibility)
    if uniform(s.rng, ALERTS) < 0.3:
        severity = 0.5 * uniform(s.rng, ALERTS)
        confidence = 0.4 * uniform(s.rng, ALERTS)
        segment = below(s.rng, ALERTS, _SEGMENTS)
        _append(s, severity, confidence, segment, 0.0, 0.3 * uniform(s.rng, ALERTS))


@inner
def _append(s, severity, confidence, segment, label, noise):  # type: ignore[no-untyped-def]
    if s.row.queued == _LENGTH:
        s.row.head = (s.row.head + 1) % _LENGTH
        s.row.queued -= 1
    alert = s.row.queue[(s.row.head + s.row.queued) % _LENGTH]
    alert[SEVERITY], alert[CONFIDENCE], alert[SEGMENT] = severity, confidence, segment
    alert[LABEL], alert[TIME], alert[NOISE] = label, s.row.step, noise
    s.row.queued += 1


@inner
def hunt(s, action):  # type: ignore[no-untyped-def]
    """Scan the segments: 5 intensities, then 5 scopes."""
    hosts = hosts_per_segment(s)
    intensity_boost = 0.15 * (s.row.directive[_SCAN_BOOST] + 1.0)
    scope_boost = 0.10 * (s.row.directive[_SCOPE_BOOST] + 1.0)
    for segment in range(_SEGMENTS):
        intensity = min(1.0, (action[_INTENSITY + segment] + 1.0) / 2.0 + intensity_boost)
        scope = min(1.0, (action[_SCOPE + segment] + 1.0) / 2.0 + scope_boost)
        if intensity <= 0.3:
            continue
        s.row.scans += hosts
        first_taken = segment * hosts + s.row.free[segment] + s.row.shut[segment]
        for place in range(first_taken, (segment + 1) * hosts):
            host = s.hosts[place].order
            p = intensity * scope * (1.0 - 0.5 * _STEALTH) * s.hosts[host].stage / _SCALE
            if not s.hosts[host].detected and uniform(s.rng, HUNTER) < p:
                _detect(s, host)
        if intensity > 0.7:
            s.row.false_scans += binomial(s.rng, HUNTER, first_taken - segment * hosts, 0.05)
    s.row.false_positives += s.row.false_scans


@inner
def _detect(s, host):  # type: ignore[no-untyped-def]
    s.hosts[host].detected = True
    s.hosts[host].detected_at = s.row.step
    s.row.found[host // hosts_per_segment(s)] += 1
    s.row.true_positives += 1
    s.row.detection += s.hosts[host].stage / _SCALE
    if s.row.first_detection == 0:
        s.row.first_detection = s.row.step


@inner
def triage(s, choice):  # type: ignore[no-untyped-def]
    """Handle the oldest alert; with an empty queue nothing happens."""
    if s.row.queued == 0:
        return
    alert = s.row.queue[s.row.head]
    if choice == 2:
        _correlate(s)
    elif choice == 3:
        alert[CONFIDENCE] = min(np.float32(1.0), alert[CONFIDENCE] + np.float32(0.2))
    else:
        true = alert[LABEL] > 0.5
        if choice == 1:
            s.row.suppressed += true
        elif true:
            s.row.true_positives += 1
        else:
            s.row.false_positives += 1
        s.row.head = (s.row.head + 1) % _LENGTH
        s.row.queued -= 1


@inner
def _correlate(s):  # type: ignore[no-untyped-def]
    """Keep, of all alerts of the oldest one's segment, only the first of the highest severity."""
    head, queued = s.row.head, s.row.queued
    segment = s.row.queue[head, SEGMENT]
    best = head
    for j in range(1, queued):
        k = (head + j) % _LENGTH
        if s.row.queue[k, SEGMENT] == segment and s.row.queue[k, SEVERITY] > s.row.queue[best, SEVERITY]:
            best = k
    kept = 0
    for j in range(queued):
        k = (head + j) % _LENGTH
        if s.row.queue[k, SEGMENT] != segment or k == best:
            s.row.queue[(head + kept) % _LENGTH] = s.row.queue[k]
            kept += 1
    s.row.queued = kept


@inner
def respond(s, action):  # type: ignore[no-untyped-def]
    """Isolate and clean, segment by segment; return whether the attack is contained."""
    hosts = hosts_per_segment(s)
    boost = 0.10 * (s.row.directive[_URGENCY_BOOST] + 1.0)
    for segment in range(_SEGMENTS):
        urgency = min(1.0, (action[_ISOLATE + segment] + 1.0) / 2.0 + boost)
        if urgency > 0.5:
            _isolate_detected(s, segment, urgency)
        if urgency > 0.9:
            _isolate_clean(s, segment)
        remedy = (action[_REMEDIATE + segment] + 1.0) / 2.0
        if remedy > 0.5:
            _clean_isolated(s, segment, remedy)
    held, loose = 0, 0
    for segment in range(_SEGMENTS):
        taken = hosts - s.row.free[segment] - s.row.shut[segment]
        held += taken
        loose += taken - (s.row.apart[segment] - s.row.shut[segment])
    return loose == 0 and held > 0


@inner
def _isolate_detected(s, segment, urgency):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    for place in range(segment * hosts + s.row.free[segment] + s.row.shut[segment], (segment + 1) * hosts):
        host = s.hosts[place].order
        if s.hosts[host].detected and not s.hosts[host].isolated and uniform(s.rng, RESPONDER) < urgency:
            isolate(s, host)
            s.row.cost += 0.1 * _VALUE[segment]
            s.row.response += 1.0 / max(1, s.row.step - s.row.first_detection)


@inner
def _isolate_clean(s, segment):  # type: ignore[no-untyped-def]
    """Isolate clean hosts by mistake; those already isolated are charged again."""
    hosts = hosts_per_segment(s)
    again = binomial(s.rng, RESPONDER, s.row.shut[segment], 0.02)
    fresh = binomial(s.rng, RESPONDER, s.row.free[segment], 0.02)
    for _ in range(fresh):
        isolate(s, s.hosts[segment * hosts + below(s.rng, RESPONDER, s.row.free[segment])].order)
    s.row.cost += 0.2 * _VALUE[segment] * (again + fresh)


@inner
def _clean_isolated(s, segment, remedy):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    # Cleaning moves the first host of the run, already seen, into the gap: the walk misses none.
    for place in range(segment * hosts + s.row.free[segment] + s.row.shut[segment], (segment + 1) * hosts):
        host = s.hosts[place].order
        if s.hosts[host].isolated and uniform(s.rng, RESPONDER) < remedy:
            if s.hosts[host].detected_at == s.row.step and s.hosts[host].detected:
                s.row.detection -= s.hosts[host].stage / _SCALE  # the reward reads the stage after the response
            clean(s, host)


@inner
def settle(s, contained, limit, out, i):  # type: ignore[no-untyped-def]
    """Add up the reward, decide whether the episode ends, and write its metrics if so."""
    if contained and s.row.contained_at == 0:
        s.row.contained_at = s.row.step
    out.parts[i, 0] = s.row.detection - 10.0 * s.row.stolen
    out.parts[i, 1] = s.row.response + 5.0 * contained
    out.parts[i, 2] = s.row.cost
    out.parts[i, 3] = 0.5 * (s.row.false_scans + s.row.suppressed)
    reward = out.parts[i, 0] + 1.5 * out.parts[i, 1] - 0.3 * out.parts[i, 2] - 2.0 * out.parts[i, 3]
    s.row.total += reward
    out.reward[i] = reward
    out.terminated[i] = contained or s.row.stolen
    out.truncated[i] = s.row.step >= limit and not out.terminated[i]
    if out.terminated[i] or out.truncated[i]:
        _write_metrics(s, limit, out.metrics[i])


@inner
def _write_metrics(s, limit, metrics):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    metrics[0] = s.row.first_detection if s.row.first_detection > 0 else limit
    metrics[1] = s.row.contained_at if s.row.contained_at > 0 else limit
    metrics[2] = min(1.0, s.row.false_positives / max(1, s.row.scans - s.row.true_positives))
    metrics[3] = s.row.contained_at > 0
    metrics[4] = s.row.step
    metrics[5] = s.row.stolen
    metrics[6] = hosts * _SEGMENTS - s.row.free.sum() - s.row.shut.sum()
    metrics[7] = s.row.total
    metrics[8] = s.row.true_positives
    metrics[9] = s.row.false_positives
    metrics[10] = s.row.scans
    metrics[11] = s.row.phase


@inner
def reset_one(s, limit, i, seed, episode, network, redraw, out):  # type: ignore[no-untyped-def]
    """Start an episode; draw a network from the seed ``network`` first if ``redraw``."""
    if redraw:
        start_streams(s.rng, network[0], network[1])
        draw_network(s)
    start_streams(s.rng, seed, episode)
    clear(s)
    write_observations(s, limit, out, i)


def _compile_loops(fingerprint: int) -> Any:
    """Return the loops that Python calls: the only functions cached on disk, see :mod:`native_sim.kernels.jit`."""

    @kept(nogil=True)
    def step_batch(state, limit, commands, rows, start, stop, out):  # type: ignore[no-untyped-def]
        """Advance ``rows[start:stop]`` by one step each; threads may work on disjoint parts at once."""
        _ = fingerprint
        for i in range(start, stop):
            step_one(view_of(state, rows[i]), limit, commands, i, out)

    @kept(nogil=True)
    def reset_batch(state, limit, rows, seeds, episodes, networks, redraw, start, stop, out):  # type: ignore[no-untyped-def]
        """Start an episode in each of ``rows[start:stop]``, seeded by [N] uint64 and ``networks`` [N, 2]."""
        _ = fingerprint
        for i in range(start, stop):
            reset_one(view_of(state, rows[i]), limit, i, seeds[i], episodes[i], networks[i], redraw[i], out)

    return step_batch, reset_batch


step_batch, reset_batch = _compile_loops(fingerprint(__name__))
