"""The policies of CAGE Challenge 4 by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from adapters.bundle import PACKAGED, bundle_files, bundle_folder
from cage4 import spec
from cage4.policies.baselines import NoDefense, RandomUnmasked, RandomValid
from cage4.policies.expert import Expert
from cage4.policies.lancer import Lancer
from cage4.policies.punch import Punch
from cage4.policies.scripted import Investigator, Reactive
from cage4.policies.sentinel import Sentinel
from cage4.policies.uc import UC
from evaluation.games.cc4 import submissions
from evaluation.inputs.errors import BadInput
from evaluation.policies import registry as registries
from evaluation.policies import weights
from evaluation.policies.registry import Kind, Players, Program, Registry, refused
from native_sim.api import Policy

POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "no-defense": NoDefense,
    "random": RandomValid,
    "random-unmasked": RandomUnmasked,
    "reactive": Reactive,
    "investigator": Investigator,
    "punch": Punch,
    "lancer": Lancer,
    "uc": UC,
    "hmarl-expert": Expert,
    "sentinel": Sentinel,
}
"""Name -> factory."""
BUNDLES: Final = {"ops-only": "hmarl-soc@ops-only", "full": "hmarl-soc", "fine-tuned": "hmarl-soc-tuned"}
"""Name -> packaged bundle of trained weights, as ``bundle:`` names it."""
DEFAULTS: Final = ("no-defense", "random", "sentinel", "ops-only", "full", "fine-tuned")
"""What ``evaluate`` plays unless told otherwise: two baselines, the best rules, and the defender of this project."""


def _load_bundle(path: Path, registry: Registry) -> Policy:
    """Carry a SOC policy onto CC4; the path may end in ``@CONTROL``."""
    del registry
    from evaluation.transfer.named import make_transferred

    return make_transferred(str(path))


def _bundle_files(path: Path) -> dict[str, Path]:
    return {file.name: file for file in bundle_files(bundle_folder(str(path)))}  # the index tells their folders


def _make_packaged(bundle: str) -> Policy:
    return _load_bundle(Path(bundle), CC4)


for _name, _bundle in BUNDLES.items():
    if (PACKAGED / _bundle.partition("@")[0]).is_dir():
        POLICIES[_name] = partial(_make_packaged, _bundle)


def is_submission(path: Path) -> bool:
    """Return whether a path may be one of a CC4 submission: a folder or a zip."""
    return path.is_dir() or (path.suffix == ".zip" and path.is_file())


def _check_submission(path: Path, engine: str) -> None:
    submissions.check_submission(path)
    if engine != "cyborg":
        raise BadInput(f"{path} is a CC4 submission, which drives CybORG itself; use --engine cyborg for it")


CC4: Final = Registry(
    named=POLICIES,
    defaults=tuple(name for name in DEFAULTS if name in POLICIES),
    players=Players(spec.BLUE_AGENTS, action_sizes=spec.NUM_ACTIONS),
    kinds={
        "bundle": Kind(_load_bundle, _bundle_files),
        "weights": weights.KIND,
        "constant": refused("a constant action is a policy of the SOC simulator; use --game soc"),
        "without": refused("roles are of the SOC simulator; on CC4 use bundle:PATH@without-ROLE"),
    },
    program=Program(is_submission, _check_submission, submissions.submission_files),
    others="bundle:PATH, weights:DIR, module:object, or the path of an existing CC4 submission folder or zip",
)


def make_policy(name: str) -> Policy:
    """Make a policy of CC4; see :func:`evaluation.policies.registry.make_policy`."""
    return registries.make_policy(name, CC4)
