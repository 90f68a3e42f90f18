"""Calibration: play CC4 episodes, pair what agents see with the true state in SOC terms, and write a bundle.

Two rounds: scripted policies first, then the carried policy itself through what was learned, so that the projection
knows the situations that it brings about. Rewards are not read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from adapters.bundle import POLICY, TENSORS, Bundle, load_bundle
from adapters.calibration import Calibration, Samples, calibrate
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.codec import Codec, fit_codec
from cage4 import spec
from evaluation.games.cc4.policies import make_policy
from evaluation.inputs import ranges
from evaluation.inputs.errors import BadInput
from evaluation.inputs.looks import hint
from evaluation.policies.soc_players import soc_players
from evaluation.policies.weights import load_weights, weights_files
from evaluation.transfer import soc_terms
from evaluation.transfer.lessons import learn_mapper
from evaluation.transfer.named import describe_carried, make_carried
from hmarl_soc.checkpoint import MANIFEST
from native_sim.api import Array, Decision, Policy, StepBatch, VectorEnv
from native_sim.names import check_name
from native_sim.rollout import Episode, Moment, Observer, Rollout
from native_sim.soc import spec as soc
from native_sim.storage.writing import FolderLock, names_in, sweep

if TYPE_CHECKING:
    from rich.console import Console

SCRIPTED: Final = ("investigator", "reactive", "random")
"""Who plays in the first round."""
FIRST_SEED: Final = 1000
"""Base seeds below are for reporting."""
_EVERY: Final = 5
"""Steps between two samples."""
MAPPERS: Final = ("table", "learned")
_EPISODES: Final = ranges.Range(2, 10_000)
"""Played at once."""
_STEPS: Final = ranges.Range(20, 100_000)
_SPREAD: Final = Codec(np.zeros(8), np.full(8, -0.5), np.full(8, 0.5))


class Collected(NamedTuple):
    """What the episodes of one policy gave."""

    hosts: Samples
    zones: Samples
    directives: Array  # [n, 8], empty for a policy without a coordinator


def collect(
    policy: Policy,
    seeds: Sequence[int],
    steps: int,
    first_episode: int = 0,
    bar: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Collected:
    """Play one episode per seed and sample what every agent knew and what was so; ``bar`` shows the steps."""
    import cage4

    env = cage4.vector_env("native", num_envs=len(seeds), steps=steps, rich=True)
    sampler = _Sampler(env, first_episode)
    rollout = Rollout(env, policy, [Episode(i, seed) for i, seed in enumerate(seeds)], [sampler])
    for _ in bar(range(spec.episode_length(steps))):
        rollout.step()
    return sampler.collected()


class _Sampler(Observer):
    """Samples what all rows of CC4 show, which begin together and end together, every few steps."""

    def __init__(self, env: VectorEnv, first_episode: int) -> None:
        self._env, self._first = env, first_episode
        self._seen = [features.initial_memory(agent, env.num_envs) for agent in range(spec.NUM_BLUE)]
        self._history = soc_terms.new_history(env.num_envs)
        self._shown: tuple[dict[str, Array], dict[str, Any]] = {}, {}
        self._parts: list[tuple[Array, ...]] = []
        self._directives: list[Array] = []

    def started(
        self, rows: Array, episodes: Sequence[Episode], observations: dict[str, Array], infos: dict[str, Any]
    ) -> None:
        """Note what the first step is decided on."""
        self._shown = observations, infos

    def deciding(self, now: Moment) -> None:
        """Pair what every agent knows with what is so."""
        observations, infos = self._shown
        known = []
        for agent, name in enumerate(spec.BLUE_AGENTS):
            view = infos["rich"][name], infos["busy"][:, agent]
            found, self._seen[agent] = features.observe(agent, observations[name], *view, self._seen[agent])
            known.append(found)
        truth = self._env.true_state(now.rows)  # type: ignore[attr-defined]
        soc_terms.remember(truth, self._history)
        if now.time[0] and now.time[0] % _EVERY == 0:
            self._parts += [
                _sample(agent, truth, self._history, known[agent], self._first) for agent in range(spec.NUM_BLUE)
            ]

    def decided(self, now: Moment, decision: Decision) -> None:
        """Keep the directives of a policy that has a coordinator."""
        memory = decision.memory
        if isinstance(memory, dict) and "directive" in memory and now.time[0] % _EVERY == 0:
            self._directives.append(memory["directive"])

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Note what the next step is decided on."""
        self._shown = batch.observations, batch.infos

    def collected(self) -> Collected:
        """Return all samples."""
        joined = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        directives = np.concatenate([np.zeros((0, 8)), *self._directives])
        return Collected(Samples(*joined[:3]), Samples(*joined[3:]), directives)


def _sample(
    agent: int, truth: Any, history: soc_terms.History, known: features.Features, first: int
) -> tuple[Array, ...]:
    exists = known.exists
    return (
        known.hosts[exists],
        soc_terms.host_terms(agent, truth, history, known)[exists],
        first + np.nonzero(exists)[0],
        known.zone,
        soc_terms.zone_terms(agent, truth, history, known),
        first + np.arange(len(known.zone)),
    )


def soc_rows(carried: Policy, episodes: int, seed: int) -> tuple[Array, Array]:
    """Return rows of host and zone terms [m, 9], [m, 14] as the SOC simulator shows them to the carried policy."""
    from native_sim import make_vec

    rows = _ShownRows()
    rollout = Rollout(make_vec(num_envs=episodes), carried, [Episode(i, seed + i) for i in range(episodes)], [rows])
    for _ in range(soc.EPISODE_STEPS // 2):
        if rollout.step():  # the first episodes have ended
            break
    return np.concatenate(rows.hosts), np.concatenate(rows.zones)


class _ShownRows(Observer):
    """Keeps what steps of the SOC simulator show, every few steps, until an episode ends."""

    def __init__(self) -> None:
        self.hosts: list[Array] = []
        self.zones: list[Array] = []

    def stepped(self, now: Moment, batch: StepBatch, done: Array) -> None:
        """Keep the rows of a step."""
        if now.time[0] % _EVERY == 0 and not done.any():
            self.hosts.append(_host_rows(batch.observations))
            self.zones.append(_zone_rows(batch.observations))


def _host_rows(observations: Mapping[str, Array]) -> Array:
    shown = terms.ALERTS_SHOWN
    cases = soc.OBSERVATIONS["hunter"].unpack(observations["hunter"])["cases"][:, :shown]
    alerts = soc.OBSERVATIONS["triage"].unpack(observations["triage"])["alerts"]
    rows = np.concatenate([cases[..., [0, 2, 3, 4, 5, 6]], alerts[..., [1, 2, 4]]], axis=-1)
    return np.asarray(rows.reshape(-1, terms.HOST_TERMS.size))


def _zone_rows(observations: Mapping[str, Array]) -> Array:
    segments = soc.OBSERVATIONS["hunter"].unpack(observations["hunter"])["segments"]
    whole = soc.OBSERVATIONS["coordinator"].unpack(observations["coordinator"])
    rest = np.stack([whole["campaign"], whole["isolation_freshness"]], axis=-1)
    rows = np.concatenate([segments, np.repeat(rest[:, None], soc.NUM_SEGMENTS, axis=1)], axis=-1)
    return np.asarray(rows.reshape(-1, terms.ZONE_TERMS.size))


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """Return the seeds of calibration episodes."""
    children = np.random.SeedSequence(seed).spawn(episodes)
    return [int(child.generate_state(1, np.uint32)[0] >> 1) for child in children]


def _bar(title: str, console: Console) -> Callable[[Iterable[int]], Iterable[int]]:
    """Print what is played, and return what shows how far it is."""
    from rich.progress import track

    console.print(title, markup=False)
    return partial(track, description="steps", console=console, transient=True)


def make_bundle(carry: str, name: str, episodes: int, seed: int, steps: int, mapper: str, console: Console) -> Bundle:
    """Calibrate a bundle for a carried policy.

    Args:
        carry: Name of a scripted SOC policy, or the folder of a trained one.
        name: Name of the bundle.
        episodes: CC4 episodes per policy and round.
        seed: Base seed of the episodes, at least 1000.
        steps: Length of an episode.
        mapper: "table", or "learned" to imitate it on further episodes.
        console: Where progress is told.

    Raises:
        BadInput: For arguments that cannot be used.
    """
    if mapper not in MAPPERS:
        raise BadInput(f"unknown mapper {mapper!r}; known: {', '.join(MAPPERS)}")
    if seed < FIRST_SEED:
        raise BadInput(f"--seed must be at least {FIRST_SEED}: lower base seeds are for reporting; given {seed}")
    ranges.check("--seed", seed, ranges.SEED)
    ranges.check("--episodes", episodes, _EPISODES)
    ranges.check("--steps", steps, _STEPS)
    described = describe_carried(carry)
    carried = _make_own(described, Path(carry))
    seeds = episode_seeds(seed, episodes * (len(SCRIPTED) + 2))
    batches = [seeds[i * episodes : (i + 1) * episodes] for i in range(len(SCRIPTED) + 2)]
    foreign = soc_rows(carried, 4 * episodes, seed)
    played = []
    for number, policy in enumerate(SCRIPTED):
        bar = _bar(f"round 1: {episodes} episodes of {policy}", console)
        played.append(collect(make_policy(policy), batches[number], steps, number * episodes, bar))
    first = _fit(played, foreign)
    bundle = _bundle(name, described, first, _SPREAD, np.zeros(8), {})
    bar = _bar(f"round 2: {episodes} episodes of the carried policy", console)
    own = bundle.policy(lambda *_: carried)
    played.append(collect(own, batches[-2], steps, len(SCRIPTED) * episodes, bar))
    told = np.asarray(played[-1].directives, np.float64)
    provenance: dict[str, Any] = {
        "calibration": {
            "episodes": episodes * (len(SCRIPTED) + 1),
            "policies": [*SCRIPTED, "the carried policy itself"],
            "base seed": seed,
            "steps": steps,
            "engine": "native",
            "variant": "base-v1",
            "true state used": True,
            "rewards used": False,
        },
    }
    final = _fit(played, foreign)
    provenance["projections"] = final.report
    bundle = _bundle(name, described, final, fit_codec(told), told.mean(axis=0), provenance)
    if mapper == "table":
        return bundle
    console.print(f"round 3: {episodes} episodes of lessons for the mapper", markup=False)
    return learn_mapper(bundle, carried, batches[-1], steps)


def _fit(played: Sequence[Collected], foreign: tuple[Array, Array]) -> Calibration:
    hosts, zones = (
        Samples(*(np.concatenate(column) for column in zip(*samples, strict=True)))
        for samples in ([one.hosts for one in played], [one.zones for one in played])
    )
    return calibrate(hosts, zones, *foreign)


def _bundle(
    name: str, carried: Mapping[str, Any], found: Calibration, codec: Codec, usual: Array, provenance: Mapping[str, Any]
) -> Bundle:
    return Bundle(
        name=name,
        carried=carried,
        hosts=found.hosts,
        zones=found.zones,
        segment_codec=found.segment_codec,
        directive_codec=codec,
        usual_directive=usual,
        mapper=found.mapper,
        provenance=provenance,
    )


def _make_own(described: Mapping[str, Any], path: Path) -> Policy:
    """Make the policy that is to be carried, before there is a bundle."""
    if described["kind"] != "trained":
        return make_carried(described, path.parent)
    try:
        return load_weights(path, soc_players("corrected"))
    except ValueError as error:
        raise BadInput(f"{error}{hint(f'weights:{path}', path)}") from error


def _refuse_other_content(out: Path) -> None:
    """Refuse a folder that holds more than what is left where a calibration was killed while it wrote the bundle.

    Raises:
        BadInput: If it does.
    """
    names = names_in(out)
    inside = names_in(out / POLICY) if (out / POLICY).is_dir() else set()
    weights = all(name == MANIFEST or name.startswith("arrays-") for name in inside)
    if names - {POLICY, TENSORS} or not weights:
        raise BadInput(f"{out} exists already; choose another --out")


def calibrate_command(
    carry: str, out: Path, episodes: int, seed: int, steps: int, mapper: str, console: Console
) -> dict[str, Any]:
    """Write a bundle to ``out``, and return what ``--json`` prints.

    Raises:
        BadInput: For arguments that cannot be used, a folder that holds something else or is in use, or episodes in
            which there is nothing to learn.
    """
    try:
        check_name("the name of the folder --out, which becomes that of the bundle,", out.resolve().name)
    except ValueError as error:
        raise BadInput(str(error)) from error
    _refuse_other_content(out)
    try:
        with FolderLock(out):
            _refuse_other_content(out)
            with threadpool_limits(1, user_api="blas"):  # as policies are played everywhere else
                bundle = make_bundle(carry, out.resolve().name, episodes, seed, steps, mapper, console)
            shutil.rmtree(out / POLICY, ignore_errors=True)  # of a killed calibration, as was made sure of
            sweep(out)
            if bundle.carried["kind"] == "trained":
                (out / POLICY).mkdir()
                for file in weights_files(Path(carry)):  # nothing else of a run, or of a bundle whose weights these are
                    shutil.copy(file, out / POLICY)
            bundle.save(out)
            bundle = load_bundle(out)
    except ValueError as error:
        raise BadInput(str(error)) from error
    console.print(bundle.describe(), markup=False, highlight=False, soft_wrap=True)
    return {"bundle": str(out), "provenance": dict(bundle.provenance)}
