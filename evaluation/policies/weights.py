"""Trained weights as a policy of the game that they were trained in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from adapters.bundle import INDEX, POLICY, PREFIX, bundle_folder
from evaluation.harness.game import game_of_weights
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import Kind, Players
from hmarl_soc import registry
from native_sim.api import Policy


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


def load_weights(path: Path, where: Players) -> Policy:
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
    if names != where.agents:
        game = game_of_weights(names)
        place = f"{game.name}; {game.weights_advice}" if game else f"another game, of {', '.join(names)}"
        raise ValueError(f"these weights were trained in {place}")
    sizes = tuple(agent["actions"] for agent in agents)
    if where.action_sizes is not None and sizes != where.action_sizes:
        raise ValueError(f"these weights choose among {sizes} actions; the agents have {where.action_sizes}")
    seen = {agent["name"]: [(name, tuple(shape)) for name, shape in agent["observation"]] for agent in agents}
    for name, layout in (where.observations or {}).items():
        if seen[name] != [(field.name, field.shape) for field in layout]:
            raise ValueError(
                f"these weights were trained where the {name} sees other things than{where.where}; "
                "play them under the rules, and with the version, that they were trained with"
            )
    return policy


KIND: Final = Kind(
    lambda path, registry: load_weights(path, registry.players),
    lambda path: {file.name: file for file in weights_files(path)},
)
"""Policies named ``weights:DIR``."""
