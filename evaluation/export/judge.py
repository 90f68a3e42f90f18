"""A bundle at the judge: made from the files that its submission brings along, with what the judge has.

bundle/         the folder of the bundle, as it is
control.txt     what follows ``@`` in the name of the policy
settings.json   the settings of a trained carried policy, checked when it was exported
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from adapters.bundle import POLICY
from evaluation.transfer.carried import make_played, make_scripted
from hmarl_soc import checkpoint
from hmarl_soc.hierarchy.acting import HierarchyPolicy
from hmarl_soc.interface import from_dict
from native_sim.api import Policy

BUNDLE, CONTROL, SETTINGS = "bundle", "control.txt", "settings.json"
PLAYABLE: Final = "hmarl_soc.hierarchy.acting:make_policy"
"""How the registry of methods says that a method's policy is a :class:`HierarchyPolicy`."""


def load(folder: Path) -> Policy:
    """Make the policy."""
    wanted = (folder / CONTROL).read_text(encoding="utf-8")
    return make_played(folder / BUNDLE, wanted, _carried)


def _carried(described: Mapping[str, Any], folder: Path) -> Policy:
    """Make the carried policy of the bundle in a folder, without the library that checks settings."""
    if described.get("kind") != "trained":
        return make_scripted(described)
    text = (folder.parent / SETTINGS).read_text(encoding="utf-8")
    settings: Any = json.loads(text, object_hook=lambda entries: SimpleNamespace(**entries))
    saved = checkpoint.load(folder / POLICY, "weights")
    return HierarchyPolicy(settings, from_dict(saved.interface), saved.state["arrays"])
