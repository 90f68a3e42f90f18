"""Carried policies by name: ``bundle:PATH`` with or without a control, and what a bundle carries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.bundle import POLICY, PREFIX, Bundle, BundleError, bundle_folder, load_bundle
from evaluation.inputs.errors import BadInput
from evaluation.inputs.looks import hint
from evaluation.policies.soc_players import soc_players
from evaluation.policies.weights import load_weights
from evaluation.transfer.carried import OWN_DRAWS, SCRIPTED, make_played, make_scripted
from native_sim.api import Policy


def describe_carried(name: str) -> dict[str, Any]:
    """Return how a bundle says which policy it carries.

    Raises:
        BadInput: If the name is neither a scripted SOC policy nor a folder.
    """
    if name in SCRIPTED:
        return {"kind": "scripted", "name": name}
    if Path(name).is_dir():
        return {"kind": "trained", "name": Path(name).name}
    raise BadInput(f"unknown SOC policy {name!r}; give a trained policy's folder or one of {', '.join(SCRIPTED)}")


def make_carried(described: Mapping[str, Any], folder: Path) -> Policy:
    """Make a carried policy; a trained one lies in ``folder/policy``, or in ``folder/NAME`` before it is bundled.

    Raises:
        BadInput: If the description means nothing here, or the files cannot be read.
    """
    if described.get("kind") != "trained":
        return make_scripted(described)
    inside = folder / POLICY
    folder = inside if inside.is_dir() else folder / str(described.get("name"))
    return load_weights(folder, soc_players("corrected"))


def with_own_draws(name: str) -> str:
    """Return the name under which the same policy makes its draws itself."""
    bundle, _, wanted = name.partition("@")
    if wanted.partition("+")[0] == OWN_DRAWS:
        return name
    return f"{bundle}@{OWN_DRAWS}" + (f"+{wanted}" if wanted else "")


def read_bundle(name: str) -> Bundle:
    """Read a bundle by path or packaged name.

    Raises:
        BadInput: If there is none; the sentence says what is there instead.
    """
    folder = bundle_folder(name)
    try:
        return load_bundle(folder)
    except BundleError as error:
        raise BadInput(f"{error}{_hint(folder)}") from error


def make_transferred(name: str) -> Policy:
    """Make the policy of a bundle by path or packaged name, or of a control of it.

    The name is ``bundle:PATH`` or ``bundle:PATH@[own-draws+][paper+][CONTROL[.SEED]]``.

    Raises:
        BadInput: If there is no such bundle or control.
    """
    folder = bundle_folder(name)
    try:
        return make_played(folder, name.partition("@")[2], make_carried)
    except BadInput as error:
        raise BadInput(f"{error}{_hint(folder)}") from error


def _hint(folder: Path) -> str:
    return hint(f"{PREFIX}{folder}", folder)
