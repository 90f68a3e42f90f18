"""Makes the helpers beside the tests importable: pytest's importlib mode leaves the folder of a test off the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
