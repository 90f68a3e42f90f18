"""The published rules, quirks included: attacker, alerts, the four roles, reward, and the order of a step."""

from __future__ import annotations

import numpy as np
from numba import njit

from native_sim.rng import below, binomial, start_streams, uniform
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


@njit(cache=True)
def step_one(s, limit, commands, i, e, out):  # type: ignore[no-untyped-def]
    """Advance row ``e`` by one step with command row ``i`` and write row ``i`` of the frame."""
    s.step[e] += 1
    s.detection[e], s.response[e], s.cost[e] = 0.0, 0.0, 0.0
    s.false_scans[e], s.suppressed[e] = 0, 0
    before = s.phase[e]
    act_attacker(s, e)
    raise_alerts(s, e, before)
    if commands.supplied[0] and not np.isnan(commands.coordinator[i, 0]):
        s.directive[e] = commands.coordinator[i]
    if commands.supplied[1]:
        hunt(s, e, commands.hunter[i])
    if commands.supplied[2]:
        triage(s, e, commands.triage[i])
    contained = commands.supplied[3] and respond(s, e, commands.responder[i])
    settle(s, e, contained, limit, out, i)
    write_observations(s, e, limit, out, i)


@njit(cache=True)
def act_attacker(s, e):  # type: ignore[no-untyped-def]
    """Let the attacker act and perhaps change phase."""
    s.phase_steps[e] += 1
    phase = s.phase[e]
    if phase == 0:
        success = _scout(s, e)
    elif phase == 1:
        success = _access(s, e)
    elif phase == 2:
        success = _execute(s, e)
    elif phase == 3:
        success = _move(s, e)
    else:
        success = _steal(s, e)
    if success and s.phase_steps[e] >= _MIN_PHASE_STEPS and phase < 4:
        s.phase[e] = phase + 1
        s.phase_steps[e] = 0
    s.visibility[e] = _PHASE_NOISE[s.phase[e]] * (1.0 - _STEALTH)


@njit(cache=True)
def _scout(s, e):  # type: ignore[no-untyped-def]
    """Choose the most vulnerable free hosts of the DMZ, by insertion into a short sorted list."""
    count = 0
    for place in range(s.free[e, 0]):
        host = s.order[e, place]
        weakness = s.vulnerability[e, host]
        if count == _NUM_TARGETS and weakness <= s.vulnerability[e, s.targets[e, count - 1]]:
            continue
        count = min(count + 1, _NUM_TARGETS)
        j = count - 1
        while j > 0 and s.vulnerability[e, s.targets[e, j - 1]] < weakness:
            s.targets[e, j] = s.targets[e, j - 1]
            j -= 1
        s.targets[e, j] = host
    s.num_targets[e] = count
    return count > 0


@njit(cache=True)
def _access(s, e):  # type: ignore[no-untyped-def]
    success = False
    for j in range(s.num_targets[e]):
        host = s.targets[e, j]
        if not s.isolated[e, host] and uniform(s.rng, e, ATTACKER) < _P_ACCESS * s.vulnerability[e, host]:
            compromise(s, e, host, 1)  # also a host already held: its stage falls back to 1, it is listed again
            success = True
    return success


@njit(cache=True)
def _execute(s, e):  # type: ignore[no-untyped-def]
    success = False
    for j in range(s.num_victims[e]):
        host = s.victims[e, j]
        if s.isolated[e, host] or s.stage[e, host] >= 2:
            continue
        # Every entry of the list rolls by itself, and clean hosts still listed roll too.
        if uniform(s.rng, e, ATTACKER) < 1.0 - (1.0 - _P_EXECUTE) ** s.victim[e, host]:
            set_stage(s, e, host, 2)
            success = True
    return success


@njit(cache=True)
def _move(s, e):  # type: ignore[no-untyped-def]
    success = False
    hosts = hosts_per_segment(s)
    source = s.sources[e].copy()  # new victims are sources only from the next step on
    for origin in range(_SEGMENTS):
        if source[origin] == 0:
            continue
        for segment in range(_SEGMENTS):
            if not _REACH[origin, segment] or s.free[e, segment] == 0:
                continue
            host = s.order[e, segment * hosts + below(s.rng, e, ATTACKER, s.free[e, segment])]
            if uniform(s.rng, e, ATTACKER) < _P_MOVE * s.vulnerability[e, host]:
                compromise(s, e, host, 3)
                success = True
    return success


@njit(cache=True)
def _steal(s, e):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    ready = False
    for j in range(s.num_victims[e]):
        host = s.victims[e, j]
        valuable = _VALUE[host // hosts] >= spec.OBJECTIVE_VALUE
        if valuable and not s.isolated[e, host] and s.stage[e, host] >= 3:
            set_stage(s, e, host, 4)
            ready = True
    if ready and uniform(s.rng, e, ATTACKER) < _P_STEAL:
        s.stolen[e] = True
    return s.stolen[e]


@njit(cache=True)
def raise_alerts(s, e, before):  # type: ignore[no-untyped-def]
    """Queue the alerts of this step; ``before`` is the phase at its start."""
    visibility = s.visibility[e]
    if before >= 1 and uniform(s.rng, e, ALERTS) < 2.0 * visibility:
        # The DMZ is named wherever the attack is.
        _append(s, e, min(1.0, before / 4.0), 0.5 + visibility / 2.0, 0, 1.0, visibility)
    if uniform(s.rng, e, ALERTS) < 0.3:
        severity = 0.5 * uniform(s.rng, e, ALERTS)
        confidence = 0.4 * uniform(s.rng, e, ALERTS)
        segment = below(s.rng, e, ALERTS, _SEGMENTS)
        _append(s, e, severity, confidence, segment, 0.0, 0.3 * uniform(s.rng, e, ALERTS))


@njit(cache=True)
def _append(s, e, severity, confidence, segment, label, noise):  # type: ignore[no-untyped-def]
    if s.queued[e] == _LENGTH:
        s.head[e] = (s.head[e] + 1) % _LENGTH
        s.queued[e] -= 1
    alert = s.queue[e, (s.head[e] + s.queued[e]) % _LENGTH]
    alert[SEVERITY], alert[CONFIDENCE], alert[SEGMENT] = severity, confidence, segment
    alert[LABEL], alert[TIME], alert[NOISE] = label, s.step[e], noise
    s.queued[e] += 1


@njit(cache=True)
def hunt(s, e, action):  # type: ignore[no-untyped-def]
    """Scan the segments: 5 intensities, then 5 scopes."""
    hosts = hosts_per_segment(s)
    intensity_boost = 0.15 * (s.directive[e, 0] + 1.0)
    scope_boost = 0.10 * (s.directive[e, 1] + 1.0)
    for segment in range(_SEGMENTS):
        intensity = min(1.0, (action[segment] + 1.0) / 2.0 + intensity_boost)
        scope = min(1.0, (action[5 + segment] + 1.0) / 2.0 + scope_boost)
        if intensity <= 0.3:
            continue
        s.scans[e] += hosts
        first_taken = segment * hosts + s.free[e, segment] + s.shut[e, segment]
        for place in range(first_taken, (segment + 1) * hosts):
            host = s.order[e, place]
            p = intensity * scope * (1.0 - 0.5 * _STEALTH) * s.stage[e, host] / _SCALE
            if not s.detected[e, host] and uniform(s.rng, e, HUNTER) < p:
                _detect(s, e, host)
        if intensity > 0.7:
            s.false_scans[e] += binomial(s.rng, e, HUNTER, first_taken - segment * hosts, 0.05)
    s.false_positives[e] += s.false_scans[e]


@njit(cache=True)
def _detect(s, e, host):  # type: ignore[no-untyped-def]
    s.detected[e, host] = True
    s.detected_at[e, host] = s.step[e]
    s.found[e, host // hosts_per_segment(s)] += 1
    s.true_positives[e] += 1
    s.detection[e] += s.stage[e, host] / _SCALE
    if s.first_detection[e] == 0:
        s.first_detection[e] = s.step[e]


@njit(cache=True)
def triage(s, e, choice):  # type: ignore[no-untyped-def]
    """Handle the oldest alert; with an empty queue nothing happens."""
    if s.queued[e] == 0:
        return
    alert = s.queue[e, s.head[e]]
    if choice == 2:
        _correlate(s, e)
    elif choice == 3:
        alert[CONFIDENCE] = min(np.float32(1.0), alert[CONFIDENCE] + np.float32(0.2))
    else:
        true = alert[LABEL] > 0.5
        if choice == 1:
            s.suppressed[e] += true
        elif true:
            s.true_positives[e] += 1
        else:
            s.false_positives[e] += 1
        s.head[e] = (s.head[e] + 1) % _LENGTH
        s.queued[e] -= 1


@njit(cache=True)
def _correlate(s, e):  # type: ignore[no-untyped-def]
    """Keep, of all alerts of the oldest one's segment, only the first of the highest severity."""
    head, queued = s.head[e], s.queued[e]
    segment = s.queue[e, head, SEGMENT]
    best = head
    for j in range(1, queued):
        k = (head + j) % _LENGTH
        if s.queue[e, k, SEGMENT] == segment and s.queue[e, k, SEVERITY] > s.queue[e, best, SEVERITY]:
            best = k
    kept = 0
    for j in range(queued):
        k = (head + j) % _LENGTH
        if s.queue[e, k, SEGMENT] != segment or k == best:
            s.queue[e, (head + kept) % _LENGTH] = s.queue[e, k]
            kept += 1
    s.queued[e] = kept


@njit(cache=True)
def respond(s, e, action):  # type: ignore[no-untyped-def]
    """Isolate and clean, segment by segment; return whether the attack is contained."""
    hosts = hosts_per_segment(s)
    boost = 0.10 * (s.directive[e, 4] + 1.0)
    for segment in range(_SEGMENTS):
        urgency = min(1.0, (action[segment] + 1.0) / 2.0 + boost)
        if urgency > 0.5:
            _isolate_detected(s, e, segment, urgency)
        if urgency > 0.9:
            _isolate_clean(s, e, segment)
        remedy = (action[5 + segment] + 1.0) / 2.0
        if remedy > 0.5:
            _clean_isolated(s, e, segment, remedy)
    held, loose = 0, 0
    for segment in range(_SEGMENTS):
        taken = hosts - s.free[e, segment] - s.shut[e, segment]
        held += taken
        loose += taken - (s.apart[e, segment] - s.shut[e, segment])
    return loose == 0 and held > 0


@njit(cache=True)
def _isolate_detected(s, e, segment, urgency):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    for place in range(segment * hosts + s.free[e, segment] + s.shut[e, segment], (segment + 1) * hosts):
        host = s.order[e, place]
        if s.detected[e, host] and not s.isolated[e, host] and uniform(s.rng, e, RESPONDER) < urgency:
            isolate(s, e, host)
            s.cost[e] += 0.1 * _VALUE[segment]
            s.response[e] += 1.0 / max(1, s.step[e] - s.first_detection[e])


@njit(cache=True)
def _isolate_clean(s, e, segment):  # type: ignore[no-untyped-def]
    """Isolate clean hosts by mistake; those already isolated are charged again."""
    hosts = hosts_per_segment(s)
    again = binomial(s.rng, e, RESPONDER, s.shut[e, segment], 0.02)
    fresh = binomial(s.rng, e, RESPONDER, s.free[e, segment], 0.02)
    for _ in range(fresh):
        isolate(s, e, s.order[e, segment * hosts + below(s.rng, e, RESPONDER, s.free[e, segment])])
    s.cost[e] += 0.2 * _VALUE[segment] * (again + fresh)


@njit(cache=True)
def _clean_isolated(s, e, segment, remedy):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    # Cleaning moves the first host of the run, already seen, into the gap: the walk misses none.
    for place in range(segment * hosts + s.free[e, segment] + s.shut[e, segment], (segment + 1) * hosts):
        host = s.order[e, place]
        if s.isolated[e, host] and uniform(s.rng, e, RESPONDER) < remedy:
            if s.detected_at[e, host] == s.step[e] and s.detected[e, host]:
                s.detection[e] -= s.stage[e, host] / _SCALE  # the reward reads the stage after the response
            clean(s, e, host)


@njit(cache=True)
def settle(s, e, contained, limit, out, i):  # type: ignore[no-untyped-def]
    """Add up the reward, decide whether the episode ends, and write its metrics if so."""
    if contained and s.contained_at[e] == 0:
        s.contained_at[e] = s.step[e]
    out.parts[i, 0] = s.detection[e] - 10.0 * s.stolen[e]
    out.parts[i, 1] = s.response[e] + 5.0 * contained
    out.parts[i, 2] = s.cost[e]
    out.parts[i, 3] = 0.5 * (s.false_scans[e] + s.suppressed[e])
    reward = out.parts[i, 0] + 1.5 * out.parts[i, 1] - 0.3 * out.parts[i, 2] - 2.0 * out.parts[i, 3]
    s.total[e] += reward
    out.reward[i] = reward
    out.terminated[i] = contained or s.stolen[e]
    out.truncated[i] = s.step[e] >= limit
    if out.terminated[i] or out.truncated[i]:
        _write_metrics(s, e, limit, out.metrics[i])


@njit(cache=True)
def _write_metrics(s, e, limit, metrics):  # type: ignore[no-untyped-def]
    hosts = hosts_per_segment(s)
    metrics[0] = s.first_detection[e] if s.first_detection[e] > 0 else limit
    metrics[1] = s.contained_at[e] if s.contained_at[e] > 0 else limit
    metrics[2] = min(1.0, s.false_positives[e] / max(1, s.scans[e] - s.true_positives[e]))
    metrics[3] = s.contained_at[e] > 0
    metrics[4] = s.step[e]
    metrics[5] = s.stolen[e]
    metrics[6] = hosts * _SEGMENTS - s.free[e].sum() - s.shut[e].sum()
    metrics[7] = s.total[e]
    metrics[8] = s.true_positives[e]
    metrics[9] = s.false_positives[e]
    metrics[10] = s.scans[e]
    metrics[11] = s.phase[e]


@njit(cache=True)
def reset_one(s, limit, i, e, seed, episode, network, redraw, out):  # type: ignore[no-untyped-def]
    """Start an episode in row ``e``; draw a network from the seed ``network`` first if ``redraw``."""
    if redraw:
        start_streams(s.rng, e, network, np.uint64(0))
        draw_network(s, e)
    start_streams(s.rng, e, seed, episode)
    clear(s, e)
    write_observations(s, e, limit, out, i)


@njit(cache=True, nogil=True)
def step_batch(s, limit, commands, rows, start, stop, out):  # type: ignore[no-untyped-def]
    """Advance ``rows[start:stop]`` by one step each; threads may work on disjoint parts at once."""
    for i in range(start, stop):
        step_one(s, limit, commands, i, rows[i], out)


@njit(cache=True, nogil=True)
def reset_batch(s, limit, rows, seeds, episodes, networks, redraw, start, stop, out):  # type: ignore[no-untyped-def]
    """Start an episode in each of ``rows[start:stop]``, seeded by ``seeds``, ``episodes``, ``networks`` [N] uint64."""
    for i in range(start, stop):
        reset_one(s, limit, i, rows[i], seeds[i], episodes[i], networks[i], redraw[i], out)
