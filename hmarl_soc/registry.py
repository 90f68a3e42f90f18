"""Methods by name; what they need is imported when one is made."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import Checkpoint, CheckpointError
from hmarl_soc.config import MethodConfig, parse
from hmarl_soc.interface import Interface, from_dict
from hmarl_soc.learner import Learner
from native_sim.api import Policy


class Method(NamedTuple):
    """Where the three parts of a method are found, as "module:name"."""

    config: str  # class of its settings, a MethodConfig
    learner: str  # called with (config, interface, num_envs, seed, device)
    policy: str  # called with (config, interface, arrays): the policy whose ``weights()`` were saved; without torch


METHODS: Final[dict[str, Method]] = {
    "hmarl-soc": Method(
        "hmarl_soc.config:HmarlConfig",
        "hmarl_soc.hierarchy.learner:Hierarchy",
        "hmarl_soc.hierarchy.acting:make_policy",
    ),
    "hmarl-soc-ppo": Method(
        "hmarl_soc.baselines.config:PpoHierarchyConfig",
        "hmarl_soc.baselines.ppo_hierarchy:PpoHierarchy",
        "hmarl_soc.hierarchy.acting:make_policy",
    ),
    "single-drl": Method(
        "hmarl_soc.baselines.config:PpoConfig",
        "hmarl_soc.baselines.single_drl:SingleDrl",
        "hmarl_soc.baselines.acting:make_joint_policy",
    ),
    "iql": Method(
        "hmarl_soc.baselines.config:QConfig",
        "hmarl_soc.baselines.iql:Iql",
        "hmarl_soc.baselines.acting:make_policy",
    ),
    "qmix": Method(
        "hmarl_soc.baselines.config:QmixConfig",
        "hmarl_soc.baselines.qmix:Qmix",
        "hmarl_soc.baselines.acting:make_policy",
    ),
    "mappo": Method(
        "hmarl_soc.baselines.config:PpoConfig",
        "hmarl_soc.baselines.mappo:Mappo",
        "hmarl_soc.baselines.acting:make_policy",
    ),
    "ippo": Method(
        "hmarl_soc.baselines.config:PpoConfig",
        "hmarl_soc.baselines.mappo:Ippo",
        "hmarl_soc.baselines.acting:make_policy",
    ),
}
"""Name -> method."""


def find(name: str) -> Method:
    """Return a method.

    Raises:
        ValueError: If the name is unknown; the message lists the known ones.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]


def config_class(name: str) -> type[MethodConfig]:
    """Return the class of a method's settings."""
    return cast("type[MethodConfig]", _load(find(name).config))


def make_learner(
    name: str, config: MethodConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu"
) -> Learner:
    """Make a learner.

    Args:
        name: Of the method.
        config: Its settings.
        interface: Of the environment it will play in.
        num_envs: Rows of that environment.
        seed: Of first weights, exploration and sampling.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
    """
    return cast(Learner, _load(find(name).learner)(config, interface, num_envs, seed, device))


def load_policy(folder: str | Path) -> Policy:
    """Load a policy from the weights that training saved (``RUN/best``), without loading the tensor library.

    Raises:
        CheckpointError: If the folder holds no usable weights.
        ValueError: If they are of a method that is unknown.
    """
    return policy_of(read_weights(folder), folder)


def read_weights(folder: str | Path) -> Checkpoint:
    """Read the weights of a run folder or of its ``best``.

    Raises:
        CheckpointError: If there are none, or they are damaged.
    """
    return checkpoint.load(_folder_of_weights(Path(folder)), "weights")


def weights_files(folder: str | Path) -> list[Path]:
    """Return the files that :func:`read_weights` reads.

    Raises:
        CheckpointError: If there are none, or their manifest is damaged.
    """
    return checkpoint.files_of(_folder_of_weights(Path(folder)))


def _folder_of_weights(folder: Path) -> Path:
    if not (folder / checkpoint.MANIFEST).exists() and (folder / "best" / checkpoint.MANIFEST).exists():
        return folder / "best"
    return folder


def policy_of(weights: Checkpoint, folder: str | Path) -> Policy:
    """Make the policy whose weights were read from a folder, which errors name.

    Raises:
        CheckpointError: If they do not fit their method.
        ValueError: If the method is unknown.
    """
    kind, make = config_class(weights.method), _load(find(weights.method).policy)
    try:
        config = parse(weights.config, kind)
        return cast(Policy, make(config.method, from_dict(weights.interface), weights.state["arrays"]))
    except checkpoint.MISFITS as error:
        raise CheckpointError(f"weights {folder} do not fit method {weights.method!r}: {error}") from error


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
