"""Makes ``campaign`` importable: pytest's importlib mode leaves the folder of a test off the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
