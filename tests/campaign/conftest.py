"""Makes ``campaign`` importable, and nothing beside it: the folder of all tests holds names of our packages."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
_SPEC = importlib.util.spec_from_file_location(
    "campaign", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
)
sys.modules["campaign"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["campaign"])
