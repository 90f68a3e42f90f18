"""Trained weights as a policy of the game that they were trained in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters.bundle import INDEX, POLICY
from cage4 import spec
from evaluation.inputs.errors import BadInput
from evaluation.transfer.carried import PREFIX, bundle_folder
from hmarl_soc import registry
from native_sim.api import Policy
from native_sim.soc.spec import AGENTS

if TYPE_CHECKING:
    from evaluation.policies.registry import Registry

_PLAYERS: Final = {"soc": AGENTS, "cc4": spec.BLUE_AGENTS}
_HOMES: Final = {
    "soc": "the SOC simulator; use --engine soc, or carry them onto CC4 with hmarl-transfer calibrate",
    "cc4": "CAGE Challenge 4; use --engine native or cyborg",
}


def weights_folder(path: Path) -> Path:
    """Return where the weights lie that a path means: for a bundle, by path or packaged name, those it carries."""
    bundle = path if "@" in str(path) else bundle_folder(str(path))  # controls are of the whole bundle
    return bundle / POLICY if (bundle / INDEX).is_file() else path


def weights_files(path: Path) -> list[Path]:
    """Return the files that are read for the weights that a path means.

    Raises:
        ValueError: If there are none, or they are damaged.
    """
    return registry.weights_files(weights_folder(path))


def soc_name(name: str) -> str:
    """Return the policy of the SOC simulator that is meant: for ``bundle:NAME``, the weights that the bundle carries.

    Raises:
        BadInput: If it is a control of a bundle.
    """
    if not name.startswith(PREFIX):
        return name
    bundle, control, _ = name.removeprefix(PREFIX).partition("@")
    if control:
        raise BadInput(f"{name} is a control, which is of CC4 alone; give {PREFIX}{bundle}")
    return f"weights:{bundle}"


def load_weights(path: Path, where: Registry) -> Policy:
    """Load what training saved, without the tensor library.

    Args:
        path: A run folder, or its ``best``; or a bundle that carries trained weights.
        where: What they are to play.

    Raises:
        ValueError: One sentence: there are no usable weights, or they belong to another game or other rules.
    """
    folder = weights_folder(path)
    if folder != path and not folder.is_dir():
        raise ValueError("this bundle carries no trained weights; give one that does, or a scripted policy by its name")
    weights = registry.read_weights(folder)
    policy = registry.policy_of(weights, folder)
    agents = weights.interface["agents"]
    names = tuple(agent["name"] for agent in agents)
    if names != _PLAYERS[where.game]:
        home = next((home for home, players in _PLAYERS.items() if names == players), None)
        place = _HOMES[home] if home else f"another game, of {', '.join(names)}"
        raise ValueError(f"these weights were trained in {place}")
    sizes = tuple(agent["actions"] for agent in agents)
    if where.game == "cc4" and sizes != spec.NUM_ACTIONS:
        raise ValueError(f"these weights choose among {sizes} actions; the blue agents have {spec.NUM_ACTIONS}")
    seen = {agent["name"]: [(name, tuple(shape)) for name, shape in agent["observation"]] for agent in agents}
    for name, layout in (where.observations or {}).items():
        if seen[name] != [(field.name, field.shape) for field in layout]:
            raise ValueError(
                f"these weights were trained where the {name} sees other things than{where.where}; "
                "play them under the rules, and with the version, that they were trained with"
            )
    return policy
