"""CC4 submissions on the real CybORG: a folder or zip with ``submission.py``, as the challenge asks for it.

Differences from the challenge's own script, all of them so that an episode depends on nothing but its seed: the
submission is loaded afresh for every episode (so nothing learnt or remembered leaks from one to the next), Python's
and NumPy's global generators are seeded by the episode, and rewards are read where CybORG charges them, so that a
wrapper which reshapes rewards cannot change its score.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import random
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cage4 import spec
from cage4.spec import Verb
from cage4.variants import Variant
from evaluation.errors import BadInput, PolicyFailure
from evaluation.looks import hint, look
from evaluation.rollout import Episode, Labels
from evaluation.schema import EpisodeRecord
from evaluation.tally_cc4 import make_record

VERBS = {verb.cyborg_name: verb for verb in Verb}


def check_submission(path: Path) -> None:
    """Refuse what is no submission, without running any of it.

    Raises:
        BadInput: If there is no ``submission.py`` where the challenge puts it, or the zip is damaged.
    """
    if path.is_dir():
        found = (path / "submission.py").is_file()
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                found = bool({"submission.py", "submission/submission.py"} & set(archive.namelist()))
        except (OSError, zipfile.BadZipFile) as error:
            raise BadInput(f"{path} cannot be read as a zip ({error}); give an intact submission") from error
    if not found:
        raise BadInput(
            f"{path} holds no submission.py at its top, so it is no CC4 submission{hint(str(path), path)}"
            if look(path)
            else f"{path} holds no submission.py at its top; give the folder or zip of a CC4 submission"
        )


def load_submission(path: Path) -> Any:
    """Import a submission anew and return its ``Submission`` class.

    Raises:
        Exception: Whatever the submission raises; AttributeError if it lacks NAME, TEAM, TECHNIQUE, AGENTS or wrap.
    """
    root = path if path.is_dir() else _unpack(str(path.resolve()), _digest(path))
    module = "submission" if (root / "submission.py").is_file() else "submission.submission"
    _forget(root)
    sys.path.insert(0, str(root.resolve()))
    try:
        found = importlib.import_module(module).Submission
    finally:
        sys.path.remove(str(root.resolve()))
    for name in ("NAME", "TEAM", "TECHNIQUE", "AGENTS", "wrap"):
        getattr(found, name)
    unknown = sorted(set(found.AGENTS) - set(spec.BLUE_AGENTS))
    if unknown:
        raise ValueError(f"AGENTS names {unknown[0]!r}; the agents of CC4 are {', '.join(spec.BLUE_AGENTS)}")
    return found


def play_submission(
    name: str, episodes: Sequence[Episode], labels: Labels, variant: str | Variant = "base"
) -> Iterator[EpisodeRecord]:
    """Play each episode on a CybORG of its own.

    Raises:
        PolicyFailure: If the submission raises anywhere.
    """
    from cage4.cyborg_engine import CyborgEpisode

    for episode in episodes:
        started = time.perf_counter()
        tally = _Tally(CyborgEpisode(variant, labels.steps, episode.seed))
        try:
            _play_one(load_submission(Path(name)), tally, episode.seed)
        except Exception as error:
            message = f"raised {type(error).__name__}: {error}"
            raise PolicyFailure(labels.policy, message, traceback.format_exc()) from error
        yield tally.record(episode, labels, time.perf_counter() - started)


def _play_one(submission: Any, tally: _Tally, seed: int) -> None:
    """The challenge's own loop, for one episode."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - submissions draw from it, and it must not depend on the worker
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
    env = submission.wrap(tally.game.cyborg)
    tally.begin(seed)
    observations, _ = env.reset()
    while not tally.done:
        actions = {
            agent: player.get_action(observations[agent], env.action_space(agent))
            for agent, player in submission.AGENTS.items()
            if agent in env.agents
        }
        observations, *_ = env.step(actions)


class _Tally:
    """Watches one CybORG from the inside while a submission drives it through a wrapper of its own."""

    def __init__(self, game: Any) -> None:
        self.game, self.done = game, False
        self.rewards: list[float] = []
        self.parts = np.zeros((spec.NUM_PHASES, spec.NUM_SUBNETS, spec.NUM_REWARD_PARTS))
        self.costs = np.zeros(spec.NUM_PHASES)
        self.verbs = dict.fromkeys(VERBS, 0)
        self.invalid = self.dropped = 0
        self._step = game.cyborg.parallel_step
        game.cyborg.parallel_step = self._parallel_step

    def begin(self, seed: int) -> None:
        """Rewind the random stream, so that the next ``reset()`` means CybORG's ``reset(seed)``."""
        fresh = np.random.PCG64(np.random.SeedSequence(seed))
        self.game.cyborg.np_random.bit_generator.state = fresh.state
        self.rewards, self.done = [], False

    def _parallel_step(self, actions: Any = None, messages: Any = None, **options: Any) -> Any:
        controller = self.game.cyborg.environment_controller
        busy = {agent for agent, running in controller.actions_in_progress.items() if running}
        for agent, action in (actions or {}).items():
            name = type(action).__name__
            if agent not in spec.BLUE_AGENTS:
                continue
            if name in self.verbs:
                self.verbs[name] += 1
            else:
                self.invalid += 1
            self.dropped += agent in busy and name != "Sleep"
        result = self._step(actions, messages=messages, **options)
        events, cost = controller.reward["Blue"].values()
        self.rewards.append(float(events + cost))
        self.done = bool(controller.done)
        if not self.done:
            phase = controller.state.mission_phase
            self.parts[phase] += self.game.reward_parts
            self.costs[phase] += cost
        return result

    def record(self, episode: Episode, labels: Labels, wall: float) -> EpisodeRecord:
        """Return the row of the episode just played."""
        return make_record(
            episode,
            labels,
            rewards=np.array(self.rewards),
            parts=self.parts,
            costs=self.costs,
            actions=self.verbs,
            invalid=self.invalid,
            busy=self.dropped,
            wall_s=wall,
        )


def _forget(root: Path) -> None:
    """Drop modules that an earlier load took from the folder, so that the next import runs them anew."""
    inside = str(root.resolve())
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        is_inside = file and str(Path(file).resolve()).startswith(inside + "/")
        if is_inside or name.partition(".")[0] == "submission":  # the latter also when another submission left it
            del sys.modules[name]
    importlib.invalidate_caches()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _unpack(path: str, digest: str) -> Path:
    """Unpack a zip once per process and content, as the challenge's server does."""
    folder = Path(tempfile.mkdtemp(prefix="submission-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder
